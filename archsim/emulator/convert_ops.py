"""Conversions (F2I, I2F, F2F, FRND, I2FP, F2FP) and MUFU on 32 lanes (sass.md 4.3, 4.4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64, ceil64, floor64, rint64, trunc64
from archsim.emulator.half_ops import f32_to_half, half_to_f32
from archsim.emulator.records import ROW_D
from archsim.emulator.softfloat import NAN32, flush32, is_nan32, is_nan64, round32, round_to_format
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
LOW = u64(0xFFFFFFFF)

(C_F2I, C_I2F, C_F2F, C_FRND, C_F2FP, C_UNPACK8, C_PACK8) = range(7)
# Formats, in var bits 0-3 (source) and 4-7 (destination).
(T_F16, T_F32, T_F64, T_BF16, T_U8, T_S8, T_U16, T_S16, T_U32, T_S32, T_U64, T_S64, T_E4M3, T_E5M2, T_TF32) = range(15)
CV_FTZ, CV_NTZ, CV_SAT, CV_RELU = 256, 512, 1024, 2048
CV_SELECT = 12  # bits 12-14: byte / half selector of the source


@jit
def load_float(V: Any, row: int, l: int, kind: int, ftz: int) -> Any:
    """The source value of one lane as binary64, exact."""
    if kind == T_F64:
        return as_f64(u64(V[row + 1, l]) << u64(32) | u64(V[row, l]))
    x = V[row, l]
    if kind == T_F16:
        return f64(half_to_f32(u32(x & u32(0xFFFF))))
    if kind == T_BF16:
        return f64(as_f32(u32(x << u32(16))))
    return f64(as_f32(flush32(x) if ftz else x))


@jit
def store_float(V: Any, l: int, x: Any, kind: int, rnd: int, var: int) -> None:
    """Round a binary64 value to the destination format of one lane."""
    if var & CV_RELU and x < 0.0:
        x = f64(0.0)
    if var & CV_SAT:
        x = min(max(x, f64(0.0)), f64(1.0)) if x == x else f64(0.0)
    if kind == T_F64:
        b = as_u64(x)
        V[ROW_D, l] = u32(b & LOW)
        V[ROW_D + 1, l] = u32(b >> u64(32))
    elif kind == T_F32:
        r = round32(x, rnd)
        r = NAN32 if is_nan32(r) else r
        V[ROW_D, l] = flush32(r) if var & CV_FTZ else r
    elif kind == T_F16:
        V[ROW_D, l] = round_to_format(x, 5, 10, rnd)
    elif kind == T_BF16:
        V[ROW_D, l] = round_to_format(x, 8, 7, rnd)
    else:
        V[ROW_D, l] = u32(round_to_format(x, 8, 10, rnd)) << u32(13)


@jit
def to_integral(x: Any, rnd: int) -> Any:
    """Round to an integral value: 0 nearest even, 1 floor, 2 ceil, 3 truncate."""
    if rnd == 0:
        return rint64(x)
    if rnd == 1:
        return floor64(x)
    if rnd == 2:
        return ceil64(x)
    return trunc64(x)


@jit
def f2i(V: Any, ra: int, var: int, rnd: int) -> None:
    """Float to integer, saturating; NaN gives 0 under NTZ, else the most negative pattern."""
    src, dst = var & 15, var >> 4 & 15
    bits = 64 if dst >= T_U64 else (32 if dst >= T_U32 else (16 if dst >= T_U16 else 8))
    signed = dst & 1
    for l in range(32):
        x = load_float(V, ra, l, src, var & CV_FTZ)
        if x != x:
            r = u64(0) if var & CV_NTZ else u64(1) << u64(63 if bits == 64 else 31)
        else:
            x = to_integral(x, rnd)
            if signed:
                top = 2.0 ** f64(bits - 1)
                if x >= top:
                    r = (u64(1) << u64(bits - 1)) - u64(1)
                elif x < -top:
                    r = u64(0) - (u64(1) << u64(bits - 1))
                else:
                    r = u64(i64(x))
            else:
                top = 2.0 ** f64(bits)
                if x >= top:
                    r = u64(0xFFFFFFFFFFFFFFFF) if bits == 64 else (u64(1) << u64(bits)) - u64(1)
                elif x <= 0.0:
                    r = u64(0)
                elif x >= 9223372036854775808.0:
                    r = u64(i64(x - 9223372036854775808.0)) + u64(0x8000000000000000)
                else:
                    r = u64(i64(x))
        V[ROW_D, l] = u32(r & LOW)
        V[ROW_D + 1, l] = u32(r >> u64(32))


@jit
def magnitude_to_f64(m: Any, negative: Any, rnd: int) -> Any:
    """Integer magnitude to binary64 in a rounding direction; rnd 4 rounds to odd."""
    shift = i64(0)
    v = u64(m)
    while v >> u64(53):
        v >>= u64(1)
        shift += i64(1)
    rest = m - (v << u64(shift))
    if rest != u64(0):
        half = u64(1) << u64(shift - 1)
        if rnd == 4:
            v |= u64(1)
        elif rnd == 0 and (rest > half or rest == half and v & u64(1)) or rnd == 1 and negative or rnd == 2 and not negative:
            v += u64(1)
    x = f64(i64(v)) * 2.0 ** f64(shift)
    return -x if negative else x


@jit
def i2f(V: Any, ra: int, var: int, rnd: int) -> None:
    """Integer to float, one rounding. Bits 12-14 of var select a byte (or half) of the source."""
    src, dst = var & 15, var >> 4 & 15
    sel = var >> CV_SELECT & 7
    for l in range(32):
        x = u64(V[ra, l])
        if src >= T_U64:
            x |= u64(V[ra + 1, l]) << u64(32)
            negative = src == T_S64 and x >> u64(63) != u64(0)
        else:
            bits = 32 if src >= T_U32 else (16 if src >= T_U16 else 8)
            if bits < 32:
                x = x >> u64(sel * bits) & ((u64(1) << u64(bits)) - u64(1))
            negative = src & 1 and x >> u64(bits - 1) != u64(0)
            if negative:
                x |= ~((u64(1) << u64(bits)) - u64(1))
        m = u64(0) - x if negative else x
        store_float(V, l, magnitude_to_f64(m, negative, rnd if dst == T_F64 else 4), dst, rnd, 0)


@jit
def f2f(V: Any, ra: int, var: int, rnd: int) -> None:
    """Float to float."""
    src, dst = var & 15, var >> 4 & 15
    for l in range(32):
        x = load_float(V, ra, l, src, var & CV_FTZ)
        if x != x and dst == T_F64:
            if src == T_F32:  # payload kept, quieted
                w = V[ra, l]
                hi = u32((w & u32(0x80000000)) | u32(0x7FF80000) | (w & u32(0x7FFFFF)) >> u32(3))
                V[ROW_D + 1, l] = hi
                V[ROW_D, l] = u32(w << u32(29))
                continue
        store_float(V, l, x, dst, rnd, var)


@jit
def frnd(V: Any, ra: int, var: int, rnd: int) -> None:
    """Round to integral in the same format."""
    src = var & 15
    for l in range(32):
        x = load_float(V, ra, l, src, var & CV_FTZ)
        r = to_integral(x, rnd)
        store_float(V, l, math.copysign(r, x) if r == r else r, src, 0, var & CV_FTZ)


@jit
def f2fp(V: Any, ra: int, rb: int, rc: int, var: int, rnd: int) -> None:
    """Pack two floats in a register: a to the high half, b to the low half."""
    dst = var >> 4 & 15
    for l in range(32):
        store_float(V, l, load_float(V, ra, l, var & 15, var & CV_FTZ), dst, rnd, var & (CV_RELU | CV_SAT))
        hi = V[ROW_D, l]
        store_float(V, l, load_float(V, rb, l, var & 15, var & CV_FTZ), dst, rnd, var & (CV_RELU | CV_SAT))
        V[ROW_D, l] = V[ROW_D, l] | hi << u32(16)


@jit
def to_fp8(x: Any, kind: int) -> Any:
    """binary64 to e4m3 or e5m2 bits, nearest even, saturating to the largest finite value; NaN 0x7f."""
    if x != x:
        return u32(0x7F)
    if kind == T_E5M2:
        r = round_to_format(x, 5, 2, 0)
        return u32((r & u32(0x80)) | u32(0x7B)) if u32(r & u32(0x7F)) >= u32(0x7C) else r
    sign = u32(0x80) if math.copysign(1.0, x) < 0.0 else u32(0)
    a = abs(x)
    if a >= 448.0:
        return u32(sign | u32(0x7E))
    # e4m3 has one more binade than an IEEE-like (4, 3): use (5, 3) and re-bias, denormals by scaling.
    if a < 2.0**-6:
        return u32(sign | u32(i64(rint64(a * 512.0))))
    r = round_to_format(a, 5, 3, 0)
    return u32(sign | u32(i64(r) - (8 << 3)))


@jit
def from_fp8(b: Any, kind: int) -> Any:
    """e4m3 or e5m2 bits to binary64."""
    sign = -1.0 if b & u32(0x80) else 1.0
    v = i64(b & u32(0x7F))
    if kind == T_E5M2:
        return f64(half_to_f32(u32(u32(b) << u32(8))))
    if v == 0x7F:
        return math.nan
    e, m = v >> 3, v & 7
    if e == 0:
        return sign * f64(m) / 512.0
    return sign * f64(8 + m) * 2.0 ** f64(e - 10)


@jit
def fp8_rows(V: Any, op: int, ra: int, rb: int, rc: int, var: int) -> None:
    """F2FP to and from FP8 pairs."""
    src, dst = var & 15, var >> 4 & 15
    for l in range(32):
        if op == C_UNPACK8:
            b = V[ra, l] >> u32(8 * (var >> CV_SELECT & 3))
            lo = round_to_format(from_fp8(u32(b & u32(0xFF)), src), 5, 10, 0)
            hi = round_to_format(from_fp8(u32(b >> u32(8) & u32(0xFF)), src), 5, 10, 0)
            V[ROW_D, l] = lo | hi << u32(16)
        else:
            if src == T_F32:
                hi = to_fp8(load_float(V, ra, l, T_F32, 0), dst)
                lo = to_fp8(load_float(V, rb, l, T_F32, 0), dst)
                keep = V[rc, l]
            else:
                lo = to_fp8(f64(half_to_f32(u32(V[ra, l] & u32(0xFFFF)))), dst)
                hi = to_fp8(f64(half_to_f32(u32(V[ra, l] >> u32(16)))), dst)
                keep = V[rc, l]
            V[ROW_D, l] = lo | hi << u32(8) | u32(keep & u32(0xFFFF)) << u32(16)


@jit
def convert_group(V: Any, op: int, var: int, rnd: int, ra: int, rb: int, rc: int) -> None:
    """All conversions."""
    if op == C_F2I:
        f2i(V, ra, var, rnd)
    elif op == C_I2F:
        i2f(V, ra, var, rnd)
    elif op == C_F2F:
        f2f(V, ra, var, rnd)
    elif op == C_FRND:
        frnd(V, ra, var, rnd)
    elif op == C_F2FP:
        f2fp(V, ra, rb, rc, var, rnd)
    else:
        fp8_rows(V, op, ra, rb, rc, var)


__all__ = ["as_u32", "f32_to_half", "is_nan64"]
