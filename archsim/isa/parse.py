"""From one line of SASS to an :class:`~archsim.isa.program.Instruction`.

``parse_instruction`` splits destinations from sources for every opcode. The default follows the order that NVIDIA's
disassembler prints: destination register, then destination predicates, then sources; a memory operand in front means
there is no destination. The sets below name the opcodes that print otherwise.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace

from archsim.errors import IsaError
from archsim.isa.operands import parse_operand, split_operands
from archsim.isa.program import ControlBits, Instruction, Operand, OperandKind
from archsim.isa.widths import set_widths

_GUARD = re.compile(r"^@(!?)(UP|P)([0-6T])\s+")
_MNEMONIC = re.compile(r"^[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*$")
_COMMENT = re.compile(r"/\*.*?\*/|\(\*.*?\*\)")
_ANNOTATION = re.compile(r"[&?][A-Za-z_]\S*")
_RELOCATED = re.compile(r"^[-+]?\d+@(?:lo|hi)\(.*\)$|@(?:fdesc|srel|lo|hi)\b")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REGISTERS = (OperandKind.REG, OperandKind.UREG)
_PREDICATES = (OperandKind.PRED, OperandKind.UPRED)

# Comparisons: the leading predicates (at most this many) are the only destinations.
_PREDICATE_ONLY = {
    "ISETP": 2, "FSETP": 2, "DSETP": 2, "HSETP2": 2, "UISETP": 2, "UFSETP": 2, "PSETP": 2, "UPSETP": 2, "PLOP3": 2,
    "UPLOP3": 2, "CSETP": 2, "FCHK": 1, "RTT": 1,
}  # fmt: skip
# A register first and a source predicate behind it.
_REGISTER_ONLY = frozenset({"PSET", "SEL", "USEL", "FSEL", "UFSEL", "P2R", "CSET", "ISET", "FSET", "DSET"})
# Nothing is written although a register, predicate or label comes first.
_NO_DESTINATION = _words(
    "BRA BRX BRXU JMP JMX JMXU CALL JCAL RET EXIT KILL BSYNC BREAK WARPSYNC BAR NANOSLEEP DEPBAR LDGDEPBAR CCTL CCTLL "
    "CCTLT NOP BPT MEMBAR ERRBAR CGAERRBAR PMTRIG YIELD R2B RPCMOV SETLMEMBASE SETCTAID USETMAXREG SETMAXREG "
    "WARPGROUP WARPGROUPSET ACQBULK ENDCOLLECTIVE UCGABAR_ARV UCGABAR_WAIT UTMALDG UTMASTG UTMAREDG UTMAPF UTMACCTL "
    "UTMACMDFLUSH UBLKCP UBLKRED UBLKPF UTCHMMA UTCIMMA UTCQMMA UTCOMMA UTCMXQMMA UTCBAR UTCCP UTCSHIFT ACQSHMINIT "
    "SSY SYNC PBK BRK PCNT CONT PRET PEXIT PLONGJMP LONGJMP SAM RAM RTT BPT VCOUNT STTM FENCE UMEMSETS ACQBLK "
    "PREEXIT SUST SURED RED REDG REDS ST STG STS STL STSM STAS STTM LDGSTS ISBEWR OUT UGETNEXTWORKID REDAS"
)
_LABELLED = _words("BRA BSSY SSY PBK PCNT PRET JMP JCAL CALL LEPC WARPSYNC RET")
_FLOAT64 = frozenset({"DADD", "DMUL", "DFMA", "DSETP", "DMNMX", "DSET"})
_FLOAT16 = frozenset({"HADD2", "HMUL2", "HFMA2", "HSETP2", "HSET2", "HMNMX2", "HADD2_32I", "HMUL2_32I", "HFMA2_32I"})
_FLOAT32 = _words(
    "FADD FMUL FFMA FSETP FSET FSEL FMNMX FMNMX3 FCHK FCMP FSWZADD MUFU RRO UFADD UFMUL UFFMA UFSETP UFSEL UFSET "
    "UFMNMX FADD32I FMUL32I FFMA32I F2FP F2IP FADD2 FMUL2 FFMA2 UMUFU UF2FP FADD3 FHADD FHFMA"
)
_CONVERSIONS = frozenset({"F2F", "F2I", "FRND", "UF2I", "UFRND", "UF2F"})


@functools.lru_cache(maxsize=1 << 16)
def _parse_text(text: str, arch: int) -> tuple[str, str, tuple[str, ...], tuple[Operand, ...], tuple[Operand, ...],
                                               int, bool, bool, bool]:  # fmt: skip
    """Everything about an instruction that its text alone decides; the last flag asks for :func:`_finish`."""
    line = _COMMENT.sub("", text).strip().rstrip(";").strip()
    guard, guard_negated, guard_uniform = -1, False, False
    match = _GUARD.match(line)
    if match:
        guard = 7 if match.group(3) == "T" else int(match.group(3))
        guard_negated, guard_uniform = match.group(1) == "!", match.group(2) == "UP"
        line = line[match.end() :]
    opcode, _, rest = line.partition(" ")
    if not _MNEMONIC.match(opcode):
        raise IsaError(f"cannot read the mnemonic of {text.strip()!r}")
    base, *modifiers = opcode.split(".")
    width = _float_width(base, modifiers)
    parts = [p for p in split_operands(rest) if not _ANNOTATION.fullmatch(p)] if rest else []
    operands = [parse_operand(p, width) for p in parts]
    _mark_labels(base, operands)
    count = _destination_count(base, tuple(modifiers), operands)
    dests, sources = set_widths(base, tuple(modifiers), arch, tuple(operands[:count]), tuple(operands[count:]))
    finish = any(o.kind in (OperandKind.LABEL, OperandKind.FIMM, OperandKind.OTHER) for o in operands)
    return opcode, base, tuple(modifiers), dests, sources, guard, guard_negated, guard_uniform, finish


def parse_instruction(
    text: str,
    arch: int,
    address: int = 0,
    control: ControlBits | None = None,
    *,
    index: int = 0,
    encoding: tuple[int, int] = (0, 0),
    labels: Mapping[str, int] | None = None,
    function: str = "",
    line: int = 0,
    file: str = "",
    relocated: int | None = None,
) -> Instruction:
    """Parse one disassembled instruction such as ``@!P0 LDG.E.64 R2, desc[UR4][R6.64+0x10]``.

    ``labels`` maps symbols (``.L_x_3``, function names) to byte addresses in the program's pc space; a label that is
    not in it raises. With ``encoding`` known, floating-point immediates take their exact bits from it.
    ``relocated``: address of the symbol in a ``32@lo(...)`` or ``32@hi(...)`` operand. Raises IsaError
    naming function and address for text that is no instruction.
    """
    try:
        opcode, base, modifiers, dests, sources, guard, negated, uniform, finish = _parse_text(text, arch)
        if finish:
            dests = tuple(_finish(o, base, modifiers, encoding, labels, relocated) for o in dests)
            floats = [i for i, o in enumerate(sources) if o.kind == OperandKind.FIMM]
            sources = tuple(
                _finish(
                    o, base, modifiers, encoding, labels, relocated, floats.index(i) if i in floats else 0, len(floats)
                )
                for i, o in enumerate(sources)
            )
    except IsaError as error:
        where = f"{function or 'SASS'} at 0x{address:x}"
        raise IsaError(f"{where}: {error}") from None
    return Instruction(index, address, opcode, base, modifiers, dests, sources, control, encoding, guard, negated,
                       uniform, text.strip().rstrip(";").strip(), function, line, file)  # fmt: skip


def _float_width(base: str, modifiers: list[str]) -> int:
    """Bits of a decimal immediate of this opcode; 0 when its immediates are integers."""
    if base in _FLOAT64:
        return 64
    if base in _FLOAT16:
        return 16
    if base in _FLOAT32:
        return 32
    if base in _CONVERSIONS:
        types = [m for m in modifiers if m in ("F16", "F32", "F64", "BF16")]
        return {"F64": 64, "F16": 16}.get(types[-1], 32) if types else 32
    return 0


def _mark_labels(base: str, operands: list[Operand]) -> None:
    """Turn the numeric target of a direct branch (``BRA 0x230``) into a LABEL."""
    if base not in _LABELLED or not operands:
        return
    last = operands[-1]
    has_register = base == "WARPSYNC" or base == "RET"
    numeric = last.kind == OperandKind.IMM and (not has_register or len(operands) > 1)
    symbol = last.kind == OperandKind.OTHER and not _RELOCATED.search(last.text)
    if numeric or symbol:
        operands[-1] = replace(last, kind=OperandKind.LABEL)


def _destination_count(base: str, modifiers: tuple[str, ...], operands: list[Operand]) -> int:
    """How many leading operands are written."""
    if not operands or base in _NO_DESTINATION:
        return 0
    kinds = [o.kind for o in operands]
    if base in _PREDICATE_ONLY:
        limit = _PREDICATE_ONLY[base]
        return next((i for i, k in enumerate(kinds[:limit]) if k not in _PREDICATES), min(limit, len(kinds)))
    if base in ("VOTE", "VOTEU"):
        return _vote_destinations(kinds)
    if base in _REGISTER_ONLY or base in ("BMOV", "BSSY", "R2P"):
        return 1
    if base == "ELECT":
        return min(2, len(kinds))
    if kinds[0] in _PREDICATES:
        rest = 1
        if len(kinds) > 1 and kinds[1] in _REGISTERS and base != "SYNCS":
            rest = 2
        return rest if not operands[0].negated else 0
    if kinds[0] not in _REGISTERS and kinds[0] not in (OperandKind.PR, OperandKind.BREG):
        return 0
    count = 1
    if base in ("TEX", "TLD", "TLD4", "TXD", "TXQ", "TMML", "TEXS", "TLDS", "TLD4S") and len(kinds) > 1:
        return 2 if kinds[1] in _REGISTERS else 1
    while count < len(kinds) and kinds[count] in _PREDICATES and not operands[count].negated:
        count += 1
    return count if count < len(kinds) or count <= 2 else 1


def _vote_destinations(kinds: list[OperandKind]) -> int:
    """VOTE prints [register,] predicate, source predicate; Pascal may print only one destination."""
    return max(1, len(kinds) - 1)


def _finish(operand: Operand, base: str, modifiers: tuple[str, ...], encoding: tuple[int, int],
            labels: Mapping[str, int] | None, relocated: int | None, float_index: int = 0,
            float_count: int = 0) -> Operand:  # fmt: skip
    """Resolve a label, or take the bits of an immediate from the encoding."""
    kind = operand.kind
    if kind == OperandKind.FIMM:
        return _exact_immediate(operand, base, modifiers, encoding, float_index, float_count)
    if kind == OperandKind.OTHER and _RELOCATED.search(operand.text):
        if relocated is None:
            return replace(operand, kind=OperandKind.IMM, value=encoding[0] >> 32)
        value = relocated >> 32 if "@hi" in operand.text else relocated
        return replace(operand, kind=OperandKind.IMM, value=value & 0xFFFFFFFF)
    if kind != OperandKind.LABEL:
        return operand
    name = operand.text
    if name.startswith("`(") and name.endswith(")"):
        name = name[2:-1]
    if name[:1].isdigit() or name.startswith("-0x"):
        return replace(operand, value=operand.value + (labels or {}).get("", 0))
    if labels is not None and name in labels:
        return replace(operand, value=labels[name])
    if labels is None:
        return replace(operand, value=-1)
    raise IsaError(f"the branch target {operand.text!r} is not in this code")


def _exact_immediate(operand: Operand, base: str, modifiers: tuple[str, ...], encoding: tuple[int, int], index: int,
                     count: int) -> Operand:  # fmt: skip
    """FIMM bits: 32-bit field at bits 32-63; FP64 holds the high word there, packed halves print high half first."""
    if encoding == (0, 0):
        return operand
    field = encoding[0] >> 32
    width = _float_width(base, list(modifiers))
    if width == 64:
        return replace(operand, value=field << 32)
    if width == 16:
        if base in _CONVERSIONS:
            return replace(operand, value=field & 0xFFFF)
        if count != 2:  # one printed value: which half is not told, keep the text's
            return operand
        return replace(operand, value=(field >> 16 if index == 0 else field) & 0xFFFF)
    return replace(operand, value=field)
