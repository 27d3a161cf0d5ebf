"""Peak memory of `archsim run` on a launch of 25 million warp-instructions, regular and irregular, both backends.

    python validation/bench/bench_run_memory.py [--millions 25]

Captures the two kernels of `bench_capture_memory.py` (needs nvcc) and runs each on the full `h100_sxm` with compiled
code at hand: largest resident set of the whole command, as a user runs it. Exits with 1 above 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_capture_memory import LIMITS, capture

from archsim.trace.inspect import describe

LIMIT_BYTES = 2e9


def run(trace: Path, backend: str) -> tuple[float, int, int]:
    """(wall seconds, peak resident bytes, cycles) of one `archsim run`."""
    command = [sys.executable, "-m", "archsim", "run", str(trace), "--config", "h100_sxm", "--json", "--quiet"]
    begin = time.time()
    with tempfile.TemporaryFile() as out:
        child = subprocess.Popen([*command, "--set", f"memory.backend={backend}"], stdout=out)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{trace}: run ended with exit code {child.returncode}")
        out.seek(0)
        cycles = json.load(out)["kernels"][0]["sm__cycles_active.max"]
    return time.time() - begin, 1024 * usage.ru_maxrss, cycles


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=25.0, help="warp-instructions of the launch, at least")
    millions = parser.parse_args().millions
    missed = False
    with tempfile.TemporaryDirectory() as name:
        for kind in LIMITS:
            few = describe(capture(Path(name), kind, 4)[2])["warp_instructions"]
            more = describe(capture(Path(name), kind, 12)[2])["warp_instructions"]
            loops = 4 + int((millions * 1e6 - few) / ((more - few) / 8)) + 1
            trace = capture(Path(name), kind, loops)[2]
            count = describe(trace)["warp_instructions"]
            for backend in ("parametric", "full"):
                seconds, peak, cycles = run(trace, backend)
                print(
                    f"{kind}, {backend}: {count:,} warp-instructions, {cycles:,} cycles in {seconds:.0f} s, "
                    f"peak {peak / 1e6:.0f} MB (limit {LIMIT_BYTES / 1e6:.0f})",
                    flush=True,
                )
                missed |= peak > LIMIT_BYTES
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
