"""Integer, logic and bit-field rows of the op table, R and UR forms alike."""

from __future__ import annotations

from dataclasses import replace

from archsim.emulator.encoder import Encoder
from archsim.emulator.int_ops import (
    I_BMSK,
    I_BREV,
    I_FLO,
    I_IABS,
    I_IADD3,
    I_IDP2,
    I_IDP4,
    I_IMAD,
    I_IMNMX,
    I_IMNMX3,
    I_LEA,
    I_LEAHI,
    I_LOP3,
    I_LOP3P,
    I_MOV,
    I_MOV2,
    I_P2R,
    I_POPC,
    I_PRMT,
    I_PRMT_MODE,
    I_R2P,
    I_SEL,
    I_SGXT,
    I_SHF,
    I_VABSDIFF,
    I_VABSDIFF4,
    I_VADD2,
    I_VADDMNMX,
    I_VADDMNMX2,
    I_VMNMX2,
    I_VMNMX3_2,
    W_HI,
    W_WIDE,
)
from archsim.emulator.records import G_ICMP, G_INT, G_WARP, G_WIDE, P_SINK, UP_BASE
from archsim.isa.program import Operand, OperandKind

COMPARE = {"F": 0, "LT": 1, "EQ": 2, "LE": 3, "GT": 4, "NE": 5, "GE": 6, "T": 7}
BOOLEAN = {"AND": 0, "OR": 1, "XOR": 2}


def iadd3(e: Encoder) -> None:
    extended = e.has("X")
    e.op(G_INT, I_IADD3)
    e.dst()
    e.pred_dst()
    negatives = 0
    for operand in e.regs[:3]:
        if e.arithmetic_negative(operand) and not extended:
            negatives += 1
        e.src("n")
    e.r["var"] = negatives
    e.pred_src(2, default=False)
    if len(e.regs) != 3:
        e.fail("operand count")


def add2(e: Encoder) -> None:
    """VIADD."""
    if e.has("16x2"):
        e.op(G_INT, I_VADD2)
        e.src("i")
        e.src("i")
        e.r["cr"] = 264
    else:
        e.op(G_INT, I_IADD3)
        e.src("i")
        e.src("i")
        e.set_zero("c")
        e.pred_src(2, default=False)
    e.dst()


def mov(e: Encoder) -> None:
    e.op(G_INT, I_MOV)
    e.dst()
    e.src("i")
    if len(e.regs) > 2 or (len(e.regs) == 2 and e.regs[1].value & 15 not in (15,)):
        e.fail("partial move mask")


def imad(e: Encoder) -> None:
    wide, high = e.has("WIDE"), e.has("HI")
    unsigned = e.has("U32")
    extended = e.has("X")
    e.ignore("MOV", "IADD", "SHL", "U32")
    negative = 0
    if wide or high:
        e.op(G_WIDE, W_WIDE if wide else W_HI)
        if e.arithmetic_negative(e.regs[0]) != e.arithmetic_negative(e.regs[1]):
            negative = 2
        e.src("i", 1, positive(e.regs[0]))
        e.src("i", 1, positive(e.regs[1]))
        e.src("i", 2, e.regs[2])
        e.r["var"] = (1 if unsigned else 0) | negative
        e.dst(2 if wide else 1)
    else:
        e.op(G_INT, I_IMAD)
        for _ in range(3):
            e.src("i")
        e.dst()
        if e.out_preds:
            e.fail("carry of a 32-bit IMAD")
    e.pred_dst()
    e.pred_src(1, default=False)
    if e.preds and not extended:
        e.fail("carry-in without .X")
    if len(e.regs) != 3:
        e.fail("operand count")


def positive(o: Operand) -> Operand:
    """The operand without its minus (IMAD.WIDE applies it to the product)."""
    return replace(o, negated=False) if o.negated and o.text.lstrip().startswith("-") else o


def lea(e: Encoder) -> None:
    high, extended, sx = e.has("HI"), e.has("X"), e.has("SX32")
    e.op(G_INT, I_LEAHI if high else I_LEA)
    e.dst()
    e.pred_dst()
    regs = e.regs
    shift = regs[-1]
    if shift.kind != OperandKind.IMM:
        e.fail("register shift")
    if len(regs) != (4 if high and not sx else 3):
        e.fail("operand count")
    e.src("i")
    negated = e.arithmetic_negative(regs[1]) and not extended
    e.src("n")
    if high and not sx:
        e.src("i")
    else:
        e.set_zero("c")
    e.r["var"] = (shift.value & 31) | (256 if negated else 0) | (512 if sx else 0)
    e.pred_src(1, default=False)


