"""Samples of the profiler by instruction, of programs of the suite: $OUT/source.tar.gz with a CSV each. Standard library only.

    python3 validation/hw/h100/measure_source.py vecadd spills     (needs ncu and the binaries that measure_suite.py builds)

`ncu --section SourceCounters --page source`, every 32 cycles, second launch, caches flushed: executions and warp states of each
SASS instruction.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "kernels"))
import build  # noqa: E402
import manifest  # noqa: E402


def main(names: list[str]) -> int:
    out = Path(os.environ.get("OUT", HERE / "new"))
    out.mkdir(parents=True, exist_ok=True)
    binaries = build.build(names, ("sm_90",), jobs=os.cpu_count() or 2)
    failed = 0
    with tarfile.open(out / "source.tar.gz", "w:gz") as archive:
        for program in manifest.select(names):
            began = time.monotonic()
            target = out / f"{program.name}.csv"
            command = ["ncu", "--section", "SourceCounters", "--page", "source", "--csv", "--clock-control", "none",
                       "--cache-control", "all", "--warp-sampling-interval", "0", "--kernel-name-base", "function",
                       "--kernel-name", f"regex:^({program.kernel})$", "--launch-skip", "1", "--launch-count", "1", "--log-file", str(target),
                       str(binaries[program.name, "sm_90"]), *program.args_small, "--repeat", "2"]  # fmt: skip
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            print(f"{program.name}: exit {done.returncode}, {time.monotonic() - began:.1f} s", flush=True)
            if done.returncode:
                print(done.stdout[-500:], done.stderr[-500:], target.read_text()[-500:] if target.exists() else "")
            failed += done.returncode != 0
            if target.exists():
                archive.add(target, target.name)
                target.unlink()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
