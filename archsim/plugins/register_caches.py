"""Register-file caches of a sub-core."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import archsim.kernels.hooks  # noqa: F401 - declares the hooks that `plugin` checks
from archsim.kernels.slots import plugin

SLOTS = 4


@plugin("rfc", "on")
class ReuseCache(NamedTuple):
    """One value per operand slot and bank, kept when the reading operand has its reuse bit set (gpu-core D.4)."""

    tags: np.ndarray  # i8[sub-cores, banks * SLOTS]: warp << 9 | register, -1 empty

    @classmethod
    def create(cls, spec: Any, count: int) -> ReuseCache:
        return cls(np.full((count, spec.register_file.banks * SLOTS), -1, np.int64))

    @staticmethod
    def lookup(cache, sub, warp, slot, bank, register):
        return cache.tags[sub, bank * SLOTS + slot] == (warp << 9) | register

    @staticmethod
    def update(cache, sub, warp, slot, bank, register, reuse):
        cache.tags[sub, bank * SLOTS + slot] = (warp << 9) | register if reuse != 0 else -1


@plugin("rfc", "off")
class NoReuseCache(NamedTuple):
    """Every operand is read from its bank."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> NoReuseCache:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def lookup(cache, sub, warp, slot, bank, register):
        return False

    @staticmethod
    def update(cache, sub, warp, slot, bank, register, reuse):
        pass


@plugin("rfc", "ideal")
class IdealReuseCache(NamedTuple):
    """Every operand comes from the cache: no register-port conflicts."""

    pad: np.ndarray

    @classmethod
    def create(cls, spec: Any, count: int) -> IdealReuseCache:
        return cls(np.zeros(1, np.int64))

    @staticmethod
    def lookup(cache, sub, warp, slot, bank, register):
        return True

    @staticmethod
    def update(cache, sub, warp, slot, bank, register, reuse):
        pass