def lop3(e: Encoder) -> None:
    e.has("LUT")
    both = e.has("PAND")
    e.pred_src(1, default=False)
    if len(e.regs) != 4 or e.regs[3].kind != OperandKind.IMM:
        e.fail("operand count")
    lut = e.regs[3].value & 255
    for _ in range(3):
        e.src("i")
    with_pred = bool(e.out_preds) and e.pred_index(e.out_preds[0], True) != P_SINK
    e.op(G_INT, I_LOP3P if with_pred else I_LOP3, lut | (256 if both else 0))
    if both and not with_pred:
        e.r["var"] = lut
    e.dst()
    e.pred_dst()


def plop3(e: Encoder) -> None:
    e.has("LUT")
    r = e.r
    luts = [o.value & 255 for o in e.regs if o.kind == OperandKind.IMM]
    if len(e.preds) != 3 or len(luts) not in (1, 2):
        e.fail("operand count")
    r["group"], r["op"] = 255, 0
    r["var"] = luts[0] | (luts[1] if len(luts) == 2 else 0) << 8
    e.pred_dst()
    third = e.preds.pop()
    e.pred_src(2)
    r["er"], r["ei"] = e.pred_index(third, False), 0xFFFFFFFF if third.negated else 0
    if e.ins.base.startswith("U"):
        r["uniform"] = 1


def shf(e: Encoder) -> None:
    right = e.choose({"L": 0, "R": 1})
    wrap = e.has("W")
    kind = e.choose({"U32": 0, "S32": 8, "U64": 4, "S64": 12}, 0)
    high = e.has("HI")
    e.op(G_INT, I_SHF, right | (2 if high else 0) | kind | (16 if wrap else 0))
    e.dst()
    for _ in range(3):
        e.src("i")


def sel(e: Encoder) -> None:
    e.op(G_INT, I_SEL)
    e.dst()
    e.src("i")
    e.src("i")
    e.pred_src()


def imnmx(e: Encoder) -> None:
    packed = e.choose({"S16x2": 0, "U16x2": 1}, -1)
    relu = 2 if e.has("RELU") else 0
    if packed >= 0:
        e.op(G_INT, I_VMNMX2, packed | relu)
    else:
        e.op(G_INT, I_IMNMX, (1 if e.has("U32") else 0) | relu)
        e.ignore("S32")
    e.dst()
    e.src("i")
    e.src("i")
    e.pred_src()


def minmax3(add: bool):  # type: ignore[no-untyped-def]
    def encode(e: Encoder) -> None:
        packed = e.choose({"S16x2": 0, "U16x2": 1}, -1)
        relu = 2 if e.has("RELU") else 0
        if packed >= 0:
            e.op(G_INT, I_VADDMNMX2 if add else I_VMNMX3_2, packed | relu)
        else:
            e.op(G_INT, I_VADDMNMX if add else I_IMNMX3, (1 if e.has("U32") else 0) | relu)
            e.ignore("S32")
        e.dst()
        for _ in range(3):
            e.src("i")
        e.pred_src()

    return encode


def unary(op: int):  # type: ignore[no-untyped-def]
    def encode(e: Encoder) -> None:
        e.op(G_INT, op)
        e.dst()
        e.src("i")

    return encode


def flo(e: Encoder) -> None:
    e.op(G_INT, I_FLO, (1 if e.has("U32") else 0) | (2 if e.has("SH") else 0))
    e.dst()
    e.pred_dst()
    if e.out_preds and e.r["pd"] != P_SINK:
        e.fail("FLO predicate result")
    e.src("i")


def prmt(e: Encoder) -> None:
    mode = e.choose({"F4E": 1, "B4E": 2, "RC8": 3, "ECL": 4, "ECR": 5, "RC16": 6}, 0)
    e.has("IDX")
    e.op(G_INT, I_PRMT_MODE if mode else I_PRMT, mode)
    e.dst()
    for _ in range(3):
        e.src("i")


def bmsk(e: Encoder) -> None:
    e.op(G_INT, I_BMSK, 1 if e.has("W") else 0)
    e.ignore("C")
    e.dst()
    e.src("i")
    e.src("i")


def sgxt(e: Encoder) -> None:
    e.op(G_INT, I_SGXT, (1 if e.has("U32") else 0) | (2 if e.has("W") else 0))
    e.dst()
    e.src("i")
    e.src("i")


