"""Memory rows of the op table: loads, stores, atomics, constants, asynchronous copies."""

from __future__ import annotations

from collections.abc import Callable

from archsim.emulator.atomic_ops import (
    A_ADD,
    A_AND,
    A_ARRIVE,
    A_CAS,
    A_CAST_SPIN,
    A_DEC,
    A_EXCH,
    A_INC,
    A_MAX,
    A_MIN,
    A_OR,
    A_POPC_INC,
    A_XOR,
    AT_B128,
    AT_BF16X2,
    AT_F16X2,
    AT_F32,
    AT_F32_FTZ,
    AT_F32X2,
    AT_F32X4,
    AT_F64,
    AT_S32,
    AT_S64,
    AT_U32,
    AT_U64,
)
from archsim.emulator.encoder import Encoder
from archsim.emulator.int_ops import I_MOV, I_MOV2
from archsim.emulator.mem_ops import L_LDC, L_LDGSTS, L_LDSM, L_LOAD, L_MOVM, L_QSPC, L_STORE, L_STSM
from archsim.emulator.records import (
    G_ATOM,
    G_CONST,
    G_INT,
    G_MEM,
    G_NOP,
    K_IMM,
    ROW_SINK,
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_LOCAL,
    SPACE_SHARED,
)
from archsim.isa.program import NONE_REG, RZ, URZ, OperandKind

SPACES = {"G": SPACE_GLOBAL, "S": SPACE_SHARED, "L": SPACE_LOCAL, "": SPACE_GENERIC}
HINTS = (
    "E", "CONSTANT", "SYS", "EF", "EL", "LU", "NA", "LTC64B", "LTC128B", "LTC256B", "BYPASS", "U", "WEAK", "MMIO",
    "PRIVATE", "CTA", "SM", "GPU", "VC", "EU",
)  # fmt: skip


def hints(e: Encoder) -> bool:
    """Consume cache and ordering hints; True for a strong access."""
    strong = e.has("STRONG")
    e.ignore(*HINTS)
    return strong


