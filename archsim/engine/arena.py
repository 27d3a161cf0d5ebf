"""Growing arrays in which loaded parts of a trace live: blocks are handed out first-fit and given back when used up."""

from __future__ import annotations

from typing import Any

import numpy as np


class Arena:
    """One NumPy array with a free list. ``array`` is replaced by a larger one when a block does not fit."""

    def __init__(self, dtype: Any, size: int = 1024) -> None:
        self.array = np.zeros(size, dtype)
        self._free: list[tuple[int, int]] = [(0, size)]  # (begin, end), sorted, never adjacent

    def store(self, values: Any) -> tuple[int, int]:
        """Copy ``values`` into the arena; returns its (begin, end)."""
        begin = self._allocate(len(values))
        self.array[begin : begin + len(values)] = values
        return begin, begin + len(values)

    def _allocate(self, count: int) -> int:
        if count == 0:
            return 0
        for i, (begin, end) in enumerate(self._free):
            if end - begin >= count:
                if end - begin == count:
                    del self._free[i]
                else:
                    self._free[i] = (begin + count, end)
                return begin
        self._grow(count)
        return self._allocate(count)

    def _grow(self, count: int) -> None:
        old = len(self.array)
        grown = np.zeros(max(2 * old, old + count), self.array.dtype)
        grown[:old] = self.array
        self.array = grown
        self.release((old, len(grown)))

    def release(self, block: tuple[int, int]) -> None:
        """Give a block back."""
        begin, end = block
        if begin == end:
            return
        free = sorted([*self._free, (begin, end)])
        merged = [free[0]]
        for begin, end in free[1:]:
            if begin == merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
            else:
                merged.append((begin, end))
        self._free = merged

    @property
    def nbytes(self) -> int:
        """Bytes that the arena takes."""
        return int(self.array.nbytes)
