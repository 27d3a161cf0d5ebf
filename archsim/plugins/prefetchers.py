"""Instruction prefetchers in front of each L0 instruction cache."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import archsim.kernels.hooks  # noqa: F401 - declares the hooks that `plugin` checks
from archsim.kernels.slots import plugin

MISS = 2


@plugin("prefetcher", "stream_buffer")
class StreamBuffer(NamedTuple):
    """On a miss, stream the following lines into a FIFO of ``size`` lines (gpu-core C.3)."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> StreamBuffer:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def observe(policy, sub, line, where, now):
        return line + 1 if where == MISS else -1

    @staticmethod
    def advance(policy, sub, last, now):
        return last + 1

    @staticmethod
    def perfect(policy):
        return False


@plugin("prefetcher", "next_line")
class NextLine(NamedTuple):
    """Every touched line asks for the one after it."""

    until: np.ndarray  # i8[sub-cores]: last line that may be asked for

    @classmethod
    def create(cls, spec: Any, count: int) -> NextLine:
        return cls(np.full(count, -1, np.int64))

    @staticmethod
    def observe(policy, sub, line, where, now):
        if policy.until[sub] == line + 1:
            return -1
        policy.until[sub] = line + 1
        return line + 1

    @staticmethod
    def advance(policy, sub, last, now):
        return last + 1 if last < policy.until[sub] else -1

    @staticmethod
    def perfect(policy):
        return False


@plugin("prefetcher", "none")
class NoPrefetch(NamedTuple):
    """Lines are fetched on demand only."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> NoPrefetch:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def observe(policy, sub, line, where, now):
        return -1

    @staticmethod
    def advance(policy, sub, last, now):
        return -1

    @staticmethod
    def perfect(policy):
        return False


@plugin("prefetcher", "perfect")
class Perfect(NamedTuple):
    """Every fetch hits: the upper bound of the published ablation."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> Perfect:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def observe(policy, sub, line, where, now):
        return -1

    @staticmethod
    def advance(policy, sub, last, now):
        return -1

    @staticmethod
    def perfect(policy):
        return True
