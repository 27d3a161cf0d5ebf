"""Compiled entry points, cached on disk under the content of what they were compiled from.

Numba's own cache only watches the file of the cached function, not its callees. So the cache folder is named by a hash
of every source that the code is made of, and of the versions of Numba and Python: edited code is never run stale.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numba
from numba.core.runtime import rtsys

settings: Any = numba.config  # its attributes are made at run time


def cache_root() -> Path:
    """Folder of compiled code: $ARCHSIM_CACHE, else the user's cache folder."""
    if "ARCHSIM_CACHE" in os.environ:
        return Path(os.environ["ARCHSIM_CACHE"]) / "numba"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "archsim" / "numba"


def content_hash(paths: Iterable[Path]) -> bytes:
    """Hash of the files' names and content, and of the compiler."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.version} {settings.CPU_NAME}".encode())
    for path in paths:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.digest()


def compile_entry(function: Callable[..., Any], key: str, *, parallel: bool = False) -> Callable[..., Any]:
    """``function`` compiled when first called, or loaded from the folder ``key``."""
    settings.CACHE_DIR = str(cache_root() / key)
    compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True, error_model="numpy", parallel=parallel)(function)
    _load_quickly(compiled)
    return compiled


def _load_quickly(dispatcher: Any) -> None:
    """Load code from the cache without importing Numba's implementations of NumPy and Python (a fifth of a start).

    Only the compiler needs those, and it fills its registries by itself when the cache has no code. Rests on names that
    are not public; where they have changed, nothing happens.
    """
    cache = getattr(dispatcher, "_cache", None)
    if not hasattr(cache, "_load_overload") or not hasattr(rtsys, "initialize"):
        return

    def load_overload(signature: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)
        return cache._load_overload(signature, target_context)

    cache.load_overload = load_overload
