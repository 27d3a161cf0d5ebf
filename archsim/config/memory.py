"""Caches and everything beyond the SM. gpu-core sheet, sections C.2, E.4, G; Hopper and Ampere sheet."""

from __future__ import annotations

from typing import Literal

from archsim.config.spec import Spec, component, param

L1D_LINE_BYTES = 128  # gpu-core G.2; four sectors of 32 bytes


class L1dSpec(Spec):
    """L1 data cache of one SM: lines of 128 bytes in four sectors. Its size is the unified array less the carve-out."""

    sets: int = param(4, ge=1, le=4096, doc="sets; ways = bytes / (sets x line)", source="gpu-core G.2: 4, Turing 3")
    bytes_per_cycle: int = param(
        128,
        unit="bytes/cycle",
        ge=4,
        le=1024,
        doc="peak load throughput of the data array",
        source="Hopper sheet 4: 121-126 B/clk/SM; whitepaper 128",
    )
    mshr_entries: int = param(384, ge=1, le=1 << 16, doc="outstanding missing sectors", source="gpu-core G.2")
    write_allocate: bool = param(
        True,
        doc="a write miss allocates the line (writes always go through; a later read fetches lazily)",
        source="gpu-core G.2",
    )


class ConstantCacheSpec(Spec):
    """One constant cache."""

    bytes: int = param(512, unit="bytes", ge=64, le=1 << 20, doc="capacity", source="gpu-core C.2")
    line_bytes: int = param(64, unit="bytes", ge=64, le=64, doc="line size", source="gpu-core C.2")
    ways: int = param(2, ge=1, le=256, doc="associativity (LRU)", source="gpu-core C.2")

    @property
    def sets(self) -> int:
        """Number of sets."""
        return self.bytes // (self.line_bytes * self.ways)


class ConstSpec(Spec):
    """Constant caches. Operands c[][] of fixed-latency instructions use FL, LDC uses VL; they share nothing."""

    fl: ConstantCacheSpec = component(ConstantCacheSpec, doc="fixed-latency constant cache of each sub-core")
    vl: ConstantCacheSpec = component(
        lambda: ConstantCacheSpec(bytes=2048, ways=8), doc="variable-latency constant cache of the SM (LDC)"
    )
    miss_cycles: int = param(
        79,
        unit="cycles",
        ge=1,
        le=10_000,
        doc="delay of an FL miss that hits the L1 constant cache",
        source="gpu-core H.12",
    )


class ParametricSpec(Spec):
    """Latency-and-bandwidth model of L2 and DRAM. Capacity comes from ``l2``, bandwidth of memory from ``dram``."""

    l2_latency_cycles: int = param(
        250,
        unit="cycles",
        ge=10,
        le=100_000,
        doc="load-to-use latency of an L2 hit, unloaded",
        source="Hopper sheet 2: A40 (GA102) 250",
    )
    dram_latency_cycles: int = param(
        547,
        unit="cycles",
        ge=10,
        le=100_000,
        doc="load-to-use latency of an L2 miss, unloaded",
        source="Hopper sheet 2: A40 (GA102) 547",
    )
    l2_bytes_per_cycle: int = param(
        1536,
        unit="bytes/cycle",
        ge=32,
        le=1 << 16,
        doc="peak L2 read throughput of the chip",
        source="48 slices (gpu-core G.1) x 32 B sector per clock, (inf)",
    )
    dram_efficiency: float = param(
        0.92,
        unit="fraction",
        ge=0.05,
        le=1.0,
        doc="share of the memory's peak bandwidth that a streaming read reaches",
        source="Hopper sheet 1: 1.78-1.90 of 2.04 TB/s (A100 80 GB), 3.0-3.2 of 3.35 (H100)",
    )


class MemorySpec(Spec):
    """Choice of the model beyond the SM."""

    backend: Literal["parametric", "full"] = param(
        "parametric",
        doc="parametric (latency and bandwidth) or full (L2 slices, network, DRAM banks)",
        source="DESIGN.md 6",
    )
    parametric: ParametricSpec = component(ParametricSpec, doc="parameters of the parametric backend")
    flush_between_kernels: bool = param(
        False,
        doc="L1 and L2 start each kernel empty (what a profiler's cache control does)",
        source="hw/h100/README.md: the two protocols",
    )
    memcpy_fills_l2: bool = param(
        True, doc="host-to-device copies of the trace leave their lines in L2", source="gpu-core G.2: perf_sim_memcpy 1"
    )


