"""Execution units of one sub-core: latency and initiation interval. gpu-core sheet, section F.

``latency_cycles`` always means: cycles from the issue of an instruction to the earliest issue of one that needs its
result, nothing else in the way. For fixed-latency units that is the stall count a compiler must encode; for
variable-latency units it is the distance seen through a dependence counter. The released model's "latency, II" pairs
(F.1) add up to it: 2 + 2 = 4 for INT and FP32, 3 + 2 = 5 for FP16.
"""

from __future__ import annotations

from archsim.config.spec import Spec, component, param
from archsim.config.tensor import TensorSpec

Cycles = int  # UnitsSpec has a field called `int`, which would hide the builtin from its own annotations


class UnitSpec(Spec):
    """A fixed-latency unit."""

    latency_cycles: int = param(
        4, unit="cycles", ge=1, le=1000, doc="issue to earliest dependent issue", source="gpu-core F.1, F.3"
    )
    initiation_interval_cycles: int = param(
        2,
        unit="cycles",
        ge=1,
        le=1000,
        doc="cycles between two issues to this unit (2 = 16 lanes wide)",
        source="gpu-core F.1",
    )


class Fp32Spec(UnitSpec):
    """FP32 pipes; IMAD runs here too."""

    pipes: int = param(
        2,
        ge=1,
        le=2,
        doc="pipes that can take an FP32 instruction, each with its own initiation interval",
        source="gpu-core F.1: Turing and A100 1, others 2",
    )
    second_pipe_is_int: bool = param(
        True,
        doc="the second FP32 pipe is the INT pipe, so INT and FP32 compete for it (IMAD never uses it)",
        source="gpu-core B.4; GA102 whitepaper: one datapath FP32 or INT32",
    )


class Fp16Spec(UnitSpec):
    """Packed FP16."""

    latency_cycles: int = param(
        5, unit="cycles", ge=1, le=1000, doc="issue to earliest dependent issue", source="gpu-core D.2: HADD2 5, FFMA 4"
    )


class BranchSpec(UnitSpec):
    """Branch unit."""

    latency_cycles: int = param(
        3, unit="cycles", ge=1, le=1000, doc="issue to earliest dependent issue", source="gpu-core F.1: 2 + 1"
    )
    initiation_interval_cycles: int = param(
        1, unit="cycles", ge=1, le=1000, doc="cycles between two issues to this unit", source="gpu-core F.1"
    )


class MiscSpec(UnitSpec):
    """Instructions without a real unit."""

    latency_cycles: int = param(
        2, unit="cycles", ge=1, le=1000, doc="issue to earliest dependent issue", source="gpu-core F.1: 1 + 1"
    )
    initiation_interval_cycles: int = param(
        1, unit="cycles", ge=1, le=1000, doc="cycles between two issues to this unit", source="gpu-core F.1"
    )


class SfuSpec(UnitSpec):
    """Special functions and conversions: variable latency, guarded by dependence counters."""

    latency_cycles: int = param(
        19, unit="cycles", ge=1, le=1000, doc="issue to earliest dependent issue", source="gpu-core H.15: MUFU, I2F 19"
    )
    initiation_interval_cycles: int = param(
        8, unit="cycles", ge=1, le=1000, doc="cycles between two issues", source="gpu-core F.4: 16 results/clk/SM"
    )
    war_release_cycles: int = param(
        13,
        unit="cycles",
        ge=1,
        le=1000,
        doc="issue to the release of the read barrier",
        source="gpu-core F.1: SFU lat + II - 3 = 13",
    )


class MiscQueueSpec(Spec):
    """The MISC unit behind a queue; its latency is ``sm.memory_unit.latency.memory_misc_raw``."""

    initiation_interval_cycles: int = param(
        2, unit="cycles", ge=1, le=1000, doc="cycles between two issues to this unit", source="gpu-core F.1"
    )


class Fp64Spec(Spec):
    """FP64. Consumer parts have one narrow unit an SM behind a queue in each sub-core; A100 and H100 one a sub-core."""

    shared_per_sm: bool = param(True, doc="one unit for the whole SM, variable latency", source="gpu-core E.5")
    latency_cycles: int = param(
        8,
        unit="cycles",
        ge=1,
        le=1000,
        doc="issue to earliest dependent issue, when not shared",
        source="gpu-core F.3, sm_90: stall 8, no counter",
    )
    initiation_interval_cycles: int = param(
        16, unit="cycles", ge=1, le=1000, doc="cycles between two instructions of the unit", source="gpu-core F.1"
    )
    local_stages: int = param(
        6,
        ge=1,
        le=32,
        doc="one-cycle stages in the sub-core before the transfer (shared unit)",
        source="gpu-core E.5: 6, Turing 5",
    )
    transfer_cycles_per_operand: int = param(
        4,
        unit="cycles",
        ge=1,
        le=64,
        doc="transfer of one register source operand to the shared unit",
        source="gpu-core E.5: 256 B at 64 B/cycle",
    )
    pipe_latency_cycles: int = param(
        24, unit="cycles", ge=1, le=1000, doc="pipeline of the shared unit", source="gpu-core E.5: 24, Turing 25"
    )
    writeback_cycles_per_register: int = param(
        2, unit="cycles", ge=1, le=64, doc="return link, per 32-bit register of the result", source="gpu-core E.5"
    )


class UnitsSpec(Spec):
    """Execution units of a sub-core."""

    int: UnitSpec = component(UnitSpec, doc="integer and logic")
    fp32: Fp32Spec = component(Fp32Spec, doc="FP32 and IMAD")
    fp16: Fp16Spec = component(Fp16Spec, doc="packed FP16 (HADD2, HMUL2, HFMA2...)")
    fp64: Fp64Spec = component(Fp64Spec, doc="FP64")
    sfu: SfuSpec = component(SfuSpec, doc="MUFU, POPC, FLO, BREV and conversions")
    tensor: TensorSpec = component(TensorSpec, doc="tensor cores")
    uniform: UnitSpec = component(UnitSpec, doc="uniform datapath")
    branch: BranchSpec = component(BranchSpec, doc="branches, convergence barriers")
    misc: MiscSpec = component(MiscSpec, doc="NOP, VOTE, BAR, DEPBAR... (no queue)")
    misc_queue: MiscQueueSpec = component(MiscQueueSpec, doc="ERRBAR, S2UR (queued)")
    predicate_latency_cycles: Cycles = param(
        13,
        unit="cycles",
        ge=1,
        le=100,
        doc="predicate producer to the instruction it guards",
        source="gpu-core A.3: 13, sm_75 12",
    )
    imad_wide_latency_cycles: Cycles = param(
        5,
        unit="cycles",
        ge=1,
        le=100,
        doc="IMAD.WIDE to its dependent",
        source="gpu-core F.3: sm_75-89 5, sm_90 3, sm_120 4",
    )
    imad_hi_latency_cycles: Cycles = param(
        6, unit="cycles", ge=1, le=100, doc="IMAD.HI to its dependent", source="gpu-core F.3"
    )
