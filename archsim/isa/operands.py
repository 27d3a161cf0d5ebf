"""From the text of one SASS operand to an :class:`~archsim.isa.program.Operand`.

The grammar follows NVIDIA's disassembler (nvdisasm 13); it was established on the output for sm_75 to sm_120.
"""

from __future__ import annotations

import re
import struct

from archsim.errors import IsaError
from archsim.isa.program import NONE_REG, PT, RZ, URZ, Operand, OperandKind

_MEMORY = re.compile(r"^(?:(desc|gdesc|tmem|cx|c|a|idesc|attr)?((?:\[[^\]]*\])+))((?:\.[A-Za-z0-9_]+)*)$")
_BRACKET = re.compile(r"\[([^\]]*)\]")
_REGISTER = re.compile(r"^(UR|R|UP|P|B|SB)(\d+|Z|T)$")
_INTEGER = re.compile(r"^[+-]?(?:0[xX][0-9a-fA-F]+|\d+)$")
_FLOAT = re.compile(r"^[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|INF|QNAN|SNAN|NAN)$")
_SPECIAL = re.compile(r"^(?:SR_?[A-Za-z0-9_]*|SRZ)(?:\.[A-Za-z0-9_]+)*$")
_REGISTER_KINDS = {
    "R": OperandKind.REG,
    "UR": OperandKind.UREG,
    "P": OperandKind.PRED,
    "UP": OperandKind.UPRED,
    "B": OperandKind.BREG,
    "SB": OperandKind.SB,
}
_LIMITS = {"R": RZ, "UR": 255, "P": PT, "UP": PT, "B": 16, "SB": 6}


def register_number(name: str) -> tuple[OperandKind, int] | None:
    """Kind and number of a plain register name (``R4``, ``URZ``, ``PT``, ``B0``); None if it is not one.

    ``URZ`` is 63 on every architecture; a uniform register numbered 63 or more (none seen in compiled code, but
    encodable on sm_100+) is returned as its number + 1 so that it can never be taken for URZ.
    """
    match = _REGISTER.match(name)
    if match is None:
        return None
    prefix, number = match.groups()
    kind = _REGISTER_KINDS[prefix]
    if number == "Z":
        return (kind, RZ if prefix == "R" else URZ) if prefix in ("R", "UR") else None
    if number == "T":
        return (kind, PT) if prefix in ("P", "UP") else None
    value = int(number)
    if value >= _LIMITS[prefix]:
        return None
    return kind, value + 1 if prefix == "UR" and value >= URZ else value


def split_operands(text: str) -> list[str]:
    """Split at commas and blanks outside brackets: ``R4, [R2+0x4]`` and the blank-separated ``BRX R4 -0x570``."""
    parts: list[str] = []
    current: list[str] = []
    depth = 0
    for char in text:
        if char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
        if depth == 0 and (char == "," or char.isspace()):
            if current:
                parts.append("".join(current))
                current = []
        else:
            current.append(char)
    if current:
        parts.append("".join(current))
    return parts


def float_bits(text: str, bits: int) -> int:
    """Raw bits of a printed floating-point immediate, 16, 32 or 64 bits wide."""
    sign = text.startswith("-")
    body = text.lstrip("+-")
    exponent, mantissa = {16: (5, 10), 32: (8, 23), 64: (11, 52)}[bits]
    infinity = ((1 << exponent) - 1) << mantissa
    if body in ("QNAN", "NAN"):
        raw = infinity | (1 << mantissa) - 1
    elif body == "SNAN":
        raw = infinity | 1
    elif body == "INF":
        raw = infinity
    else:
        try:
            raw = int.from_bytes(struct.pack({16: "<e", 32: "<f", 64: "<d"}[bits], float(body)), "little")
        except OverflowError:
            raw = infinity
    return raw | (sign << (bits - 1))


def parse_operand(text: str, float_width: int) -> Operand:
    """Parse one operand. ``float_width``: bits (16, 32, 64) of a decimal immediate, 0 where decimals are integers."""
    body = text.strip()
    negated = body[:1] in ("-", "~", "!") and not _INTEGER.match(body) and not _FLOAT.match(body)
    inner = body[1:] if negated else body
    absolute = inner.startswith("|")
    if absolute:
        close = inner.rfind("|")
        if close < 2:
            raise IsaError(f"unbalanced |...| in operand {text!r}")
        inner = inner[1:close] + inner[close + 1 :]
    return (
        _number(body, float_width)
        or _register(inner, text, negated, absolute)
        or _memory(inner, text, negated, absolute)
        or _other(inner, text)
    )


def _number(body: str, float_width: int) -> Operand | None:
    if _INTEGER.match(body) and (float_width == 0 or "0x" in body.lower()):
        base = 16 if "x" in body.lower() else 10
        return Operand(OperandKind.IMM, body, value=int(body, base))
    if _FLOAT.match(body):
        width = float_width or 32
        return Operand(OperandKind.FIMM, body, value=float_bits(body, width), width=0)
    return None


