"""Compiled entry points of the model: every kernel source and plug-in is part of the key of the cache (`jitcache`)."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from archsim.errors import ConfigError
from archsim.kernels.jitcache import cache_root, compile_entry, content_hash, settings
from archsim.kernels.slots import REGISTRY
from archsim.model.interpret import interpreted

BUILT_IN = ("schedulers", "prefetchers", "register_caches", "dram")
_user_files: list[Path] = []


def load_plugin_file(path: str | Path) -> ModuleType:
    """Import a user's plug-in file. ConfigError if it is missing or does not import."""
    file = Path(path).resolve()
    if not file.is_file():
        raise ConfigError(f"{path}: no such plug-in file")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    name = f"archsim_plugin_{file.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # cached code finds the plug-in's class through this name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{path}: {type(error).__name__}: {error}") from None
    _user_files.append(file)
    return module


def find_plugin(kind: str, name: str) -> Any:
    """Class of a registered plug-in. ConfigError naming the known ones."""
    for module in BUILT_IN:
        importlib.import_module(f"archsim.plugins.{module}")
    try:
        return REGISTRY[kind, name]
    except KeyError:
        known = ", ".join(sorted(n for k, n in REGISTRY if k == kind))
        raise ConfigError(f"sm.{kind}: no {kind} named {name!r}; known: {known}") from None


def _package_sources() -> Iterable[Path]:
    package = Path(__file__).resolve().parents[1]
    for folder in ("kernels", "plugins"):
        yield from sorted((package / folder).glob("*.py"))


# As imported: an edit while this process runs must not label code compiled from the old text with the new text's key.
_PACKAGE_HASH = content_hash(_package_sources())


def content_key() -> str:
    """Hash of everything that compiled code depends on."""
    return hashlib.sha256(_PACKAGE_HASH + content_hash(_user_files)).hexdigest()[:20]


@cache
def _compiled(module: str, name: str, key: str, parallel: bool) -> Callable[..., Any]:
    function = getattr(importlib.import_module(f"archsim.kernels.{module}"), name)
    if settings.DISABLE_JIT:
        return interpreted(function)
    compiled: Callable[..., Any] = compile_entry(function, key, parallel=parallel)
    return compiled


def entry(module: str, name: str, *, parallel: bool = False) -> Callable[..., Any]:
    """Compiled entry point ``archsim.kernels.<module>.<name>``; call after all plug-ins are loaded."""
    return _compiled(module, name, content_key(), parallel)


__all__ = ["cache_root", "content_key", "entry", "find_plugin", "load_plugin_file"]
