"""Every counter of the GPU model: name, unit, meaning. Counts are sums over the SMs unless the text says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class KernelLike(Protocol):
    """What the metrics read of one kernel's result (`archsim.engine.run.KernelResult`)."""

    cycles: int
    active_cycles_max: int
    elapsed_cycles: int
    issue_slots: int
    stalls: dict[str, int]
    counters: dict[str, int]
    unit_instructions: dict[str, int]
    launch: Any
    residency: Any


@dataclass(frozen=True)
class Counter:
    """One raw counter."""

    name: str
    unit: str
    doc: str


_ROWS = (
    ("warp_instructions", "warp-instructions", "issued, those with every lane predicated off included"),
    ("thread_instructions", "thread-instructions", "lanes that executed: active and predicate true"),
    ("fetches", "fetches", "instructions asked of the L0 instruction caches"),
    ("l0_hits", "fetches", "fetches served by an L0 instruction cache"),
    (
        "l0_misses",
        "lines",
        "lines that an L0 instruction cache asked of L1 on demand (waiting fetches are not repeated)",
    ),
    ("prefetch_hits", "fetches", "fetches that found their line in the prefetcher's buffer, arrived or under way"),
    ("prefetches", "lines", "lines that the prefetchers asked of L1"),
    ("l1i_hits", "lines", "instruction lines found in the L1 instruction/constant cache"),
    ("l1i_misses", "lines", "instruction lines asked of L2"),
    ("fl_hits", "accesses", "constant operands of fixed-latency instructions read from the FL caches at issue"),
    ("fl_misses", "lines", "constant lines that the FL constant caches asked of L1"),
    ("vl_hits", "accesses", "LDC found in the VL constant cache"),
    ("vl_misses", "accesses", "LDC not found in the VL constant cache"),
    ("register_reads", "registers", "32-lane source registers that instructions read, cached or not"),
    ("rfc_hits", "registers", "of them, served by the register-file cache"),
    ("rfc_lookups", "registers", "of them, looked up in the register-file cache"),
    ("port_stall_cycles", "cycles", "sub-core cycles in which an instruction waited for a register-file read port"),
    ("write_port_delays", "cycles", "cycles that load results waited for a register-file write port"),
    ("global_loads", "warp-instructions", "global loads with at least one active lane, LDGSTS excluded"),
    ("global_stores", "warp-instructions", "global stores with at least one active lane"),
    ("shared_loads", "warp-instructions", "shared-memory loads (LDSM included)"),
    ("shared_stores", "warp-instructions", "shared-memory stores"),
    ("local_loads", "warp-instructions", "local-memory loads"),
    ("local_stores", "warp-instructions", "local-memory stores"),
    ("atomics", "warp-instructions", "global atomics that return a value"),
    ("shared_atomics", "warp-instructions", "atomics on shared memory"),
    ("reductions", "warp-instructions", "global atomics without a result (RED)"),
    ("ldgsts", "warp-instructions", "asynchronous copies from global to shared memory (LDGSTS)"),
    ("constants", "warp-instructions", "LDC"),
    ("misc_memory", "warp-instructions", "other instructions of the memory pipeline (SHFL, S2R, MATCH...)"),
    ("load_requests", "requests", "loads and LDGSTS that reached L1D, global and local"),
    ("load_sectors", "sectors", "32-byte sectors of global loads, after coalescing, LDGSTS excluded"),
    ("load_sector_hits", "sectors", "of them, valid in L1D"),
    ("load_sector_pending", "sectors", "of them, already on their way from L2 for an earlier load"),
    ("load_sector_misses", "sectors", "of them, asked of L2"),
    ("store_requests", "requests", "stores that reached L1D, global and local"),
    ("store_sectors", "sectors", "32-byte sectors of global stores, after coalescing"),
    ("store_sector_hits", "sectors", "sectors of global and local stores whose line was in L1D"),
    ("atomic_sectors", "sectors", "32-byte sectors of global atomics and reductions"),
    ("local_load_sectors", "sectors", "32-byte sectors of local loads"),
    ("local_store_sectors", "sectors", "32-byte sectors of local stores"),
    ("ldgsts_sectors", "sectors", "32-byte sectors of asynchronous copies"),
    ("shared_wavefronts", "wavefronts", "passes through the shared-memory array, bank conflicts included"),
    ("shared_ideal_wavefronts", "wavefronts", "passes that the same accesses need without any bank conflict"),
    ("l1_wavefronts", "wavefronts", "passes of global and local accesses through the L1D array"),
    (
        "lsu_backpressure_cycles",
        "cycles",
        "cycles in which the shared load/store unit could not take a ready instruction",
    ),
    ("barriers", "warp-instructions", "barrier arrivals"),
    ("branches", "warp-instructions", "instructions of the branch unit"),
    ("taken_branches", "warp-instructions", "instructions after which a warp went on elsewhere than at the next one"),
    ("ctas", "CTAs", "thread blocks that ended"),
    ("active_cycles", "cycles", "cycles with at least one resident warp, summed over the SMs"),
    ("warp_cycles", "warp-cycles", "resident warps, summed over cycles and SMs"),
    ("l2_read_sectors", "sectors", "sectors that L1D read from L2"),
    ("l2_read_hits", "sectors", "of them, valid in L2"),
    ("l2_write_sectors", "sectors", "sectors written to L2"),
    ("l2_write_hits", "sectors", "of them, to a line present in L2"),
    ("l2_atomic_sectors", "sectors", "sectors of atomics and reductions carried out at L2"),
    ("l2_inst_sectors", "sectors", "instruction sectors read from L2"),
    ("l2_const_sectors", "sectors", "constant sectors read from L2"),
    ("dram_read_bytes", "bytes", "read from device memory"),
    ("dram_write_bytes", "bytes", "written to device memory"),
    ("noc_request_bytes", "bytes", "sent from the SMs into the network"),
    ("noc_reply_bytes", "bytes", "sent from the network into the SMs"),
)

#: Every raw counter by name, in the order of the model's record.
COUNTERS: dict[str, Counter] = {name: Counter(name, unit, doc) for name, unit, doc in _ROWS}

#: What became of an issue slot (one sub-core, one cycle): reason -> meaning.
REASONS: dict[str, str] = {
    "issued": "an instruction was issued",
    "dispatch_stall": "the issue stage was held: the instruction before it could not leave Control or Allocate",
    "math_pipe_throttle": "the execution unit could not take another instruction yet",
    "mio_throttle": "the queue of the memory unit was full (shared memory, special registers, shuffles)",
    "lg_throttle": "the queue of the memory unit was full of local and global accesses",
    "imc_miss": "a constant operand missed the constant cache",
    "wait": "the fixed stall count of the previous instruction",
    "branch_resolve": "a branch was taken and its target not yet fetched",
    "no_instruction": "the instruction buffer was empty: an instruction-cache miss",
    "short_scoreboard": "waiting for a shared-memory or other short variable-latency result",
    "long_scoreboard": "waiting for global, local or texture memory",
    "membar": "waiting at a memory fence",
    "barrier": "waiting at a thread-block barrier",
    "sleeping": "NANOSLEEP",
    "drain": "the warp has ended and waits for its accesses in flight",
    "no_warp": "the sub-core had no warp",
}
