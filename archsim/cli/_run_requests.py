"""``archsim run`` of a memory trace: requests straight to the DRAM model."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from archsim.cli._options import table
from archsim.errors import RunError


def run_request_trace(path: Path, args: argparse.Namespace) -> int:
    """Run a text trace of memory requests on the memory that ``--config`` names (default ``hbm3``)."""
    refused = ("plugin", "kernel", "launches", "max_cycles", "pipeview", "perfetto", "output", "per_pc", "threads")
    for name in refused:
        if getattr(args, name) and not (name == "threads" and args.threads == 1):
            option = "--" + name.replace("_", "-")
            raise RunError(f"{path}: a memory trace (not an archsim trace file): {option} does not apply to it")
    if len(args.config) > 1:
        raise RunError(f"{path}: a memory trace runs on one memory, {len(args.config)} are given")
    from archsim.engine.dram import run_requests

    started = time.perf_counter()
    result = run_requests(path, args.config[0] if args.config else "hbm3", args.overrides)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"simulation_seconds": seconds, "memory": result.summary()}))
    elif not args.quiet:
        print(table(((name, f"{value:,.6g}") for name, value in result.summary().items()), ("memory", "value")))
    return 0
