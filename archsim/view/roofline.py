"""The instruction roofline of a run (Ding and Williams, "An Instruction Roofline Model for GPUs", PMBS 2019).

Warp-instructions per memory transaction of 32 bytes against warp-instructions per time, at L1, L2 and DRAM. It needs no
assumption on what an instruction computes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SECTOR_BYTES = 32
LEVELS: dict[str, tuple[str, ...]] = {
    "L1": ("load_sectors", "store_sectors", "local_load_sectors", "local_store_sectors", "atomic_sectors"),
    "L2": ("l2_read_sectors", "l2_write_sectors", "l2_atomic_sectors", "l2_inst_sectors", "l2_const_sectors"),
}


@dataclass(frozen=True)
class RooflinePoint:
    """One launch at one level of memory."""

    index: int
    kernel: str
    level: str
    intensity: float  # warp-instructions per transaction
    instructions_per_ns: float


@dataclass(frozen=True)
class Roofline:
    """Ceilings of a machine and the launches below them. Rates per nanosecond."""

    peak_instructions_per_ns: float
    transactions_per_ns: dict[str, float]  # of 32 bytes, by level
    points: list[RooflinePoint]


def roofline(result: Any) -> Roofline:
    """Of a RunResult. A launch without traffic at a level has no point there."""
    config = result.config
    clock = config.clock_mhz / 1e3  # cycles per ns
    bytes_per_cycle = {
        "L1": config.num_sms * config.l1d.bytes_per_cycle,
        "L2": config.memory.parametric.l2_bytes_per_cycle,
        "DRAM": config.dram_bytes_per_cycle,
    }
    points = []
    for kernel in result.kernels:
        if not kernel.cycles:
            continue
        counters = kernel.counters
        transactions = {level: sum(counters[name] for name in names) for level, names in LEVELS.items()}
        transactions["DRAM"] = (counters["dram_read_bytes"] + counters["dram_write_bytes"]) / SECTOR_BYTES
        rate = kernel.warp_instructions * clock / kernel.cycles
        points += [
            RooflinePoint(kernel.index, kernel.name, level, kernel.warp_instructions / count, rate)
            for level, count in transactions.items()
            if count
        ]
    return Roofline(
        config.num_sms * config.sm.num_subcores * clock,
        {level: size * clock / SECTOR_BYTES for level, size in bytes_per_cycle.items()},
        points,
    )
