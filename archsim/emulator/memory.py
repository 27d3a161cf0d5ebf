"""Device memory of an emulated GPU: one arena, an allocator that knows every live byte."""

from __future__ import annotations

import bisect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.errors import EmulationError

GRANULE = 256  # bytes: unit of the validity map
ALIGNMENT = 512  # bytes, of allocations: what cudaMalloc gives on real cards (it promises 256)
DEFAULT_BASE = 0x2_0000_0000  # first heap address; any 512-byte aligned value below the windows


class DeviceMemory:
    """Heap of ``memory_bytes`` bytes at ``base``, plus ``window_bytes`` for shared and local memory of launches.

    The arena is reserved virtual memory: pages cost nothing until touched. ``backing``: a writable u1 array to use
    instead (for example memory shared with the captured program), at least memory_bytes + window_bytes long.
    """

    def __init__(
        self,
        memory_bytes: int = 8 << 30,
        base: int = DEFAULT_BASE,
        window_bytes: int = 4 << 30,
        backing: NDArray[np.uint8] | None = None,
    ) -> None:
        self.base, self.size = base, memory_bytes // GRANULE * GRANULE
        self.window_bytes = window_bytes
        total = self.size + window_bytes
        if backing is None:
            self.words = np.zeros(total // 4, np.uint32)
            self.bytes = self.words.view(np.uint8)
        else:
            if len(backing) < total:
                raise EmulationError(f"device memory: backing of {len(backing)} bytes, {total} needed")
            self.bytes = backing[:total]
            self.words = self.bytes.view(np.uint32)
        self.valid = np.zeros(self.size // GRANULE, np.uint16)
        self.live: dict[int, int] = {}  # address -> bytes
        self._free: list[tuple[int, int]] = [(0, self.size)]  # (offset, bytes), sorted, coalesced

    def alloc(self, nbytes: int, align: int = ALIGNMENT) -> int:
        """Address of a new block of `nbytes`; EmulationError when the heap is full."""
        need = max(-(-nbytes // GRANULE), 1) * GRANULE
        align = max(align, ALIGNMENT)
        for i, (start, size) in enumerate(self._free):
            offset = -(-(start + self.base) // align) * align - self.base
            if offset + need <= start + size:
                parts = [(start, offset - start), (offset + need, start + size - offset - need)]
                self._free[i : i + 1] = [p for p in parts if p[1]]
                self.live[self.base + offset] = nbytes
                self._mark(offset, nbytes)
                return self.base + offset
        raise EmulationError(f"device memory: out of memory ({nbytes} bytes asked, heap of {self.size} bytes)")

    def _mark(self, offset: int, nbytes: int) -> None:
        first, whole, rest = offset // GRANULE, nbytes // GRANULE, nbytes % GRANULE
        self.valid[first : first + whole] = GRANULE
        if rest:
            self.valid[first + whole] = rest

    def free(self, address: int) -> None:
        """Release a block; EmulationError if no live block starts there."""
        nbytes = self.live.pop(address, None)
        if nbytes is None:
            raise EmulationError(f"device memory: free of 0x{address:x}, which is not the start of an allocation")
        offset = address - self.base
        need = max(-(-nbytes // GRANULE), 1) * GRANULE
        self.valid[offset // GRANULE : (offset + need) // GRANULE] = 0
        i = bisect.bisect_left(self._free, (offset, 0))
        self._free.insert(i, (offset, need))
        self._join(i)
        if i:
            self._join(i - 1)

    def _join(self, i: int) -> None:
        if i + 1 < len(self._free) and sum(self._free[i]) == self._free[i + 1][0]:
            self._free[i : i + 2] = [(self._free[i][0], self._free[i][1] + self._free[i + 1][1])]

    @property
    def free_bytes(self) -> int:
        """Bytes not allocated."""
        return sum(size for _, size in self._free)

    def block_of(self, address: int) -> tuple[int, int] | None:
        """(start, bytes) of the live block that holds an address; None if there is none."""
        for start, nbytes in self.live.items():
            if start <= address < start + nbytes:
                return start, nbytes
        return None

    def view(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        """The bytes [address, address + nbytes) themselves; EmulationError unless all of them are live."""
        offset = address - self.base
        if nbytes < 0 or offset < 0 or offset + nbytes > self.size or not self._is_live(offset, nbytes):
            raise EmulationError(f"device memory: [0x{address:x}, +{nbytes}) is outside every live allocation")
        return self.bytes[offset : offset + nbytes]

    def _is_live(self, offset: int, nbytes: int) -> bool:
        if nbytes == 0:
            return True
        first, last = offset // GRANULE, (offset + nbytes - 1) // GRANULE
        return bool((self.valid[first:last] == GRANULE).all()) and (offset + nbytes - 1) % GRANULE < self.valid[last]

    def read(self, address: int, nbytes: int) -> bytes:
        """Copy of device bytes."""
        return self.view(address, nbytes).tobytes()

    def write(self, address: int, data: Any) -> None:
        """Write a bytes-like object or array."""
        source = np.frombuffer(data, np.uint8) if not isinstance(data, np.ndarray) else data
        source = np.ascontiguousarray(source).view(np.uint8).reshape(-1)
        self.view(address, len(source))[:] = source

    def copy(self, target: int, source: int, nbytes: int) -> None:
        """Device to device; overlapping ranges behave like memmove."""
        self.view(target, nbytes)[:] = self.view(source, nbytes).copy()

    def fill(self, address: int, value: int, nbytes: int) -> None:
        """Set bytes."""
        self.view(address, nbytes)[:] = value & 0xFF
