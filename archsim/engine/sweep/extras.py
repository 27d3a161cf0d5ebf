"""Optional packages of the extra ``study``, imported when first needed."""

from __future__ import annotations

import importlib
from typing import Any

from archsim.errors import RunError


def need(module: str, what: str) -> Any:
    """Import an optional package. RunError that says what to install."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise RunError(f"{what} needs the package {package}: pip install 'archsim[study]'") from None
