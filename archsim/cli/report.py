"""``archsim report``: a run or a study as one HTML page, and as pictures. See docs/reports.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from archsim.errors import RunError

HELP = "show a run or a sweep as one HTML page, compare two runs, draw pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, with what to compare it, where to."""
    parser.add_argument("result", metavar="RUN_OR_SWEEP", help="result folder of `archsim run` or `archsim sweep`")
    parser.add_argument("--compare", metavar="OTHER_RUN", help="a second run, set beside the first")
    parser.add_argument("-o", "--output", metavar="FILE.html", help="the page (default: report.html)")
    parser.add_argument("--plots", metavar="DIR", help="write pictures of a run: roofline, stall stacks, activity")
    parser.add_argument(
        "--format", choices=("png", "pdf", "svg"), default="png", help="of the pictures (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page (unless only pictures are asked for) and the pictures."""
    place = Path(args.result)
    if not place.exists():
        raise RunError(f"{place}: no such result folder")
    is_sweep = place.suffix == ".parquet" or (place / "results.parquet").is_file()
    written = _sweep(args, place) if is_sweep else _run(args, place)
    for path in written:
        print(path)
    return 0


def _sweep(args: argparse.Namespace, place: Path) -> list[Path]:
    from archsim.view.page import write_page
    from archsim.view.report_sweep import sweep_data

    for name, value in (("--compare", args.compare), ("--plots", args.plots)):
        if value:
            raise RunError(f"{place}: a study: {name} is for runs (`plots:` in the study file draws its pictures)")
    page = Path(args.output or "report.html")
    write_page(sweep_data(place), page)
    return [page]


def _run(args: argparse.Namespace, place: Path) -> list[Path]:
    from archsim.engine.result_folder import load_run

    result = load_run(place)
    other = load_run(args.compare) if args.compare else None
    if not result.kernels or (other is not None and not other.kernels):
        raise RunError(f"{args.compare if result.kernels else place}: holds no kernel: nothing to show")
    written = []
    if args.output or not args.plots:
        from archsim.view.page import write_page
        from archsim.view.report_run import run_data

        page = Path(args.output or "report.html")
        write_page(run_data(result, place, other, args.compare or ""), page)
        written.append(page)
    if args.plots:
        from archsim.view.pictures import write_pictures

        written += write_pictures(result, Path(args.plots), args.format)
    return written
