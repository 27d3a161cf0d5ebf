"""``archsim validate``: the kernel suite against a real card. See docs/validation.md."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from archsim.errors import RunError

HELP = "compare the simulator with measurements of a real card (h100, h200)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The card, which kernels, how, and where the report goes."""
    from archsim.validate.hardware import CARDS, PROTOCOLS

    parser.add_argument("card", choices=list(CARDS), metavar="CARD", help=f"one of: {', '.join(CARDS)}")
    parser.add_argument("--suite", default="", metavar="REGEX", help="only programs whose whole name matches")
    parser.add_argument("--quick", action="store_true", help="ten kernels, from committed traces: no compiler needed")
    parser.add_argument(
        "--protocol", choices=PROTOCOLS, default="flushed", help="caches before the launch (%(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (%(default)s)")
    parser.add_argument("--power", action="store_true", help="compare board power instead: the suite in a steady state")
    parser.add_argument("--explain", metavar="KERNEL", help="one program's counters and stalls beside the card's")
    parser.add_argument("-s", "--set", action="append", default=[], metavar="PARAM=VALUE", dest="overrides",
                        help="change a parameter of the machine (margins are then not judged)")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="DIR", help="write report.html, correlation.png and errors.png there")
    parser.add_argument("--results", metavar="FILE", help="rewrite this comparison's part of a RESULTS.md")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")


def run(args: argparse.Namespace) -> int:
    """0: every committed margin is kept; 1: one is broken, or a kernel has no result; 2: bad input."""
    from archsim.validate import compare_suite, judge, load_margins, suite
    from archsim.validate.explain import explain
    from archsim.validate.results import json_object, write_section
    from archsim.validate.tables import text_report

    if args.jobs < 1:
        raise RunError(f"--jobs {args.jobs}: must be at least 1")
    if args.power:
        return _power(args)
    pattern = args.suite
    if args.explain:
        names = [p.name for p in suite.load_programs(suite.validation_folder())]
        if args.explain not in names:
            raise RunError(f"--explain {args.explain}: no program of the suite; it has: {', '.join(names)}")
        pattern = args.explain
    comparison = _with_progress(
        args, lambda done: compare_suite(
            args.card, protocol=args.protocol, pattern=pattern, quick=args.quick, jobs=args.jobs,
            overrides=args.overrides, done=done,
        ), len(suite.select(suite.load_programs(suite.validation_folder()), pattern, args.quick)),
    )  # fmt: skip
    if args.explain:
        for name, why in comparison.failed.items():
            raise RunError(f"{name}: {why}")
        print(explain(comparison.kernels[0]))
        return 0
    verdicts = []
    name = f"{args.card}_{'quick' if args.quick else args.protocol}"
    if not pattern and not args.overrides and not (args.quick and args.protocol != "flushed"):
        verdicts = judge(comparison, load_margins(suite.validation_folder() / "margins.yaml", name))
    print(json_object(comparison, verdicts) if args.json else text_report(comparison, verdicts))
    if args.output:
        from archsim.validate.pictures import write_report

        for path in write_report(comparison, verdicts, Path(args.output)):
            if not args.json:
                print(f"written: {path}")
    if args.results:
        write_section(Path(args.results), name, comparison, verdicts)
    return 1 if comparison.failed or not all(v.holds for v in verdicts) else 0


def _power(args: argparse.Namespace) -> int:
    from archsim.validate import suite
    from archsim.validate.power import compare_power, section, text_report
    from archsim.validate.results import replace_section

    total = len(suite.select(suite.load_programs(suite.validation_folder()), args.suite, False))
    found = _with_progress(
        args, lambda done: compare_power(args.card, pattern=args.suite, jobs=args.jobs, done=done), total
    )
    print(text_report(found))
    if args.results:
        replace_section(Path(args.results), f"{args.card}_power", section(found))
    return 1 if found.failed else 0


def _with_progress(args: argparse.Namespace, work: Any, total: int) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("kernels", total=total)
        return work(lambda key: bar.update(task, advance=1, description=key))
