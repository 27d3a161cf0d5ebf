"""The file under an HDF5 writer.

HDF5 cannot cope with a write that fails (full disk, quota): closing the file, or only freeing its objects, ends in a
segmentation fault or in messages past every handler. So HDF5 writes to this object, which never fails: it keeps what
the disk did not take, and the error, for the owner to ask for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Disk:
    """A new file for `h5py.File(Disk(path), "w")`. OSError if it cannot be made.

    ``error``: the first write that failed, or None. From then on nothing reaches the disk any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._kept: list[tuple[int, bytes]] = []
        self._at = self._end = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset from the begin, the current place or the end."""
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        """The current place."""
        return self._at

    def write(self, data: Any) -> int:
        """Write all of ``data``, or keep it."""
        view = memoryview(data).cast("B")
        done = 0
        while self.error is None and done < len(view):
            try:
                done += os.pwrite(self._file, view[done:], self._at + done)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._kept.append((self._at, bytes(view)))
        self._at += len(view)
        self._end = max(self._end, self._at)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer``; zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        data = os.pread(self._file, len(view), self._at)
        view[:] = data + bytes(len(view) - len(data))
        for begin, kept in self._kept:
            low, high = max(begin, self._at), min(begin + len(kept), self._at + len(view))
            if low < high:
                view[low - self._at : high - self._at] = kept[low - begin : high - begin]
        self._at += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        """``size`` bytes, as `readinto`."""
        buffer = bytearray(size)
        self.readinto(buffer)
        return bytes(buffer)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file."""
        self._end = self._at if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._file, self._end)
            except OSError as error:
                self.error = error
        return self._end

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            try:
                os.close(self._file)
            except OSError as error:  # some file systems find out only here
                self.error = self.error or error
        self._file = -1
