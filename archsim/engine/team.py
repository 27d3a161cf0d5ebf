"""Threads that run one chip together (`kernels.team`): any number of them gives the same counters."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from archsim.errors import RunError
from archsim.kernels.jitcache import settings
from archsim.kernels.team import DISMISSED, TEAM_CALL

MAX_THREADS = 256


def usable_threads(threads: int) -> int:
    """Threads that a run uses. RunError if that is no sensible number.

    With the JIT off there is one: Python's interpreter runs one thread at a time.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise RunError(f"--threads {threads}: must be 1 to {MAX_THREADS}")
    return 1 if settings.DISABLE_JIT else threads


class Team:
    """A leader (the calling thread) and helpers. Usable as a context manager."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, "archsim-sm") if threads > 1 else None

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, run_chip: Callable[..., Any], machine: Any, chip: Any, trace: Any, limit: int, windows: int) -> int:
        """One call of ``run_chip`` by all threads; returns the leader's STOP_* code."""
        if self._pool is None:
            return int(run_chip(machine, chip, trace, limit, windows, 0))
        chip.team[TEAM_CALL] = 0
        helpers = [self._pool.submit(run_chip, machine, chip, trace, limit, 0, who) for who in range(1, self.threads)]
        try:
            stop = int(run_chip(machine, chip, trace, limit, windows, 0))
        finally:
            chip.team[TEAM_CALL] = DISMISSED
            wait(helpers)
        for helper in helpers:
            helper.result()  # an error in a helper is an error of the run
        return stop
