"""Options and table printing that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from archsim.config import MachineConfig


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """``--config NAME`` (repeatable, later ones on top) and ``--set component.param=value`` (repeatable)."""
    parser.add_argument(
        "-c",
        "--config",
        action="append",
        default=[],
        metavar="NAME",
        help="machine: a shipped name (`archsim config list`) or a YAML file; repeat to layer, later ones win",
    )
    add_set_argument(parser)


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """``--set component.param=value`` (repeatable)."""
    parser.add_argument(
        "-s",
        "--set",
        action="append",
        default=[],
        metavar="PARAM=VALUE",
        dest="overrides",
        help="change one parameter, for example sm.num_warps=32 (`archsim describe` lists them)",
    )


def config_from(args: argparse.Namespace) -> MachineConfig:
    """The machine that the shared options describe. Raises ConfigError."""
    from archsim.config import load_config

    return load_config(*args.config, overrides=args.overrides)


def table(rows: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    """Left-aligned text columns; the last column isn't padded."""
    lines = [list(map(str, row)) for row in rows]
    widths = [max(len(line[column]) for line in [list(header), *lines]) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [list(header), ["-" * width for width in widths], *lines]
    )
