"""Configurations and traces that ship with archsim, found by bare name from any folder.

An installed package carries them as package data (``archsim._data.configs``, ``archsim._data.traces``); a source
checkout (and an editable installation of it) has them in its top-level ``configs/`` and ``traces/`` folders.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from archsim.errors import ArchsimError, ConfigError, TraceError

_PACKAGE = Path(__file__).resolve().parent
_CONFIG_SUFFIXES = (".yaml", ".yml")
_TRACE_SUFFIX = ".h5"


def _folder(kind: str) -> Path:
    """Folder of the shipped ``kind`` ("configs" or "traces")."""
    checkout = _PACKAGE.parent / kind
    if (_PACKAGE.parent / "pyproject.toml").is_file() and checkout.is_dir():
        return checkout
    return _PACKAGE / "_data" / kind


def _shipped(kind: str, subfolder: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    folder = _folder(kind) / subfolder
    files = sorted(path for path in folder.rglob("*") if path.suffix in suffixes) if folder.is_dir() else []
    return {path.stem: path for path in files}


def list_configs(kind: str = "gpu") -> list[str]:
    """Names of the shipped configurations of one kind (a subfolder of ``configs/``)."""
    return list(_shipped("configs", kind, _CONFIG_SUFFIXES))


def list_traces() -> list[str]:
    """Names of the shipped traces."""
    return list(_shipped("traces", "", (_TRACE_SUFFIX,)))


def find_config(name: str | Path, relative_to: Path | None = None, kind: str = "gpu") -> Path:
    """Path of a configuration.

    ``name`` is an existing file (also looked up in ``relative_to``), or a shipped name.

    Raises:
        ConfigError: nothing of that name; the message gives the nearest shipped names.
    """
    return _find(
        str(name),
        "configuration",
        _shipped("configs", kind, _CONFIG_SUFFIXES),
        _CONFIG_SUFFIXES,
        relative_to,
        ConfigError,
    )


def find_trace(name: str | Path) -> Path:
    """Path of a trace: an existing file, or a shipped name. Raises TraceError."""
    return _find(str(name), "trace", _shipped("traces", "", (_TRACE_SUFFIX,)), (_TRACE_SUFFIX,), None, TraceError)


def _find(
    name: str,
    what: str,
    shipped: dict[str, Path],
    suffixes: tuple[str, ...],
    relative_to: Path | None,
    error: type[ArchsimError],
) -> Path:
    is_bare = "/" not in name and not name.endswith(suffixes)
    if is_bare and name in shipped:
        return shipped[name]
    candidates = [Path(name).expanduser()]
    if relative_to is not None:
        candidates.insert(0, relative_to / name)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
        if candidate.is_dir():
            raise error(f"{name}: is a folder, not a {what} file")
    if not is_bare:
        raise error(f"{name}: no such file")
    near = difflib.get_close_matches(name, list(shipped), n=3, cutoff=0.5) or list(shipped)
    raise error(f"no {what} {name!r}: neither a file nor a shipped name; nearest: {', '.join(near) or 'none shipped'}")
