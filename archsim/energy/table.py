"""Energy tables: which events cost what, and what is drawn whatever happens. One YAML file a table.

    name: h100
    description: one line
    conditions: {sm_clock_mhz: 1980, temperature_c: 45}     # of the measurement; noted, never used
    events:
      fp32: {component: execute, class: fp32, count: {units.fp32: 1}, lanes: true, pj: 200.0, source: ...,
             confidence: fitted}
    power:
      idle: {watts: 138.0, per: chip, source: ..., confidence: measured}
    static_mix: ...                                          # AccelWattch's form, see StaticMix

``count`` weighs counters (archsim.stats.COUNTERS), ``units.NAME`` (warp-instructions of an execution unit) and
``stalls.NAME`` (issue slots). With ``lanes`` an event costs in proportion to the mean share of executing lanes.
``class`` is an execution unit, or ``all``: shared out over the units by their instructions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from archsim.errors import ConfigError
from archsim.resources import find_config

CONFIDENCE = ("measured", "fitted", "published", "scaled", "guessed")
UNITS = ("int", "fp32", "fp16", "fp64", "sfu", "tensor", "uniform", "branch", "misc", "misc_queue", "memory")
#: What a power row is proportional to: elapsed time; SM-seconds with, and without, a resident warp.
PER = ("chip", "active_sm", "idle_sm")


@dataclass(frozen=True)
class Event:
    """Picojoules for every counted event."""

    name: str
    component: str
    instruction_class: str
    count: Mapping[str, float]
    pj: float
    source: str
    confidence: str
    lanes: bool = False


@dataclass(frozen=True)
class Power:
    """Watts for the time that ``per`` names."""

    name: str
    watts: float
    per: str
    source: str
    confidence: str


@dataclass(frozen=True)
class StaticMix:
    """AccelWattch: static watts of the whole chip by the kinds of instruction in use, for lanes beyond the first added.

    ``units``: exactly the execution units in use; the row without units holds for any other combination.
    """

    units: frozenset[str]
    first_lane_watts: float
    added_lane_watts: float


@dataclass(frozen=True)
class EnergyTable:
    """One table. ``static_sms``: SMs that ``static_mix`` describes (0: it has none)."""

    name: str
    description: str
    events: tuple[Event, ...]
    power: tuple[Power, ...]
    static_mix: tuple[StaticMix, ...] = ()
    static_source: str = ""
    static_confidence: str = "published"
    conditions: Mapping[str, Any] = field(default_factory=dict)


def load_table(name: str | Path) -> EnergyTable:
    """A shipped table or a file. ConfigError naming file, line and field."""
    return _load(str(find_config(name, kind="energy")))


@lru_cache(maxsize=16)
def _load(path: str) -> EnergyTable:
    from archsim.config.yaml_marks import Marked, read

    root = _Reader(read(Path(path)))
    root.only("name", "description", "conditions", "events", "power", "static_mix")
    events = tuple(_event(name, row) for name, row in root.child("events").items())
    power = tuple(_power(name, row) for name, row in root.child("power").items())
    mix: tuple[StaticMix, ...] = ()
    source, confidence = "", "published"
    if root.has("static_mix"):
        block = root.child("static_mix")
        block.only("source", "confidence", "rows")
        source, confidence = block.text("source"), block.choice("confidence", CONFIDENCE)
        mix = tuple(_mix(row) for _, row in block.child("rows").items())
        if sum(not row.units for row in mix) != 1:
            raise block.error("rows", "exactly one row has an empty list of units (it holds for any other mix)")
    conditions = {}
    if root.has("conditions"):
        conditions = {k: v.value for k, v in root.child("conditions").values.items() if isinstance(v, Marked)}
    return EnergyTable(
        root.text("name"), root.text("description"), events, power, mix, source, confidence, conditions
    )  # fmt: skip


class _Reader:
    """A mapping of the file, with errors that name file, line and field."""

    def __init__(self, marked: Any, path: str = "") -> None:
        self.marked, self.path = marked, path
        if not isinstance(marked.value, dict):
            raise ConfigError(f"{marked.origin}: {path or 'the file'}: expected a mapping")
        self.values: dict[str, Any] = marked.value

    def error(self, key: str, text: str) -> ConfigError:
        """A ConfigError at a field of this mapping (at the mapping itself when the field is missing)."""
        origin = self.values[key].origin if key in self.values else self.marked.origin
        return ConfigError(f"{origin}: {self.path}{'.' if self.path else ''}{key}: {text}")

    def only(self, *names: str) -> None:
        for key in self.values:
            if key not in names:
                raise self.error(key, f"unknown field; known: {', '.join(names)}")

    def has(self, key: str) -> bool:
        return key in self.values

    def child(self, key: str) -> _Reader:
        if key not in self.values:
            raise self.error(key, "is missing")
        return _Reader(self.values[key], f"{self.path}.{key}" if self.path else key)

    def items(self) -> list[tuple[str, _Reader]]:
        return [(key, self.child(key)) for key in self.values]

    def number(self, key: str, least: float = 0.0) -> float:
        value = self.values[key].value if key in self.values else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, "a number is needed")
        if not value >= least or value == float("inf"):
            raise self.error(key, f"must be a number of at least {least:g}, not {value!r}")
        return float(value)

    def text(self, key: str) -> str:
        value = self.values[key].value if key in self.values else None
        if not isinstance(value, str) or not value:
            raise self.error(key, "a text is needed")
        return value

    def choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in known:
            raise self.error(key, f"{value!r} is none of: {', '.join(known)}")
        return value


def _event(name: str, row: _Reader) -> Event:
    from archsim.stats.counters import COUNTERS, REASONS

    row.only("component", "class", "count", "lanes", "pj", "source", "confidence")
    counted = row.child("count")
    known = {*COUNTERS, *(f"units.{u}" for u in UNITS), *(f"stalls.{r}" for r in REASONS)}
    for key in counted.values:
        if key not in known:
            raise counted.error(key, "no counter of that name (archsim.stats.COUNTERS, units.NAME, stalls.NAME)")
    lanes = row.values["lanes"].value if row.has("lanes") else False
    if not isinstance(lanes, bool):
        raise row.error("lanes", "true or false is needed")
    return Event(
        name, row.text("component"), row.choice("class", (*UNITS, "all")),
        {key: counted.number(key, float("-inf")) for key in counted.values},
        row.number("pj"), row.text("source"), row.choice("confidence", CONFIDENCE), lanes,
    )  # fmt: skip


def _power(name: str, row: _Reader) -> Power:
    row.only("watts", "per", "source", "confidence")
    return Power(
        name, row.number("watts"), row.choice("per", PER), row.text("source"), row.choice("confidence", CONFIDENCE)
    )


def _mix(row: _Reader) -> StaticMix:
    row.only("units", "first_lane_watts", "added_lane_watts")
    units = row.values["units"].value if row.has("units") else None
    if not isinstance(units, tuple | list) or not set(units) <= set(UNITS):
        raise row.error("units", f"a list of execution units is needed, of: {', '.join(UNITS)}")
    return StaticMix(frozenset(units), row.number("first_lane_watts"), row.number("added_lane_watts"))
