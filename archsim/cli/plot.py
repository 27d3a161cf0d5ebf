"""``archsim plot``: pictures of a study's table. See docs/sweeps.md."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "draw a study: lines, heat maps, Pareto fronts, sensitivity (PNG, PDF, SVG)"

_TABLES = {"pareto": "trials.parquet", "sensitivity": "sensitivity.parquet"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to draw from where."""
    parser.add_argument("table", metavar="FOLDER", help="a study folder, or a Parquet table")
    parser.add_argument("--kind", choices=("lines", "heatmap", "pareto", "sensitivity"), default="lines")
    parser.add_argument("-x", default="", metavar="COLUMN", help="axis on x (pareto: an expression)")
    parser.add_argument("-y", default="", metavar="EXPR", help="what is drawn (heatmap: the axis on y)")
    parser.add_argument("--value", default="", metavar="EXPR", help="colour of a heat map")
    parser.add_argument("--by", default="trace", metavar="COLUMN", help="one line or panel each (default: trace)")
    parser.add_argument(
        "--show", choices=("value", "relative", "speedup"), default="value", help="against the first x (default: value)"
    )
    parser.add_argument("--title", default="", help="heading (default: the study's name)")
    parser.add_argument("-o", "--output", metavar="FILE", help="picture (default: in the folder)")


def run(args: argparse.Namespace) -> int:
    """Draw; 0 well, 2 bad input."""
    from archsim.engine.sweep.table import load_table
    from archsim.view.study_plots import PlotSpec, draw

    spec = PlotSpec(args.kind, args.x, args.y, args.value, args.by, args.show, "", args.title)
    place = Path(args.table)
    source = place / _TABLES[args.kind] if place.is_dir() and (place / _TABLES.get(args.kind, "-")).is_file() else place
    folder = place if place.is_dir() else place.parent
    print(draw(load_table(source), spec, args.output or folder / spec.filename))
    return 0
