"""The streaming multiprocessor: residency, front end, issue, register file. gpu-core sheet, sections A to D."""

from __future__ import annotations

from typing import Literal

from archsim.config.memory_unit import MemoryUnitSpec
from archsim.config.spec import Spec, component, param
from archsim.config.units import UnitsSpec

NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"  # name of a built-in or user plug-in


class SharedMemorySpec(Spec):
    """Shared memory of one SM, carved out of the unified L1 array."""

    max_bytes: int = param(
        100 * 1024,
        unit="bytes",
        ge=1024,
        le=1 << 20,
        doc="largest shared-memory carve-out of one SM",
        source="CUDA C Programming Guide, technical specifications, cc 8.6",
    )
    carveouts_kb: tuple[int, ...] = param(
        (0, 8, 16, 32, 64, 100),
        unit="KB",
        min_length=1,
        doc="carve-outs the driver may choose; the smallest that holds the resident CTAs is used, the rest is L1D",
        source="gpu-core G.1; cuda_occupancy.h (CUDA 13.0) for cc 8.6",
    )
    reserved_bytes_per_cta: int = param(
        1024,
        unit="bytes",
        ge=0,
        le=65536,
        doc="system reservation added to every CTA's shared memory (0 before cc 8.0)",
        source="CUDA C Programming Guide, shared memory, cc 8.x: 1 KB per thread block",
    )
    allocation_unit_bytes: int = param(
        128,
        unit="bytes",
        ge=1,
        le=4096,
        doc="granularity of a CTA's shared-memory allocation",
        source="cuda_occupancy.h (CUDA 13.0): 128 for cc 8.0 and up, 256 for 7.x",
    )
    conflict_cycles: int = param(
        2,
        unit="cycles",
        ge=1,
        le=64,
        doc="added for each further wavefront of a bank conflict",
        source="Hopper sheet 5: 23 without, 25 / 29 / 37 cycles for 2 / 4 / 8 ways on A100",
    )


class ScoreboardSpec(Spec):
    """Scoreboards, used when ``dependence`` is 'scoreboard' or the trace has no control bits."""

    war_consumers: int = param(
        63,
        ge=0,
        le=1 << 16,
        doc="pending readers that a register can track for WAR; a further reader waits (0 = unlimited)",
        source="gpu-core I.4: 63 behaves as unlimited in the published sweep",
    )


class IssueSpec(Spec):
    """Issue stage of one sub-core (gpu-core A, B)."""

    scheduler: str = param(
        "cggty",
        pattern=NAME,
        doc="warp scheduler: cggty (greedy, then youngest), gto (greedy, then oldest), lrr (round robin) or a plug-in",
        source="gpu-core B.2: the hardware's policy is compiler-guided greedy then youngest",
    )
    scheduler_options: dict[str, int | float] = param(
        {}, doc="numbers handed to a plug-in scheduler", source="none: the built-in schedulers have no options"
    )
    dependence: Literal["control_bits", "scoreboard"] = param(
        "control_bits",
        doc="what protects data dependences: the compiler's control bits, or hardware scoreboards",
        source="gpu-core A; I.4 for the comparison",
    )
    scoreboard: ScoreboardSpec = component(ScoreboardSpec, doc="scoreboard parameters")
    ibuffer_entries: int = param(
        3,
        ge=1,
        le=16,
        doc="instruction-buffer entries of each warp",
        source="gpu-core C.1: 2 can't sustain greedy issue",
    )
    stall0_yield_cycles: int = param(
        45,
        unit="cycles",
        ge=1,
        le=255,
        doc="stall of an instruction encoded with stall 0 and yield",
        source="gpu-core A.2, H.4",
    )
    stall_over11_no_yield_cycles: int = param(
        2,
        unit="cycles",
        ge=1,
        le=15,
        doc="stall actually applied to an encoded stall of 12 to 15 without yield",
        source="gpu-core A.2, H.4: 1 or 2 cycles, never emitted by compilers",
    )
    depbar_check_cycles: int = param(
        4,
        unit="cycles",
        ge=1,
        le=16,
        doc="cycles after its issue at which DEPBAR holds back the warp's following instructions",
        source="gpu-core A.2: its own stall must be >= 4",
    )
    imad_wide_port_cycles: int = param(
        1,
        unit="cycles",
        ge=0,
        le=8,
        doc="cycles that the issue port stays blocked after an IMAD.WIDE",
        source="gpu-core B.4 (released code; there for every IMAD, which hardware doesn't show: L.2 row 3)",
    )
    fl_constant_miss_switch_cycles: int = param(
        4,
        unit="cycles",
        ge=0,
        le=64,
        doc="cycles that issue sticks to the greedy warp on a fixed-latency constant miss before it may switch",
        source="gpu-core B.2, H.12",
    )
    nanosleep_cycles: int = param(
        100,
        unit="cycles",
        ge=1,
        le=1_000_000,
        doc="cycles that NANOSLEEP and a warp's own sleep take",
        source="estimate: the instruction's time is in a register; hardware sleeps between 0 and twice the time asked",
    )
    membar_cta_stall_cycles: int = param(
        53,
        unit="cycles",
        ge=0,
        le=100_000,
        doc="issue block when a CTA memory barrier completes",
        source="gpu-core B.4",
    )
    membar_gpu_stall_cycles: int = param(
        186,
        unit="cycles",
        ge=0,
        le=100_000,
        doc="issue block when a GPU memory barrier completes",
        source="gpu-core B.4",
    )
    membar_sys_stall_cycles: int = param(
        2900,
        unit="cycles",
        ge=0,
        le=100_000,
        doc="issue block when a system memory barrier completes",
        source="gpu-core B.4",
    )


