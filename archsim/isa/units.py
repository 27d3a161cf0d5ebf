"""The vocabulary of the opcode tables: execution units, memory spaces and kinds, control-flow classes."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Unit(enum.IntEnum):
    """Execution unit that an instruction is dispatched to (gpu-core.md B.5)."""

    INT = 0  # integer/logic ("ALU"): also FP compare, select and min/max
    FP32 = 1  # FMA pipe: FADD, FMUL, FFMA and IMAD
    FP16 = 2  # packed half precision
    FP64 = 3
    SFU = 4  # MUFU, conversions, POPC, FLO, BREV
    TENSOR = 5
    UNIFORM = 6
    BRANCH = 7
    MISC = 8  # no queue
    MISC_QUEUE = 9
    MEMORY = 10


class MemSpace(enum.IntEnum):
    """Address space of a memory instruction."""

    NONE = 0
    GLOBAL = 1
    LOCAL = 2
    SHARED = 3
    CONST = 4
    GENERIC = 5
    TEXTURE = 6
    SURFACE = 7


class MemKind(enum.IntEnum):
    """What a memory instruction does."""

    NONE = 0
    LOAD = 1
    STORE = 2
    ATOMIC = 3  # returns a value
    REDUCTION = 4  # no result
    LDGSTS = 5
    FENCE = 6  # MEMBAR, ERRBAR
    MISC = 7  # SHFL, S2R, MATCH, CCTL...
    BULK = 8  # TMA


class Flow(enum.IntEnum):
    """How an instruction changes or holds up the warp."""

    NONE = 0
    BRANCH = 1
    CALL = 2
    RET = 3
    EXIT = 4
    BARRIER = 5  # BAR
    WARPSYNC = 6
    DEPBAR = 7
    LDGDEPBAR = 8
    SLEEP = 9
    CLOCK = 10  # CS2R/S2R of a clock
    YIELD = 11


class OpInfo(NamedTuple):
    """What the timing model and the trace format need to know about one instruction.

    ``access_bytes``: bytes per lane. ``strong_scope``: '' or 'CTA', 'SM', 'GPU', 'SYS'. ``mem_records``: address
    records that one execution leaves in a trace (2 for LDGSTS: global, then shared).
    """

    unit: Unit
    space: MemSpace
    kind: MemKind
    access_bytes: int
    flow: Flow
    writes_predicate: bool
    strong_scope: str
    mem_records: int
