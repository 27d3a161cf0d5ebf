"""MUFU: the special-function unit.

Hardware evaluates table-driven quadratic approximations whose tables are not published. Here every function is the
mathematically exact value rounded once to binary32 (RCP64H, RSQ64H: the high word of the double result). Distance to an
H100, measured over every mantissa of many binades (validation/hw/h100/mufu_2026-11-24.csv; tests/unit/test_emulator_mufu.py):

    RCP, SQRT 1 ulp; RSQ, EX2 2 ulp; LG2 2 ulp outside [0.5, 2), absolute 2.4e-7 inside;
    SIN, COS absolute 3.6e-7; TANH absolute 8.0e-6 (relative 2^-11)

Zeros, infinities, NaNs and range rules are the card's bit for bit: denormal inputs count as zero, denormal results flush.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64
from archsim.emulator.half_ops import half_to_f32
from archsim.emulator.records import ROW_D
from archsim.emulator.softfloat import NAN32, flush32, is_nan32, round_to_format
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64

(M_RCP, M_RSQ, M_SQRT, M_LG2, M_EX2, M_SIN, M_COS, M_TANH, M_RCP64H, M_RSQ64H, M_EX2_F16, M_TANH_F16) = range(12)


@jit
def turn_reduced(x: Any) -> Any:
    """Fraction of a turn in [-0.5, 0.5]."""
    return x - math.floor(x + 0.5) if abs(x) < 8388608.0 else f64(0.0)  # a binary32 from 2^23 on is whole


@jit
def mufu_value(op: int, bits: Any) -> Any:
    """One binary32 function on bits."""
    bits = flush32(bits)
    if is_nan32(bits):
        return NAN32
    x = f64(as_f32(bits))
    if op == M_RCP:
        if x == 0.0:
            return u32((bits & u32(0x80000000)) | u32(0x7F800000))
        r = f64(1.0 / x)
    elif op == M_RSQ:
        if x == 0.0:
            return u32((bits & u32(0x80000000)) | u32(0x7F800000))
        if x < 0.0:
            return NAN32
        r = f64(1.0 / math.sqrt(x))
    elif op == M_SQRT:
        if x == 0.0:
            return bits
        if x < 0.0:
            return NAN32
        r = f64(math.sqrt(x))
    elif op == M_LG2:
        if x == 0.0:
            return u32(0xFF800000)
        if x < 0.0:
            return NAN32
        r = f64(math.log2(x))
    elif op == M_EX2:
        if x >= 128.0:
            return u32(0x7F800000)
        if x < -150.0:
            return u32(0)
        r = 2.0**x
    elif op == M_TANH:
        r = f64(math.tanh(x))
    else:
        if math.isinf(x):
            return NAN32
        t = turn_reduced(x) * (2.0 * math.pi)
        r = f64(math.sin(t) if op == M_SIN else math.cos(t))
        if op == M_SIN and x == 0.0:
            return bits
    return flush32(as_u32(f32(r)))


@jit
def mufu_high(op: int, hi: Any) -> Any:
    """RCP64H, RSQ64H: high word in, high word out."""
    x = as_f64(u64(hi) << u64(32))
    if u32(hi & u32(0x7FF00000)) == u32(0):
        return u32((hi & u32(0x80000000)) | u32(0x7FF00000))
    if op == M_RCP64H:
        r = f64(1.0 / x)
    else:
        if x < 0.0:
            return u32(0xFFF80000)
        r = f64(1.0 / math.sqrt(x))
    if r != r:
        return u32(0x7FFFFFFF)
    b = u32(as_u64(r) >> u64(32))
    return u32(b & u32(0x80000000)) if u32(b & u32(0x7FF00000)) == u32(0) else b


@jit
def mufu_group(V: Any, op: int, ra: int) -> None:
    """MUFU on 32 lanes."""
    for l in range(32):
        x = V[ra, l]
        if op == M_RCP64H or op == M_RSQ64H:
            V[ROW_D, l] = mufu_high(op, x)
        elif op == M_EX2_F16 or op == M_TANH_F16:
            v = f64(half_to_f32(u32(x & u32(0xFFFF))))
            r = 2.0**v if op == M_EX2_F16 else math.tanh(v)
            V[ROW_D, l] = round_to_format(r, 5, 10, 0)
        else:
            V[ROW_D, l] = mufu_value(op, x)
