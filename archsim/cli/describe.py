"""``archsim describe``: what a parameter means, its unit, range, default and source."""

from __future__ import annotations

import argparse

from archsim.cli._options import add_config_arguments

HELP = "explain components and parameters: meaning, unit, range, value, source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An optional dotted path and the machine whose values are shown."""
    parser.add_argument(
        "path", nargs="?", default="", metavar="COMPONENT[.PARAM]", help="for example sm.issue.scheduler"
    )
    add_config_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the description."""
    from archsim.cli._options import config_from
    from archsim.config.describe import describe

    print(describe(args.path, config_from(args)))
    return 0
