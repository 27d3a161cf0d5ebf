"""Counters -> joules. Nothing here knows how the counters came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from archsim.energy.table import UNITS, EnergyTable, Event, load_table

NO_TABLE = "none"


@dataclass(frozen=True)
class KernelEnergy:
    """Energy of one launch in picojoules.

    ``components``: by part of the chip, and by kind of standing power; sums to the total. ``classes``: the events' part
    by instruction class. ``by_confidence``: share of the total by how far its table rows are to be trusted.
    """

    table: str
    seconds: float
    components: dict[str, float]
    classes: dict[str, float]
    by_confidence: dict[str, float]

    @property
    def total_pj(self) -> float:
        """Sum of the components."""
        return sum(self.components.values())

    @property
    def dynamic_pj(self) -> float:
        """What the events cost: the part that does not grow with time."""
        return sum(self.classes.values())

    @property
    def watts(self) -> float:
        """Mean power over ``seconds``; 0 for an empty interval."""
        return self.total_pj * 1e-12 / self.seconds if self.seconds else 0.0


def config_table(config: Any) -> EnergyTable | None:
    """The table that a machine names (``energy.table``), None for ``none``. ConfigError when it is not there."""
    return None if config.energy.table == NO_TABLE else load_table(config.energy.table)


def kernel_energy(kernel: Any, config: Any, table: EnergyTable, seconds: float | None = None) -> KernelEnergy:
    """Energy of a kernel's result on a machine.

    ``seconds``: time that standing power is charged for; the launch's elapsed cycles at the SM clock by default.
    """
    cycle_s = 1e-6 / config.clock_mhz
    elapsed = kernel.elapsed_cycles * cycle_s if seconds is None else seconds
    components: dict[str, float] = {}
    classes: dict[str, float] = {}
    trust: dict[str, float] = {}

    def charge(component: str, confidence: str, pj: float) -> None:
        components[component] = components.get(component, 0.0) + pj
        trust[confidence] = trust.get(confidence, 0.0) + pj

    for event in table.events:
        pj = event.pj * event_count(event, kernel)
        charge(event.component, event.confidence, pj)
        for name, share in _shares(event, kernel.unit_instructions).items():
            classes[name] = classes.get(name, 0.0) + share * pj
    active_s = kernel.counters["active_cycles"] * cycle_s
    idle_s = max(config.num_sms * elapsed - active_s, 0.0)
    for row in table.power:
        time = {"chip": elapsed, "active_sm": active_s, "idle_sm": idle_s}[row.per]
        charge(f"{row.name} power", row.confidence, row.watts * time * 1e12)
    if table.static_mix:
        watts = static_watts(kernel, table)
        charge("static power", table.static_confidence, watts * active_s / config.num_sms * 1e12)
    total = sum(components.values())
    by_confidence = {name: pj / total for name, pj in trust.items()} if total else {}
    return KernelEnergy(table.name, elapsed, components, classes, by_confidence)


def mean_lanes(kernel: Any) -> float:
    """Executing lanes of a warp-instruction, 0 to 32."""
    c = kernel.counters
    return float(c["thread_instructions"] / c["warp_instructions"]) if c["warp_instructions"] else 0.0


def event_count(event: Event, kernel: Any) -> float:
    """How often an event happened, lanes taken into account."""
    total = 0.0
    for name, weight in event.count.items():
        kind, _, rest = name.partition(".")
        if kind == "units":
            total += weight * kernel.unit_instructions.get(rest, 0)
        elif kind == "stalls":
            total += weight * kernel.stalls.get(rest, 0)
        else:
            total += weight * kernel.counters.get(name, 0)
    return total * mean_lanes(kernel) / 32 if event.lanes else total


def _shares(event: Event, units: Mapping[str, int]) -> dict[str, float]:
    if event.instruction_class != "all":
        return {event.instruction_class: 1.0}
    total = sum(units.get(u, 0) for u in UNITS)
    return {u: units.get(u, 0) / total for u in UNITS if units.get(u, 0)} if total else {"misc": 1.0}


def static_watts(kernel: Any, table: EnergyTable) -> float:
    """AccelWattch's static power of a chip whose SMs are all active: by the mix of units, more for each active lane."""
    named = {u for row in table.static_mix for u in row.units}
    used = frozenset(u for u, n in kernel.unit_instructions.items() if n and u in named)
    row = next((r for r in table.static_mix if r.units and r.units == used), None)
    if row is None:
        row = next(r for r in table.static_mix if not r.units)
    return row.first_lane_watts + max(mean_lanes(kernel) - 1, 0.0) * row.added_lane_watts


def energy_rows(energy: KernelEnergy) -> Iterator[tuple[str, float, str, str]]:
    """(name, value, unit, description) for stats.txt."""
    yield "energy.total", energy.total_pj, "pJ", f"table {energy.table}"
    yield "energy.power", energy.watts, "W", "mean over the elapsed time"
    for name, pj in energy.components.items():
        yield f"energy.component::{name.replace(' ', '_')}", pj, "pJ", "by part of the chip"
    for name, pj in energy.classes.items():
        yield f"energy.class::{name}", pj, "pJ", "events by instruction class"
    for name, share in energy.by_confidence.items():
        yield f"energy.share_{name}", share, "fraction", f"share of the total that rests on {name} values"


def as_dict(energy: KernelEnergy) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "table": energy.table,
        "total_pj": energy.total_pj,
        "watts": energy.watts,
        "seconds": energy.seconds,
        "components_pj": energy.components,
        "classes_pj": energy.classes,
        "share_by_confidence": energy.by_confidence,
    }
