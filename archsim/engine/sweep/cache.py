"""Results by content: the same trace on the same configuration with the same version is never run twice.

An entry is one JSON file, named by the key of its run, written beside its place and renamed. A cache that cannot be
written costs time, never a result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[2]
#: Folders whose sources decide what a run counts.
_FOLDERS = ("config", "dram", "energy", "engine", "isa", "kernels", "model", "pim", "plugins", "stats", "trace")
_SWEEP_FILES = ("targets.py", "targets_pim.py", "gpu_stats.py", "task.py")
_TABLES = (".py", ".pyx", ".yaml")


@cache
def _sources_hash() -> str:
    digest = hashlib.sha256()
    files = [p for folder in _FOLDERS for p in sorted((_PACKAGE / folder).rglob("*")) if p.suffix in _TABLES]
    for path in files:
        if path.parent.name != "sweep" or path.name in _SWEEP_FILES:
            digest.update(str(path.relative_to(_PACKAGE)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def code_version(plugins: tuple[str, ...] = ()) -> str:
    """Version of everything that can change a result: archsim's number, its sources, the plug-in files."""
    from archsim import __version__

    digest = hashlib.sha256()
    for path in plugins:
        digest.update(Path(path).read_bytes())
    suffix = f"+{digest.hexdigest()[:12]}" if plugins else ""
    return f"{__version__}-{_sources_hash()}{suffix}"


def cache_folder() -> Path:
    """$ARCHSIM_RESULT_CACHE, else $ARCHSIM_CACHE/results, else in the user's cache folder."""
    if "ARCHSIM_RESULT_CACHE" in os.environ:
        return Path(os.environ["ARCHSIM_RESULT_CACHE"])
    if "ARCHSIM_CACHE" in os.environ:
        return Path(os.environ["ARCHSIM_CACHE"]) / "results"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "archsim" / "results"


def _place(key: str) -> Path:
    return cache_folder() / key[:2] / f"{key}.json"


def load(key: str) -> dict[str, Any] | None:
    """The record of an earlier run, None if there is none (or it is damaged)."""
    try:
        record = json.loads(_place(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("key") == key else None


def store(record: dict[str, Any]) -> bool:
    """Keep a record; False where it could not be written."""
    place = _place(record["key"])
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(record), encoding="utf-8")
        os.replace(temporary, place)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True
