"""``archsim run`` of a PIM program."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from archsim.cli._options import only_memory, table


def run_pim_program(path: Path, args: argparse.Namespace) -> int:
    """Run a PIM program on the memory that ``--config`` names (default ``gddr6_aim``)."""
    memory = only_memory(path, args, "a PIM program")
    from archsim.engine.pim_program import run_program

    started = time.perf_counter()
    result = run_program(path, memory or "gddr6_aim", args.overrides)
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
