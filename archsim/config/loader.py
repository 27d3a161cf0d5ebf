"""From names, files and ``--set`` overrides to one validated :class:`MachineConfig`.

Layers are merged key by key, later ones winning: defaults, then each ``--config`` (with what it ``extends:`` below it),
then each override in order. Every message names the place that set the offending value.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from archsim import resources
from archsim.config.machine import MachineConfig
from archsim.config.spec import Spec, is_table, spec_class, table_class, unit_of, walk
from archsim.config.yaml_marks import Marked, Origin, mark_plain, parse_scalar, read
from archsim.errors import ConfigError

_PATH = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$")
_MAX_EXTENDS = 32


def load_config(*names_or_paths: str | Path, overrides: Sequence[str] = ()) -> MachineConfig:
    """Build a machine.

    Args:
        names_or_paths: shipped names (``h100_sxm``) or YAML files, later ones on top. None gives the default machine.
        overrides: ``component.param=value`` strings, applied last, in order.

    Raises:
        ConfigError: unknown name or key (with the nearest valid one), wrong type or range, impossible machine.
    """
    tree = Marked({}, Origin("defaults"))
    for item in names_or_paths:
        tree = merge(tree, load_layer(item))
    for override in overrides:
        tree = merge(tree, parse_override(override))
    return build(tree)


def load_layer(name_or_path: str | Path) -> Marked:
    """One ``--config`` with everything that it extends, checked for unknown keys but not for values."""
    return _load_layer(resources.find_config(name_or_path), ())


def _load_layer(path: Path, children: tuple[Path, ...]) -> Marked:
    if path.resolve() in children:
        chain = " -> ".join(child.name for child in (*children, path))
        raise ConfigError(f"{children[-1]}: extends itself: {chain}")
    if len(children) > _MAX_EXTENDS:
        raise ConfigError(f"{path}: more than {_MAX_EXTENDS} levels of extends")
    layer = read(path)
    if not isinstance(layer.value, dict):
        raise ConfigError(f"{layer.origin}: a configuration is a mapping of keys, this is a single value")
    extends = layer.value.pop("extends", None)
    tree = _normalise(layer, MachineConfig, "")
    if extends is None:
        return tree
    parents = extends.value if isinstance(extends.value, tuple) else (extends.value,)
    base = Marked({}, layer.origin)
    for parent in parents:
        if not isinstance(parent, str):
            raise ConfigError(f"{extends.origin}: extends: takes a configuration name or file, not {parent!r}")
        try:
            parent_path = resources.find_config(parent, relative_to=path.parent)
        except ConfigError as error:
            raise ConfigError(f"{extends.origin}: extends: {error}") from None
        base = merge(base, _load_layer(parent_path, (*children, path.resolve())))
    return merge(base, tree)


def parse_override(text: str) -> Marked:
    """``component.param=value`` to a one-leaf tree. The value is YAML (``48``, ``true``, ``[1, 2]``)."""
    path, separator, value_text = text.partition("=")
    path = path.strip()
    if not separator or not _PATH.match(path):
        raise ConfigError(f"--set {text!r}: expected component.param=value, for example sm.num_warps=48")
    origin = Origin(f"--set {text}")
    try:
        value: Any = parse_scalar(value_text.strip())
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return setting(path, value, origin)


def setting(path: str, value: Any, origin: Origin) -> Marked:
    """``value`` at a dotted path as a one-leaf tree, to be merged over a layer. ConfigError for an unknown key."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return _normalise(mark_plain(value, origin), MachineConfig, "")


def merge(base: Marked, top: Marked) -> Marked:
    """``top`` over ``base``: mappings key by key, anything else replaced."""
    if not (isinstance(base.value, dict) and isinstance(top.value, dict)):
        return top
    merged = dict(base.value)
    for key, item in top.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return Marked(merged, top.origin)


def build(tree: Marked) -> MachineConfig:
    """Validate a merged tree."""
    plain = _strip(tree)
    try:
        return MachineConfig.model_validate(_over_default(MachineConfig(), plain, MachineConfig))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(item, tree) for item in error.errors(include_url=False))) from None


