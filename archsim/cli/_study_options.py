"""Options that ``archsim sweep``, ``optimize`` and ``sensitivity`` share."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.cli._options import add_config_arguments
from archsim.errors import RunError

if TYPE_CHECKING:
    from archsim.engine.sweep.pool import Executor
    from archsim.engine.sweep.runner import Progress, Report
    from archsim.engine.sweep.study import Study

_LINE_SECONDS = 10.0  # between progress lines where there is no terminal


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """The study (a file, or options), where its runs go, and who runs them."""
    parser.add_argument("study", nargs="?", metavar="STUDY", help="a YAML file or a shipped name; options override it")
    add_config_arguments(parser)
    parser.add_argument("--traces", action="append", default=[], metavar="TRACE", help="file, name or 'glob'; repeat")
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="PARAM=VALUES",
        help="a,b,c or FROM:TO:STEP or FROM:TO:*FACTOR; repeat for a grid; PARAM config takes machine names",
    )
    parser.add_argument(
        "--constraint", action="append", default=[], metavar="EXPR", help="points keep to it, e.g. 'sm.num_warps>16'"
    )
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE.py", help="load plug-ins; repeatable")
    parser.add_argument("--kernel", metavar="REGEX", help="only kernels whose name matches")
    parser.add_argument("--launches", metavar="A:B", help="only launches A to B-1, counted from 0")
    parser.add_argument("--max-cycles", type=int, metavar="N", help="stop each kernel after N cycles")
    parser.add_argument("-o", "--output", metavar="DIR", help="study folder (default: results/COMMAND-STUDY)")
    parser.add_argument("-j", "--workers", type=int, metavar="N", help="worker processes (default: all cores)")
    parser.add_argument("--cluster", action="store_true", help="run on Dask distributed: a local cluster of --workers")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run on this Dask scheduler (tcp://host:8786)")
    parser.add_argument("--force", action="store_true", help="run again what the journal or the cache holds")
    parser.add_argument("--retry-failed", action="store_true", help="run failed rows again")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no summary")


def study_from(args: argparse.Namespace, **more: Any) -> Study:
    """The study that the options describe. ConfigError."""
    from archsim.engine.sweep.study import load_study, parse_study, study_from_options

    changes = study_from_options(
        base=args.config,
        overrides=args.overrides,
        traces=args.traces,
        axes=args.axis,
        constraints=args.constraint,
        plugins=args.plugin,
        kernel=args.kernel,
        launches=args.launches,
        max_cycles=args.max_cycles,
        **more,
    )
    if args.study is None:
        if not args.traces:
            raise RunError("give a study file, or --traces and --axis (see `archsim sweep --help`)")
        return parse_study(changes, "sweep", None)
    return load_study(args.study, changes)


def executor_from(args: argparse.Namespace) -> Executor:
    """Who runs it."""
    from archsim.engine.sweep import DaskCluster, ProcessPool

    workers = args.workers if args.workers is not None else len(os.sched_getaffinity(0))
    if args.cluster or args.scheduler:
        return DaskCluster(workers, args.scheduler)
    return ProcessPool(workers)


def folder_from(args: argparse.Namespace, command: str, study: Study) -> Path:
    """Where the study's runs go."""
    return Path(args.output) if args.output else Path("results", f"{command}-{study.name}")


@contextmanager
def study_progress(shown: bool) -> Iterator[Report]:
    """A bar with ETA and failures on a terminal, a line every ten seconds elsewhere; both on stderr."""
    if not shown:
        yield lambda progress: None
        return
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs", total=None, failures="")

        def report(progress: Progress) -> None:
            failures = f"[red]{progress.failed} failed[/red]" if progress.failed else ""
            bar.update(task, total=progress.total, completed=progress.done, failures=failures)

        yield report


class _Lines:
    def __init__(self) -> None:
        self._started = self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < _LINE_SECONDS or progress.done == progress.total:
            return
        self._last = now
        ran = progress.done - progress.known
        left = (progress.total - progress.done) * (now - self._started) / ran if ran else 0.0
        failures = f", {progress.failed} failed" if progress.failed else ""
        eta = f", {left:.0f} s left" if ran else ""
        print(f"{progress.done} of {progress.total} runs{failures}{eta}", file=sys.stderr, flush=True)