_NOT_MEASURED = "0 where not measured: stall count and refill (gpu-core C.3); H100: CALIBRATION.md"


class BranchSpec(Spec):
    """Deciding where a warp goes on: cycles from the issue of a control instruction to the issue of the next one.

    The instruction's stall count and the refill of the instruction buffer hold besides; the longest counts.
    """

    taken_cycles: int = param(
        0,
        unit="cycles",
        ge=0,
        le=1000,
        doc="direct branch or call that is taken or divides the warp",
        source=_NOT_MEASURED,
    )
    indirect_cycles: int = param(
        0, unit="cycles", ge=0, le=1000, doc="branch, call or return through a register", source=_NOT_MEASURED
    )
    indirect_divergent_cycles: int = param(
        0,
        unit="cycles",
        ge=0,
        le=1000,
        doc="indirect branch that leaves lanes with other targets behind",
        source=_NOT_MEASURED,
    )
    sync_cycles: int = param(
        0, unit="cycles", ge=0, le=1000, doc="convergence (BSYNC), whether lanes wait or go on", source=_NOT_MEASURED
    )


class InstructionCacheSpec(Spec):
    """One instruction-side cache."""

    bytes: int = param(32 * 1024, unit="bytes", ge=128, le=1 << 22, doc="capacity", source="gpu-core C.2")
    line_bytes: int = param(128, unit="bytes", ge=16, le=1024, doc="line size", source="gpu-core C.2")
    ways: int = param(32, ge=1, le=1024, doc="associativity (LRU)", source="gpu-core C.2")

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.bytes // (self.line_bytes * self.ways)


class L1InstructionCacheSpec(InstructionCacheSpec):
    """The instruction and constant cache of the SM."""

    bytes: int = param(128 * 1024, unit="bytes", ge=128, le=1 << 22, doc="capacity", source="gpu-core C.2")
    ways: int = param(16, ge=1, le=1024, doc="associativity (LRU)", source="gpu-core C.2")
    mshrs: int = param(32, ge=1, le=4096, doc="outstanding missing lines", source="gpu-core C.2")