def idp(e: Encoder) -> None:
    four = e.has("4A")
    if not four and not e.has("2A"):
        e.fail("IDP form")
    high = e.has("HI")
    e.ignore("LO")
    kinds = list(e.mods)
    if len(kinds) != 2 or kinds[0] not in ("S8", "U8", "S16", "U16") or kinds[1] not in ("S8", "U8"):
        e.fail("IDP types")
    e.mods.clear()
    var = (1 if kinds[0][0] == "S" else 0) | (2 if kinds[1][0] == "S" else 0) | (4 if high else 0)
    e.op(G_INT, I_IDP4 if four else I_IDP2, var)
    e.dst()
    for _ in range(3):
        e.src("i")


def vabsdiff(e: Encoder) -> None:
    e.op(G_INT, I_VABSDIFF, 1 if e.has("U32") else 0)
    e.dst()
    for _ in range(3):
        e.src("i")


def vabsdiff4(e: Encoder) -> None:
    signed = 2 if e.choose({"U8": 0, "S8": 1}, 0) else 0
    e.op(G_INT, I_VABSDIFF4, signed | (1 if e.has("ACC") else 0))
    e.dst()
    for _ in range(3):
        e.src("i")


def isetp(e: Encoder) -> None:
    compare = e.choose(COMPARE)
    unsigned = 8 if e.has("U32") else 0
    e.ignore("S32")
    boolean = e.choose(BOOLEAN, 0)
    extended = 16 if e.has("EX") else 0
    e.op(G_ICMP, 0, compare | unsigned | extended | boolean << 5)
    e.pred_dst()
    e.src("i")
    e.src("i")
    e.pred_src(2)
    if e.ins.base.startswith("U"):
        e.r["uniform"] = 1
    if extended and (len(e.preds) != 2 or compare in (0, 7)):
        e.fail("EX without its predicate")


def p2r(e: Encoder) -> None:
    shift = 8 * e.choose({"B0": 0, "B1": 1, "B2": 2, "B3": 3}, 0)
    source = next((o for o in e.ins.sources if o.kind == OperandKind.PR), None)
    if source is None:
        e.fail("no PR")
    uniform = e.ins.base == "UP2UR" or "UPR" in source.text
    e.op(G_INT, I_P2R, shift | (UP_BASE if uniform else 0) << 8)
    e.dst()
    e.src("i")
    e.src("i")
    suffixes = {m for o in e.regs for m in o.modifiers if m in ("B0", "B1", "B2", "B3")}
    if suffixes:
        e.fail("byte selector")


def r2p(e: Encoder) -> None:
    target = next((o for o in (*e.ins.dests, *e.ins.sources) if o.kind == OperandKind.PR), None)
    uniform = target is not None and "UPR" in target.text
    shift = 0
    register = e.regs[0]
    for name in register.modifiers:
        if name in ("B0", "B1", "B2", "B3"):
            shift = 8 * int(name[1])
    e.op(G_INT, I_R2P, shift | (UP_BASE if uniform else 0) << 8)
    e.r["dw"] = 0
    e.src("r")
    e.src("i")


def r2ur(e: Encoder) -> None:
    from archsim.emulator.warp_ops import X_R2UR

    e.op(G_WARP, X_R2UR)
    e.ignore("OR", "FILL")
    e.dst()
    e.pred_dst()
    e.r["uniform"] = 2
    e.src("i")


INT_OPS = {
    "IADD3": iadd3, "UIADD3": iadd3, "VIADD": add2, "MOV": mov, "UMOV": mov, "IMAD": imad, "UIMAD": imad,
    "LEA": lea, "ULEA": lea, "LOP3": lop3, "ULOP3": lop3, "PLOP3": plop3, "UPLOP3": plop3, "SHF": shf, "USHF": shf,
    "SEL": sel, "USEL": sel, "IMNMX": imnmx, "UIMNMX": imnmx, "VIMNMX": imnmx, "UVIMNMX": imnmx,
    "VIMNMX3": minmax3(False), "VIADDMNMX": minmax3(True), "IABS": unary(I_IABS), "POPC": unary(I_POPC),
    "UPOPC": unary(I_POPC), "BREV": unary(I_BREV), "UBREV": unary(I_BREV), "FLO": flo, "UFLO": flo, "PRMT": prmt,
    "UPRMT": prmt, "BMSK": bmsk, "UBMSK": bmsk, "SGXT": sgxt, "USGXT": sgxt, "IDP": idp, "VABSDIFF": vabsdiff,
    "VABSDIFF4": vabsdiff4, "ISETP": isetp, "UISETP": isetp, "P2R": p2r, "UP2UR": p2r, "R2P": r2p, "R2UR": r2ur,
}  # fmt: skip

__all__ = ["INT_OPS", "I_MOV2"]
