"""How a parameter is declared: once, with its type, default, unit, range, one-line meaning and source.

A component is a frozen :class:`Spec`; each of its parameters is ``name: type = param(default, ...)``. Everything that a
user sees about a parameter (``archsim describe``, the configuration reference, error messages) is read from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo


class Spec(BaseModel):
    """Base of every component: immutable, no unknown keys, no silent conversion between types.

    ``SHORTHAND`` names the parameter that a bare scalar sets: ``sm.prefetcher: none`` sets ``sm.prefetcher.kind``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    SHORTHAND: ClassVar[str | None] = None


def param(
    default: Any,
    *,
    doc: str,
    source: str,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
    min_length: int | None = None,
) -> Any:
    """Declare one parameter.

    Args:
        default: value of an empty configuration.
        doc: one line saying what it is.
        source: where the default comes from ("gpu-core" sections follow the fact sheet that the model implements).
        unit: unit of the value, "" for a count or a name.
        ge, le: closed range for numbers.
        pattern: regular expression for names.
        min_length: least number of entries of a list.
    """
    return Field(
        default,
        ge=ge,
        le=le,
        pattern=pattern,
        min_length=min_length,
        description=doc,
        json_schema_extra={"unit": unit, "source": source},
    )


def component(factory: Callable[[], Spec], *, doc: str) -> Any:
    """Declare a sub-component, built by ``factory`` when the configuration doesn't mention it."""
    return Field(default_factory=factory, description=doc)


def spec_class(field: FieldInfo) -> type[Spec] | None:
    """The component class of a field, or None if the field is a plain parameter."""
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Spec) else None


def table_class(field: FieldInfo) -> type[Spec] | None:
    """The entry class of a ``dict[str, SomeSpec]`` field, or None."""
    if get_origin(field.annotation) is not dict:
        return None
    value = get_args(field.annotation)[1]
    return value if isinstance(value, type) and issubclass(value, Spec) else None


def is_table(field: FieldInfo) -> bool:
    """True for a field with free keys (``dict[str, ...]``)."""
    return get_origin(field.annotation) is dict


def walk(spec: type[Spec], prefix: str = "") -> Iterator[tuple[str, type[Spec], str, FieldInfo]]:
    """Yield ``(path, owner class, field name, field)`` of every component and parameter, parents first."""
    for name, field in spec.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        yield path, spec, name, field
        child = spec_class(field)
        if child is not None:
            yield from walk(child, path)


def unit_of(field: FieldInfo) -> str:
    """Unit of a parameter ("" when it has none)."""
    extra = field.json_schema_extra
    return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def source_of(field: FieldInfo) -> str:
    """Source of a parameter's default."""
    extra = field.json_schema_extra
    return str(extra.get("source", "")) if isinstance(extra, dict) else ""
