"""Resolved configurations as text: YAML, differences, a content hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from archsim.config.machine import MachineConfig
from archsim.config.spec import Spec


def flatten(config: Spec, prefix: str = "") -> dict[str, Any]:
    """Every parameter as ``{"sm.num_warps": 48, ...}``; table rows get their key in the path."""
    result: dict[str, Any] = {}
    for name in type(config).model_fields:
        path = f"{prefix}.{name}" if prefix else name
        value = getattr(config, name)
        if isinstance(value, Spec):
            result.update(flatten(value, path))
        elif isinstance(value, dict):
            for key, row in value.items():
                if isinstance(row, Spec):
                    result.update(flatten(row, f"{path}.{key}"))
                else:
                    result[f"{path}.{key}"] = row
        else:
            result[path] = value
    return result


def diff(first: MachineConfig, second: MachineConfig) -> list[tuple[str, Any, Any]]:
    """``(path, value in first, value in second)`` of every parameter that differs; None where a table row is absent."""
    left, right = flatten(first), flatten(second)
    paths = list(left) + [path for path in right if path not in left]
    return [(path, left.get(path), right.get(path)) for path in paths if left.get(path) != right.get(path)]


def to_yaml(config: MachineConfig) -> str:
    """The resolved machine as YAML; loading it again gives an equal machine."""
    import yaml

    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def content_hash(config: MachineConfig) -> str:
    """SHA-256 of everything that can change a result: all parameters but ``name`` and ``description``."""
    values = config.model_dump(mode="json", exclude={"name", "description"})
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
