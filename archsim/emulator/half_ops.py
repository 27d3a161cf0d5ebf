"""Packed FP16 and BF16 arithmetic (sass.md 4.4): two halves in each lane, every result rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64
from archsim.emulator.fp_ops import compare_bits
from archsim.emulator.int_ops import write_bop
from archsim.emulator.records import ROW_D
from archsim.emulator.softfloat import odd64, round_to_format, two_sum
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64

(H_ADD, H_MUL, H_FMA, H_MNMX, H_SET, H_SETP, H_ADD_F32) = range(7)
HV_FTZ, HV_SAT, HV_RELU, HV_NAN, HV_BF16 = 1, 2, 4, 8, 16


@jit
def half_to_f32(h: Any) -> Any:
    """binary16 bits (low 16) to binary32, exact; the multiplication normalises denormals."""
    x = u32(u32(h & u32(0x7FFF)) << u32(13))
    r = as_u32(as_f32(x) * f32(2.0**112))
    if u32(h & u32(0x7C00)) == u32(0x7C00):
        r = u32(r | u32(0x7F800000))
    return as_f32(u32(r | (h & u32(0x8000)) << u32(16)))


@jit
def f32_to_half(x: Any) -> Any:
    """binary32 to binary16 bits, nearest even; NaN 0x7fff."""
    f = as_u32(x)
    sign = u32(f & u32(0x80000000))
    f = u32(f ^ sign)
    if f > u32(0x7F800000):
        return u32(0x7FFF)
    if f >= u32(143 << 23):
        r = u32(0x7C00)
    elif f < u32(113 << 23):
        r = u32(as_u32(as_f32(f) + f32(0.5)) - u32(0x3F000000))
    else:
        r = u32(u32(f + u32(0xC8000FFF) + (f >> u32(13) & u32(1))) >> u32(13))
    return u32(r | sign >> u32(16))


@jit
def sticky_f32(x: Any) -> Any:
    """binary64 to binary32 rounded to odd (normal range)."""
    b = as_u64(x)
    low = u64(b & u64(0x1FFFFFFF))
    b = u64(b & ~u64(0x1FFFFFFF))
    if low != u64(0):
        b = u64(b | u64(0x20000000))
    return f32(as_f64(b))


@jit
def narrow(x: Any, bf16: int) -> Any:
    """binary64 (already rounded to odd) to 16 bits, nearest even; NaN 0x7fff."""
    if bf16:
        return round_to_format(x, 8, 7, 0)
    if x != x:
        return u32(0x7FFF)
    return f32_to_half(sticky_f32(x))


@jit
def widen(h: Any, bf16: int) -> Any:
    """16 bits to binary32."""
    if bf16:
        return as_f32(u32(u32(h & u32(0xFFFF)) << u32(16)))
    return half_to_f32(u32(h & u32(0xFFFF)))


@jit
def finish_half(r: Any, var: int) -> Any:
    """FTZ, SAT and RELU on one 16-bit result."""
    bf16 = var & HV_BF16
    inf = u32(0x7F80) if bf16 else u32(0x7C00)
    if var & HV_FTZ and u32(r & inf) == u32(0):
        r = u32(r & u32(0x8000))
    if var & (HV_SAT | HV_RELU):
        nan = u32(r & u32(0x7FFF)) > inf
        if var & HV_SAT:
            one = u32(0x3F80) if bf16 else u32(0x3C00)
            if nan or u32(r & u32(0x8000)) != u32(0):
                r = u32(0)
            elif r > one:
                r = one
        elif not nan and u32(r & u32(0x8000)) != u32(0):
            r = u32(0)
    return u32(r)


@jit
def flush_half(h: Any, var: int) -> Any:
    inf = u32(0x7F80) if var & HV_BF16 else u32(0x7C00)
    return u32(h & u32(0x8000)) if var & HV_FTZ and u32(h & inf) == u32(0) else u32(h & u32(0xFFFF))


@jit
def half_one(a: Any, b: Any, c: Any, op: int, var: int) -> Any:
    """One half of HADD2 (a+b), HMUL2 (a*b) or HFMA2 (a*b+c)."""
    bf16 = var & HV_BF16
    x, y = f64(widen(flush_half(a, var), bf16)), f64(widen(flush_half(b, var), bf16))
    if op == H_ADD:
        s, e = two_sum(x, y)
    elif op == H_MUL:
        s, e = x * y, f64(0.0)
    else:
        p = x * y
        z = f64(widen(flush_half(c, var), bf16))
        s, e = two_sum(p, z)
        if s == 0.0 and p == 0.0 and z == 0.0:
            s = p + z
    return finish_half(narrow(odd64(s, e), bf16), var)


@jit
def half_arith(V: Any, op: int, var: int, ra: int, rb: int, rc: int) -> None:
    """Both halves of every lane."""
    for l in range(32):
        a, b, c = V[ra, l], V[rb, l], V[rc, l]
        lo = half_one(a & u32(0xFFFF), b & u32(0xFFFF), c & u32(0xFFFF), op, var)
        hi = half_one(a >> u32(16), b >> u32(16), c >> u32(16), op, var)
        V[ROW_D, l] = lo | hi << u32(16)


@jit
def half_minmax(a: Any, b: Any, smallest: Any, var: int) -> Any:
    """HMNMX2 on one half."""
    inf = u32(0x7F80) if var & HV_BF16 else u32(0x7C00)
    na, nb = u32(a & u32(0x7FFF)) > inf, u32(b & u32(0x7FFF)) > inf
    if na or nb:
        if var & HV_NAN or na and nb:
            return u32(0x7FFF)
        return u32(b) if na else u32(a)
    ka = -i64(a & u32(0x7FFF)) - 1 if u32(a & u32(0x8000)) != u32(0) else i64(a)
    kb = -i64(b & u32(0x7FFF)) - 1 if u32(b & u32(0x8000)) != u32(0) else i64(b)
    return u32(a) if (ka < kb) == smallest else u32(b)


@jit
def half_compare(V: Any, P: Any, op: int, var: int, pd: int, pe: int, pa: Any, ra: int, rb: int, m: Any) -> None:
    """HSETP2 (pd low half, pe high half) and HSET2; var >> 8: cmp | bop << 5 | BF 256."""
    cmp, bop = var >> 8 & 15, var >> 13 & 3
    bf16 = var & HV_BF16
    for h in range(2):
        lt, eq, gt = u32(0), u32(0), u32(0)
        for l in range(32):
            x = widen(flush_half(V[ra, l] >> u32(16 * h), var), bf16)
            y = widen(flush_half(V[rb, l] >> u32(16 * h), var), bf16)
            lt |= u32(u32(x < y) << u32(l))
            eq |= u32(u32(x == y) << u32(l))
            gt |= u32(u32(x > y) << u32(l))
        write_bop(P, 9 + h, 8, compare_bits(lt, eq, gt, cmp), pa, bop, m)
    if op == H_SETP:
        P[pd] = (P[pd] & ~m) | (P[9] & m)
        P[pe] = (P[pe] & ~m) | (P[10] & m)
        return
    one = u32(0xFFFF)
    if var >> 8 & 256:
        one = u32(0x3F80) if bf16 else u32(0x3C00)
    for l in range(32):
        lo = one if P[9] >> u32(l) & u32(1) else u32(0)
        hi = one if P[10] >> u32(l) & u32(1) else u32(0)
        V[ROW_D, l] = lo | hi << u32(16)


@jit
def half_group(
    V: Any, VF: Any, P: Any, op: int, var: int, pd: int, pe: int, pa: Any, ra: int, rb: int, rc: int, m: Any
) -> None:
    """All packed-half operations."""
    if op <= H_FMA:
        half_arith(V, op, var, ra, rb, rc)
    elif op == H_ADD_F32:
        for l in range(32):
            x = widen(V[ra, l], var & HV_BF16) + widen(V[rb, l], var & HV_BF16)
            V[ROW_D, l] = as_u32(x) if x == x else u32(0x7FFFFFFF)
    elif op == H_MNMX:
        for l in range(32):
            smallest = (pa >> u32(l) & u32(1)) != u32(0)
            a, b = V[ra, l], V[rb, l]
            lo = half_minmax(u32(a & u32(0xFFFF)), u32(b & u32(0xFFFF)), smallest, var)
            hi = half_minmax(u32(a >> u32(16)), u32(b >> u32(16)), smallest, var)
            V[ROW_D, l] = finish_half(lo, var) | finish_half(hi, var) << u32(16)
    else:
        half_compare(V, P, op, var, pd, pe, pa, ra, rb, m)
