"""Ratios that people ask for, from the counters of one kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archsim.stats.counters import KernelLike

Value = float | None  # None: the kernel did nothing of the kind


def ratio(part: float, whole: float) -> Value:
    """part / whole, None when there is no whole."""
    return part / whole if whole else None


def smsp_active_cycles(k: KernelLike) -> int:
    """Cycles in which a sub-core had a warp, summed over the sub-cores."""
    return k.issue_slots - k.stalls["no_warp"]


@dataclass(frozen=True)
class Metric:
    """One derived metric. ``value(kernel, config)`` gives None where it does not apply."""

    name: str
    unit: str
    doc: str
    value: Callable[[KernelLike, Any], Value]


def _theoretical(k: KernelLike, config: Any) -> Value:
    warps = int(config.sm.num_warps)
    return min(int(k.residency.ctas_per_sm * k.launch.warps_per_cta), warps) / warps


def _achieved(k: KernelLike, config: Any) -> Value:
    c = k.counters
    return ratio(c["warp_cycles"], c["active_cycles"] * config.sm.num_warps) if c["warp_cycles"] else None


def _intervals(config: Any) -> dict[str, int]:
    units = config.sm.units
    return {name: getattr(units, name).initiation_interval_cycles for name in ("int", "fp32", "fp16", "sfu", "branch")}


def _unit(name: str) -> Callable[[KernelLike, Any], Value]:
    def value(k: KernelLike, config: Any) -> Value:
        interval: float = _intervals(config)[name]
        if name == "fp32":
            interval /= config.sm.units.fp32.pipes
        return ratio(k.unit_instructions[name] * interval, smsp_active_cycles(k))

    return value


def _fp64(k: KernelLike, config: Any) -> Value:
    unit = config.sm.units.fp64
    places = k.counters["active_cycles"] if unit.shared_per_sm else smsp_active_cycles(k)
    return ratio(k.unit_instructions["fp64"] * unit.initiation_interval_cycles, places)


def _memory_unit(k: KernelLike, config: Any) -> Value:
    interval = config.sm.memory_unit.accept_interval_cycles
    return ratio(k.unit_instructions["memory"] * interval, k.counters["active_cycles"])


def _elapsed_ms(k: KernelLike, config: Any) -> Value:
    return float(k.elapsed_cycles / (config.clock_mhz * 1e3))


def _dram_share(k: KernelLike, config: Any) -> Value:
    moved = k.counters["dram_read_bytes"] + k.counters["dram_write_bytes"]
    return ratio(moved, config.dram_bytes_per_cycle * k.cycles)


def _dram_gbps(k: KernelLike, config: Any) -> Value:
    moved = k.counters["dram_read_bytes"] + k.counters["dram_write_bytes"]
    return ratio(moved * config.clock_mhz / 1e3, k.cycles)


def _counter_ratio(part: str, *whole: str) -> Callable[[KernelLike, Any], Value]:
    """One counter over the sum of others."""

    def value(k: KernelLike, config: Any) -> Value:
        return ratio(k.counters[part], sum(k.counters[w] for w in whole))

    return value


def _l1d_hit(k: KernelLike, config: Any) -> Value:
    c = k.counters
    hits = c["load_sector_hits"] + c["load_sector_pending"]
    return ratio(hits, hits + c["load_sector_misses"])


def _fl_hit(k: KernelLike, config: Any) -> Value:
    reads = k.counters["fl_hits"]
    return ratio(max(reads - k.counters["fl_misses"], 0), reads)


def _conflicts(k: KernelLike, config: Any) -> Value:
    c = k.counters
    return float(c["shared_wavefronts"] - c["shared_ideal_wavefronts"]) if c["shared_wavefronts"] else None


def _conflicts_per_access(k: KernelLike, config: Any) -> Value:
    c = k.counters
    accesses = c["shared_loads"] + c["shared_stores"] + c["shared_atomics"]
    return ratio(c["shared_wavefronts"] - c["shared_ideal_wavefronts"], accesses)


_ROWS: tuple[tuple[str, str, str, Callable[[KernelLike, Any], Value]], ...] = (
    ("elapsed_ms", "ms", "elapsed cycles (launch overhead included) at the SM clock", _elapsed_ms),
    ("ipc", "warp-instructions/cycle", "per SM, over the cycles in which it had a warp",
     _counter_ratio("warp_instructions", "active_cycles")),
    ("lanes_per_instruction", "lanes", "executing lanes of a warp-instruction, of 32",
     _counter_ratio("thread_instructions", "warp_instructions")),
    ("issue_utilisation", "fraction", "issue slots used while the sub-core had a warp",
     lambda k, config: ratio(k.stalls["issued"], smsp_active_cycles(k))),
    ("theoretical_occupancy", "fraction", "resident warps that the launch allows over those that the SM holds",
     _theoretical),
    ("achieved_occupancy", "fraction", "resident warps over those that the SM holds, mean over active cycles",
     _achieved),
    ("int_utilisation", "fraction", "INT instructions x initiation interval over active sub-core cycles",
     _unit("int")),
    ("fp32_utilisation", "fraction", "the same for the FP32 pipes (all of them together)", _unit("fp32")),
    ("fp16_utilisation", "fraction", "the same for FP16", _unit("fp16")),
    ("fp64_utilisation", "fraction", "the same for FP64 (of the SM's unit where it is shared)", _fp64),
    ("sfu_utilisation", "fraction", "the same for special functions and conversions", _unit("sfu")),
    ("branch_utilisation", "fraction", "the same for branches", _unit("branch")),
    ("memory_unit_utilisation", "fraction", "instructions taken by the shared load/store unit over its capacity",
     _memory_unit),
    ("l0i_hit_rate", "fraction", "L0 instruction caches: hits over hits, prefetcher hits and misses",
     _counter_ratio("l0_hits", "l0_hits", "prefetch_hits", "l0_misses")),
    ("l1i_hit_rate", "fraction", "instruction lines found in the L1 instruction cache",
     _counter_ratio("l1i_hits", "l1i_hits", "l1i_misses")),
    ("fl_hit_rate", "fraction", "constant operands for which no line was asked of L1, of those read at issue", _fl_hit),
    ("vl_hit_rate", "fraction", "LDC found in the VL constant cache",
     _counter_ratio("vl_hits", "vl_hits", "vl_misses")),
    ("rfc_hit_rate", "fraction", "source registers served by the register-file cache",
     _counter_ratio("rfc_hits", "register_reads")),
    ("l1d_hit_rate", "fraction", "sectors of global loads that needed no request of their own to L2 "
     "(valid in L1D, or already on their way)", _l1d_hit),
    ("l2_read_hit_rate", "fraction", "sectors read by L1D that were valid in L2",
     _counter_ratio("l2_read_hits", "l2_read_sectors")),
    ("load_sectors_per_request", "sectors/request", "coalescing of global loads: 4 is ideal for 4-byte lanes",
     _counter_ratio("load_sectors", "global_loads")),
    ("store_sectors_per_request", "sectors/request", "the same for global stores",
     _counter_ratio("store_sectors", "global_stores")),
    ("bank_conflicts", "wavefronts", "shared-memory wavefronts beyond the ideal", _conflicts),
    ("bank_conflicts_per_access", "wavefronts/access", "the same per shared-memory instruction",
     _conflicts_per_access),
    ("dram_utilisation", "fraction", "bytes moved over what the memory could move in the kernel's cycles", _dram_share),
    ("dram_bandwidth_gbps", "GB/s", "bytes moved per time, launch overhead excluded", _dram_gbps),
)  # fmt: skip

#: Every derived metric by name.
DERIVED: dict[str, Metric] = {row[0]: Metric(*row) for row in _ROWS}


def derived_metrics(kernel: KernelLike, config: Any) -> dict[str, Value]:
    """All derived metrics of one kernel; None where the kernel did nothing of the kind."""
    return {name: metric.value(kernel, config) for name, metric in DERIVED.items()}


def stall_shares(kernel: KernelLike, digits: int = 1) -> dict[str, float]:
    """Issue slots by fate in percent, rounded so that they sum to exactly 100 (largest remainders are rounded up)."""
    scale = 10**digits
    total = kernel.issue_slots
    if total == 0:
        return dict.fromkeys(kernel.stalls, 0.0)
    exact = {name: 100 * scale * slots / total for name, slots in kernel.stalls.items()}
    floor = {name: int(value) for name, value in exact.items()}
    left = 100 * scale - sum(floor.values())
    for name in sorted(exact, key=lambda n: floor[n] - exact[n])[:left]:
        floor[name] += 1
    return {name: value / scale for name, value in floor.items()}
