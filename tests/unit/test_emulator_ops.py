"""Per-opcode semantics against independent oracles (Python integers, fractions, NumPy)."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulator_harness import predicate, run  # noqa: E402

M32 = 0xFFFFFFFF
RNG = np.random.default_rng(7)
CORNERS = np.array([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFF, 0xFFFFFFFE], np.uint32)


def words(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 1 << 32, 32, dtype=np.uint64).astype(np.uint32)
    x[:8] = np.roll(CORNERS, seed)
    return x


A, B, C = words(1), words(2), words(5)


def signed(x: int) -> int:
    return x - (1 << 32) if x >> 31 else x


INTEGER_CASES = {
    "IADD3 R4, R8, R9, R10": lambda a, b, c: a + b + c,
    "IADD3 R4, -R8, R9, -R10": lambda a, b, c: -a + b - c,
    "IMAD R4, R8, R9, R10": lambda a, b, c: a * b + c,
    "IMAD.SHL.U32 R4, R8, 0x20, RZ": lambda a, b, c: a * 32,
    "LOP3.LUT R4, R8, R9, R10, 0xf8, !PT": lambda a, b, c: a | (b & c),
    "LOP3.LUT R4, R8, R9, R10, 0x96, !PT": lambda a, b, c: a ^ b ^ c,
    "LOP3.LUT R4, R8, R9, R10, 0xca, !PT": lambda a, b, c: (a & b) | (~a & c),
    "LEA R4, R8, R9, 0x3": lambda a, b, c: (a << 3) + b,
    "LEA.HI R4, R8, R9, R10, 0x5": lambda a, b, c: ((((c << 32) | a) << 5) >> 32) + b,
    "LEA.HI.SX32 R4, R8, R9, 0x7": lambda a, b, c: ((signed(a) << 7) >> 32) + b,
    "SHF.L.U32 R4, R8, R9, RZ": lambda a, b, c: a << b if b < 32 else 0,
    "SHF.R.U32.HI R4, RZ, R9, R10": lambda a, b, c: c >> b if b < 32 else 0,
    "SHF.R.S32.HI R4, RZ, R9, R10": lambda a, b, c: signed(c) >> min(b, 32),
    "SHF.R.U64 R4, R8, 0x9, R10": lambda a, b, c: ((c << 32) | a) >> 9,
    "SHF.L.U64.HI R4, R8, 0x9, R10": lambda a, b, c: (((c << 32) | a) << 9) >> 32,
    "SHF.R.W.U32 R4, R8, R9, R10": lambda a, b, c: ((c << 32) | a) >> (b & 31),
    "IABS R4, R8": lambda a, b, c: abs(signed(a)),
    "POPC R4, R8": lambda a, b, c: bin(a).count("1"),
    "BREV R4, R8": lambda a, b, c: int(f"{a:032b}"[::-1], 2),
    "FLO.U32 R4, R8": lambda a, b, c: a.bit_length() - 1,
    "FLO.U32.SH R4, R8": lambda a, b, c: 32 - a.bit_length() if a else -1,
    "FLO R4, R8": lambda a, b, c: ((~a & M32) if a >> 31 else a).bit_length() - 1,
    "IMNMX R4, R8, R9, PT": lambda a, b, c: min(signed(a), signed(b)),
    "IMNMX.U32 R4, R8, R9, !PT": lambda a, b, c: max(a, b),
    "BMSK R4, R8, R9": lambda a, b, c: ((1 << min(b, 32)) - 1) << min(a, 32),
    "VABSDIFF.U32 R4, R8, R9, R10": lambda a, b, c: abs(a - b) + c,
    "PRMT R4, R8, 0x5410, R9": lambda a, b, c: (a & 0xFFFF) | (b & 0xFFFF) << 16,
    "PRMT R4, R8, 0x9910, R9": lambda a, b, c: (a & 0xFFFF) | (0xFFFF0000 if a >> 15 & 1 else 0),
    "IDP.4A.U8.U8 R4, R8, R9, R10": lambda a, b, c: sum((a >> s & 255) * (b >> s & 255) for s in (0, 8, 16, 24)) + c,
}


@pytest.mark.parametrize("line", INTEGER_CASES)
def test_integer(line: str) -> None:
    got = run([line], A, B, C)[4]
    oracle = INTEGER_CASES[line]
    assert [int(x) for x in got] == [oracle(int(a), int(b), int(c)) & M32 for a, b, c in zip(A, B, C, strict=True)]


def test_negate_of_zero_carries() -> None:
    """64-bit negate: IADD3 lo,P0,RZ,-R; IMAD.X hi,RZ,RZ,~R,P0 (trap 1 of sass.md)."""
    r = run(["IADD3 R4, P0, RZ, -R8, RZ", "IMAD.X R5, RZ, RZ, ~R9, P0"], A, B)
    for a, b, lo, hi in zip(A, B, r[4], r[5], strict=True):
        assert int(hi) << 32 | int(lo) == -(int(b) << 32 | int(a)) % 2**64


def test_three_operand_carry_can_be_two() -> None:
    r = run(["IADD3 R4, P0, P1, R8, R9, R10", "IADD3.X R5, RZ, RZ, RZ, P0, P1"], A, B, C)
    for a, b, c, lo, hi in zip(A, B, C, r[4], r[5], strict=True):
        assert int(hi) << 32 | int(lo) == int(a) + int(b) + int(c)


def test_wide_multiply() -> None:
    r = run(["MOV R12, R10", "MOV R13, R8", "IMAD.WIDE R14, R8, R9, R12", "IMAD.HI.U32 R16, R8, R9, R12"], A, B, C)
    for a, b, c, lo, hi, high in zip(A, B, C, r[14], r[15], r[16], strict=True):
        addend = int(a) << 32 | int(c)
        assert int(hi) << 32 | int(lo) == (signed(int(a)) * signed(int(b)) + addend) % 2**64
        assert int(high) == (int(a) * int(b) + addend) >> 32 & M32


def test_compare_64_bits() -> None:
    run(["ISETP.LT.U32.AND P0, PT, R8, R9, PT", "ISETP.LT.AND.EX P0, PT, R9, R10, PT, P0"], A, B, C)
    pairs = [(signed(int(b)) << 32 | int(a), signed(int(c)) << 32 | int(b)) for a, b, c in zip(A, B, C, strict=True)]
    assert predicate(0).tolist() == [x < y for x, y in pairs]


# ---- floating point


def floats(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(32).astype(np.float32) * np.exp2(rng.integers(-30, 30, 32)).astype(np.float32)
    x[:6] = [0.0, -0.0, 1.0, -1.5, 1e-41, 3.0e38]
    return np.roll(x, seed).view(np.uint32)


FA, FB, FC = floats(3), floats(4), floats(9)


def value(bits: int) -> Fraction:
    return Fraction(float(np.uint32(bits).view(np.float32)))


def round_fraction(x: Fraction, mode: str) -> float:
    """x rounded to binary32 by searching around the nearest double."""
    if x == 0:
        return 0.0
    e = max(math.floor(math.log2(abs(x))) if abs(x) > 0 else -149, -126)
    while abs(x) >= Fraction(2) ** (e + 1):
        e += 1
    while e > -126 and abs(x) < Fraction(2) ** e:
        e -= 1
    ulp = Fraction(2) ** (e - 23)
    q = x / ulp
    low = math.floor(q)
    rest = q - low
    if mode == "RN":
        up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low & 1)
    elif mode == "RM":
        up = False
    elif mode == "RP":
        up = rest > 0
    else:
        up = rest > 0 and x < 0
    r = (low + up) * ulp
    if abs(r) >= Fraction(2) ** 128:
        infinite = mode == "RN" or (mode == "RP" and r > 0) or (mode == "RM" and r < 0)
        largest = float(np.finfo(np.float32).max)
        return math.copysign(math.inf if infinite else largest, r)
    return float(r)


@pytest.mark.parametrize("mode", ["RN", "RM", "RP", "RZ"])
@pytest.mark.parametrize("op", ["FADD", "FMUL", "FFMA"])
def test_fp32_rounding(op: str, mode: str) -> None:
    suffix = "" if mode == "RN" else f".{mode}"
    line = {"FADD": f"FADD{suffix} R4, R8, R9", "FMUL": f"FMUL{suffix} R4, R8, R9",
            "FFMA": f"FFMA{suffix} R4, R8, R9, R10"}[op]  # fmt: skip
    got = run([line], FA, FB, FC)[4].view(np.float32)
    for a, b, c, g in zip(FA, FB, FC, got, strict=True):
        x, y, z = value(a), value(b), value(c)
        exact = x + y if op == "FADD" else (x * y if op == "FMUL" else x * y + z)
        assert float(g) == round_fraction(exact, mode), (op, mode, hex(a), hex(b), hex(c))


def test_fma_is_fused() -> None:
    """(1 + 2^-12)^2 - (1 + 2^-11) is 2^-24 exactly; split in two roundings it is 0."""
    one = np.full(32, np.float32(1 + 2**-12).view(np.uint32))
    addend = np.full(32, np.float32(-(1 + 2**-11)).view(np.uint32))
    assert (run(["FFMA R4, R8, R8, R9"], one, addend)[4].view(np.float32) == np.float32(2**-24)).all()


def test_flush_saturate_and_nan() -> None:
    tiny = np.full(32, 5, np.uint32)
    nan = np.full(32, 0x7FC01234, np.uint32)
    half = np.full(32, np.float32(1.5).view(np.uint32))
    r = run(["FADD.FTZ R4, R8, -RZ", "FADD R5, R8, -RZ", "FADD R6, R9, R9", "FADD.SAT R7, R10, R10",
             "FMNMX R12, R9, R10, PT", "FADD.SAT R13, R9, R9"], tiny, nan, half)  # fmt: skip
    assert (r[4] == 0).all() and (r[5] == 5).all() and (r[6] == 0x7FFFFFFF).all()
    assert (r[7].view(np.float32) == 1).all() and (r[12] == half).all() and (r[13] == 0).all()


@pytest.mark.parametrize("mode", ["", ".RM", ".RP", ".RZ"])
def test_fp64_rounding(mode: str) -> None:
    rng = np.random.default_rng(11)
    x, y, z = (rng.standard_normal(32) * 2.0 ** rng.integers(-40, 40, 32) for _ in range(3))
    parts = [w for v in (x, y, z) for w in (v.view(np.uint32)[0::2], v.view(np.uint32)[1::2])]
    r = run([f"DFMA{mode} R20, R8, R10, R12", f"DADD{mode} R22, R8, R10"], *parts)
    got = (r[20].astype(np.uint64) | r[21].astype(np.uint64) << np.uint64(32)).view(np.float64)
    added = (r[22].astype(np.uint64) | r[23].astype(np.uint64) << np.uint64(32)).view(np.float64)
    for a, b, c, g, s in zip(x, y, z, got, added, strict=True):
        for exact, result in ((Fraction(a) * Fraction(b) + Fraction(c), g), (Fraction(a) + Fraction(b), s)):
            below, above = math.nextafter(result, -math.inf), math.nextafter(result, math.inf)
            if mode == "":
                assert abs(exact - Fraction(result)) <= min(abs(exact - Fraction(below)), abs(exact - Fraction(above)))
            elif mode == ".RM" or (mode == ".RZ" and exact > 0):
                assert Fraction(result) <= exact < Fraction(above)
            else:
                assert Fraction(below) < exact <= Fraction(result)


def test_float_compare_unordered() -> None:
    a = np.full(32, 0x7FC00000, np.uint32)
    b = np.zeros(32, np.uint32)
    run(["FSETP.GEU.AND P0, PT, R8, R9, PT", "FSETP.NE.AND P1, PT, R8, R9, PT", "FSETP.NEU.AND P2, PT, R8, R9, PT"],
        a, b)  # fmt: skip
    assert predicate(0).all() and not predicate(1).any() and predicate(2).all()


def test_conversions() -> None:
    x = np.zeros(32, np.float32)
    x[:9] = [1.5, 2.5, -1.5, 3e9, -3e9, 1e20, np.nan, np.inf, -0.75]
    r = run(["F2I.NTZ R4, R8", "F2I.TRUNC.NTZ R5, R8", "F2I.U32.TRUNC.NTZ R6, R8", "FRND R7, R8",
             "F2I.FLOOR.NTZ R12, R8"],
            x.view(np.uint32))  # fmt: skip
    assert r[4][:9].view(np.int32).tolist() == [2, 2, -2, 2**31 - 1, -(2**31), 2**31 - 1, 0, 2**31 - 1, -1]
    assert r[5][:5].view(np.int32).tolist() == [1, 2, -1, 2**31 - 1, -(2**31)]
    assert r[6][:9].tolist() == [1, 2, 0, 3000000000, 0, M32, 0, M32, 0]
    assert r[7].view(np.float32)[:3].tolist() == [2.0, 2.0, -2.0]
    assert r[12][:9].view(np.int32).tolist()[8] == -1


@pytest.mark.parametrize("mode", ["", ".RZ", ".RP", ".RM"])
def test_integer_to_float(mode: str) -> None:
    got = run([f"I2F{mode} R4, R8"], A)[4].view(np.float32)
    names = {"": "RN", ".RZ": "RZ", ".RP": "RP", ".RM": "RM"}
    assert got.tolist() == [round_fraction(Fraction(signed(int(a))), names[mode]) for a in A]


def test_half_arithmetic() -> None:
    rng = np.random.default_rng(2)
    x, y, z = (rng.standard_normal(64).astype(np.float16) for _ in range(3))
    r = run(["HFMA2 R4, R8, R9, R10", "HADD2 R5, R8, R9", "HMUL2 R6, R8, R9"],
            x.view(np.uint32), y.view(np.uint32), z.view(np.uint32))  # fmt: skip
    exact = x.astype(np.float64) * y.astype(np.float64) + z.astype(np.float64)
    assert r[4].view(np.float16).tolist() == exact.astype(np.float16).tolist()
    assert r[5].view(np.float16).tolist() == (x + y).tolist()
    assert r[6].view(np.float16).tolist() == (x * y).tolist()


def test_half_immediates_are_high_first() -> None:
    assert (run(["HFMA2.MMA R4, -RZ, RZ, 0, 5.9604644775390625e-08"])[4] == 1).all()


@pytest.mark.parametrize("name,function", [("RCP", lambda x: 1 / x), ("RSQ", lambda x: x**-0.5), ("LG2", np.log2),
                                           ("EX2", np.exp2), ("SQRT", np.sqrt)])  # fmt: skip
def test_mufu_within_documented_bound(name: str, function) -> None:  # type: ignore[no-untyped-def]
    x = (np.random.default_rng(5).random(32) * 8 + 2.5).astype(np.float32)
    got = run([f"MUFU.{name} R4, R8"], x.view(np.uint32))[4].view(np.float32)
    want = function(x.astype(np.float64))
    assert (np.abs(got - want) <= 2 * np.spacing(want.astype(np.float32))).all()


# ---- warp-wide


@pytest.mark.parametrize("line,source", [
    ("SHFL.BFLY PT, R4, R8, 0x5, 0x1f", lambda i: i ^ 5),
    ("SHFL.IDX PT, R4, R8, 0x3, 0x181f", lambda i: i & 24 | 3),
    ("SHFL.UP PT, R4, R8, 0x2, RZ", lambda i: i - 2 if i >= 2 else i),
    ("SHFL.DOWN PT, R4, R8, 0x4, 0x1f", lambda i: i + 4 if i + 4 < 32 else i),
])  # fmt: skip
def test_shuffle(line: str, source) -> None:  # type: ignore[no-untyped-def]
    assert run([line], A)[4].tolist() == [int(A[source(i)]) for i in range(32)]


def test_vote_match_redux() -> None:
    low = (A % 3).astype(np.uint32)
    r = run(["ISETP.EQ.AND P0, PT, R8, 0x1, PT", "VOTE.ANY R4, PT, P0", "MATCH.ANY R5, R8", "REDUX.SUM UR4, R8",
             "MOV R6, UR4", "REDUX UR5, R9", "MOV R7, UR5"], low, B)  # fmt: skip
    ballot = sum(1 << i for i in range(32) if low[i] == 1)
    assert (r[4] == ballot).all()
    assert r[5].tolist() == [sum(1 << j for j in range(32) if low[j] == low[i]) for i in range(32)]
    assert (r[6] == low.sum()).all() and (r[7] == np.bitwise_and.reduce(B)).all()


def test_atomics_run_lane_by_lane() -> None:
    r = run(["ATOMS.ADD R4, [RZ], R0", "ATOMS.CAS R5, [RZ+0x4], RZ, R0", "LDS R6, [RZ]", "ATOMS.INC R7, [RZ+0x8], R9"],
            A, np.full(32, 4), shared_bytes=128)  # fmt: skip
    assert (r[6] == 496).all()
    assert r[4].tolist() == [i * (i - 1) // 2 for i in range(32)]
    assert r[7].tolist() == [i % 5 for i in range(32)]
