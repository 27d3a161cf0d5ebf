"""From a YAML tree with line numbers to a validated specification (models and accelerators)."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from archsim.config.spec import Spec, spec_class, unit_of
from archsim.config.yaml_marks import Marked, Origin, mark_plain, parse_scalar, read
from archsim.errors import ConfigError

S = TypeVar("S", bound=Spec)


def read_mapping(path: Path) -> Marked:
    """The YAML file, which must be a mapping. Raises ConfigError."""
    tree = read(path)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.origin}: expected keys with values")
    return tree


def merge(below: Marked, above: Marked) -> Marked:
    """``above`` over ``below``, key by key."""
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    merged = dict(below.value)
    for key, item in above.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return Marked(merged, above.origin)


def override(tree: Marked, text: str) -> Marked:
    """Apply one ``component.param=value``. Raises ConfigError for anything else."""
    path, sign, value_text = text.partition("=")
    if not sign or not all(part.isidentifier() for part in path.strip().split(".")):
        raise ConfigError(f"--set {text!r}: expected component.param=value, for example asic.clock_mhz=100")
    origin = Origin(f"--set {text}")
    try:
        value: Any = parse_scalar(value_text.strip())
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    for part in reversed(path.strip().split(".")):
        value = {part: value}
    return merge(tree, mark_plain(value, origin))


def build(tree: Marked, spec: type[S]) -> S:
    """Validate ``tree`` as ``spec``. Raises ConfigError naming file, line, key and the nearest known key."""
    _check_keys(tree, spec, "")
    try:
        return spec.model_validate(_plain(tree, spec))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item, tree, spec) for item in error.errors(include_url=False))) from None


def _check_keys(node: Marked, spec: type[Spec], prefix: str) -> None:
    if not isinstance(node.value, dict):
        raise ConfigError(f"{node.origin}: {prefix or 'the file'} has parameters of its own, it isn't {node.value!r}")
    for key, item in node.value.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        field = spec.model_fields.get(str(key))
        if field is None:
            near = difflib.get_close_matches(str(key), list(spec.model_fields), n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(spec.model_fields)}"
            raise ConfigError(f"{item.origin}: unknown key {path!r}{hint}")
        child = spec_class(field)
        if child is not None:
            _check_keys(item, child, path)
        elif isinstance(item.value, dict):
            raise ConfigError(f"{item.origin}: {path!r} is a single value")


def _plain(node: Marked, spec: type[Spec]) -> Any:
    result = {}
    for key, item in node.value.items():
        child = spec_class(spec.model_fields[key])
        value = _plain(item, child) if child is not None else item.value
        # YAML writes 16 for 16.0; everything else is strict.
        if spec.model_fields[key].annotation is float and type(value) is int:
            value = float(value)
        result[key] = value
    return result


def _explain(error: Any, tree: Marked, spec: type[Spec]) -> str:
    node, owner, unit = tree, spec, ""
    for part in error["loc"]:
        if isinstance(node.value, dict) and part in node.value:
            node = node.value[part]
        field = owner.model_fields.get(str(part))
        unit = unit_of(field) if field is not None else ""
        owner = (spec_class(field) if field is not None else None) or owner
    path = ".".join(map(str, error["loc"]))
    message = str(error["msg"]).removeprefix("Input ").removeprefix("Value error, ")
    given = f", got {error['input']!r}" if path else ""
    where = f"{node.origin}: {path}: " if path else f"{node.origin}: "
    return where + message + (f" {unit}" if unit and "than" in message else "") + given
