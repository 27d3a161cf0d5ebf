"""From an instruction to its execution unit, memory behaviour and control-flow class: :func:`op_info`."""

from __future__ import annotations

import functools

from archsim.errors import IsaError
from archsim.isa.program import NONE_REG, RZ, Instruction, OperandKind
from archsim.isa.tables_data import BULK_OPCODES, OPCODES, PASCAL_UNIT_OF, TEXTURE_OPCODES, UNIT_OF
from archsim.isa.units import Flow, MemKind, MemSpace, OpInfo, Unit
from archsim.isa.widths import access_bytes

__all__ = ["ARCHITECTURES", "Flow", "MemKind", "MemSpace", "OpInfo", "Unit", "op_info", "unit_of"]

ARCHITECTURES = tuple(sorted(OPCODES))
_S, _K = MemSpace, MemKind

_MEMORY: dict[str, tuple[MemSpace, MemKind]] = {
    "LD": (_S.GENERIC, _K.LOAD), "LDG": (_S.GLOBAL, _K.LOAD), "LDL": (_S.LOCAL, _K.LOAD), "LDS": (_S.SHARED, _K.LOAD),
    "LDSM": (_S.SHARED, _K.LOAD), "LDC": (_S.CONST, _K.LOAD), "LDCU": (_S.CONST, _K.LOAD), "ULDC": (_S.CONST, _K.LOAD),
    "LDGMC": (_S.GLOBAL, _K.LOAD), "LDGA": (_S.GLOBAL, _K.LOAD), "ST": (_S.GENERIC, _K.STORE),
    "STG": (_S.GLOBAL, _K.STORE), "STL": (_S.LOCAL, _K.STORE), "STS": (_S.SHARED, _K.STORE),
    "STSM": (_S.SHARED, _K.STORE), "STAS": (_S.SHARED, _K.STORE), "ATOM": (_S.GENERIC, _K.ATOMIC),
    "ATOMG": (_S.GLOBAL, _K.ATOMIC), "ATOMS": (_S.SHARED, _K.ATOMIC), "SYNCS": (_S.SHARED, _K.ATOMIC),
    "ARRIVES": (_S.SHARED, _K.REDUCTION), "RED": (_S.GENERIC, _K.REDUCTION), "REDG": (_S.GLOBAL, _K.REDUCTION),
    "REDGMC": (_S.GLOBAL, _K.REDUCTION), "REDS": (_S.SHARED, _K.REDUCTION), "REDAS": (_S.SHARED, _K.REDUCTION),
    "LDGSTS": (_S.GLOBAL, _K.LDGSTS), "MEMBAR": (_S.NONE, _K.FENCE), "ERRBAR": (_S.NONE, _K.FENCE),
    "CGAERRBAR": (_S.NONE, _K.FENCE), "FENCE": (_S.NONE, _K.FENCE),
    "SULD": (_S.SURFACE, _K.LOAD), "SUST": (_S.SURFACE, _K.STORE), "SUATOM": (_S.SURFACE, _K.ATOMIC),
    "SURED": (_S.SURFACE, _K.REDUCTION), "SUQUERY": (_S.SURFACE, _K.LOAD),
}  # fmt: skip
_MEMORY.update(dict.fromkeys(TEXTURE_OPCODES, (_S.TEXTURE, _K.LOAD)))
_MEMORY.update(dict.fromkeys(BULK_OPCODES, (_S.GLOBAL, _K.BULK)))
_PER_LANE = frozenset({MemSpace.GLOBAL, MemSpace.LOCAL, MemSpace.SHARED, MemSpace.GENERIC})
_RECORDED = frozenset({MemKind.LOAD, MemKind.STORE, MemKind.ATOMIC, MemKind.REDUCTION})

_FLOW = {
    "BRA": Flow.BRANCH, "BRX": Flow.BRANCH, "BRXU": Flow.BRANCH, "JMP": Flow.BRANCH, "JMX": Flow.BRANCH,
    "JMXU": Flow.BRANCH, "BRK": Flow.BRANCH, "CONT": Flow.BRANCH, "SYNC": Flow.BRANCH, "CALL": Flow.CALL,
    "CAL": Flow.CALL, "JCAL": Flow.CALL, "RET": Flow.RET, "RTT": Flow.RET, "EXIT": Flow.EXIT, "KILL": Flow.EXIT,
    "KIL": Flow.EXIT, "BAR": Flow.BARRIER, "UCGABAR_WAIT": Flow.BARRIER, "WARPSYNC": Flow.WARPSYNC,
    "DEPBAR": Flow.DEPBAR, "LDGDEPBAR": Flow.LDGDEPBAR, "NANOSLEEP": Flow.SLEEP, "YIELD": Flow.YIELD,
}  # fmt: skip
_SCOPES = ("CTA", "SM", "GPU", "SYS")


