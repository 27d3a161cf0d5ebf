"""CUDA without a GPU: capture of unmodified programs, and kernels launched from Python.

``compile``, ``load`` and ``array`` are the Python interface (api.py); ``capture_program`` runs a whole program.
"""

from __future__ import annotations

import importlib
from typing import Any

_LAZY = {
    "compile": "archsim.cuda.api",
    "array": "archsim.cuda.api",
    "load": "archsim.cuda.api",
    "Module": "archsim.cuda.api",
    "Kernel": "archsim.cuda.api",
    "DeviceArray": "archsim.cuda.api",
    "capture_program": "archsim.cuda.capture",
    "CaptureOptions": "archsim.cuda.capture",
    "CaptureResult": "archsim.cuda.capture",
}

__all__ = list(_LAZY)


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'archsim.cuda' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
