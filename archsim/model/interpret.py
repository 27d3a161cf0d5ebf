"""Kernels run by the Python interpreter (NUMBA_DISABLE_JIT=1): for debugging and for tests of a few cycles.

Compiled code widens every small field to 64 bits before it computes; NumPy's scalars would wrap around instead
(``1 << uint8(24)`` is 0). So the arrays of a call are seen through `PlainArray`, which hands out Python integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class PlainArray(np.ndarray):
    """A view of an array whose integer elements read as ``int`` and whose records read as `PlainRecord`."""

    def __getitem__(self, key: Any) -> Any:
        return _plain(super().__getitem__(key))


class PlainRecord:
    """A view of one element of a structured array."""

    __slots__ = ("_record",)

    def __init__(self, record: np.void) -> None:
        self._record = record

    def __getitem__(self, name: str) -> Any:
        return _plain(self._record[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self._record[name] = value


def _plain(value: Any) -> Any:
    if isinstance(value, np.void):
        return PlainRecord(value)
    if isinstance(value, np.integer | np.bool_):
        return int(value)
    if isinstance(value, np.ndarray):
        return value.view(PlainArray)
    return value


def _argument(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_argument(item) for item in value))
    return _plain(value)


def interpreted(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with its array arguments (also inside NamedTuples) seen as `PlainArray`."""

    def call(*args: Any) -> Any:
        return function(*(_argument(value) for value in args))

    return call
