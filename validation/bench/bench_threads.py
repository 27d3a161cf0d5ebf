"""Two threads against one: `archsim run --threads` on a compute-bound kernel that fills `h100_sxm`.

    python validation/bench/bench_threads.py [--patience SECONDS]

Waits until the machine's cores are idle, then times one and two threads in turn, nine times each; wall seconds of the
simulation (after compile), best of each, both backends. The share of idle cores before each round is printed: a ratio
taken on busy cores says nothing about the program.
"""

from __future__ import annotations

import argparse

from bench_core import kernel_trace
from reference import wait_for_idle_cores

import archsim

ROUNDS = 9


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for idle cores before a round")
    patience = parser.parse_args().patience
    trace = kernel_trace()
    for backend in ("parametric", "full"):
        config = archsim.load_config("h100_sxm", overrides=[f"memory.backend={backend}"])
        archsim.run(trace, config, max_cycles=64)
        best = {1: (1e9, 0.0), 2: (1e9, 0.0)}
        for _ in range(ROUNDS):
            for threads in best:
                idle = wait_for_idle_cores(look_seconds=0.3, patience_seconds=patience)
                kernel = archsim.run(trace, config, threads=threads).kernels[0]
                best[threads] = min(best[threads], (kernel.wall_seconds, idle))
        for threads, (seconds, idle) in best.items():
            rate = kernel.warp_instructions / seconds / 1e6
            print(f"{backend}, {threads} threads: {seconds:.3f} s, {rate:.2f} M warp-instructions/s ({idle:.0%} idle)")
        print(f"{backend}, two threads: {best[1][0] / best[2][0]:.2f} x")


if __name__ == "__main__":
    main()