class L2Spec(Spec):
    """L2 cache."""

    bytes: int = param(
        6 << 20, unit="bytes", ge=1 << 16, le=1 << 30, doc="capacity of the chip's L2", source="gpu-core G.1, GA102"
    )
    slices: int = param(48, ge=1, le=1024, doc="slices over the whole chip", source="gpu-core G.1: 24 channels x 2")
    partitions: int = param(
        1, ge=1, le=8, doc="partitions; each SM is near to one of them", source="Hopper sheet 3: A100 and H100 have 2"
    )
    line_bytes: int = param(128, unit="bytes", ge=32, le=1024, doc="line size", source="gpu-core G.1")
    sector_bytes: int = param(32, unit="bytes", ge=8, le=256, doc="sector size", source="gpu-core G.2")
    ways: int = param(16, ge=1, le=256, doc="associativity (LRU)", source="gpu-core G.1")
    latency_cycles: int = param(
        147,
        unit="cycles",
        ge=1,
        le=10_000,
        doc="slice access, network excluded: an L2 hit takes the L1 hit, two network crossings and this",
        source="Hopper sheet 2: A40 (GA102) L2 hit of 250, less 39 (gpu-core E.2) and 2 x 32",
    )
    far_extra_cycles: int = param(
        0,
        unit="cycles",
        ge=0,
        le=10_000,
        doc="extra hop to the other partition, hit or miss",
        source="Hopper sheet 3: 150 A100, 160-175 H100",
    )
    slice_block_bytes: int = param(
        512,
        unit="bytes",
        ge=128,
        le=1 << 20,
        doc="consecutive bytes that lie in one slice before the next is chosen by the hash",
        source="measured on an H100: CALIBRATION.md",
    )
    slice_bytes_per_cycle: float = param(
        32.0,
        unit="bytes/cycle",
        ge=1,
        le=512,
        doc="read throughput of a slice, per SM clock (L2 may have a clock of its own)",
        source="gpu-core G.2: one 32-byte sector per access, (inf)",
    )
    slice_write_bytes_per_cycle: float = param(
        32.0,
        unit="bytes/cycle",
        ge=1,
        le=512,
        doc="write throughput of a slice, per SM clock",
        source="gpu-core G.2: one 32-byte sector per access, (inf)",
    )
    hash: Literal["ipoly", "linear"] = param("ipoly", doc="address to slice and set", source="gpu-core G.2")
    mshr_entries: int = param(192, ge=1, le=1 << 16, doc="outstanding misses of a slice", source="gpu-core G.2")
    mshr_merges: int = param(96, ge=1, le=1 << 16, doc="requests merged in one outstanding miss", source="gpu-core G.2")
    queue_entries: int = param(
        64, ge=1, le=1 << 16, doc="each queue between network, slice and DRAM", source="gpu-core G.2"
    )
    atomic_request_cycles: float = param(
        0.34,
        unit="cycles",
        ge=0.0,
        le=1000,
        doc="time of a slice's atomic unit for a request, besides its packets",
        source="hw/h100/chip_2026-11-24.csv: RED_few_u32, words 32 bytes apart 1.28 cycles; the four of a line 4.12",
    )
    atomic_cycles: float = param(
        0.945,
        unit="cycles",
        ge=0.01,
        le=1000,
        doc="time of a slice's atomic unit for a packet: one sector, distinct words",
        source="hw/h100/micro_2026-11-24.csv: RED_add_u32 lanes_of_one_line_shared_by_all_warps_132SM 7.76 lanes/clk",
    )
    atomic_same_word_cycles: float = param(
        1.33,
        unit="cycles",
        ge=0.01,
        le=1000,
        doc="the same for a lane whose word other lanes of the warp also change",
        source="hw/h100/micro_2026-11-24.csv: RED_add_u32 all_lanes_one_word_132SM 0.737 lanes/clk",
    )
    atomic_float_same_word_cycles: float = param(
        3.24,
        unit="cycles",
        ge=0.01,
        le=1000,
        doc="the same for floating-point additions",
        source="hw/h100/micro_2026-11-24.csv: RED_add_f32 all_lanes_one_word_132SM 0.308 lanes/clk",
    )
    atomic_swap_cycles: float = param(
        1.99,
        unit="cycles",
        ge=0.01,
        le=1000,
        doc="the same for compare-and-swap and exchange of distinct words",
        source="hw/h100/micro_2026-11-24.csv: ATOM_cas_b32 lanes_of_one_line_shared_by_all_warps_132SM 3.86 lanes/clk",
    )


