"""Workers that need the same code do not all compile it: the first one does, the others load what it made.

A marker beside the compiled code says that a form is there; whoever finds none takes a lock for its first run.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_seen: set[str] = set()


@contextmanager
def turn(form: str) -> Iterator[None]:
    """Around a run of a form: waits while another process compiles it for the first time."""
    if form in _seen:
        yield
        return
    from archsim.model.compile import cache_root, content_key

    folder = cache_root() / content_key()
    marker = folder / f"{form}.compiled"
    handle = None if marker.exists() else _lock(folder / f"{form}.lock")
    if handle is not None and marker.exists():  # compiled while we waited
        os.close(handle)
        handle = None
    try:
        yield
        _seen.add(form)
        if handle is not None:
            with suppress(OSError):
                marker.touch()
    finally:
        if handle is not None:
            os.close(handle)  # gives up the lock


def _lock(path: Path) -> int | None:
    """A lock, waited for. None where the file system has none: then every worker compiles, no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        os.close(handle)
        return None
    return handle
