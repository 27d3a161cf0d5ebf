"""Speed of the whole chip: captured kernels on the full `h100_sxm`, with L2 and DRAM, on one core, after compile.

    python validation/bench/bench_chip.py [--keep FOLDER] [--rounds N] [NAME ...]

Captures large launches of the kernel suite (`validation/kernels`, needs nvcc) into FOLDER, unless they are there, and
prints for each: warp-instructions a second of both backends as CPU time, their ratio to a fixed reference loop timed
in the same run (reference steps per warp-instruction), what share of the peak DRAM bandwidth the simulated kernel
used, and the peak memory of a process that runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reference import reference_step_seconds

KERNELS = Path(__file__).resolve().parents[1] / "kernels"
COMPUTE = ("sgemm_regblock", "nbody", "mandelbrot")
DRAM = ("vecadd", "saxpy", "gemv", "gelu", "stencil3d7")


def capture(name: str, folder: Path) -> Path:
    """Trace of the measured kernel of a program at its large size."""
    out = folder / f"{name}.h5"
    if not out.exists():
        sys.path.insert(0, str(KERNELS))
        import build
        import manifest

        (program,) = manifest.select([name])
        binary = build.build([name], ["sm_90"], folder)[name, "sm_90"]
        command = [sys.executable, "-m", "archsim", "capture", "--arch", "sm_90", "-o", str(out)]
        command += ["--kernel", program.kernel, "--", str(binary), *program.args_large]
        subprocess.run(command, check=True, capture_output=True)
    return out


def measure(trace: str, backend: str, rounds: int) -> None:
    """In a process of its own: one line of JSON with counts, least CPU seconds and peak memory."""
    import resource
    import time

    import archsim

    config = archsim.load_config("h100_sxm", overrides=[f"memory.backend={backend}"])
    with archsim.load_trace(trace) as opened:
        archsim.run(opened, config, max_cycles=64)  # compiles, or loads the compiled code
        best = float("inf")
        for _ in range(rounds):
            begin = time.process_time()
            kernel = archsim.run(opened, config).kernels[0]
            best = min(best, time.process_time() - begin)
    moved = kernel.counters["dram_read_bytes"] + kernel.counters["dram_write_bytes"]
    row = {
        "instructions": kernel.warp_instructions,
        "seconds": best,
        "cycles": kernel.cycles,
        "dram_share": moved / kernel.cycles / config.dram_bytes_per_cycle,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(row))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", default=[*COMPUTE, *DRAM])
    parser.add_argument("--keep", type=Path, help="folder of the captured traces")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(*options.one, options.rounds)
        return
    step = reference_step_seconds()
    print(f"reference step {1e9 * step:.2f} ns, load average {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.names:
            path = capture(name, folder)
            for backend in ("parametric", "full"):
                command = [sys.executable, __file__, "--rounds", str(options.rounds), "--one", str(path), backend]
                row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                each = row["seconds"] / row["instructions"]
                print(
                    f"{name:15s} {backend:10s} {row['instructions']:>10,} warp-instructions  {1e-6 / each:5.2f} M/s  "
                    f"{each / step:6.0f} reference steps each  {row['cycles']:>9,} cycles  "
                    f"DRAM {row['dram_share']:4.0%} of peak  {row['peak_mb']:5.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
