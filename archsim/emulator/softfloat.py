"""Scalar floating-point with directed rounding, exact by error-free transformations.

binary32 results are formed from a binary64 value rounded to odd, which holds enough bits (53 >= 24 + 2) for one further
rounding in any direction to be the correct one (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums",
IEEE TC 57(4), 2008). binary64 results are the nearest result stepped by one unit according to the sign of the exact
error (Knuth's TwoSum; Boldo and Muller's ErrFmaNearest, IEEE TC 60(2), 2011).

Rounding codes: 0 nearest even, 1 toward -inf, 2 toward +inf, 3 toward zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64, fma32, fma64, highest
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
SIGN32 = u32(0x80000000)
SIGN64 = u64(0x8000000000000000)
NAN32 = u32(0x7FFFFFFF)
NAN64 = u64(0x7FFFFFFFFFFFFFFF)
NAN64_GENERATED = u64(0xFFF8000000000000)
INF32 = u32(0x7F800000)


@jit
def is_nan32(x: Any) -> Any:
    return u32(x & u32(0x7FFFFFFF)) > INF32


@jit
def is_nan64(x: Any) -> Any:
    return u64(x & u64(0x7FFFFFFFFFFFFFFF)) > u64(0x7FF0000000000000)


@jit
def flush32(x: Any) -> Any:
    """Denormal binary32 bits to zero of the same sign."""
    return u32(x & SIGN32) if u32(x & INF32) == u32(0) else u32(x)


@jit
def odd64(s: Any, e: Any) -> Any:
    """The sum s + e (e the exact error of the nearest s) rounded to odd."""
    if e == 0.0 or not math.isfinite(s):
        return s
    bits = as_u64(s)
    if bits & u64(1):
        return s
    away = (e > 0.0) == (s > 0.0)
    return as_f64(u64(bits + u64(1))) if away else as_f64(u64(bits - u64(1)))


@jit
def round32(x: Any, mode: int) -> Any:
    """binary64 value to binary32 bits in the given direction."""
    y = f32(x)
    r = as_u32(y)
    if mode == 0 or not math.isfinite(x):
        return r
    back = f64(y)
    if back == x:
        return r
    up = back > x  # the nearest result lies above
    if mode == 1 and up or mode == 3 and up and x > 0.0:
        return step32(r, -1)
    if mode == 2 and not up or mode == 3 and not up and x < 0.0:
        return step32(r, 1)
    return r


@jit
def step32(r: Any, direction: int) -> Any:
    """Neighbour of a binary32 value (bits) above or below."""
    if u32(r & u32(0x7FFFFFFF)) == u32(0):
        return u32(1) if direction > 0 else u32(0x80000001)
    negative = r & SIGN32 != u32(0)
    return u32(r - u32(1)) if negative == (direction > 0) else u32(r + u32(1))


@jit
def step64(r: Any, direction: int) -> Any:
    """Neighbour of a binary64 value (bits) above or below."""
    if u64(r & u64(0x7FFFFFFFFFFFFFFF)) == u64(0):
        return u64(1) if direction > 0 else u64(0x8000000000000001)
    negative = r & SIGN64 != u64(0)
    return u64(r - u64(1)) if negative == (direction > 0) else u64(r + u64(1))


@jit
def two_sum(a: Any, b: Any) -> Any:
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@jit
def zero_sum_sign(p: Any, c: Any, mode: int) -> Any:
    """Bits of the zero that p + c = 0 gives: like signs keep it, unlike give +0 (-0 toward minus infinity)."""
    np_, nc = math.copysign(1.0, p) < 0, math.copysign(1.0, c) < 0
    if p == 0.0 and c == 0.0 and np_ == nc:
        return SIGN32 if np_ else u32(0)
    return SIGN32 if mode == 1 else u32(0)


@jit
def fma32_round(a: Any, b: Any, c: Any, mode: int) -> Any:
    """a * b + c on binary32 bits, one rounding in `mode`; NaN 0x7fffffff."""
    x, y, z = f64(as_f32(a)), f64(as_f32(b)), f64(as_f32(c))
    p = x * y  # exact: 48 bits
    s, e = two_sum(p, z)
    if math.isnan(s):
        if math.isinf(p) and math.isinf(z) and (p > 0) != (z > 0) or math.isnan(p) or math.isnan(z):
            return NAN32
    if math.isinf(p) or math.isinf(z):
        return round32(p + z, 0)
    if s == 0.0:
        return zero_sum_sign(p, z, mode)
    return round32(odd64(s, e), mode)


@jit
def add64_round(a: Any, b: Any, mode: int) -> Any:
    """a + b on binary64 bits in a directed mode."""
    x, y = as_f64(a), as_f64(b)
    s, e = two_sum(x, y)
    if s == 0.0 and not math.isnan(s):
        return u64(zero_sum_sign(x, y, mode)) << u64(32)
    return adjust64(s, e, x, y, mode)


@jit
def adjust64(s: Any, e: Any, x: Any, y: Any, mode: int) -> Any:
    """Step the nearest result s according to the sign of its error e."""
    r = as_u64(s)
    if math.isnan(s):
        return NAN64_GENERATED
    if math.isinf(s):
        if math.isinf(x) or math.isinf(y):
            return r
        if mode == 3 or mode == 1 and s > 0 or mode == 2 and s < 0:
            return u64(r - u64(1))
        return r
    if e > 0.0 and (mode == 2 or mode == 3 and s < 0.0):
        return step64(r, 1)
    if e < 0.0 and (mode == 1 or mode == 3 and s > 0.0):
        return step64(r, -1)
    return r


@jit
def fma64_round(a: Any, b: Any, c: Any, mode: int) -> Any:
    """a * b + c on binary64 bits in a directed mode.

    The sign of the error is exact unless the product's low part underflows (|a*b| < 2^-968): then the result may be one
    unit in the last place off in the directed modes.
    """
    x, y, z = as_f64(a), as_f64(b), as_f64(c)
    s = fma64(x, y, z)
    p = x * y
    if math.isnan(s) or math.isinf(x) or math.isinf(y) or math.isinf(z):
        return NAN64_GENERATED if math.isnan(s) else as_u64(s)
    if s == 0.0:
        if p == 0.0 and (x == 0.0 or y == 0.0):
            return u64(zero_sum_sign(p, z, mode)) << u64(32)
        if p == -z:
            return SIGN64 if mode == 1 else u64(0)
    if math.isinf(s) or math.isinf(p):
        scale = f64(2.0**-200)
        big = fma64(x * scale, y, z * scale)
        return adjust64(s, -s if math.isinf(s) else fma_error(x * scale, y, z * scale, big), x, y, mode)
    return adjust64(s, fma_error(x, y, z, s), x, y, mode)


@jit
def fma_error(x: Any, y: Any, z: Any, s: Any) -> Any:
    """A value with the sign of (x*y + z) - s, s = fma(x, y, z)."""
    uh = x * y
    ul = fma64(x, y, -uh)
    t1, a2 = two_sum(z, ul)
    b1, b2 = two_sum(uh, t1)
    g = (b1 - s) + b2
    return g + a2


@jit
def half_to_f64(h: Any) -> Any:
    """binary16 bits to a value, exact."""
    h = u32(h)
    e = i64(h >> u32(10) & u32(31))
    m = i64(h & u32(1023))
    if e == 31:
        v = math.inf if m == 0 else math.nan
    elif e == 0:
        v = f64(m) * f64(2.0**-24)
    else:
        v = as_f64(u64(e - 15 + 1023) << u64(52) | u64(m) << u64(42))
    return -v if h & u32(0x8000) else v


@jit
def round_to_format(x: Any, ebits: int, mbits: int, mode: int) -> Any:
    """binary64 value to the bits of a small IEEE-like format (binary16: 5, 10; bfloat16: 8, 7; e5m2: 5, 2).

    NaN becomes 0x7fff-like (all ones without the sign). Overflow gives infinity, or the largest finite value where the
    direction forbids infinity.
    """
    bits = as_u64(x)
    sign = u64(bits >> u64(63)) << u64(ebits + mbits)
    inf = ((u64(1) << u64(ebits)) - u64(1)) << u64(mbits)
    if math.isnan(x):
        return u32((u64(1) << u64(ebits + mbits)) - u64(1))
    if math.isinf(x):
        return u32(sign | inf)
    if x == 0.0:
        return u32(sign)
    exponent = i64(bits >> u64(52) & u64(0x7FF)) - 1023
    mantissa = u64(bits & u64(0xFFFFFFFFFFFFF))
    if exponent == -1023:
        exponent = i64(-1022)
    else:
        mantissa |= u64(1) << u64(52)
    bias = (i64(1) << i64(ebits - 1)) - 1
    shift = i64(52 - mbits)
    biased = exponent + bias
    if biased < 1:
        shift += 1 - biased
        biased = i64(0)
    if shift > 60:
        shift = i64(60)
    kept = mantissa >> u64(shift)
    rest = mantissa & ((u64(1) << u64(shift)) - u64(1))
    half = u64(1) << u64(shift - 1)
    up = False
    if mode == 0:
        up = bool(rest > half or rest == half and kept & u64(1) != u64(0))
    elif mode == 1:
        up = rest != u64(0) and sign != u64(0)
    elif mode == 2:
        up = rest != u64(0) and sign == u64(0)
    if up:
        kept += u64(1)
    result = kept if biased == 0 else kept + (u64(biased - 1) << u64(mbits))
    if result >= inf:
        to_inf = mode == 0 or mode == 1 and sign != u64(0) or mode == 2 and sign == u64(0)
        result = inf if to_inf else inf - u64(1)
    return u32(sign | result)


@jit
def f64_to_half(x: Any, mode: int) -> Any:
    """binary64 to binary16 bits."""
    return round_to_format(x, 5, 10, mode)


@jit
def bf16_to_f64(h: Any) -> Any:
    return f64(as_f32(u32(u32(h) << u32(16))))


@jit
def f64_to_bf16(x: Any, mode: int) -> Any:
    return round_to_format(x, 8, 7, mode)


@jit
def sqrt32(x: Any) -> Any:
    return f32(math.sqrt(f64(x)))


__all__ = ["fma32", "highest"]