def unit_of(base: str, arch: int) -> Unit | None:
    """Unit of a base opcode on an architecture, None when the architecture has no such opcode.

    IsaError for an unknown architecture. ``F2F`` is on the FP64 unit when one side is F64: use :func:`op_info`.
    """
    if arch not in OPCODES:
        raise IsaError(f"sm_{arch} has no opcode table (known: {', '.join(f'sm_{a}' for a in ARCHITECTURES)})")
    if base not in OPCODES[arch]:
        return None
    if arch < 70:
        return PASCAL_UNIT_OF[base]
    return UNIT_OF[base]


def op_info(instruction: Instruction, arch: int) -> OpInfo:
    """Execution unit and behaviour of an instruction on an architecture; IsaError for an opcode it does not have."""
    key = _operand_key(instruction)
    info = _info(instruction.base, instruction.modifiers, key, arch)
    if info is None:
        raise IsaError(f"unknown opcode {instruction.opcode} for sm_{arch} at 0x{instruction.address:x} in "
                       f"{instruction.function or 'an unnamed function'}")  # fmt: skip
    return info


def _operand_key(instruction: Instruction) -> tuple[bool, bool, bool, bool]:
    """The operand facts that matter: writes a predicate, indexed constant, memory operand, clock register."""
    writes = any(o.kind in (OperandKind.PRED, OperandKind.UPRED, OperandKind.PR) for o in instruction.dests)
    indexed = memory = clock = False
    for operand in instruction.sources:
        kind = operand.kind
        if kind == OperandKind.CONST:
            indexed = indexed or operand.reg not in (NONE_REG, RZ)
        elif kind == OperandKind.MEM or kind == OperandKind.DESC:
            memory = True
        elif kind == OperandKind.SREG:
            clock = clock or "CLOCK" in operand.text or "GLOBALTIMER" in operand.text
    return writes, indexed, memory, clock


@functools.lru_cache(maxsize=1 << 14)
def _info(base: str, modifiers: tuple[str, ...], key: tuple[bool, bool, bool, bool], arch: int) -> OpInfo | None:
    unit = unit_of(base, arch)
    if unit is None:
        return None
    writes, indexed, memory, clock = key
    if base == "F2F" and "F64" in modifiers:
        unit = Unit.FP64
    space, kind = _MEMORY.get(base, (MemSpace.NONE, MemKind.NONE))
    if unit == Unit.MEMORY and kind == MemKind.NONE:
        kind = MemKind.MISC
    flow = _FLOW.get(base, Flow.NONE)
    if flow == Flow.NONE and clock and base in ("CS2R", "S2R", "S2UR"):
        flow = Flow.CLOCK
    return OpInfo(
        unit, space, kind, _bytes(base, modifiers, kind), flow, writes, _scope(modifiers, base),
        _records(base, space, kind, indexed, memory),
    )  # fmt: skip


def _bytes(base: str, modifiers: tuple[str, ...], kind: MemKind) -> int:
    if kind not in (*_RECORDED, MemKind.LDGSTS):
        return 0
    if base in ("LDSM", "STSM"):
        return 4 * next((int(m) for m in modifiers if m in ("2", "4")), 1)
    if base in ("SYNCS", "ARRIVES"):
        return 8
    return access_bytes(modifiers, base)


def _scope(modifiers: tuple[str, ...], base: str) -> str:
    """Scope of a strong access or fence. sm_75 prints SYS on weak accesses too, so only after STRONG does it count."""
    if "STRONG" in modifiers or base in ("MEMBAR", "FENCE"):
        return next((m for m in modifiers if m in _SCOPES), "")
    return ""


def _records(base: str, space: MemSpace, kind: MemKind, indexed: bool, memory: bool) -> int:
    if kind == MemKind.LDGSTS:
        return 2
    if space == MemSpace.CONST:
        return 1 if indexed and base == "LDC" else 0
    return 1 if memory and space in _PER_LANE and kind in _RECORDED else 0
