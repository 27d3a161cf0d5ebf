"""How many consecutive 32-bit registers each operand covers.

Rules: gpu-core.md D.5 with the hardware's true widths where the published simulator differs (its F16 accumulators
halve the A and B fragments; section L.2 row 7), and the fragment sizes of the PTX ISA for matrix instructions.
"""

from __future__ import annotations

import re
from dataclasses import replace

from archsim.isa.program import NONE_REG, Operand, OperandKind


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REGISTERS = (OperandKind.REG, OperandKind.UREG)
_MEMORY = (OperandKind.MEM, OperandKind.DESC)
_FP64 = frozenset({"DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "DSET"})
_PACKED_FP32 = frozenset({"FADD2", "FMUL2", "FFMA2"})
_WHOLE_64 = _words("IADD IADD3 MOV SEL UIADD3 UIADD UMOV USEL ISETP UISETP IMNMX VIMNMX UVIMNMX UIMNMX IABS")
_LOADS = _words("LD LDG LDS LDL LDC ULDC LDCU LDT")
_STORES = _words("ST STG STS STL STAS STT")
_ATOMICS = _words("ATOM ATOMG ATOMS RED REDG REDS REDAS SUATOM SURED SYNCS ARRIVES")
_GLOBAL_PAIR = _words("LD LDG ST STG ATOM ATOMG RED REDG QSPC CCTL LDGMC")
_TEXTURE = _words("TEX TLD TLD4 TXD TXQ TMML")
_MATRIX = _words("HMMA IMMA BMMA DMMA QMMA OMMA")
_DIMENSIONS = {  # "16816" prints m, n, k without separators
    "884": (8, 8, 4), "1684": (16, 8, 4), "1688": (16, 8, 8), "16816": (16, 8, 16), "16832": (16, 8, 32),
    "16864": (16, 8, 64), "168128": (16, 8, 128), "8816": (8, 8, 16), "8832": (8, 8, 32), "88128": (8, 8, 128),
    "168256": (16, 8, 256),
}  # fmt: skip
_SIZE = re.compile(r"^(\d+)$")


def set_widths(
    base: str, modifiers: tuple[str, ...], arch: int, dests: tuple[Operand, ...], sources: tuple[Operand, ...]
) -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
    """Return the operands with ``width`` filled in; widths are in 32-bit registers."""
    dest_width, source_widths = _plan(base, modifiers, dests, sources)
    pair = base in _GLOBAL_PAIR and ("E" in modifiers or base in ("LDG", "STG", "ATOMG", "REDG"))
    if base in _TEXTURE and len(dests) == 2:
        new_dests = _texture(dests, sources)
    else:
        new_dests = tuple(_widen(o, dest_width, pair) for o in dests)
    last = len(source_widths) - 1
    return new_dests, tuple(_widen(o, source_widths[min(i, last)], pair) for i, o in enumerate(sources))


def _widen(operand: Operand, width: int, pair: bool) -> Operand:
    if operand.kind in _REGISTERS:
        target = max(width, operand.width)
        return operand if target == operand.width else replace(operand, width=target)
    if operand.kind in _MEMORY and operand.reg != NONE_REG and pair and "U32" not in operand.modifiers:
        return replace(operand, width=2)
    return operand


def _texture(dests: tuple[Operand, ...], sources: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """The last operand is a component mask: the second register printed takes two components, the first the rest."""
    mask = next((o.value for o in reversed(sources) if o.kind == OperandKind.IMM), 0xF) & 0xF
    count = mask.bit_count()
    return _widen(dests[0], max(1, count - 2), False), _widen(dests[1], max(1, min(2, count)), False)


def access_bytes(modifiers: tuple[str, ...], base: str = "") -> int:
    """Bytes that one lane moves, from the size modifiers; 4 by default."""
    size = 4
    for token in modifiers:
        if token in ("64", "F64", "S64", "U64", "F32x2"):
            size = max(size, 8)
        elif token in ("128", "F32x4", "F16x8", "BF16x8"):
            size = 16
        elif token == "256":
            size = 32
        elif token in ("U8", "S8", "U.8"):
            return 1
        elif token in ("U16", "S16"):
            return 2
        elif token in ("F16x4", "BF16x4"):
            size = 8
    if base == "ATOMS" and "16" in modifiers or base in ("ATOM", "ATOMG") and "16" in modifiers:
        return 2
    return size


def _plan(base: str, modifiers: tuple[str, ...], dests: tuple[Operand, ...],
          sources: tuple[Operand, ...]) -> tuple[int, list[int]]:  # fmt: skip
    """Width of the register destinations, and of the sources by position (the last entry repeats)."""
    if base in _FP64 or base in _PACKED_FP32:
        return 2, [2]
    if base in ("IMAD", "UIMAD"):
        if "WIDE" in modifiers:
            return 2, [1, 1, 2, 1]
        return (1, [1, 1, 2, 1]) if "HI" in modifiers else (1, [1])
    if base in _WHOLE_64 and any(m in ("64", "S64", "U64") for m in modifiers):
        return 2, [2]
    if base in _LOADS:
        registers = max(1, access_bytes(modifiers) // 4)
        return (4 if registers == 8 and len(dests) == 2 else registers), [1]
    if base in _STORES:
        registers = max(1, access_bytes(modifiers) // 4)
        return 1, [1, registers if len(sources) <= 2 else 4 if registers == 8 else registers]
    if base in _ATOMICS:
        return _atomic(base, modifiers)
    if base in ("LDSM", "STSM"):
        count = next((int(m) for m in modifiers if m in ("1", "2", "4")), 1)
        return (count, [1]) if base == "LDSM" else (1, [1, count])
    if base in _MATRIX:
        return matrix_widths(base, modifiers)
    if base in ("HGMMA", "IGMMA", "QGMMA", "BGMMA"):
        return _warpgroup(modifiers, dests, sources)
    return _converting(base, modifiers)


def _converting(base: str, modifiers: tuple[str, ...]) -> tuple[int, list[int]]:
    """Conversions, special moves and register-indirect control flow."""
    if base in ("F2F", "UF2F", "I2I"):
        types = [m for m in modifiers if m in ("F16", "F32", "F64", "BF16", "TF32")]
        return (2 if types[:1] == ["F64"] else 1), [2 if types[1:2] == ["F64"] else 1]
    if base in ("F2I", "UF2I"):
        return (2 if {"S64", "U64"} & set(modifiers) else 1), [2 if "F64" in modifiers else 1]
    if base in ("I2F", "UI2F"):
        return (2 if "F64" in modifiers else 1), [2 if {"S64", "U64"} & set(modifiers) else 1]
    if base == "FRND":
        return (2, [2]) if "F64" in modifiers else (1, [1])
    if base == "CS2R":
        return (1, [1]) if "32" in modifiers else (2, [1])
    if base == "MATCH":
        return 1, [2 if "U64" in modifiers else 1]
    if base in ("LEPC", "GETLMEMBASE"):
        return 2, [1]
    if base in ("BRX", "BRXU", "JMX", "JMXU", "CALL", "RET"):
        return 1, [2]
    if base in ("LDTM", "STTM"):
        count = next((int(m[1:]) for m in modifiers if re.fullmatch(r"x\d+", m)), 1)
        return (count, [1]) if base == "LDTM" else (1, [1, count])
    if base == "BMOV" and "64" in modifiers or base == "R2UR" and "64" in modifiers:
        return 2, [2]
    return 1, [1]


def _atomic(base: str, modifiers: tuple[str, ...]) -> tuple[int, list[int]]:
    if base in ("SYNCS", "ARRIVES"):
        wide = any(m in ("64", "TRANS64") for m in modifiers)
        parity = "PHASECHK" in modifiers or "ARRIVE" in modifiers
        return (2 if wide else 1), [1, 1 if parity else 2 if wide else 1]
    registers = max(1, access_bytes(modifiers, base) // 4)
    return registers, [1, registers]


def matrix_shape(modifiers: tuple[str, ...]) -> tuple[int, int, int] | None:
    """(m, n, k) printed in a matrix opcode, e.g. ``16816`` or ``8x8x4``; None if absent."""
    for token in modifiers:
        if token in _DIMENSIONS:
            return _DIMENSIONS[token]
        if re.fullmatch(r"\d+x\d+x\d+", token):
            m, n, k = token.split("x")
            return int(m), int(n), int(k)
    return None


def matrix_element_bits(base: str, modifiers: tuple[str, ...]) -> tuple[int, int]:
    """(bits of an A or B element, bits of an accumulator element) of a warp-level matrix instruction."""
    if base == "DMMA":
        return 64, 64
    if base == "BMMA":
        return 1, 32
    if base == "OMMA":
        return 4, 32
    if base == "QMMA":
        return 8, 16 if "F16" in modifiers else 32
    if base == "IMMA":
        return (4 if {"S4", "U4"} & set(modifiers) else 8), 32
    accumulator = 16 if "F16" in modifiers else 32
    return (32 if "TF32" in modifiers else 16), accumulator


def matrix_widths(base: str, modifiers: tuple[str, ...]) -> tuple[int, list[int]]:
    """Registers of D, and of A, B, C (then 1 for metadata): m*n*bits/1024, since a warp has 32 lanes of 32 bits."""
    shape = matrix_shape(modifiers)
    if shape is None:
        return 1, [1]
    m, n, k = shape
    bits, accumulator = matrix_element_bits(base, modifiers)
    sparse = "SP" in modifiers
    if base == "HMMA" and shape == (8, 8, 4):  # Volta form: four 8x8x4 products by quad pairs in one instruction
        return (4 if accumulator == 32 else 2), [2, 2, 8 if accumulator == 32 else 4, 1]
    d = max(1, m * n * accumulator // 1024)
    a = max(1, m * k * bits // 1024 // (2 if sparse else 1))
    b = max(1, k * n * bits // 1024)
    return d, [a, b, d, 1]


def _warpgroup(modifiers: tuple[str, ...], dests: tuple[Operand, ...],
               sources: tuple[Operand, ...]) -> tuple[int, list[int]]:  # fmt: skip
    """wgmma: D is spread over 128 threads; A comes from registers (4) or, like B, from a shared-memory descriptor."""
    shape = matrix_shape(modifiers)
    if shape is None:
        return 1, [1]
    m, n, _ = shape
    accumulator = 16 if modifiers and "F16" in modifiers else 32
    d = max(1, m * n * accumulator // (128 * 32))
    widths = []
    for position, operand in enumerate(sources):
        is_a = position == 0 and operand.kind == OperandKind.REG
        widths.append(4 if is_a else d if operand.kind == OperandKind.REG else 1)
    return d, widths or [1]
