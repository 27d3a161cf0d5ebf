"""Windowed counters: what the chip did between points in time.

The chip stops between windows anyway; there the sums of all counters are noted. The number of samples is bounded: when
the list is full, neighbours are merged and the spacing doubles. Sampling reads, it changes no result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.kernels import layout as lay

SAMPLES = 256  # of one launch, unless asked otherwise


@dataclass
class Timeline:
    """Counts by interval of one launch; interval ``i`` is cycles ``edges[i]`` to ``edges[i + 1]``.

    ``edges``: i8[n + 1] cycles since launch; ``stalls``: i8[n, reasons] issue slots by fate (`layout.REASON_NAMES`);
    ``counters``: i8[n, counters] (`layout.COUNTERS`). Columns sum to the launch's totals.
    """

    edges: Any
    stalls: Any
    counters: Any

    @property
    def cycles(self) -> Any:
        """i8[n] length of each interval."""
        return np.diff(self.edges)

    def counter(self, name: str) -> Any:
        """i8[n] one counter."""
        return self.counters[:, lay.COUNTERS.index(name)]


class Sampler:
    """Collects a `Timeline`. ``limit``: largest number of intervals (even, at least 2)."""

    def __init__(self, limit: int) -> None:
        self._limit = max(2, limit + limit % 2)
        self.windows = 1  # windows between two samples
        self._times = [0]
        self._totals: list[Any] = [np.zeros(lay.NUM_REASONS + len(lay.COUNTERS), np.int64)]

    def sample(self, machine: lay.Machine, now: int) -> None:
        """Note the totals at cycle ``now``; nothing if no time has passed since the last sample."""
        if now <= self._times[-1]:
            return
        self._times.append(now)
        self._totals.append(_totals(machine, now))
        if len(self._times) > self._limit:
            self._times[1:-1] = self._times[2:-1:2]
            self._totals[1:-1] = self._totals[2:-1:2]
            self.windows *= 2

    def timeline(self, machine: lay.Machine, end: int) -> Timeline:
        """The result; the slots up to ``end`` have been charged (`settle_all`), so the last interval closes exactly."""
        while self._times[-1] >= end and len(self._times) > 1:  # the last window reaches past the last block's end
            self._times.pop()
            self._totals.pop()
        times = [*self._times, end]
        totals = np.array([*self._totals, _sums(machine)])
        steps = np.diff(totals, axis=0)
        return Timeline(np.array(times, np.int64), steps[:, : lay.NUM_REASONS], steps[:, lay.NUM_REASONS :])


def _sums(machine: lay.Machine) -> Any:
    stats = machine.stats
    counters = np.array([int(stats[name].sum()) for name in lay.COUNTERS], np.int64)
    return np.concatenate([machine.stalls.sum(axis=0), counters])


def _totals(machine: lay.Machine, now: int) -> Any:
    """Sums at cycle ``now``, with what sleeping sub-cores and resident warps have yet to be charged for."""
    totals = _sums(machine)
    sm, sc = machine.sm, machine.sc
    late = now - sc["idle_from"]
    empty = np.repeat(sm["live_ctas"] == 0, len(sc) // len(sm))
    why = np.where(empty | (late < 0), lay.STALL_NO_WARP, sc["idle_why"])
    np.add.at(totals, why, late)
    running = sm["live_ctas"] > 0
    for name, missing in (
        ("active_cycles", (now - sm["active_from"][running]).sum()),
        ("warp_cycles", (sm["live_warps"] * now).sum()),
    ):
        totals[lay.NUM_REASONS + lay.COUNTERS.index(name)] += int(missing)
    return totals
