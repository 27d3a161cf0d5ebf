"""Core speed: a compute-bound kernel on all SMs of `h100_sxm`, parametric backend, one core, counted after compile.

`python validation/bench/bench_core.py [--cold]` prints warp-instructions per second, cached start and `archsim --help`;
with `--cold` also a compile from nothing. Each figure stands beside a fixed reference loop timed in the same run, so
that numbers of different machines can be compared as ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from reference import reference_step_seconds


def timed(call: Callable[[], object]) -> float:
    """Wall seconds of a call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def kernel_trace() -> object:
    """132 CTAs of 8 warps, each 30 times a loop of 64 independent FFMAs."""
    from archsim.testing import KernelBuilder

    k = KernelBuilder(arch=90, name="ffma_loop")
    with k.loop(30):
        for i in range(64):
            d = 8 + i % 16
            k.add(f"FFMA R{d}, R{d}, R{2 + i % 2}, R{4 + i % 2}", stall=1)
    return k.build(grid=132, block=256)


def simulate(trace: object) -> tuple[int, float]:
    """(warp-instructions, seconds of simulation after compile, best of five)."""
    import archsim

    config = archsim.load_config("h100_sxm")
    archsim.run(trace, config, max_cycles=64)  # compiles or loads the compiled code
    kernels = [archsim.run(trace, config).kernels[0] for _ in range(5)]
    return kernels[0].warp_instructions, min(kernel.wall_seconds for kernel in kernels)


def start_seconds(cache: str, arguments: list[str]) -> float:
    """Wall seconds of a new process."""
    environment = {**os.environ, "ARCHSIM_CACHE": cache}
    command = [sys.executable, "-m", "archsim", *arguments]
    return timed(lambda: subprocess.run(command, env=environment, check=True, capture_output=True))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="also time a compile from an empty cache")
    options = parser.parse_args()
    reference = reference_step_seconds()
    print(f"reference loop: {reference * 1e9:.2f} ns a step; load average {os.getloadavg()[0]:.1f}")
    done, seconds = simulate(kernel_trace())
    print(
        f"compute-bound, 132 SMs: {done:,} warp-instructions in {seconds:.2f} s = {done / seconds / 1e6:.2f} M/s, "
        f"{seconds / done / reference:.0f} reference steps each"
    )
    run = ["run", "saxpy_sm90", "--config", "h100_sxm", "--no-output", "--quiet"]
    with tempfile.TemporaryDirectory() as folder:
        if options.cold:
            print(f"cold compile and run of saxpy: {start_seconds(folder, run):.1f} s")
        else:
            folder = os.environ.get("ARCHSIM_CACHE", folder)
            start_seconds(folder, run)
        print(f"cached start and run of saxpy: {start_seconds(folder, run):.2f} s")
        print(f"archsim --help: {start_seconds(folder, ['--help']):.2f} s")


if __name__ == "__main__":
    main()
