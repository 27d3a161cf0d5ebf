"""Counters under Nsight Compute's metric names, for those whose meaning is the same.

A name is absent from a kernel's metrics where the model does not count what Nsight Compute would report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from archsim.stats.counters import KernelLike
from archsim.stats.derived import DERIVED, Value, ratio, smsp_active_cycles


@dataclass(frozen=True)
class NcuMetric:
    """One metric of Nsight Compute. ``value(kernel, config)``: None where it is not counted."""

    name: str
    unit: str
    doc: str
    value: Callable[[KernelLike, Any], Value]


def _sum(*names: str) -> Callable[[KernelLike, Any], Value]:
    return lambda k, config: sum(k.counters[name] for name in names)


def _percent(metric: str) -> Callable[[KernelLike, Any], Value]:
    def value(k: KernelLike, config: Any) -> Value:
        share = DERIVED[metric].value(k, config)
        return None if share is None else 100 * share

    return value


def _warps_active(k: KernelLike, config: Any) -> Value:
    c = k.counters
    return ratio(c["warp_cycles"], c["active_cycles"]) if c["warp_cycles"] else None


def _tag_hits(k: KernelLike, config: Any) -> Value:
    return k.counters["load_sector_hits"] + k.counters["load_sector_pending"]


def _store_hits(k: KernelLike, config: Any) -> Value:
    return None if k.counters["local_stores"] else k.counters["store_sector_hits"]


_LSU = "l1tex__t_{}_pipe_lsu_mem_{}_op_{}.sum"
_ROWS: tuple[tuple[str, str, str, Callable[[KernelLike, Any], Value]], ...] = (
    ("sm__cycles_active.max", "cycles", "largest of the SMs' cycles with a resident warp",
     lambda k, config: k.active_cycles_max),
    ("sm__cycles_active.sum", "cycles", "the same, summed over the SMs", _sum("active_cycles")),
    ("sm__cycles_active.avg", "cycles", "the same, mean over the SMs",
     lambda k, config: k.counters["active_cycles"] / config.num_sms),
    ("gpc__cycles_elapsed.max", "cycles", "cycles of the kernel with the calibrated launch overhead",
     lambda k, config: k.elapsed_cycles),
    ("gpu__time_duration.sum", "ns", "those cycles at the SM clock",
     lambda k, config: k.elapsed_cycles * 1e3 / config.clock_mhz),
    ("smsp__cycles_active.sum", "cycles", "sub-core cycles with a resident warp",
     lambda k, config: smsp_active_cycles(k)),
    ("smsp__inst_executed.sum", "inst", "warp-instructions executed", _sum("warp_instructions")),
    ("sm__inst_executed.sum", "inst", "the same", _sum("warp_instructions")),
    ("smsp__inst_issued.sum", "inst", "warp-instructions issued: the model replays none",
     lambda k, config: k.stalls["issued"]),
    ("smsp__thread_inst_executed_pred_on.sum", "inst", "lanes that executed, predicated-off ones excluded",
     _sum("thread_instructions")),
    ("sm__inst_executed.avg.per_cycle_active", "inst/cycle", "IPC of an SM", DERIVED["ipc"].value),
    ("smsp__issue_active.avg.pct_of_peak_sustained_active", "%", "issue slots used while the sub-core had a warp",
     _percent("issue_utilisation")),
    ("sm__warps_active.avg.pct_of_peak_sustained_active", "%", "achieved occupancy", _percent("achieved_occupancy")),
    ("sm__warps_active.avg.per_cycle_active", "warps", "resident warps of an SM", _warps_active),
    ("sm__maximum_warps_per_active_cycle_pct", "%", "theoretical occupancy", _percent("theoretical_occupancy")),
    ("sm__ctas_launched.sum", "CTAs", "thread blocks (those that ended, in a partial result)", _sum("ctas")),
    ("smsp__inst_executed_op_global_ld.sum", "inst", "global loads with an active lane", _sum("global_loads")),
    ("smsp__inst_executed_op_global_st.sum", "inst", "global stores with an active lane", _sum("global_stores")),
    ("smsp__inst_executed_op_global_atom.sum", "inst", "global atomics that return a value", _sum("atomics")),
    ("smsp__inst_executed_op_global_red.sum", "inst", "global reductions", _sum("reductions")),
    ("smsp__inst_executed_op_shared_ld.sum", "inst", "shared-memory loads with an active lane", _sum("shared_loads")),
    ("smsp__inst_executed_op_shared_st.sum", "inst", "shared-memory stores with an active lane", _sum("shared_stores")),
    ("smsp__inst_executed_op_shared_atom.sum", "inst", "shared-memory atomics", _sum("shared_atomics")),
    ("smsp__inst_executed_op_local_ld.sum", "inst", "local loads with an active lane", _sum("local_loads")),
    ("smsp__inst_executed_op_local_st.sum", "inst", "local stores with an active lane", _sum("local_stores")),
    ("smsp__inst_executed_op_ldgsts.sum", "inst", "asynchronous copies", _sum("ldgsts")),
    (_LSU.format("requests", "global", "ld"), "requests", "global loads at the L1 tag stage", _sum("global_loads")),
    (_LSU.format("sectors", "global", "ld"), "sectors", "their 32-byte sectors", _sum("load_sectors")),
    (_LSU.format("sectors", "global", "ld_lookup_hit"), "sectors",
     "of them, valid or already on their way: the hardware's tag stage sets a tag as soon as it misses",
     _tag_hits),
    (_LSU.format("sectors", "global", "ld_lookup_miss"), "sectors", "of them, asked of L2",
     _sum("load_sector_misses")),
    (_LSU.format("requests", "global", "st"), "requests", "global stores at the L1 tag stage", _sum("global_stores")),
    (_LSU.format("sectors", "global", "st"), "sectors", "their 32-byte sectors", _sum("store_sectors")),
    (_LSU.format("sectors", "global", "st_lookup_hit"), "sectors",
     "of them, whose line was in L1 (absent for kernels with local stores, which share the counter)", _store_hits),
    (_LSU.format("requests", "local", "ld"), "requests", "local loads", _sum("local_loads")),
    (_LSU.format("sectors", "local", "ld"), "sectors", "their 32-byte sectors", _sum("local_load_sectors")),
    (_LSU.format("requests", "local", "st"), "requests", "local stores", _sum("local_stores")),
    (_LSU.format("sectors", "local", "st"), "sectors", "their 32-byte sectors", _sum("local_store_sectors")),
    (_LSU.format("requests", "global", "atom"), "requests", "global atomics that return a value", _sum("atomics")),
    (_LSU.format("requests", "global", "red"), "requests", "global reductions", _sum("reductions")),
    ("l1tex__data_pipe_lsu_wavefronts_mem_shared.sum", "wavefronts", "passes through the shared-memory array",
     _sum("shared_wavefronts")),
    ("l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum", "wavefronts", "of them, beyond what no conflict would need",
     lambda k, config: k.counters["shared_wavefronts"] - k.counters["shared_ideal_wavefronts"]),
    ("lts__t_sectors_op_read.sum", "sectors", "sectors read from L2: data, instructions, constants",
     _sum("l2_read_sectors", "l2_inst_sectors", "l2_const_sectors")),
    ("lts__t_sectors_op_read_lookup_hit.sum", "sectors",
     "of them, valid in L2 (data only: hits of instruction and constant reads are not counted)",
     _sum("l2_read_hits")),
    ("lts__t_sectors_srcunit_tex_op_read.sum", "sectors", "sectors that L1D read from L2", _sum("l2_read_sectors")),
    ("lts__t_sectors_srcunit_tex_op_read_lookup_hit.sum", "sectors", "of them, valid in L2", _sum("l2_read_hits")),
    ("lts__t_sectors_op_write.sum", "sectors", "sectors written to L2", _sum("l2_write_sectors")),
    ("lts__t_sectors_op_write_lookup_hit.sum", "sectors", "of them, to a line present in L2", _sum("l2_write_hits")),
    ("dram__bytes_read.sum", "bytes", "read from device memory", _sum("dram_read_bytes")),
    ("dram__bytes_write.sum", "bytes", "written to device memory", _sum("dram_write_bytes")),
)  # fmt: skip

#: Every metric by Nsight Compute's name.
NCU: dict[str, NcuMetric] = {row[0]: NcuMetric(*row) for row in _ROWS}


def ncu_metrics(kernel: KernelLike, config: Any) -> dict[str, float | int]:
    """All metrics of one kernel that are counted, by Nsight Compute's name."""
    values = {name: metric.value(kernel, config) for name, metric in NCU.items()}
    return {name: value for name, value in values.items() if value is not None}
