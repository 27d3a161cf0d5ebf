"""Floating-point, conversion and matrix rows of the op table."""

from __future__ import annotations

from collections.abc import Callable

from archsim.emulator.convert_ops import (
    C_F2F,
    C_F2FP,
    C_F2I,
    C_FRND,
    C_I2F,
    C_PACK8,
    C_UNPACK8,
    CV_FTZ,
    CV_NTZ,
    CV_RELU,
    CV_SAT,
    CV_SELECT,
    T_BF16,
    T_E4M3,
    T_E5M2,
    T_F16,
    T_F32,
    T_F64,
    T_S8,
    T_S16,
    T_S32,
    T_S64,
    T_TF32,
    T_U8,
    T_U16,
    T_U32,
    T_U64,
)
from archsim.emulator.encoder import Encoder
from archsim.emulator.fp_ops import (
    FP_ADD,
    FP_CHK,
    FP_FMA,
    FP_MNMX,
    FP_MNMX3,
    FP_MUL,
    FP_SEL,
    VAR_FTZ,
    VAR_NAN,
    VAR_SAT,
)
from archsim.emulator.half_ops import (
    H_ADD,
    H_ADD_F32,
    H_FMA,
    H_MNMX,
    H_MUL,
    H_SET,
    H_SETP,
    HV_BF16,
    HV_FTZ,
    HV_NAN,
    HV_RELU,
    HV_SAT,
)
from archsim.emulator.mma_ops import (
    MK_BF16,
    MK_E4M3,
    MK_E5M2,
    MK_F16,
    MK_I4,
    MK_I8,
    MK_TF32,
    MM_BMMA,
    MM_DMMA,
    MM_HMMA,
    MM_IMMA,
)
from archsim.emulator.mufu import (
    M_COS,
    M_EX2,
    M_EX2_F16,
    M_LG2,
    M_RCP,
    M_RCP64H,
    M_RSQ,
    M_RSQ64H,
    M_SIN,
    M_SQRT,
    M_TANH,
    M_TANH_F16,
)
from archsim.emulator.ops_table_int import BOOLEAN
from archsim.emulator.records import G_CVT, G_FCMP, G_FP32, G_FP64, G_HALF, G_MMA, G_MUFU
from archsim.isa.program import OperandKind

# FSETP comparisons: LT 1 | EQ 2 | GT 4 | true when unordered 8.
FCOMPARE = {
    "F": 0, "LT": 1, "EQ": 2, "LE": 3, "GT": 4, "NE": 5, "GE": 6, "NUM": 7, "NAN": 8, "LTU": 9, "EQU": 10, "LEU": 11,
    "GTU": 12, "NEU": 13, "GEU": 14, "T": 15,
}  # fmt: skip
SCALES = {"D2": 7, "D4": 6, "D8": 5, "M2": 9, "M4": 10, "M8": 11}


