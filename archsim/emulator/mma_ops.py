"""Matrix instructions: HMMA, IMMA, BMMA, DMMA, QMMA (sass.md 4.10).

Fragments (lane l, g = l / 4, t = l % 4, e elements in a register): A register r holds row g + 8 (r odd), elements
k = (r / 2) * 4e + t*e ...; B register r holds column g, k = r * 4e + t*e ...; C register 2h + j is (g + 8h, 2t + j).

Floating-point accumulation: within a k-group the exact products and the accumulator are aligned to the largest
exponent, cut (toward zero) below the last kept bit, added, and the sum is cut to binary32 (rounded to nearest even for
a binary16 accumulator). Groups are chained. Group sizes and kept bits: ``group_size``, ``extra_bits``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64, fma64, popc32
from archsim.emulator.convert_ops import T_E4M3, T_E5M2, from_fp8
from archsim.emulator.half_ops import half_to_f32
from archsim.emulator.records import ROW_D
from archsim.emulator.softfloat import NAN32, round32, round_to_format
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64

(MM_HMMA, MM_IMMA, MM_BMMA, MM_DMMA) = range(4)
(MK_F16, MK_BF16, MK_TF32, MK_I8, MK_I4, MK_E4M3, MK_E5M2) = range(7)
# var: a kind 0-3, b kind 4-7, m16 8, f16 result 9, sat 10, a signed 11, b signed 12, BMMA AND 13, k in 16-25


@jit
def kind_bits(kind: int) -> int:
    if kind <= MK_BF16:
        return 16
    if kind == MK_TF32:
        return 32
    return 4 if kind == MK_I4 else 8


@jit
def element(word: Any, e: int, kind: int, signed: int) -> Any:
    """Element e of a register as binary64 (exact)."""
    if kind == MK_F16:
        return f64(half_to_f32(u32(word >> u32(16 * e) & u32(0xFFFF))))
    if kind == MK_BF16:
        return f64(as_f32(u32(u32(word >> u32(16 * e)) << u32(16))))
    if kind == MK_TF32:
        return f64(as_f32(u32(word & u32(0xFFFFE000))))
    if kind == MK_E4M3:
        return from_fp8(u32(word >> u32(8 * e) & u32(0xFF)), T_E4M3)
    if kind == MK_E5M2:
        return from_fp8(u32(word >> u32(8 * e) & u32(0xFF)), T_E5M2)
    bits = 4 if kind == MK_I4 else 8
    x = i64(word >> u32(bits * e) & u32((1 << bits) - 1))
    if signed and x >> (bits - 1):
        x -= i64(1) << bits
    return f64(x)


@jit
def gather_ab(V: Any, M: Any, ra: int, rb: int, var: int) -> None:
    """M[0][row * K + k] = A, M[1][column * K + k] = B."""
    ka, kb, m16, depth = var & 15, var >> 4 & 15, var >> 8 & 1, var >> 16 & 1023
    per = 32 // kind_bits(ka)
    blocks = depth // (4 * per)
    for l in range(32):
        g, t = l >> 2, l & 3
        for block in range(blocks):
            first = block * 4 * per + t * per
            for e in range(per):
                M[1, g * depth + first + e] = element(V[rb + block, l], e, kb, var >> 12 & 1)
                if m16:
                    M[0, g * depth + first + e] = element(V[ra + 2 * block, l], e, ka, var >> 11 & 1)
                    M[0, (g + 8) * depth + first + e] = element(V[ra + 2 * block + 1, l], e, ka, var >> 11 & 1)
                else:
                    M[0, g * depth + first + e] = element(V[ra + block, l], e, ka, var >> 11 & 1)


@jit
def exponent_of(x: Any) -> Any:
    """Unbiased exponent of a binary64 (zero gives a very small one)."""
    e = i64(as_u64(x) >> u64(52) & u64(0x7FF))
    return i64(-2000) if e == 0 else e - 1023


@jit
def power2(e: Any) -> Any:
    return as_f64(u64(u64(e + 1023) << u64(52)))


@jit
def fused_sum(M: Any, a: int, b: int, n: int, c: Any, keep: int) -> Any:
    """Aligned, truncated sum of c and n products, as an exact binary64."""
    top = exponent_of(c)
    plain = c
    for i in range(n):
        x, y = M[0, a + i], M[1, b + i]
        plain += x * y
        if x != 0.0 and y != 0.0:
            top = max(top, exponent_of(x) + exponent_of(y))
    if not math.isfinite(plain):
        return plain
    if top == -2000:
        return f64(0.0)
    shift = i64(keep) - top
    # |exponents| stay below 600, so that both powers of two are normal numbers
    scale = power2(shift)
    total = i64(c * scale)
    for i in range(n):
        total += i64(M[0, a + i] * M[1, b + i] * scale)
    return f64(total) * power2(-shift)


@jit
def group_size(arch: int, kind: int) -> int:
    """k-elements that are summed at once: 4 on sm_75, 8 (tf32: 4) on sm_80..89, 16 (tf32: 8) on sm_90 [sass.md K]."""
    full = 4 if arch < 80 else (8 if arch < 90 else 16)
    if kind == MK_TF32:
        return max(full // 2, 4)
    return full if kind <= MK_BF16 else 2 * full


@jit
def extra_bits(arch: int) -> int:
    """Bits kept below the last bit of a binary32 aligned to the largest exponent."""
    return 0 if arch < 80 else (1 if arch < 90 else 2)


@jit
def hmma(V: Any, M: Any, var: int, ra: int, rb: int, rc: int, arch: int) -> None:
    gather_ab(V, M, ra, rb, var)
    depth, half_out = var >> 16 & 1023, var >> 9 & 1
    size = min(group_size(arch, var & 15), depth)
    keep = 23 + extra_bits(arch)
    for l in range(32):
        g, t = l >> 2, l & 3
        for h in range(2):
            packed = u32(0)
            for j in range(2):
                row, column = g + 8 * h, 2 * t + j
                if half_out:
                    acc = f64(half_to_f32(u32(V[rc + h, l] >> u32(16 * j) & u32(0xFFFF))))
                else:
                    acc = f64(as_f32(V[rc + 2 * h + j, l]))
                for first in range(0, depth, size):
                    acc = fused_sum(M, row * depth + first, column * depth + first, size, acc, keep)
                    if not half_out:
                        acc = f64(as_f32(round32(acc, 3)))
                if half_out:
                    packed |= round_to_format(acc, 5, 10, 0) << u32(16 * j)
                else:
                    V[ROW_D + 2 * h + j, l] = as_u32(f32(acc)) if acc == acc else NAN32
            if half_out:
                V[ROW_D + h, l] = packed


@jit
def imma(V: Any, M: Any, var: int, ra: int, rb: int, rc: int) -> None:
    gather_ab(V, M, ra, rb, var)
    depth = var >> 16 & 1023
    halves = 2 if var >> 8 & 1 else 1
    for l in range(32):
        g, t = l >> 2, l & 3
        for h in range(halves):
            for j in range(2):
                total = f64(0.0)
                a, b = (g + 8 * h) * depth, (2 * t + j) * depth
                for k in range(depth):
                    total += M[0, a + k] * M[1, b + k]
                r = i64(total) + i64(i32(V[rc + 2 * h + j, l]))
                if var >> 10 & 1:
                    r = min(max(r, i64(-2147483648)), i64(2147483647))
                V[ROW_D + 2 * h + j, l] = u32(r & i64(0xFFFFFFFF))


@jit
def bmma(V: Any, var: int, ra: int, rb: int, rc: int) -> None:
    """Single-bit products (XOR or AND) counted: register r as in IMMA with 32 elements a word."""
    blocks = (var >> 16 & 1023) // 128
    m16 = var >> 8 & 1
    for l in range(32):
        g, t = l >> 2, l & 3
        for h in range(2 if m16 else 1):
            for j in range(2):
                total = V[rc + 2 * h + j, l]
                for block in range(blocks):
                    for q in range(4):
                        x = V[ra + (2 * block + h if m16 else block), 4 * g + q]
                        y = V[rb + block, 4 * (2 * t + j) + q]
                        total += popc32(u32(x & y)) if var >> 13 & 1 else popc32(u32(x ^ y))
                V[ROW_D + 2 * h + j, l] = total


@jit
def pair(V: Any, row: int, l: int) -> Any:
    return as_f64(u64(V[row + 1, l]) << u64(32) | u64(V[row, l]))


@jit
def dmma(V: Any, var: int, ra: int, rb: int, rc: int) -> None:
    """8x8x4: A (g, t), B (t, g), C (g, 2t), (g, 2t+1); a chain of fused multiply-adds in k order."""
    for l in range(32):
        g, t = l >> 2, l & 3
        for j in range(2):
            acc = pair(V, rc + 2 * j, l)
            for k in range(4):
                acc = fma64(pair(V, ra, 4 * g + k), pair(V, rb, 4 * (2 * t + j) + k), acc)
            b = as_u64(acc)
            V[ROW_D + 2 * j, l] = u32(b & u64(0xFFFFFFFF))
            V[ROW_D + 2 * j + 1, l] = u32(b >> u64(32))


@jit
def mma_group(V: Any, M: Any, op: int, var: int, ra: int, rb: int, rc: int, arch: int) -> None:
    """All matrix instructions; the result is in ROW_D..."""
    if op == MM_HMMA:
        hmma(V, M, var, ra, rb, rc, arch)
    elif op == MM_IMMA:
        imma(V, M, var, ra, rb, rc)
    elif op == MM_BMMA:
        bmma(V, var, ra, rb, rc)
    else:
        dmma(V, var, ra, rb, rc)
