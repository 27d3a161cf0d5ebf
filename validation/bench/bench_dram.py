"""Speed of the DRAM engine, as requests per second and as a ratio to a fixed reference loop timed in the same run.

    python validation/bench/bench_dram.py [requests]

The reference loop is a dependent chain of integer additions and loads in compiled code (one step: about a nanosecond on
an idle core); "ratio" = reference steps per request, which a busy machine changes less than it changes seconds.
CPU time of this process, best of three; compilation excluded. One core, one channel.
"""

from __future__ import annotations

import sys

import numpy as np
from reference import best_of, reference_step_seconds

from archsim.dram import compile_dram, load_dram, make_state
from archsim.engine.dram import decode
from archsim.model.compile import entry


def measure(name: str, kind: str, n: int) -> float:
    """Requests per second of the engine's loop."""
    config = load_dram(name, {"channels": 1})
    rng = np.random.default_rng(0)
    burst = config.burst_bytes
    address = np.arange(n) * burst if kind == "stream" else rng.integers(0, 1 << 28, n) // burst * burst
    write = np.zeros(n, bool) if kind != "random 1/3 writes" else rng.random(n) < 1 / 3
    requests = decode(config, np.zeros(n, np.int64), address, write)
    arrays = [requests.time_cycles, requests.bank, requests.row, requests.column, write.astype(np.int64), np.arange(n)]
    arrays = [np.ascontiguousarray(a) for a in arrays]
    run = entry("dram_run", "run_stream")
    dram = compile_dram(config)

    def once(count: int) -> None:
        run(make_state(dram), 0, *[a[:count].copy() for a in arrays], np.zeros(n, np.int64), np.zeros(n, np.int64))

    once(100)
    return n / best_of(3, lambda: once(n))


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 300_000
    step = reference_step_seconds()
    print(f"reference step: {1e9 * step:.2f} ns")
    for name in ("hbm3", "gddr6", "ddr4"):
        for kind in ("stream", "random", "random 1/3 writes"):
            rate = measure(name, kind, n)
            print(
                f"{name:8s} {kind:18s} {rate / 1e6:6.2f} M requests/s   {1 / rate / step:8.1f} reference steps/request"
            )


if __name__ == "__main__":
    main()
