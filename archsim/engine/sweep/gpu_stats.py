"""Statistics of GPU runs as flat rows: one a launch, and totals over the launches of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archsim.energy import config_table, kernel_energy
from archsim.stats import COUNTERS, DERIVED, NCU, derived_metrics, ncu_metrics
from archsim.stats.counters import REASONS

#: Metrics of one launch that have no meaning for several.
_ONE_LAUNCH = ("theoretical_occupancy", "sm__maximum_warps_per_active_cycle_pct")


@dataclass
class _Total:
    """Sums over launches, with what the metrics read of one."""

    cycles: int
    active_cycles_max: int
    elapsed_cycles: int
    issue_slots: int
    stalls: dict[str, int]
    counters: dict[str, int]
    unit_instructions: dict[str, int]
    launch: Any
    residency: Any


def launch_stats(kernel: Any, config: Any) -> dict[str, Any]:
    """All statistics of one launch by column name."""
    launch = {
        "launch": kernel.index,
        "kernel": kernel.name,
        "grid": "x".join(map(str, kernel.launch.grid)),
        "block": "x".join(map(str, kernel.launch.block)),
    }
    return launch | _stats(kernel, config)


def total_stats(kernels: Sequence[Any], config: Any) -> dict[str, Any]:
    """All statistics of a run: counts are sums over its launches, ratios are ratios of sums."""
    total = _Total(
        sum(k.cycles for k in kernels),
        sum(k.active_cycles_max for k in kernels),
        sum(k.elapsed_cycles for k in kernels),
        sum(k.issue_slots for k in kernels),
        _sum([k.stalls for k in kernels]),
        _sum([k.counters for k in kernels]),
        _sum([k.unit_instructions for k in kernels]),
        kernels[0].launch,
        kernels[0].residency,
    )
    stats = {"launches": len(kernels)} | _stats(total, config)
    if len(kernels) > 1:
        for name in _ONE_LAUNCH:
            stats.pop(name, None)
    return stats | {"sram_kib": sram_kib(config)}


def _sum(tables: Sequence[dict[str, int]]) -> dict[str, int]:
    return {name: sum(table[name] for table in tables) for name in tables[0]}


def _stats(kernel: Any, config: Any) -> dict[str, Any]:
    return {
        "cycles": kernel.cycles,
        "active_cycles_max": kernel.active_cycles_max,
        "elapsed_cycles": kernel.elapsed_cycles,
        "issue_slots": kernel.issue_slots,
        **{f"stall.{name}": slots for name, slots in kernel.stalls.items()},
        **kernel.counters,
        **{f"unit.{name}": count for name, count in kernel.unit_instructions.items()},
        **derived_metrics(kernel, config),
        **ncu_metrics(kernel, config),
        **_energy(kernel, config),
    }


def _energy(kernel: Any, config: Any) -> dict[str, float]:
    table = config_table(config)
    if table is None:
        return {}
    energy = kernel_energy(kernel, config, table)
    parts = {f"energy.{name.replace(' ', '_')}_pj": pj for name, pj in energy.components.items()}
    return {"energy_pj": energy.total_pj, "energy_dynamic_pj": energy.dynamic_pj, "power_watts": energy.watts, **parts}


def sram_kib(config: Any) -> float:
    """Area proxy: KiB of on-chip storage of a machine, register files and caches, summed over the chip.

    Data bits only: no tags, ports, queues or wires. Exact from the configuration, without a fitted constant, and so
    blind to what a port or a wider bus costs.
    """
    sm = config.sm
    front = sm.front_end
    prefetch = sm.prefetcher.size * front.l0i.line_bytes if sm.prefetcher.kind == "stream_buffer" else 0
    subcore = front.l0i.bytes + prefetch + config.const.fl.bytes
    per_sm = (
        4 * sm.registers
        + sm.unified_l1_bytes
        + front.l1i.bytes
        + config.const.vl.bytes
        + sm.num_subcores * subcore
    )  # fmt: skip
    return float(config.num_sms * per_sm + config.l2.bytes) / 1024


def column_doc(name: str) -> tuple[str, str]:
    """(unit, meaning) of a column; ("", "") for one without."""
    fixed = {
        "cycles": ("cycles", "launch to the end of the last thread block, summed over the launches"),
        "active_cycles_max": ("cycles", "largest of the SMs' cycles with a resident warp, summed over the launches"),
        "elapsed_cycles": ("cycles", "cycles with the launch overhead, summed over the launches"),
        "issue_slots": ("slots", "cycles x sub-cores"),
        "launches": ("", "launches that ran"),
        "energy_pj": ("pJ", "energy of the run by the machine's energy table, standing power included"),
        "energy_dynamic_pj": ("pJ", "the part of it that events cost"),
        "power_watts": ("W", "that energy over the elapsed time"),
        "sram_kib": ("KiB", "area proxy: on-chip storage, register files and caches (data bits only)"),
    }
    if name in fixed:
        return fixed[name]
    if name.startswith("stall."):
        return "slots", REASONS.get(name[6:], "")
    if name.startswith("unit."):
        return "warp-instructions", f"issued to the {name[5:]} unit"
    for table in (COUNTERS, DERIVED, NCU):
        if name in table:
            entry: Any = table[name]
            return entry.unit, entry.doc
    return "", ""
