"""What the benchmarks share: the fixed reference loop, best-of-N timing, and waiting for idle cores."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

STEPS = 20_000_000


@numba.njit
def _reference(steps, table):
    at = 0
    total = 0
    for _ in range(steps):
        at = table[at]
        total += at ^ (total >> 3)
    return total


def best_of(n: int, call: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Least seconds of ``n`` calls, by default CPU seconds of this process."""
    times = []
    for _ in range(n):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def reference_step_seconds() -> float:
    """CPU seconds of one step of the reference loop: a dependent load from a small table, two integer operations."""
    table = np.random.default_rng(0).permutation(4096).astype(np.int64)
    _reference(10, table)
    return best_of(3, lambda: _reference(STEPS, table)) / STEPS


def _idle_and_total() -> tuple[int, int]:
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return ticks[3] + ticks[4], sum(ticks[:8])


def wait_for_idle_cores(share: float = 0.9, look_seconds: float = 1.0, patience_seconds: float = 300.0) -> float:
    """Wait until the machine's cores were idle for ``share`` of a look; returns the last share (Linux)."""
    give_up = time.monotonic() + patience_seconds
    while True:
        idle, total = _idle_and_total()
        time.sleep(look_seconds)
        idle_now, total_now = _idle_and_total()
        found = (idle_now - idle) / max(total_now - total, 1)
        if found >= share or time.monotonic() > give_up:
            return found
