"""Warp schedulers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import archsim.kernels.hooks  # noqa: F401 - declares the hooks that `plugin` checks
from archsim.kernels.bits import ctz
from archsim.kernels.slots import plugin


@plugin("scheduler", "cggty")
class Cggty(NamedTuple):
    """Compiler-guided greedy, then youngest (gpu-core B.2)."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> Cggty:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def sticks(policy):
        return True

    @staticmethod
    def choose(policy, sub, ready, greedy, age):
        best = ctz(ready)
        ready &= ready - 1
        while ready != 0:
            slot = ctz(ready)
            ready &= ready - 1
            if age[sub, slot] > age[sub, best]:
                best = slot
        return best


@plugin("scheduler", "gto")
class Gto(NamedTuple):
    """Greedy, then oldest: the policy of Accel-Sim."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> Gto:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def sticks(policy):
        return True

    @staticmethod
    def choose(policy, sub, ready, greedy, age):
        best = ctz(ready)
        ready &= ready - 1
        while ready != 0:
            slot = ctz(ready)
            ready &= ready - 1
            if age[sub, slot] < age[sub, best]:
                best = slot
        return best


@plugin("scheduler", "lrr")
class Lrr(NamedTuple):
    """Loose round robin: the next ready slot after the one that issued last."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> Lrr:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def sticks(policy):
        return False

    @staticmethod
    def choose(policy, sub, ready, greedy, age):
        later = ready & ~((2 << greedy) - 1)
        return ctz(later) if later != 0 else ctz(ready)