def _normalise(node: Marked, spec: type[Spec], prefix: str) -> Marked:
    """Expand shorthands and refuse unknown keys."""
    if not isinstance(node.value, dict):
        if spec.SHORTHAND is None or isinstance(node.value, tuple):
            what = prefix or "the configuration"
            shown = "nothing" if node.value is None else repr(node.value)
            raise ConfigError(f"{node.origin}: {what} is a component with parameters of its own, not {shown}")
        return Marked({spec.SHORTHAND: node}, node.origin)
    result: dict[str, Marked] = {}
    for key, item in node.value.items():
        path = f"{prefix}.{key}" if prefix else key
        field = spec.model_fields.get(key)
        if field is None:
            raise ConfigError(f"{item.origin}: unknown key {path!r}{nearest(path)}")
        child = spec_class(field)
        entry = table_class(field)
        if child is not None:
            result[key] = _normalise(item, child, path)
        elif entry is not None and isinstance(item.value, dict):
            rows = {name: _normalise(row, entry, f"{path}.{name}") for name, row in item.value.items()}
            result[key] = Marked(rows, item.origin)
        elif isinstance(item.value, dict) and not is_table(field):
            raise ConfigError(
                f"{item.origin}: {path!r} is a single parameter, it has no parameter {next(iter(item.value), '')!r}"
            )
        else:
            result[key] = item
    return Marked(result, node.origin)


def _over_default(default: Spec, plain: dict[str, Any], spec: type[Spec]) -> dict[str, Any]:
    """``plain`` over the values of ``default`` (a component may have its own); free-key tables are merged."""
    result: dict[str, Any] = {name: getattr(default, name) for name in spec.model_fields}
    for name, value in plain.items():
        field = spec.model_fields[name]
        child = spec_class(field)
        if child is not None:
            result[name] = _over_default(result[name], value, child)
        elif is_table(field) and isinstance(value, dict):
            rows = dict(result[name])
            entry = table_class(field)
            for key, row in value.items():
                old = rows.get(key)
                rows[key] = _over_default(old, row, entry) if entry and isinstance(old, Spec) else row
            result[name] = rows
        else:
            result[name] = value
    return result


def _strip(node: Marked) -> Any:
    if isinstance(node.value, dict):
        return {key: _strip(item) for key, item in node.value.items()}
    return node.value


def nearest(path: str) -> str:
    """``; did you mean ...?`` over every valid path, by the whole path first and by the last name next."""
    paths = [name for name, *_ in walk(MachineConfig)]
    close = difflib.get_close_matches(path, paths, n=1, cutoff=0.75)
    if not close:
        leaf = path.rsplit(".", 1)[-1]
        leaves: dict[str, str] = {}
        for name in paths:
            leaves.setdefault(name.rsplit(".", 1)[-1], name)
        names = difflib.get_close_matches(leaf, list(leaves), n=1, cutoff=0.6)
        close = [leaves[name] for name in names] or difflib.get_close_matches(path, paths, n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else "; `archsim describe` lists every key"


def _explain(error: Any, tree: Marked) -> str:
    """One line for one pydantic error: origin, path, what is wrong, what was given."""
    context = error.get("ctx") or {}
    if error["type"] == "impossible_machine":
        path = context["path"]
        return f"{_origin(tree, path.split('.'))}: impossible machine: {path}: {context['message']}"
    location = [str(part) for part in error["loc"]]
    fields = {name: field for name, _, _, field in walk(MachineConfig)}
    path = ".".join(location)
    named = path
    while named and named not in fields:
        named = named.rpartition(".")[0]
    unit = unit_of(fields[named]) if named else ""
    message = error["msg"].removeprefix("Input ")
    given = error.get("input")
    return (
        f"{_origin(tree, location)}: {path}: {message}{f' {unit}' if unit and 'than' in message else ''}, got {given!r}"
    )


def _origin(tree: Marked, path: Sequence[str]) -> Origin:
    """Origin of the deepest written key on a path."""
    node = tree
    for part in path:
        if not isinstance(node.value, dict) or part not in node.value:
            break
        node = node.value[part]
    return node.origin
