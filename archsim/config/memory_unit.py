"""The sub-core's local memory unit and the shared load/store unit. gpu-core sheet, section E."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from archsim.config.spec import Spec, component, param

TABLE2 = "gpu-core E.2 (table 2 of the paper), Ampere"


Cell = Annotated[int, Field(ge=1, le=1000)]
Widths = tuple[Cell, Cell, Cell]  # 32, 64, 128 bits a lane
Widths2 = tuple[Cell, Cell]  # 32, 64 bits a lane


def _cells(default: tuple[int, ...], doc: str, source: str = TABLE2) -> Any:
    return param(default, unit="cycles", doc=doc, source=source)


class MemoryLatencySpec(Spec):
    """Issue-to-dependent-issue cycles for hits of one sector or one wavefront, for 32, 64 and 128 bits per lane.

    RAW: a consumer of the loaded value (also WAW). WAR: an instruction that overwrites a source register.
    """

    load_global_uniform_raw: Widths = _cells((29, 31, 35), "LDG, uniform address: RAW")
    load_global_uniform_war: Widths = _cells((9, 9, 9), "LDG, uniform address: WAR")
    load_global_regular_raw: Widths = _cells((32, 34, 38), "LDG, register address: RAW")
    load_global_regular_war: Widths = _cells((11, 11, 11), "LDG, register address: WAR")
    store_global_uniform_war: Widths = _cells(
        (10, 12, 16), "STG, uniform address: WAR", TABLE2 + "; 64 and 128 bit are the authors' estimates"
    )
    store_global_regular_war: Widths = _cells((14, 16, 20), "STG, register address: WAR")
    load_shared_uniform_raw: Widths = _cells((23, 23, 25), "LDS, uniform address: RAW")
    load_shared_uniform_war: Widths = _cells((9, 9, 9), "LDS, uniform address: WAR")
    load_shared_regular_raw: Widths = _cells((24, 24, 26), "LDS, register address: RAW")
    load_shared_regular_war: Widths = _cells((9, 9, 9), "LDS, register address: WAR")
    store_shared_uniform_war: Widths = _cells((10, 12, 16), "STS, uniform address: WAR")
    store_shared_regular_war: Widths = _cells((12, 14, 18), "STS, register address: WAR")
    ldc_immediate_raw: Widths2 = _cells(
        (26, 26), "LDC, immediate offset, 32 and 64 bit: RAW", TABLE2 + "; 64 bit as 32 bit (inferred)"
    )
    ldc_immediate_war: Widths2 = _cells(
        (10, 10), "LDC, immediate offset, 32 and 64 bit: WAR", TABLE2 + "; 64 bit as 32 bit (inferred)"
    )
    ldc_regular_raw: Widths2 = _cells((29, 29), "LDC, register offset, 32 and 64 bit: RAW")
    ldc_regular_war: Widths2 = _cells((29, 29), "LDC, register offset, 32 and 64 bit: WAR")
    ldgsts_raw: Widths = _cells((39, 39, 39), "LDGSTS: release of the write barrier", TABLE2 + ", H.13")
    ldgsts_war: Widths = _cells((13, 13, 13), "LDGSTS: WAR", TABLE2 + ", H.13")
    memory_misc_raw: int = param(
        16,
        unit="cycles",
        ge=1,
        le=1000,
        doc="SHFL, S2R, MATCH...: RAW",
        source="gpu-core H.15 (released model): S2R, SHFL 16",
    )
    memory_misc_war: int = param(6, unit="cycles", ge=1, le=1000, doc="SHFL, S2R, MATCH...: WAR", source="gpu-core E.3")
    shfl_raw: int = param(
        25, unit="cycles", ge=1, le=1000, doc="SHFL: RAW", source="Hopper sheet 10: shuffle 25 cycles on A100"
    )
    shared_atomic_extra: int = param(
        0,
        unit="cycles",
        ge=0,
        le=1000,
        doc="RAW of an atomic on shared memory beyond that of a load",
        source="none measured: taken as a load; lanes that name the same word are serialised on top",
    )


class MemoryUnitSpec(Spec):
    """Local unit of a sub-core and the shared unit behind the four of them."""

    queue_entries: int = param(
        4,
        ge=1,
        le=64,
        doc="queue of the local unit; with its latch one more instruction issues back to back",
        source="gpu-core E.1, H.10",
    )
    agu_cycles: int = param(
        4,
        unit="cycles",
        ge=1,
        le=32,
        doc="address generation: one instruction per this many cycles and sub-core",
        source="gpu-core E.1",
    )
    agu_uniform_cycles: int = param(
        2,
        unit="cycles",
        ge=1,
        le=32,
        doc="address generation of an instruction without a regular address register",
        source="gpu-core E.3 (released code): half of the regular cycles; the paper says cheaper, not by how much",
    )
    extra_line_quarter_cycles: int = param(
        1,
        unit="cycles / 4",
        ge=0,
        le=64,
        doc="quarter cycles of the L1D data stage for each line of an access beyond the first",
        source="Hopper sheet 5: stride 3, 5, 7 (3, 5, 7 lines) take 1.6, 2.0, 2.4 cycles on H200",
    )
    accept_interval_cycles: int = param(
        2,
        unit="cycles",
        ge=1,
        le=32,
        doc="the shared unit accepts one instruction per this many cycles from all sub-cores",
        source="gpu-core E.1",
    )
    prt_entries: int = param(
        128, ge=1, le=4096, doc="pending-request table: instructions in the shared unit", source="gpu-core E.4"
    )
    latency: MemoryLatencySpec = component(MemoryLatencySpec, doc="measured latency table")
