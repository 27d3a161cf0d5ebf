"""Options and table printing that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from archsim.errors import RunError

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


#: Options of `archsim run` that only SASS traces have.
_OF_KERNELS = ("plugin", "kernel", "launches", "max_cycles", "pipeview", "perfetto", "output", "per_pc")


def only_memory(path: Path, args: argparse.Namespace, what: str) -> str | None:
    """The one memory that ``--config`` names for a trace that has no kernels. RunError for options of those."""
    given = [name for name in _OF_KERNELS if getattr(args, name)] + ["threads"] * (args.threads != 1)
    if given:
        option = "--" + given[0].replace("_", "-")
        raise RunError(f"{path}: {what} (not an archsim trace file): {option} does not apply to it")
    if len(args.config) > 1:
        raise RunError(f"{path}: {what} runs on one memory, {len(args.config)} are given")
    return args.config[0] if args.config else None


def table(rows: Iterable[Sequence[object]], header: Sequence[str]) -> str:
    """Left-aligned text columns; the last column isn't padded."""
    lines = [list(map(str, row)) for row in rows]
    widths = [max(len(line[column]) for line in [list(header), *lines]) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [list(header), ["-" * width for width in widths], *lines]
    )