def load(space: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        signed = 1 if any(m in ("S8", "S16") for m in e.mods) else 0
        strong = hints(e)
        size = e.width_modifier()
        e.op(G_MEM, L_LOAD, signed)
        e.dst(0)
        e.memory(space, size)
        e.r["strong"] = 1 if strong else 0
        if e.preds or len(e.out_preds) > 0 and e.out_preds[0].reg != 7:
            e.fail("predicate operand of a load")

    return encode


def store(space: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        hints(e)
        size = e.width_modifier()
        e.op(G_MEM, L_STORE)
        e.src("r", {8: 2, 16: 4}.get(size, 1))
        e.memory(space, size)

    return encode


OPERATIONS = {
    "ADD": A_ADD, "MIN": A_MIN, "MAX": A_MAX, "INC": A_INC, "DEC": A_DEC, "AND": A_AND, "OR": A_OR, "XOR": A_XOR,
    "EXCH": A_EXCH,
}  # fmt: skip


def atomic_kind(e: Encoder) -> int:
    """Type of an atomic's operand."""
    e.ignore("RN")
    ftz = e.has("FTZ")
    wide = e.has("64")
    for name, kind in (
        ("F16x2", AT_F16X2), ("BF16x2", AT_BF16X2), ("BF16_V2", AT_BF16X2), ("F64", AT_F64), ("F32x4", AT_F32X4), ("F32x2", AT_F32X2),
        ("S64", AT_S64), ("U64", AT_U64), ("128", AT_B128),
    ):  # fmt: skip
        if e.has(name):
            return kind
    if e.has("F32"):
        return AT_F32_FTZ if ftz else AT_F32
    if e.has("S32"):
        return AT_S64 if wide else AT_S32
    e.has("U32")
    return AT_U64 if wide else AT_U32


SIZES = {AT_U64: 8, AT_S64: 8, AT_F64: 8, AT_B128: 16, AT_F32X4: 16, AT_F32X2: 8}


def atomic(space: int, result: bool) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        hints(e)
        cast = e.has("CAST")
        if e.has("CAS") or cast:
            e.ignore("SPIN")
            op = A_CAST_SPIN if cast else A_CAS
        elif e.has("POPC"):
            e.has("INC")
            e.has("32")
            op = A_POPC_INC
        elif e.has("ARRIVE"):
            op = A_ARRIVE
        else:
            op = e.choose(OPERATIONS)
        kind = atomic_kind(e)
        if op == A_ARRIVE:
            kind = AT_U64
        size = SIZES.get(kind, 4)
        words = {8: 2, 16: 4}.get(size, 1)
        e.op(G_ATOM, op, kind)
        if result:
            e.dst(words if e.out_regs else 0)
            e.pred_dst()
        else:
            e.r["dst"], e.r["dw"] = ROW_SINK, 0
        if op in (A_CAS, A_CAST_SPIN):
            values = e.regs
            e.src("r", words, values[0])
            e.src("r", words, values[1])
        elif op == A_POPC_INC or op == A_ARRIVE:
            e.set_zero("a")
        else:
            e.src("r", words)
        e.memory(space, size)
        # Any atomic whose old value is read may be a poll (atomicAdd(p, 0) too).
        polls = result and space != SPACE_SHARED and any(o.reg != RZ for o in e.out_regs)
        e.r["strong"] = 1 if polls or op == A_CAST_SPIN else 0

    return encode


def constant(e: Encoder) -> None:
    """LDC, ULDC: a fixed word is filled in at launch, an indexed one read when executed."""
    signed = 1 if any(m in ("S8", "S16") for m in e.mods) else 0
    size = e.width_modifier()
    e.ignore("IL", "IS", "ISL")
    o = next((o for o in e.ins.sources if o.kind == OperandKind.CONST), None)
    if o is None or o.desc != NONE_REG:
        e.fail("constant operand form")
    assert o is not None
    fixed = o.reg in (NONE_REG, RZ) and o.ureg in (NONE_REG, URZ)
    words = {8: 2, 16: 4}.get(size, 1)
    e.dst(words)
    if fixed and size in (4, 8):
        e.op(G_INT, I_MOV if size == 4 else I_MOV2)
        e.r["nsrc"], e.r["ak"], e.r["aw"] = 1, K_IMM, words
        e.constants.append(("ai", o.bank, o.value, size))
        return
    e.op(G_CONST, L_LDC, o.bank | signed << 5)
    e.r["size"], e.r["m64"], e.r["mscale"], e.r["moff"], e.r["mu64"] = size, 0, 1, o.value, 0
    e.r["mr"] = -1 if o.reg in (NONE_REG, RZ) else o.reg
    e.r["mu"] = -1 if o.ureg in (NONE_REG, URZ) else o.ureg


def ldsm(stores: bool) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        e.has("16")
        transposed = e.choose({"M88": 0, "MT88": 1})
        matrices = e.choose({"2": 2, "4": 4}, 1)
        e.op(G_MEM, L_STSM if stores else L_LDSM, transposed | matrices << 1)
        if stores:
            e.src("r", matrices)
        else:
            e.dst(0)
        e.memory(SPACE_SHARED, 16)

    return encode


def movm(e: Encoder) -> None:
    e.has("16")
    e.choose({"MT88": 0})
    e.op(G_MEM, L_MOVM)
    e.dst(0)
    e.src("r")


def ldgsts(e: Encoder) -> None:
    hints(e)
    zfill = 1 if e.has("ZFILL") else 0
    size = e.choose({"64": 8, "128": 16}, 4)
    e.op(G_MEM, L_LDGSTS, zfill)
    e.memory(SPACE_SHARED, size, e.mems[0])
    e.memory(SPACE_GLOBAL, size, e.mems[1], second=True)
    e.pred_src()


def qspc(e: Encoder) -> None:
    e.has("E")
    e.op(G_MEM, L_QSPC, e.choose({"G": SPACE_GLOBAL, "S": SPACE_SHARED, "L": SPACE_LOCAL}))
    e.pred_dst()
    e.memory(SPACE_GENERIC, 1)


def nothing(e: Encoder) -> None:
    """Ordering, caching and scheduling only: no functional effect when instructions execute in order."""
    e.mods.clear()
    e.op(G_NOP, 0)


MEMORY_OPS = {
    "LDG": load(SPACE_GLOBAL), "LDS": load(SPACE_SHARED), "LDL": load(SPACE_LOCAL), "LD": load(SPACE_GENERIC),
    "STG": store(SPACE_GLOBAL), "STS": store(SPACE_SHARED), "STL": store(SPACE_LOCAL), "ST": store(SPACE_GENERIC),
    "ATOMG": atomic(SPACE_GLOBAL, True), "ATOMS": atomic(SPACE_SHARED, True), "ATOM": atomic(SPACE_GENERIC, True),
    "RED": atomic(SPACE_GENERIC, False), "REDG": atomic(SPACE_GLOBAL, False), "REDS": atomic(SPACE_SHARED, False),
    "LDC": constant, "ULDC": constant, "LDCU": constant, "LDSM": ldsm(False), "STSM": ldsm(True), "MOVM": movm,
    "LDGSTS": ldgsts, "QSPC": qspc, "MEMBAR": nothing, "ERRBAR": nothing, "CGAERRBAR": nothing, "CCTL": nothing,
    "FENCE": nothing, "LDGDEPBAR": nothing, "DEPBAR": nothing, "CCTLL": nothing,
}  # fmt: skip
