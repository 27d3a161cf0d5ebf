"""archsim: a cycle-level simulator of NVIDIA GPUs.

Names are loaded when first used, so that ``import archsim`` and ``archsim --help`` stay quick.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.errors import ArchsimError

if TYPE_CHECKING:
    from archsim.config import MachineConfig, load_config
    from archsim.cuda.capture import CaptureOptions, capture_program
    from archsim.engine.result_folder import load_run, save_run
    from archsim.engine.run import run

__version__ = "0.1.0"

_LAZY = {
    "CaptureOptions": "archsim.cuda.capture",
    "MachineConfig": "archsim.config",
    "capture_program": "archsim.cuda.capture",
    "load_config": "archsim.config",
    "load_run": "archsim.engine.result_folder",
    "run": "archsim.engine.run",
    "save_run": "archsim.engine.result_folder",
}

__all__ = [
    "ArchsimError",
    "CaptureOptions",
    "MachineConfig",
    "__version__",
    "capture_program",
    "load_config",
    "load_run",
    "load_trace",
    "run",
    "save_run",
]


def load_trace(name_or_path: str | Path) -> Any:
    """Open a trace: a file or a shipped name. TraceError if it is missing or damaged. Usable as a context manager."""
    from archsim.resources import find_trace
    from archsim.trace import open_trace

    return open_trace(find_trace(name_or_path))


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'archsim' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
