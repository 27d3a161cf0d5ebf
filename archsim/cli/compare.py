"""``archsim compare``: result folders against an ncu file of one's own. See docs/validation.md."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "compare result folders with an `ncu --csv` file of your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Result folders, the ncu file, and where the report goes."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="result folders of `archsim run`")
    parser.add_argument("hardware", metavar="HW.csv", help="output of `ncu --csv` (with or without --page raw)")
    parser.add_argument("--explain", action="store_true", help="counters and stalls of every kernel side by side")
    parser.add_argument("-o", "--output", metavar="DIR", help="write report.html, correlation.png and errors.png there")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")


def run(args: argparse.Namespace) -> int:
    """0: compared; 1: a simulated kernel is not in the file; 2: bad input."""
    from archsim.validate import compare_runs
    from archsim.validate.explain import explain
    from archsim.validate.results import json_object
    from archsim.validate.tables import text_report

    comparison = compare_runs(args.runs, args.hardware)
    if args.explain:
        print("\n\n".join(explain(kernel) for kernel in comparison.kernels))
    else:
        print(json_object(comparison, []) if args.json else text_report(comparison, []))
    if args.output:
        from archsim.validate.pictures import write_report

        write_report(comparison, [], Path(args.output))
    return 1 if comparison.failed else 0
