"""``archsim run`` of a PIM program."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from archsim.cli._options import table
from archsim.errors import RunError


def run_pim_program(path: Path, args: argparse.Namespace) -> int:
    """Run a PIM program on the memory that ``--config`` names (default ``gddr6_aim``)."""
    for name in ("plugin", "kernel", "launches", "max_cycles", "pipeview", "perfetto", "output", "per_pc", "threads"):
        if getattr(args, name) and not (name == "threads" and args.threads == 1):
            option = "--" + name.replace("_", "-")
            raise RunError(f"{path}: a PIM program (not an archsim trace file): {option} does not apply to it")
    if len(args.config) > 1:
        raise RunError(f"{path}: a PIM program runs on one memory, {len(args.config)} are given")
    from archsim.engine.pim_program import run_program

    started = time.perf_counter()
    result = run_program(path, args.config[0] if args.config else "gddr6_aim", args.overrides)
    seconds = time.perf_counter() - started
    if args.json:
        shares = {
            "channels": result.channels.tolist(),
            "bank_utilisation": result.bank_busy_share.tolist(),
            "pin_utilisation": result.pin_share.tolist(),
        }
        print(json.dumps({"simulation_seconds": seconds, "pim": {**result.summary(), **shares}}))
    elif not args.quiet:
        name = f"{result.config.name} {result.config.preset}"
        print(table(((key, f"{value:,.6g}") for key, value in result.summary().items()), ("PIM program", name)))
    return 0
