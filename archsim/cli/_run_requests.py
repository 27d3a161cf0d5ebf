"""``archsim run`` of a memory trace: requests straight to the DRAM model."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from archsim.cli._options import only_memory, table


def run_request_trace(path: Path, args: argparse.Namespace) -> int:
    """Run a text trace of memory requests on the memory that ``--config`` names (default ``hbm3``)."""
    memory = only_memory(path, args, "a memory trace")
    from archsim.engine.dram import run_requests

    started = time.perf_counter()
    result = run_requests(path, memory or "hbm3", args.overrides)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"simulation_seconds": seconds, "memory": result.summary()}))
    elif not args.quiet:
        print(table(((name, f"{value:,.6g}") for name, value in result.summary().items()), ("memory", "value")))
    return 0
