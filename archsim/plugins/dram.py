"""DRAM schedulers and page policies."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import archsim.kernels.dram_hooks  # noqa: F401 - declares the hooks that `plugin` checks
from archsim.kernels.dram_layout import CLASS_SHIFT, NEVER
from archsim.kernels.layout import jit
from archsim.kernels.slots import plugin

WATERMARK_DT = np.dtype([("low", "f8"), ("high", "f8"), ("cap", "i8")])
PAGE_DT = np.dtype([("timeout", "i8")])
COLUMN_FIRST = 1 << (CLASS_SHIFT - 1)


def _watermarks(spec: Any) -> np.ndarray:
    state = np.zeros(1, WATERMARK_DT)
    state[0] = (spec.write_low_watermark, spec.write_high_watermark, spec.row_hit_cap)
    return state


@jit
def _drain(state, writing, reads, writes, capacity):
    """Writes go out in bursts: from above the high watermark (or when there are no reads) down to the low one."""
    if writing == 0:
        return 1 if writes > state[0]["high"] * capacity or reads == 0 else 0
    return 0 if writes < state[0]["low"] * capacity and reads != 0 else 1


@plugin("dram_scheduler", "frfcfs")
class FirstReady(NamedTuple):
    """Oldest command that can go out (row command or column command alike), as Ramulator's FRFCFS."""

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> FirstReady:
        return cls(_watermarks(spec))

    @staticmethod
    def write_mode(policy, channel, writing, reads, writes, capacity):
        return _drain(policy.state, writing, reads, writes, capacity)

    @staticmethod
    def rank(policy, channel, bank, is_column, sequence):
        return sequence

    @staticmethod
    def may_close(policy, channel, bank, hit, miss, streak):
        return True


@plugin("dram_scheduler", "frfcfs_row_hit")
class RowHitFirst(NamedTuple):
    """Column commands before row commands, and no row is closed while requests to it wait (Rixner et al., ISCA 2000).

    A row that has served ``row_hit_cap`` column commands while an older request to another row waits may be closed,
    so that nobody starves.
    """

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> RowHitFirst:
        return cls(_watermarks(spec))

    @staticmethod
    def write_mode(policy, channel, writing, reads, writes, capacity):
        return _drain(policy.state, writing, reads, writes, capacity)

    @staticmethod
    def rank(policy, channel, bank, is_column, sequence):
        return sequence if is_column else sequence + COLUMN_FIRST

    @staticmethod
    def may_close(policy, channel, bank, hit, miss, streak):
        return miss < hit and streak >= policy.state[0]["cap"]


@plugin("dram_scheduler", "fcfs")
class FirstCome(NamedTuple):
    """Rows are closed in order of arrival: a row hit never overtakes an older request to the same bank."""

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> FirstCome:
        return cls(_watermarks(spec))

    @staticmethod
    def write_mode(policy, channel, writing, reads, writes, capacity):
        return _drain(policy.state, writing, reads, writes, capacity)

    @staticmethod
    def rank(policy, channel, bank, is_column, sequence):
        return sequence

    @staticmethod
    def may_close(policy, channel, bank, hit, miss, streak):
        return miss < hit


def _page(spec: Any) -> np.ndarray:
    state = np.zeros(1, PAGE_DT)
    state[0] = (spec.page_timeout_ticks,)
    return state


@plugin("dram_page", "open")
class OpenPage(NamedTuple):
    """Rows stay open until a conflict or a refresh closes them."""

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> OpenPage:
        return cls(_page(spec))

    @staticmethod
    def closes_after(page, channel, bank, more):
        return False

    @staticmethod
    def idle_ticks(page, channel, bank):
        return NEVER

    @staticmethod
    def has_timeout(page):
        return False


@plugin("dram_page", "closed")
class ClosedPage(NamedTuple):
    """The last queued request to a row closes it with its own command (auto-precharge)."""

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> ClosedPage:
        return cls(_page(spec))

    @staticmethod
    def closes_after(page, channel, bank, more):
        return not more

    @staticmethod
    def idle_ticks(page, channel, bank):
        return NEVER

    @staticmethod
    def has_timeout(page):
        return False


@plugin("dram_page", "timeout")
class TimeoutPage(NamedTuple):
    """Rows without requests are closed some time after their last use."""

    state: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> TimeoutPage:
        return cls(_page(spec))

    @staticmethod
    def closes_after(page, channel, bank, more):
        return False

    @staticmethod
    def idle_ticks(page, channel, bank):
        return page.state[0]["timeout"]

    @staticmethod
    def has_timeout(page):
        return True