class FrontEndSpec(Spec):
    """Fetch and decode (gpu-core C)."""

    l0i: InstructionCacheSpec = component(InstructionCacheSpec, doc="private L0 instruction cache of a sub-core")
    l1i: L1InstructionCacheSpec = component(
        L1InstructionCacheSpec, doc="L1 instruction and constant cache shared by the sub-cores"
    )
    l0_to_l1_latency_cycles: int = param(
        39,
        unit="cycles",
        ge=1,
        le=1000,
        doc="request path from L0 to L1 (instructions and constants)",
        source="gpu-core C.2",
    )
    l1_to_l0_latency_cycles: int = param(
        39,
        unit="cycles",
        ge=1,
        le=1000,
        doc="reply path from L1 to L0; 39 + 1 + 39 = the measured 79",
        source="gpu-core C.2",
    )
    l1i_fill_lines: int = param(
        1,
        unit="lines",
        ge=1,
        le=64,
        doc="lines of the aligned block that an L1 instruction miss brings from the chip",
        source="gpu-core C.3 (released code): one; more where a card was measured (validation/CALIBRATION.md)",
    )
    launch_constant_bytes: int = param(
        0,
        unit="bytes",
        ge=0,
        le=65536,
        doc="constant bank 0 (geometry, parameters) that is in an SM's L1 constant cache when its first CTA starts",
        source="0 where not measured; H100: CALIBRATION.md",
    )
    launch_prefetch_bytes: int = param(
        0,
        unit="bytes",
        ge=0,
        le=130816,
        doc="code of a kernel that its launch brings into L1 of every SM, from the entry on (0 = none)",
        source="NVIDIA class header clc6c0qmd.h: PROGRAM_PREFETCH_SIZE, 9 bits of 256 bytes; 0 where not measured",
    )
    l1i_kept_between_kernels: bool = param(
        False,
        doc="the L1 instruction cache keeps code for the next launch of the same program, unless a flush empties it",
        source="off where not measured; H100: CALIBRATION.md",
    )
    fetch_bytes: int = param(
        16, unit="bytes", ge=16, le=128, doc="bytes fetched per cycle: one instruction", source="gpu-core C.2"
    )
    fetch_to_issue_cycles: int = param(
        3,
        unit="cycles",
        ge=1,
        le=64,
        doc="fetch of an instruction that hits L0 to its earliest issue: the cost of a taken branch besides its stall",
        source="gpu-core C.3",
    )
    perfect_icache: bool = param(
        False, doc="every fetch hits the L0 instruction cache", source="gpu-core I.2, ablation"
    )


class PrefetcherSpec(Spec):
    """Instruction prefetcher in front of each L0 instruction cache (gpu-core C.3)."""

    SHORTHAND = "kind"

    kind: str = param(
        "stream_buffer",
        pattern=NAME,
        doc="none, stream_buffer, next_line, perfect, or the name of a plug-in",
        source="gpu-core C.1: a stream buffer is assumed; none is published by NVIDIA",
    )
    size: int = param(
        8,
        unit="lines",
        ge=1,
        le=256,
        doc="lines of the stream buffer, or lines ahead",
        source="gpu-core I.2: 8 has the lowest MAPE",
    )
    options: dict[str, int | float] = param(
        {}, doc="numbers handed to a plug-in prefetcher", source="none: the built-in prefetchers have no options"
    )


class RegisterFileSpec(Spec):
    """Register file of one sub-core (gpu-core D)."""

    banks: int = param(2, ge=1, le=16, doc="banks; register r is in bank r mod banks", source="gpu-core D.1")
    read_ports_per_bank: int = param(
        1, ge=1, le=99, doc="1024-bit read ports of a bank", source="gpu-core D.2; I.3 for the ablation"
    )
    write_ports_per_bank: int = param(1, ge=1, le=99, doc="1024-bit write ports of a bank", source="gpu-core D.2")
    read_window_cycles: int = param(
        3, unit="cycles", ge=1, le=16, doc="operand-read window of a fixed-latency instruction", source="gpu-core D.2"
    )
    tensor_read_window_cycles: int = param(
        6,
        unit="cycles",
        ge=1,
        le=32,
        doc="operand-read window of tensor instructions with a 4-register operand",
        source="gpu-core B.3 (released code only)",
    )
    return_bytes_per_cycle: int = param(
        64,
        unit="bytes/cycle",
        ge=4,
        le=1024,
        doc="link from the shared load/store unit to a register file",
        source="gpu-core E.1",
    )


