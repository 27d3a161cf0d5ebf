"""archsim: a cycle-level simulator of NVIDIA GPUs.

Names are loaded when first used, so that ``import archsim`` and ``archsim --help`` stay quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from archsim.errors import ArchsimError

if TYPE_CHECKING:
    from archsim.config import MachineConfig, load_config

__version__ = "0.1.0"

__all__ = ["ArchsimError", "MachineConfig", "__version__", "load_config"]

_LAZY = {"MachineConfig": "archsim.config", "load_config": "archsim.config"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'archsim' has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value