def fp32(op: int, count: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        var = (VAR_FTZ if e.has("FTZ") else 0) | (VAR_SAT if e.has("SAT") else 0)
        if op == FP_MUL:
            scale = e.choose(SCALES, 0)
            var |= scale << 8
        e.rounding()
        if var >> 8 and e.r["rnd"]:
            e.fail("scaled multiply with directed rounding")
        e.op(G_FP32, op, var)
        e.dst()
        for _ in range(count):
            e.src("f")
        if len(e.regs) != count:
            e.fail("operand count")

    return encode


def fmnmx(op: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        e.op(G_FP32, op, (VAR_FTZ if e.has("FTZ") else 0) | (VAR_NAN if e.has("NAN") else 0))
        e.dst()
        for _ in range(3 if op == FP_MNMX3 else 2):
            e.src("f")
        e.pred_src()

    return encode


def fsel(e: Encoder) -> None:
    e.op(G_FP32, FP_SEL, VAR_FTZ if e.has("FTZ") else 0)
    e.dst()
    e.src("f")
    e.src("f")
    e.pred_src()


def fchk(e: Encoder) -> None:
    e.has("DIVIDE")
    e.op(G_FP32, FP_CHK)
    e.pred_dst()
    e.src("f")
    e.src("f")


def fp64(op: int, count: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        e.rounding()
        e.op(G_FP64, op)
        e.dst(2)
        for _ in range(count):
            e.src("d", 2)

    return encode


def float_compare(op: int, width: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        var = 256 if e.has("BF") else 0
        var |= 128 if e.has("FTZ") else 0
        if op == 2 and (minmax := e.choose({"MIN": 512, "MAX": 1024}, 0)):
            var |= minmax
        else:
            var |= e.choose(FCOMPARE)
        var |= e.choose(BOOLEAN, 0) << 5
        e.op(G_FCMP, op, var)
        if op == 1:
            e.dst()
        e.pred_dst()
        e.src("d" if width == 2 else "f", width)
        e.src("d" if width == 2 else "f", width)
        e.pred_src()

    return encode


def half_modifiers(e: Encoder) -> int:
    var = HV_BF16 if e.has("BF16_V2") else 0
    for name, bit in (("FTZ", HV_FTZ), ("SAT", HV_SAT), ("RELU", HV_RELU), ("NAN", HV_NAN)):
        var |= bit if e.has(name) else 0
    e.ignore("MMA", "FMZ")
    return var


def half_source(e: Encoder) -> None:
    """A packed operand; two immediates in a row are the high and the low half."""
    o = e.regs[e.taken]
    if o.kind in (OperandKind.FIMM, OperandKind.IMM):
        from dataclasses import replace

        index = e.regs.index(o)
        low = e.regs[index + 1] if index + 1 < len(e.regs) else o
        if low.kind not in (OperandKind.FIMM, OperandKind.IMM):
            e.fail("single packed immediate")
        value = (o.value & 0xFFFF) << 16 | low.value & 0xFFFF
        e.src("h", 1, replace(o, kind=OperandKind.IMM, value=value))
        e.regs.remove(low)
    else:
        e.src("h", 1, o)


def half(op: int, count: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        var = half_modifiers(e)
        operation = op
        if op == H_ADD and e.has("F32"):
            operation = H_ADD_F32
        e.ignore("F16_V2")
        e.op(G_HALF, operation, var)
        e.dst()
        for _ in range(count):
            half_source(e)
        if op == H_MNMX:
            e.pred_src()

    return encode


def half_compare(op: int) -> Callable[[Encoder], None]:
    def encode(e: Encoder) -> None:
        bf = 256 if e.has("BF") else 0
        var = half_modifiers(e)
        compare = e.choose(FCOMPARE) | e.choose(BOOLEAN, 0) << 5 | bf
        e.op(G_HALF, op, var | compare << 8)
        if op == H_SET:
            e.dst()
        e.pred_dst()
        half_source(e)
        half_source(e)
        e.pred_src()

    return encode


FLOATS = {"F16": T_F16, "F32": T_F32, "F64": T_F64, "BF16": T_BF16, "TF32": T_TF32}
INTEGERS = {
    "U8": T_U8, "S8": T_S8, "U16": T_U16, "S16": T_S16, "U32": T_U32, "S32": T_S32, "U64": T_U64, "S64": T_S64,
}  # fmt: skip


def words(kind: int) -> int:
    return 2 if kind in (T_F64, T_U64, T_S64) else 1


def selector(e: Encoder, name: str = "a") -> None:
    """Half selector of a 16-bit float source."""
    operand = e.regs[0]
    for modifier in operand.modifiers:
        if modifier in ("H1", "H1_H1"):
            e.r[name + "mod"] |= 128
        elif modifier not in ("H0", "H0_H0", "reuse"):
            e.fail(f"operand modifier .{modifier}")


def signs(e: Encoder, kind: int) -> str:
    return "d" if kind == T_F64 else ("h" if kind in (T_F16, T_BF16) else "f")


def float_source(e: Encoder, kind: int) -> None:
    """The source of a conversion: |x|, -x and half selectors."""
    from dataclasses import replace

    operand = e.regs[0]
    plain = replace(operand, modifiers=())
    e.src(signs(e, kind), words(kind), plain)
    selector(e)


def f2i(e: Encoder) -> None:
    e.rounding()
    var = (CV_FTZ if e.has("FTZ") else 0) | (CV_NTZ if e.has("NTZ") else 0)
    target = e.choose(INTEGERS, T_S32)
    source = e.choose(FLOATS, T_F32)
    if target == T_S32 and source == T_F32 and "64" in e.mods:
        e.fail("F2I.64")
    e.op(G_CVT, C_F2I, source | target << 4 | var)
    e.dst(words(target))
    float_source(e, source)


def i2f(e: Encoder) -> None:
    e.rounding()
    target = e.choose(FLOATS, T_F32)
    source = e.choose(INTEGERS, T_S32)
    select = 0
    for modifier in e.regs[0].modifiers:
        if modifier in ("B0", "B1", "B2", "B3", "H0", "H1"):
            select = int(modifier[1])
        elif modifier != "reuse":
            e.fail(f"operand modifier .{modifier}")
    e.op(G_CVT, C_I2F, source | target << 4 | select << CV_SELECT)
    e.dst(words(target))
    e.src("r", words(source))


def f2f(e: Encoder) -> None:
    e.rounding()
    var = (CV_FTZ if e.has("FTZ") else 0) | (CV_SAT if e.has("SAT") else 0) | (CV_RELU if e.has("RELU") else 0)
    kinds = [m for m in e.mods if m in FLOATS]
    if len(kinds) != 2:
        e.fail("F2F types")
    for k in kinds:
        e.mods.remove(k)
    target, source = FLOATS[kinds[0]], FLOATS[kinds[1]]
    e.op(G_CVT, C_F2F, source | target << 4 | var)
    e.dst(words(target))
    float_source(e, source)


def frnd(e: Encoder) -> None:
    e.rounding()
    var = CV_FTZ if e.has("FTZ") else 0
    kind = e.choose(FLOATS, T_F32)
    e.op(G_CVT, C_FRND, kind | kind << 4 | var)
    e.dst(words(kind))
    float_source(e, kind)


def f2fp(e: Encoder) -> None:
    e.rounding()
    var = (CV_RELU if e.has("RELU") else 0) | (CV_FTZ if e.has("FTZ") else 0)
    eight = e.choose({"E4M3": T_E4M3, "E5M2": T_E5M2}, -1)
    if e.has("UNPACK_B"):
        e.has("F16")
        select = 0
        for modifier in e.regs[0].modifiers:
            if modifier in ("B0", "B1", "B2", "B3", "H0", "H1"):
                select = int(modifier[1]) * (2 if modifier[0] == "H" else 1)
        if eight < 0:
            e.fail("UNPACK_B format")
        e.op(G_CVT, C_UNPACK8, eight | T_F16 << 4 | select << CV_SELECT)
        e.dst()
        e.src("r")
        return
    if eight >= 0:
        e.ignore("SATFINITE")
        half_source_form = e.has("UNPACK_B_MERGE_C")
        if not half_source_form and not e.has("PACK_AB_MERGE_C"):
            e.fail("FP8 form")
        source = T_F16 if half_source_form else T_F32
        e.ignore("F32", "F16")
        e.op(G_CVT, C_PACK8, source | eight << 4 | var)
        e.dst()
        e.src("f")
        e.src("f")
        if half_source_form:
            # the merged word is the last source; f2fp reads it as c
            e.set_zero("c")
            e.set_source("c", e.regs[1], "r", 1)
        else:
            e.src("r")
        return
    if not e.has("PACK_AB"):
        e.fail("F2FP form")
    target = T_BF16 if e.has("BF16") else T_F16
    e.ignore("F16", "F32")
    e.op(G_CVT, C_F2FP, T_F32 | target << 4 | var)
    e.dst()
    e.src("f")
    e.src("f")


def i2fp(e: Encoder) -> None:
    e.rounding()
    e.has("F32")
    source = e.choose(INTEGERS, T_S32)
    e.op(G_CVT, C_I2F, source | T_F32 << 4)
    e.dst()
    e.src("i")


MUFUS = {
    "RCP": M_RCP, "RSQ": M_RSQ, "SQRT": M_SQRT, "LG2": M_LG2, "EX2": M_EX2, "SIN": M_SIN, "COS": M_COS,
    "TANH": M_TANH, "RCP64H": M_RCP64H, "RSQ64H": M_RSQ64H,
}  # fmt: skip


def mufu(e: Encoder) -> None:
    from dataclasses import replace

    op = e.choose(MUFUS)
    half_form = e.has("F16")
    if half_form:
        table = {M_EX2: M_EX2_F16, M_TANH: M_TANH_F16}
        if op not in table:
            e.fail("MUFU F16 function")
        op = table[op]
    e.op(G_MUFU, op)
    e.dst()
    if half_form:
        e.src("h", 1, replace(e.regs[0], modifiers=()))
        selector(e)
    else:
        e.src("f")


def matrix_var(a: int, b: int, m16: bool, depth: int) -> int:
    return a | b << 4 | (256 if m16 else 0) | depth << 16


def matrix_sources(e: Encoder) -> None:
    """A, B, C: registers read in place."""
    for i in range(3):
        operand = e.regs[i]
        if operand.kind not in (OperandKind.REG,) or operand.negated:
            e.fail("matrix operand form")
        e.src("r", 1, operand)


def shape(e: Encoder, table: dict[str, tuple[bool, int]]) -> tuple[bool, int]:
    for name in list(e.mods):
        if name in table:
            e.mods.remove(name)
            return table[name]
    return e.fail("matrix shape")


def hmma(e: Encoder) -> None:
    if "SP" in e.mods:
        e.fail("sparse HMMA")
    m16, depth = shape(e, {"16816": (True, 16), "1688": (True, 8), "1684": (True, 4)})
    half_out = not e.has("F32") and e.has("F16")
    kind = MK_BF16 if e.has("BF16") else (MK_TF32 if e.has("TF32") else MK_F16)
    e.op(G_MMA, MM_HMMA, matrix_var(kind, kind, m16, depth) | (512 if half_out else 0))
    matrix_sources(e)
    e.dst(2 if half_out else 4)


def imma(e: Encoder) -> None:
    if "SP" in e.mods:
        e.fail("sparse IMMA")
    m16, depth = shape(
        e,
        {"8816": (False, 16), "8832": (False, 32), "16816": (True, 16), "16832": (True, 32), "16864": (True, 64)},
    )
    saturate = 1024 if e.has("SAT") else 0
    kinds = [m for m in e.mods if m in ("S8", "U8", "S4", "U4")]
    if len(kinds) != 2:
        e.fail("IMMA types")
    for k in kinds:
        e.mods.remove(k)
    kind = MK_I4 if kinds[0][1] == "4" else MK_I8
    signed = (2048 if kinds[0][0] == "S" else 0) | (4096 if kinds[1][0] == "S" else 0)
    e.op(G_MMA, MM_IMMA, matrix_var(kind, kind, m16, depth) | saturate | signed)
    matrix_sources(e)
    e.dst(4 if m16 else 2)


def bmma(e: Encoder) -> None:
    m16, depth = shape(e, {"88128": (False, 128), "168128": (True, 128), "168256": (True, 256)})
    conjunction = e.choose({"XOR": 0, "AND": 8192}, 0)
    e.has("POPC")
    e.op(G_MMA, MM_BMMA, matrix_var(0, 0, m16, depth) | conjunction)
    matrix_sources(e)
    e.dst(4 if m16 else 2)


def dmma(e: Encoder) -> None:
    shape(e, {"884": (False, 4), "8x8x4": (False, 4)})
    e.op(G_MMA, MM_DMMA)
    matrix_sources(e)
    e.dst(4)


def qmma(e: Encoder) -> None:
    m16, depth = shape(e, {"16832": (True, 32), "16816": (True, 16)})
    half_out = not e.has("F32") and e.has("F16")
    kinds = [m for m in e.mods if m in ("E4M3", "E5M2")]
    if len(kinds) != 2:
        e.fail("QMMA types")
    e.mods = [m for m in e.mods if m not in ("E4M3", "E5M2")]
    a, b = (MK_E4M3 if k == "E4M3" else MK_E5M2 for k in kinds)
    e.op(G_MMA, MM_HMMA, matrix_var(a, b, m16, depth) | (512 if half_out else 0))
    matrix_sources(e)
    e.dst(2 if half_out else 4)


FLOAT_OPS = {
    "FADD": fp32(FP_ADD, 2), "FMUL": fp32(FP_MUL, 2), "FFMA": fp32(FP_FMA, 3), "FMNMX": fmnmx(FP_MNMX),
    "FMNMX3": fmnmx(FP_MNMX3), "FSEL": fsel, "FCHK": fchk, "DADD": fp64(FP_ADD, 2), "DMUL": fp64(FP_MUL, 2),
    "DFMA": fp64(FP_FMA, 3), "FSETP": float_compare(0, 1), "FSET": float_compare(1, 1), "DSETP": float_compare(2, 2),
    "HADD2": half(H_ADD, 2), "HMUL2": half(H_MUL, 2), "HFMA2": half(H_FMA, 3), "HMNMX2": half(H_MNMX, 2),
    "HSETP2": half_compare(H_SETP), "HSET2": half_compare(H_SET), "F2I": f2i, "I2F": i2f, "F2F": f2f, "FRND": frnd,
    "F2FP": f2fp, "I2FP": i2fp, "MUFU": mufu, "HMMA": hmma, "IMMA": imma, "BMMA": bmma, "DMMA": dmma, "QMMA": qmma,
}  # fmt: skip