class NocSpec(Spec):
    """Network between SMs and L2."""

    latency_cycles: int = param(
        32,
        unit="cycles",
        ge=1,
        le=10_000,
        doc="one-way latency; also the window in which SMs run alone (DESIGN.md 5)",
        source="share of the measured L2 latency, (inf): no source separates it",
    )
    flit_bytes: int = param(
        40, unit="bytes", ge=8, le=512, doc="flit: 32 data bytes and a header", source="gpu-core G.2"
    )
    sm_port_bytes_per_cycle: int = param(
        64,
        unit="bytes/cycle",
        ge=8,
        le=512,
        doc="reply throughput into one SM",
        source="A100 whitepaper: 64 B/clk/SM L2 to SM read",
    )
    request_bytes_per_cycle: int = param(
        32,
        unit="bytes/cycle",
        ge=8,
        le=512,
        doc="request and write-data throughput out of one SM",
        source="gpu-core G.2: one packet of 32 data bytes per cycle",
    )
    write_sectors_per_cycle: float = param(
        70.0,
        unit="sectors/cycle",
        ge=0.1,
        le=4096,
        doc="written sectors that cross the network, whole chip",
        source="hw/h100/micro_2026-11-24.csv: L2_write_128b_u4, L2_write_32b_u4 2,240 B/clk",
    )
    reduction_packets_per_cycle: float = param(
        40.0,
        unit="packets/cycle",
        ge=0.1,
        le=4096,
        doc="packets of reductions (RED) that cross the network, whole chip",
        source="hw/h100/micro_2026-11-24.csv: RED_add_* of 132 SMs, 35.4 (lines) to 44.8 (scattered)",
    )
    atomic_packets_per_cycle: float = param(
        33.0,
        unit="packets/cycle",
        ge=0.1,
        le=4096,
        doc="packets of atomics that return a value, whole chip",
        source="hw/h100/micro_2026-11-24.csv: ATOM_add_u32 of 132 SMs, 29.4 to 33.5",
    )
    buffer_entries: int = param(512, ge=1, le=1 << 16, doc="packets buffered at each port", source="gpu-core G.2")
    first_access_cycles: int = param(
        0,
        unit="cycles",
        ge=0,
        le=10_000,
        doc="added to the first memory access of an SM in a kernel; those that follow wait for it",
        source="0 where not measured; H100: CALIBRATION.md",
    )
    coalescer_entries: int = param(
        0,
        unit="lines",
        ge=0,
        le=4096,
        doc="lines that the L2 request coalescer before a slice follows (0: no coalescer): reads of a line by several "
        "SMs of a GPC are answered together; code and constants, while the line is on its way to the GPC",
        source="Nsight Compute documentation, unit LRC; 0 where not measured, H100: CALIBRATION.md",
    )
    coalescer_window_cycles: int = param(
        64, unit="cycles", ge=0, le=10_000, doc="how long it collects reads of a line", source="as coalescer_entries"
    )
    coalescer_reads: int = param(4, ge=1, le=1024, doc="reads answered together at most", source="as coalescer_entries")
    ejection_entries: int = param(
        32, ge=1, le=1 << 16, doc="replies buffered at an SM, one consumed per cycle", source="gpu-core G.2"
    )