class RfcSpec(Spec):
    """Register-file cache driven by the reuse bits (gpu-core D.4)."""

    SHORTHAND = "kind"

    kind: str = param(
        "on",
        pattern=NAME,
        doc="on, off, ideal (every reuse-marked operand is free), or the name of a plug-in",
        source="gpu-core D.4; I.3 for the ablation",
    )
    options: dict[str, int | float] = param({}, doc="numbers handed to a plug-in", source="none")


class SmSpec(Spec):
    """One streaming multiprocessor."""

    num_subcores: int = param(
        4,
        ge=1,
        le=4,
        doc="sub-cores (processing blocks); warp w runs on w mod num_subcores",
        source="gpu-core, orientation",
    )
    num_warps: int = param(
        48,
        unit="warps",
        ge=1,
        le=64,
        doc="resident warps of one SM",
        source="gpu-core G.1; CUDA C Programming Guide, cc 8.6",
    )
    num_ctas: int = param(
        16, unit="CTAs", ge=1, le=64, doc="resident CTAs of one SM", source="cuda_occupancy.h (CUDA 13.0), cc 8.6"
    )
    registers: int = param(
        65536, unit="registers", ge=1024, le=1 << 20, doc="32-bit registers of one SM", source="gpu-core D.1"
    )
    register_allocation_unit: int = param(
        256,
        unit="registers",
        ge=32,
        le=4096,
        doc="granularity of a warp's register allocation",
        source="cuda_occupancy.h (CUDA 13.0)",
    )
    warp_allocation_granularity: int = param(
        4,
        unit="warps",
        ge=1,
        le=8,
        doc="warps of a CTA are allocated in multiples of this",
        source="cuda_occupancy.h (CUDA 13.0)",
    )
    max_registers_per_thread: int = param(
        255, unit="registers", ge=16, le=255, doc="largest register count of a kernel", source="gpu-core D.1"
    )
    max_threads_per_cta: int = param(
        1024,
        unit="threads",
        ge=32,
        le=1024,
        doc="largest CTA",
        source="CUDA C Programming Guide, technical specifications",
    )
    named_barriers: int = param(
        16, ge=1, le=16, doc="named barriers of a CTA", source="PTX ISA, bar.sync: barriers 0 to 15"
    )
    barrier_latency_cycles: int = param(
        21,
        unit="cycles",
        ge=1,
        le=1000,
        doc="arrival of the last warp at a CTA barrier to its release, one warp",
        source="Hopper sheet 10: __syncthreads of n warps takes about 21 + 2 n cycles on A100",
    )
    barrier_interval_cycles: int = param(
        2,
        unit="cycles",
        ge=0,
        le=64,
        doc="added for each warp of the CTA at a barrier",
        source="Hopper sheet 10: about 21 + 2 n cycles on A100",
    )
    unified_l1_bytes: int = param(
        128 * 1024,
        unit="bytes",
        ge=4096,
        le=1 << 20,
        doc="array shared by L1D, texture and shared memory",
        source="gpu-core G.1",
    )
    shared: SharedMemorySpec = component(SharedMemorySpec, doc="shared memory")
    issue: IssueSpec = component(IssueSpec, doc="issue stage")
    front_end: FrontEndSpec = component(FrontEndSpec, doc="fetch, decode, instruction caches")
    branch: BranchSpec = component(BranchSpec, doc="branches, calls and convergence")
    prefetcher: PrefetcherSpec = component(PrefetcherSpec, doc="instruction prefetcher")
    register_file: RegisterFileSpec = component(RegisterFileSpec, doc="register file")
    rfc: RfcSpec = component(RfcSpec, doc="register-file cache")
    units: UnitsSpec = component(UnitsSpec, doc="execution units")
    memory_unit: MemoryUnitSpec = component(MemoryUnitSpec, doc="sub-core memory queues and the shared load/store unit")
