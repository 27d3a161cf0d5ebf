"""``archsim optimize``: search a study's axes for the best machines. See docs/sweeps.md."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from archsim.cli._options import table
from archsim.cli._study_options import add_study_arguments, executor_from, folder_from, study_from, study_progress

if TYPE_CHECKING:
    from archsim.engine.optimize import SearchResult

HELP = "search machines for the best trade-off: several objectives, limits, Pareto front"

_LISTED = 20


class _Direction(argparse.Action):
    """--minimize and --maximize in one list, in the order given."""

    def __call__(
        self, parser: object, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        namespace.objectives = [*(namespace.objectives or []), {str(option).strip("-"): values}]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study, and what is good."""
    add_study_arguments(parser)
    for word in ("minimize", "maximize"):
        parser.add_argument(
            f"--{word}", action=_Direction, dest="objectives", metavar="EXPR", help=f"{word} this; repeatable"
        )
    parser.add_argument("--limit", action="append", dest="limits", metavar="EXPR", help="has to hold in every run")
    parser.add_argument("--trials", type=int, metavar="N", help="machines to try, earlier calls included (default 50)")
    parser.add_argument("--sampler", choices=("tpe", "nsga2", "random"), help="how Optuna proposes (default tpe)")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of the sampler (default 0)")
    parser.add_argument(
        "--combine",
        choices=("geomean", "mean", "sum", "max", "min"),
        help="one number from all traces (default geomean)",
    )


def run(args: argparse.Namespace) -> int:
    """Search; 0 well, 2 bad input."""
    from archsim.engine.optimize import goal_of, optimize

    study = study_from(args)
    names = ("objectives", "limits", "trials", "sampler", "seed", "combine")
    goal = goal_of(study, {name: getattr(args, name) for name in names})
    with study_progress(not args.quiet) as report:
        result = optimize(study, goal, folder_from(args, "optimize", study), executor_from(args), report=report)
    if not args.quiet:
        _print(result)
    return 0


def _print(result: SearchResult) -> None:
    front = result.front
    within = sum(t.feasible for t in result.trials)
    print(f"{len(result.trials)} trials, {within} within the limits, {result.failed} failed; Pareto front:")
    axes = list(front[0].labels) if front else []
    rows = [[t.number, *(t.labels[a] for a in axes), *(f"{value:,.6g}" for value in t.values)] for t in front[:_LISTED]]
    print(table(rows, ("trial", *axes, *(o.name for o in result.objectives))))
    if len(front) > _LISTED:
        print(f"... and {len(front) - _LISTED} more")
    if result.refused:
        print(f"note: {result.refused} proposals broke the constraints or were no possible machine")
    if result.error:
        print(f"last error: {result.error}")
    print(f"tables: {result.folder / 'trials.parquet'} (trials), {result.folder / 'results.parquet'} (runs)")