def _register(inner: str, text: str, negated: bool, absolute: bool) -> Operand | None:
    name, *suffixes = inner.split(".")
    if name == "PR" or name == "UPR":
        return Operand(OperandKind.PR, text, modifiers=tuple(suffixes))
    found = register_number(name)
    if found is None:
        return None
    kind, number = found
    reuse = "reuse" in suffixes
    wide = "64" in suffixes
    rest = tuple(s for s in suffixes if s not in ("reuse", "64"))
    width = 1 if kind in (OperandKind.REG, OperandKind.UREG, OperandKind.PRED, OperandKind.UPRED) else 0
    if kind in (OperandKind.REG, OperandKind.UREG) and wide:
        width = 2
    return Operand(kind, text, reg=number, width=width, negated=negated, absolute=absolute, reuse=reuse, wide=wide,
                   modifiers=rest)  # fmt: skip


def _memory(inner: str, text: str, negated: bool, absolute: bool) -> Operand | None:
    match = _MEMORY.match(inner)
    if match is None:
        return None
    prefix, brackets, suffix = match.groups()
    fields = [f.strip() for f in _BRACKET.findall(brackets)]
    trailing = tuple(suffix.split(".")[1:]) if suffix else ()
    reuse = "reuse" in trailing
    trailing = tuple(t for t in trailing if t != "reuse")
    if prefix in ("c", "cx"):
        return _constant(prefix, fields, text, negated, absolute, reuse, trailing)
    desc = NONE_REG
    kind = OperandKind.MEM
    if prefix is not None:
        trailing = trailing if prefix == "desc" else (*trailing, prefix)
        if prefix in ("desc", "gdesc", "idesc"):
            found = register_number(fields[0])
            if found is None or found[0] != OperandKind.UREG:
                return None
            desc, kind = found[1], OperandKind.DESC
            fields = fields[1:] or ["0x0"]
    if len(fields) != 1:
        return None
    reg, ureg, value, wide, modifiers = _address(fields[0], text)
    width = 0 if reg == NONE_REG else 2 if wide else 1
    return Operand(kind, text, reg=reg, ureg=ureg, desc=desc, value=value, width=width, negated=negated, wide=wide,
                   modifiers=(*modifiers, *trailing))  # fmt: skip


def _constant(prefix: str, fields: list[str], text: str, negated: bool, absolute: bool, reuse: bool,
              trailing: tuple[str, ...]) -> Operand | None:  # fmt: skip
    if len(fields) != 2:
        return None
    desc, bank = NONE_REG, -1
    if prefix == "cx" or not _INTEGER.match(fields[0]):
        found = register_number(fields[0])
        if found is None:
            return None
        desc = found[1]
    else:
        bank = int(fields[0], 0) if fields[0].lower().startswith("0x") else int(fields[0])
    reg, ureg, value, wide, modifiers = _address(fields[1], text)
    width = 0 if reg == NONE_REG else 1
    return Operand(OperandKind.CONST, text, reg=reg, ureg=ureg, desc=desc, value=value, bank=bank, width=width,
                   negated=negated, absolute=absolute, reuse=reuse, wide=wide,
                   modifiers=(*modifiers, *trailing))  # fmt: skip


def _address(field: str, text: str) -> tuple[int, int, int, bool, tuple[str, ...]]:
    """Register, uniform register, offset, '.64' flag and index modifiers of ``R2.64+UR4+0x10``."""
    reg = ureg = NONE_REG
    value = 0
    wide = False
    modifiers: tuple[str, ...] = ()
    for term in field.replace("+-", "+ -").replace("-", "+-").replace("+ +", "+").replace(" ", "").split("+"):
        if not term:
            continue
        if _INTEGER.match(term):
            value += int(term, 16 if "x" in term.lower() else 10)
            continue
        name, *suffixes = term.split(".")
        found = register_number(name)
        if found is None or found[0] not in (OperandKind.REG, OperandKind.UREG):
            raise IsaError(f"cannot read address term {term!r} in operand {text!r}")
        if found[0] == OperandKind.REG:
            reg = found[1]
        else:
            ureg = found[1]
        wide = wide or "64" in suffixes
        modifiers += tuple(s for s in suffixes if s not in ("64", "reuse"))
    return reg, ureg, value, wide, modifiers


def _other(inner: str, text: str) -> Operand:
    if inner.startswith("`(") and inner.endswith(")"):
        return Operand(OperandKind.LABEL, text)
    if _SPECIAL.match(inner):
        return Operand(OperandKind.SREG, text)
    if inner.startswith("{") and inner.endswith("}"):
        items = [i.strip() for i in inner[1:-1].split(",") if i.strip()]
        if items and all(i.isdigit() for i in items):
            return Operand(OperandKind.SBSET, text, value=sum(1 << int(i) for i in items if int(i) < 32))
    return Operand(OperandKind.OTHER, text)
