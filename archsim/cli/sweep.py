"""``archsim sweep``: many runs, one table. See docs/sweeps.md."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from archsim.cli._options import table
from archsim.cli._study_options import add_study_arguments, executor_from, folder_from, study_from, study_progress

if TYPE_CHECKING:
    from archsim.engine.sweep import Study, SweepResult

HELP = "run traces over a grid of machines: one Parquet table, resumable, on all cores or a cluster"

_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The study and how to run it."""
    add_study_arguments(parser)
    parser.add_argument("--sample", type=int, metavar="N", help="N random points of the axes instead of the grid")
    parser.add_argument("--seed", type=int, metavar="S", help="seed of --sample (default 0)")
    parser.add_argument("--folders", action="store_true", help="keep the run folder of every run (runs/KEY)")
    parser.add_argument("--dry-run", action="store_true", help="check everything, list the points, run nothing")


def run(args: argparse.Namespace) -> int:
    """Sweep; 0 well (failed rows included), 2 bad input, 130 interrupted."""
    from archsim.engine.sweep import load_table, run_study
    from archsim.view.study_plots import draw, specs_of

    study = study_from(args, sample=args.sample, seed=args.seed)
    plots = specs_of(study.plots)
    if args.dry_run:
        return _dry_run(study)
    executor = executor_from(args)
    with study_progress(not args.quiet) as report:
        result = run_study(
            study,
            folder_from(args, "sweep", study),
            executor,
            force=args.force,
            retry_failed=args.retry_failed,
            folders=args.folders,
            report=report,
        )
    if not args.quiet:
        _print(result)
    for spec in plots:
        picture = draw(load_table(result.table), spec, result.folder / spec.filename)
        if not args.quiet:
            print(f"picture: {picture}")
    return 0


def _dry_run(study: Study) -> int:
    from archsim.engine.sweep import make_plan

    plan = make_plan(study)
    print(f"{len(plan.points)} points x {len(plan.traces)} traces, {len(plan.tasks)} different runs")
    rows: list[list[Any]] = [[p.index, *(p.labels.get(name) for name in plan.axes)] for p in plan.points[:_LISTED]]
    print(table(rows, ("point", *plan.axes)))
    if len(plan.points) > _LISTED:
        print(f"... and {len(plan.points) - _LISTED} more")
    return 0


def _print(result: SweepResult) -> None:
    progress = result.progress
    ran = progress.done - progress.known
    print(
        f"{result.points} points, {result.rows} rows: {ran} runs in {result.seconds:.1f} s, {progress.known} known "
        f"already, {progress.failed} failed"
    )
    if progress.last_error:
        print(f"last error: {progress.last_error}")
    for note in result.notes:
        print(f"note: {note}")
    print(f"table: {result.table}")
