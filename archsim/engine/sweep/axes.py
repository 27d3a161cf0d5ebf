"""Axes of a study: which parameter takes which values. A list, a range (linear or logarithmic), or named variants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archsim.config.yaml_marks import Marked, Origin, parse_scalar
from archsim.errors import ConfigError

CONFIG_AXIS = "config"  # takes configuration names instead of values of one parameter
MAX_VALUES = 100_000
_RANGE_KEYS = {"from", "to", "step", "factor", "points", "scale"}
_SUFFIXES = {"k": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class AxisValue:
    """One position of an axis: its label in the table, and the parameters that it sets."""

    label: Any
    settings: Mapping[str, Any]
    origin: Origin


@dataclass(frozen=True)
class Axis:
    """``values``: positions in order. ``bounds``: (from, to) of a range within which sampling may take any value.

    A geometric range (``factor``) has no bounds: sampling takes its listed values.
    """

    name: str
    origin: Origin
    values: tuple[AxisValue, ...]
    bounds: tuple[float, float] | None = None
    log: bool = False
    integer: bool = False
    step: float = 0.0  # sampling keeps to this grid (0: any value)
    parameters: tuple[str, ...] = field(default=())

    def at(self, share: float) -> AxisValue:
        """Position at ``share`` of the way (0 to 1): of the range if it is one, else of the list (equal shares)."""
        if self.bounds is None:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        low, high = self.bounds
        if self.log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        elif self.step:
            value = low + self.step * min(int(share * (math.floor((high - low) / self.step + 1e-9) + 1)),
                                          math.floor((high - low) / self.step + 1e-9))  # fmt: skip
        else:
            value = low + share * (high - low)
        shown = int(min(max(round(value), low), high)) if self.integer else float(min(max(value, low), high))
        return AxisValue(shown, {self.name: shown}, self.origin)

    @property
    def continuous(self) -> bool:
        """True for a range: sampling is not bound to the listed values."""
        return self.bounds is not None


def parse_axis(name: str, node: Marked) -> Axis:
    """An axis as written in a study. ConfigError naming the line.

    ``[a, b]`` or ``{values: [a, b]}``; ``{from: 1, to: 32, step: 1}``, ``{from: 1, to: 32, factor: 2}``,
    ``{from: 1, to: 32, points: 6, scale: log}``; ``{variants: {label: {param: value, ...}, ...}}``.
    """
    where = f"{node.origin}: axis {name!r}"
    if isinstance(node.value, tuple):
        return _listed(name, node)
    if not isinstance(node.value, dict):
        if node.value is None or node.value == "":
            raise ConfigError(f"{where}: has no values")
        return _listed(name, Marked((node,), node.origin))
    keys = set(node.value)
    if keys == {"values"}:
        inner = node.value["values"]
        return _listed(name, Marked(inner.value, node.origin))
    if keys == {"variants"}:
        return _variants(name, node.value["variants"], node.origin)
    if {"from", "to"} <= keys <= _RANGE_KEYS:
        return _range(name, node, {key: item.value for key, item in node.value.items()})
    unknown = sorted(keys - _RANGE_KEYS) or sorted(keys)
    raise ConfigError(
        f"{where}: {', '.join(unknown)}: expected a list, values:, variants:, or from: and to: with "
        "step:, factor: or points:"
    )


def parse_axis_option(text: str) -> tuple[str, Marked]:
    """``--axis``: ``PARAM=a,b,c``, ``PARAM=1:32:1`` (linear), ``PARAM=1:32:*2`` (geometric)."""
    origin = Origin(f"--axis {text}")
    name, sign, values = text.partition("=")
    name = name.strip()
    if not sign or not name:
        raise ConfigError(f"{origin}: expected PARAM=VALUE,VALUE,... or PARAM=FROM:TO:STEP")
    parts = values.strip().split(":")
    if len(parts) == 3 and "," not in values and name != CONFIG_AXIS:
        key, step = ("factor", parts[2][1:]) if parts[2].startswith("*") else ("step", parts[2])
        pairs = {"from": parts[0], "to": parts[1], key: step}
        return name, Marked({k: Marked(_scalar(v, origin), origin) for k, v in pairs.items()}, origin)
    items = [item for item in _split(values) if item.strip()]
    return name, Marked(tuple(Marked(_scalar(item, origin), origin) for item in items), origin)


def _split(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char in "[{(") - (char in "]})")
        if char == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    return [*parts, current]


def _scalar(text: str, origin: Origin) -> Any:
    text = text.strip()
    if text[-1:] in _SUFFIXES and text[:-1].isdigit():
        return int(text[:-1]) * _SUFFIXES[text[-1]]
    try:
        return parse_scalar(text)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None


def plain(value: Any) -> Any:
    """A tree of Marked as plain values."""
    if isinstance(value, Marked):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return value


def _listed(name: str, node: Marked) -> Axis:
    where = f"{node.origin}: axis {name!r}"
    items = node.value if isinstance(node.value, tuple) else ()
    if not items:
        raise ConfigError(f"{where}: has no values")
    values, seen = [], {}
    for item in items:
        origin = item.origin if isinstance(item, Marked) else node.origin
        value = plain(item)
        if isinstance(value, dict):
            raise ConfigError(f"{origin}: axis {name!r}: a value is a mapping; several parameters at once: variants:")
        if repr(value) in seen:
            raise ConfigError(f"{origin}: axis {name!r}: {value!r} is listed twice")
        seen[repr(value)] = True
        label = value if not isinstance(value, tuple) else repr(list(value))
        values.append(AxisValue(label, {} if name == CONFIG_AXIS else {name: value}, origin))
    if name == CONFIG_AXIS and not all(isinstance(v.label, str) for v in values):
        raise ConfigError(f"{where}: takes names or files of configurations")
    return Axis(name, node.origin, tuple(values), parameters=() if name == CONFIG_AXIS else (name,))


def _variants(name: str, node: Marked, origin: Origin) -> Axis:
    if not isinstance(node.value, dict) or not node.value:
        raise ConfigError(f"{origin}: axis {name!r}: has no values: variants: is a mapping of label: {{param: value}}")
    values: list[AxisValue] = []
    parameters: dict[str, None] = {}
    for label, item in node.value.items():
        if not isinstance(item.value, dict):
            raise ConfigError(f"{item.origin}: axis {name!r}: variant {label!r} is a mapping of parameters to values")
        settings = {key: plain(value) for key, value in item.value.items()}
        parameters |= dict.fromkeys(settings)
        values.append(AxisValue(label, settings, item.origin))
    return Axis(name, origin, tuple(values), parameters=tuple(parameters))


def _range(name: str, node: Marked, given: dict[str, Any]) -> Axis:
    where = f"{node.origin}: axis {name!r}"
    for key, value in given.items():
        if key != "scale" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ConfigError(f"{where}: {key}: expected a number, got {value!r}")
    low, high = given["from"], given["to"]
    if high < low:
        raise ConfigError(f"{where}: has no values: from {low} to {high}")
    if sum(key in given for key in ("step", "factor", "points")) > 1:
        raise ConfigError(f"{where}: step, factor and points exclude each other")
    log = given.get("scale", "log" if "factor" in given else "linear") == "log"
    if given.get("scale", "log") not in ("log", "linear"):
        raise ConfigError(f"{where}: scale: log or linear, not {given['scale']!r}")
    if log and low <= 0:
        raise ConfigError(f"{where}: a logarithmic range starts above 0, not at {low}")
    integer = all(isinstance(given.get(key, 1), int) for key in ("from", "to", "step"))
    numbers = _numbers(where, low, high, given, log)
    if integer:
        numbers = list(dict.fromkeys(int(min(max(round(n), low), high)) for n in numbers))
    if not numbers:
        raise ConfigError(f"{where}: has no values")
    values = tuple(AxisValue(n, {name: n}, node.origin) for n in numbers)
    bounds = None if "factor" in given else (float(low), float(high))  # powers are meant as such, also by sampling
    return Axis(name, node.origin, values, bounds, log, integer, float(given.get("step", 0)), (name,))


def _numbers(where: str, low: float, high: float, given: dict[str, Any], log: bool) -> list[float]:
    """The grid of a range."""
    if "factor" in given:
        if given["factor"] <= 1:
            raise ConfigError(f"{where}: factor: must exceed 1, got {given['factor']}")
        count = math.floor(math.log(high / low) / math.log(given["factor"]) + 1e-9) + 1
        return [low * given["factor"] ** i for i in range(count)]
    if "points" in given:
        count = given["points"]
        if not isinstance(count, int) or not 1 <= count <= MAX_VALUES:
            raise ConfigError(f"{where}: points: expected 1 to {MAX_VALUES}, got {count!r}")
        shares = [i / (count - 1) for i in range(count)] if count > 1 else [0.0]
        return [low * (high / low) ** s if log else low + s * (high - low) for s in shares]
    step = given.get("step", 1 if isinstance(low, int) and isinstance(high, int) else None)
    if step is None:
        raise ConfigError(f"{where}: a range of fractions needs step:, factor: or points:")
    if step <= 0:
        raise ConfigError(f"{where}: step: must be positive, got {step}")
    count = math.floor((high - low) / step + 1e-9) + 1
    if count > MAX_VALUES:
        raise ConfigError(f"{where}: {count} values are more than {MAX_VALUES}")
    return [low + i * step for i in range(count)]
