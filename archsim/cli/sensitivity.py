"""``archsim sensitivity``: which parameter matters for which kernel. See docs/sweeps.md."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from archsim.cli._options import table
from archsim.cli._study_options import add_study_arguments, executor_from, folder_from, study_from, study_progress

if TYPE_CHECKING:
    from archsim.engine.sensitivity import SensitivityResult

HELP = "which parameter matters for which kernel: one-at-a-time, or Morris screening"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, and how to screen it."""
    add_study_arguments(parser)
    parser.add_argument("--method", choices=("oat", "morris"), help="one at a time (default), or Morris's walks")
    parser.add_argument("--output-of", action="append", dest="outputs", metavar="EXPR", help="default: cycles; repeat")
    parser.add_argument("--trajectories", type=int, metavar="N", help="walks of Morris (default 10)")
    parser.add_argument("--levels", type=int, metavar="N", help="positions of an axis that Morris visits (default 4)")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the walks (default 0)")


def run(args: argparse.Namespace) -> int:
    """Screen; 0 well, 2 bad input."""
    from archsim.engine.sensitivity import screening_of, sensitivity

    study = study_from(args)
    names = ("method", "outputs", "trajectories", "levels", "seed")
    screening = screening_of(study, {name: getattr(args, name) for name in names})
    with study_progress(not args.quiet) as report:
        result = sensitivity(
            study, screening, folder_from(args, "sensitivity", study), executor_from(args), report=report
        )
    if not args.quiet:
        _print(result)
    return 0


def _print(result: SensitivityResult) -> None:
    columns = ("base", "low", "high", "low_at", "high_at") if result.method == "oat" else ("mu_star", "mu", "sigma")
    rows = [
        [
            row["trace"],
            row["output"],
            row["parameter"],
            _percent(row["effect_relative"]),
            *(_text(row[c]) for c in columns),
        ]
        for row in result.rows
    ]
    print(table(rows, ("trace", "output", "parameter", "effect", *columns)))
    if result.failed:
        print(f"{result.failed} of {result.runs} runs failed, last: {result.error}")
    print(f"table: {result.folder / 'sensitivity.parquet'}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _text(value: object) -> str:
    return f"{value:,.6g}" if isinstance(value, float | int) else "-" if value is None else str(value)