class DramSpec(Spec):
    """Device memory. Peak bandwidth = channels x channel_width_bits x data_rate_mtps."""

    standard: str = param(
        "GDDR6",
        pattern=r"^[A-Za-z][A-Za-z0-9_+-]*$",
        doc="standard whose command timings the full backend uses",
        source="board specification, RTX A6000",
    )
    channels: int = param(24, ge=1, le=1024, doc="independent channels", source="gpu-core G.1: 384 bit / 16")
    channel_width_bits: int = param(
        16, unit="bits", ge=8, le=1024, doc="data width of a channel", source="JEDEC GDDR6: 16 bit"
    )
    data_rate_mtps: float = param(
        16000.0,
        unit="MT/s",
        ge=100,
        le=100_000,
        doc="transfers per second and pin",
        source="board specification: 768 GB/s over 384 bit",
    )
    burst_length: int = param(
        16, unit="transfers", ge=1, le=64, doc="burst of one column command", source="gpu-core G.2; JEDEC GDDR6"
    )
    scheduler_queue_entries: int = param(224, ge=1, le=1 << 16, doc="FR-FCFS queue of a channel", source="gpu-core G.1")
    refresh: Literal["standard", "all_bank", "per_bank", "none"] = param(
        "standard", doc="refresh of this board's memory controller; standard: as configs/dram has it", source="none"
    )
    controller_latency_cycles: int = param(
        210,
        unit="cycles",
        ge=0,
        le=100_000,
        doc="L2 slice to memory controller and back, queues empty, without the DRAM's own tRCD + CL + burst (SM clock)",
        source="set so that a cold chase takes the 547 cycles of Hopper sheet 2 (A40); test_chip.py finds 556",
    )
    address_mapping: str = param(
        "RoRaBaCoBgPcCo2Ch",
        doc="fields from the most significant bits down (docs/dram.md); the channel is hashed from the line's address",
        source="gpu-core G.2: row above bank above column; the 4 sectors of a line in one row, (inf)",
    )
    timing_overrides: dict[str, int] = param(
        {}, unit="memory clocks", doc="named timings that replace the standard's", source="none: the standard's values"
    )

    @property
    def bandwidth_gbps(self) -> float:
        """Peak bandwidth in GB/s (10^9 bytes)."""
        return self.channels * self.channel_width_bits / 8 * self.data_rate_mtps / 1000


class EnergySpec(Spec):
    """Energy."""

    table: str = param(
        "volta_accelwattch",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        doc="energy table (a name of configs/energy), or none: no energy is reported",
        source="gpu-core J: the only published table, calibrated on Volta",
    )


class LaunchSpec(Spec):
    """Kernel launch and CTA distribution."""

    latency_cycles: int = param(
        1500, unit="cycles", ge=0, le=1_000_000, doc="launch to the first CTA on an SM", source="gpu-core B.6"
    )
    overhead_cycles: int = param(
        3700,
        unit="cycles",
        ge=0,
        le=1_000_000,
        doc="gpc__cycles_elapsed.max less sm__cycles_active.max of a kernel: launch and drain",
        source="hw/h100/README.md, measured on an H100",
    )
    cta_launch_latency_cycles: int = param(
        200,
        unit="cycles",
        ge=0,
        le=100_000,
        doc="end of a CTA to the start of the next one in its place",
        source="estimate, to be measured; not below one window (two network crossings)",
    )
    first_wave_interval_cycles: int = param(
        1,
        unit="cycles",
        ge=1,
        le=10_000,
        doc="distance of the CTAs that one SM receives when a kernel starts",
        source="gpu-core B.6: one a cycle",
    )
    ctas_per_cycle: float = param(
        1.0,
        unit="CTAs/cycle",
        ge=0.001,
        le=1024,
        doc="CTAs that the whole chip starts in the places of finished ones",
        source="gpu-core B.6: one a cycle and SM; H100: CALIBRATION.md",
    )
    max_cluster_size: int = param(
        1,
        unit="CTAs",
        ge=1,
        le=16,
        doc="largest thread-block cluster (1 = no clusters)",
        source="CUDA C Programming Guide: cc 9.0 and up, 8 portable, 16 at most",
    )
