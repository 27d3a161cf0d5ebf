"""Descriptions of components and parameters, for ``archsim describe`` and the configuration reference of the docs."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from archsim.config.loader import nearest
from archsim.config.machine import MachineConfig, get
from archsim.config.spec import Spec, source_of, spec_class, table_class, unit_of, walk
from archsim.errors import ConfigError


@dataclass(frozen=True)
class ParamDoc:
    """Everything that is declared about one parameter, and its value in one machine."""

    path: str
    type: str
    value: Any
    unit: str
    range: str
    doc: str
    source: str

    @property
    def value_text(self) -> str:
        """Value as it would be written in YAML, with its unit."""
        value = self.value
        if isinstance(value, bool):
            text = str(value).lower()
        elif isinstance(value, float):
            text = f"{value:g}"
        elif isinstance(value, tuple):
            text = "[" + ", ".join(map(str, value)) + "]"
        elif isinstance(value, dict):
            text = "{" + ", ".join(f"{key}: {_brief(row)}" for key, row in value.items()) + "}"
        else:
            text = str(value)
        return f"{text} {self.unit}".rstrip()


@dataclass(frozen=True)
class ComponentDoc:
    """One component: what it is and its own parameters (not those of its sub-components)."""

    path: str
    doc: str
    detail: str
    params: tuple[ParamDoc, ...]
    children: tuple[str, ...]


def components(config: MachineConfig | None = None) -> list[ComponentDoc]:
    """Every component, the root (path "") first, in the order of the tree."""
    machine = config or MachineConfig()
    result = [_component("", "the whole machine", MachineConfig, machine)]
    for path, _, _, field in walk(MachineConfig):
        spec = spec_class(field)
        if spec is not None:
            result.append(_component(path, field.description or "", spec, machine))
    return result


def describe(path: str, config: MachineConfig | None = None) -> str:
    """Text for a component or parameter; "" is the overview. Raises ConfigError for an unknown path."""
    docs = {doc.path: doc for doc in components(config)}
    if path == "":
        return _overview(docs)
    if path in docs:
        return _describe_component(docs[path])
    owner, _, name = path.rpartition(".")
    for entry in docs[owner].params if owner in docs else ():
        if entry.path.rpartition(".")[2] == name:
            return _describe_param(entry)
    raise ConfigError(f"no component or parameter {path!r}{nearest(path)}")


def _component(path: str, doc: str, spec: type[Spec], machine: MachineConfig) -> ComponentDoc:
    prefix = f"{path}." if path else ""
    params, children = [], []
    for name, field in spec.model_fields.items():
        if spec_class(field) is not None:
            children.append(prefix + name)
        else:
            params.append(_param(prefix + name, field, machine))
    detail = " ".join((spec.__doc__ or "").split())
    return ComponentDoc(path, doc, detail, tuple(params), tuple(children))


def _param(path: str, field: FieldInfo, machine: MachineConfig) -> ParamDoc:
    return ParamDoc(
        path=path,
        type=_type_text(field),
        value=get(machine, path),
        unit=unit_of(field),
        range=_range_text(field),
        doc=field.description or "",
        source=source_of(field),
    )


def _type_text(field: FieldInfo) -> str:
    annotation = field.annotation
    row = table_class(field)
    if row is not None:
        return f"table of {{{', '.join(row.model_fields)}}}"
    if get_origin(annotation) is Literal:
        return "choice"
    if get_origin(annotation) is tuple:
        args = get_args(annotation)
        return "list of int" if args[-1] is Ellipsis else f"list of {len(args)} int"
    if get_origin(annotation) is dict:
        return "table of numbers"
    return {int: "int", float: "number", bool: "true or false", str: "name"}.get(annotation, str(annotation))  # type: ignore[arg-type]


def _range_text(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return " | ".join(map(str, get_args(field.annotation)))
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    return "" if low is None and high is None else f"{low} to {high}"


def _brief(row: Any) -> str:
    return "/".join(str(value) for value in row.model_dump().values()) if isinstance(row, Spec) else str(row)


def _overview(docs: dict[str, ComponentDoc]) -> str:
    lines = ["Components (`archsim describe COMPONENT` lists one's parameters):", ""]
    for path, doc in docs.items():
        depth = path.count(".")
        name = path.rpartition(".")[2] if path else "(root)"
        label = "  " * depth + name
        lines.append(f"  {label:<24} {len(doc.params):>3} parameters  {doc.doc}")
    return "\n".join(lines)


def _describe_component(doc: ComponentDoc) -> str:
    lines = [f"{doc.path}: {doc.doc}", textwrap.fill(doc.detail, 110), ""]
    names = [entry.path.rpartition(".")[2] for entry in doc.params]
    width = max(map(len, names), default=0)
    values = max((len(entry.value_text) for entry in doc.params if len(entry.value_text) <= 40), default=0)
    for name, entry in zip(names, doc.params, strict=True):
        lines.append(f"  {name:<{width}}  {entry.value_text:<{values}}  {entry.doc}")
    if doc.children:
        lines += ["", "Sub-components: " + ", ".join(doc.children)]
    return "\n".join(lines)


def _describe_param(entry: ParamDoc) -> str:
    lines = [f"{entry.path} = {entry.value_text}", f"  {entry.doc}", f"  type:   {entry.type}"]
    if entry.unit:
        lines.append(f"  unit:   {entry.unit}")
    if entry.range:
        lines.append(f"  range:  {entry.range}")
    lines.append(f"  source: {entry.source}")
    return "\n".join(lines)
