"""FP32 and FP64 arithmetic and comparison on 32 lanes (sass.md 4.3, 4.5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import as_f64, as_u32, as_u64, fma32, fma64
from archsim.emulator.int_ops import write_bop
from archsim.emulator.operands import write_pred
from archsim.emulator.records import ROW_A, ROW_B, ROW_C, ROW_D
from archsim.emulator.softfloat import (
    NAN32,
    NAN64_GENERATED,
    add64_round,
    flush32,
    fma32_round,
    fma64_round,
    is_nan32,
    is_nan64,
)
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
LOW = u64(0xFFFFFFFF)

(FP_ADD, FP_MUL, FP_FMA, FP_MNMX, FP_SEL, FP_CHK, FP_SWZ, FP_MNMX3) = range(8)
VAR_FTZ, VAR_SAT, VAR_NAN = 1, 2, 4  # then scale + 8 in bits 8.. for FMUL.D2/M2


@jit
def flush_row(V: Any, row: int, scratch: int) -> int:
    """Copy a row with denormals flushed."""
    for l in range(32):
        V[scratch, l] = flush32(V[row, l])
    return scratch


@jit
def saturate(V: Any, VF: Any) -> None:
    """Clamp D to [0, 1]; NaN gives +0."""
    for l in range(32):
        x = VF[ROW_D, l]
        V[ROW_D, l] = u32(0x3F800000) if x >= f32(1.0) else (V[ROW_D, l] if x > f32(0.0) else u32(0))


@jit
def fp32_round(V: Any, op: int, rnd: int, scale: Any, ra: int, rb: int, rc: int) -> None:
    """The directed modes and the scaled multiply, lane by lane."""
    for l in range(32):
        if op == FP_ADD:
            V[ROW_D, l] = fma32_round(V[ra, l], u32(0x3F800000), V[rb, l], rnd)
        elif op == FP_MUL:
            negative = (V[ra, l] ^ V[rb, l]) & u32(0x80000000)
            V[ROW_D, l] = fma32_round(V[ra, l], V[rb, l], u32(negative), rnd)
        else:
            V[ROW_D, l] = fma32_round(V[ra, l], V[rb, l], V[rc, l], rnd)


@jit
def fp32_arith(V: Any, VF: Any, op: int, var: int, rnd: int, ra: int, rb: int, rc: int) -> None:
    """FADD, FMUL, FFMA."""
    if var & VAR_FTZ:
        ra = flush_row(V, ra, ROW_A)
        rb = flush_row(V, rb, ROW_B)
        if op == FP_FMA:
            rc = flush_row(V, rc, ROW_C)
    scale = var >> 8
    if rnd != 0:
        fp32_round(V, op, rnd, scale, ra, rb, rc)
    elif op == FP_FMA:
        for l in range(32):
            VF[ROW_D, l] = fma32(VF[ra, l], VF[rb, l], VF[rc, l])
    elif op == FP_ADD:
        for l in range(32):
            VF[ROW_D, l] = VF[ra, l] + VF[rb, l]
    elif scale:
        factor = f64(2.0) ** f64(scale - 8)
        for l in range(32):
            VF[ROW_D, l] = f32(f64(VF[ra, l]) * f64(VF[rb, l]) * factor)
    else:
        for l in range(32):
            VF[ROW_D, l] = VF[ra, l] * VF[rb, l]
    for l in range(32):
        x = V[ROW_D, l]
        V[ROW_D, l] = NAN32 if is_nan32(x) else x
    if var & VAR_FTZ:
        flush_row(V, ROW_D, ROW_D)
    if var & VAR_SAT:
        saturate(V, VF)


@jit
def minmax32(x: Any, y: Any, smallest: Any, nan: Any) -> Any:
    """FMNMX on bits: a NaN loses to a number (wins under .NAN), -0 < +0."""
    nx, ny = is_nan32(x), is_nan32(y)
    if nx or ny:
        if nan or nx and ny:
            return NAN32
        return y if nx else x
    kx = i32(x ^ u32(0x7FFFFFFF)) if i32(x) < i32(0) else i32(x)
    ky = i32(y ^ u32(0x7FFFFFFF)) if i32(y) < i32(0) else i32(y)
    return x if (kx < ky) == smallest else y


@jit
def needs_slow_division(a: Any, b: Any) -> Any:
    """FCHK: conservative range test of a / b on bits; the slow path is correctly rounded as well (sass.md 4.3)."""
    ea, eb = i64(a >> u32(23) & u32(255)), i64(b >> u32(23) & u32(255))
    if ea == 255 or eb == 255 or eb == 0:
        return True
    if ea == 0:
        return True
    return eb > 252 or ea - eb > 126 or ea - eb < -125 or ea < 24


@jit
def fp32_group(
    V: Any, VF: Any, P: Any, op: int, var: int, rnd: int, pd: int, pa: Any, ra: int, rb: int, rc: int, m: Any
) -> None:
    """All FP32 operations with a register result, and FCHK."""
    if op <= FP_FMA:
        fp32_arith(V, VF, op, var, rnd, ra, rb, rc)
    elif op == FP_MNMX or op == FP_MNMX3:
        if var & VAR_FTZ:
            ra = flush_row(V, ra, ROW_A)
            rb = flush_row(V, rb, ROW_B)
        for l in range(32):
            smallest = (pa >> u32(l) & u32(1)) != u32(0)
            r = minmax32(V[ra, l], V[rb, l], smallest, var & VAR_NAN)
            V[ROW_D, l] = minmax32(r, V[rc, l], smallest, var & VAR_NAN) if op == FP_MNMX3 else r
    elif op == FP_SEL:
        for l in range(32):
            x = V[ra, l] if pa >> u32(l) & u32(1) else V[rb, l]
            V[ROW_D, l] = flush32(x) if var & VAR_FTZ else x
    elif op == FP_CHK:
        r = u32(0)
        for l in range(32):
            r |= u32(u32(needs_slow_division(V[ra, l], V[rb, l])) << u32(l))
        write_pred(P, pd, r, m)


@jit
def compare_bits(lt: Any, eq: Any, gt: Any, cmp: int) -> Any:
    """cmp: 1 LT, 2 EQ, 4 GT summed, 8 true when unordered."""
    un = u32(~(lt | eq | gt))
    r = u32(0)
    if cmp & 1:
        r |= lt
    if cmp & 2:
        r |= eq
    if cmp & 4:
        r |= gt
    if cmp & 8:
        r |= un
    return u32(r)


@jit
def fcmp_group(
    V: Any, VF: Any, P: Any, op: int, var: int, pd: int, pe: int, pa: Any, ra: int, rb: int, m: Any
) -> None:
    """FSETP (op 0), FSET (op 1: register), DSETP (op 2). var: cmp | bop << 5 | FTZ 128 | BF 256 | MIN/MAX 512, 1024."""
    lt, eq, gt = u32(0), u32(0), u32(0)
    if op == 2:
        for l in range(32):
            x = as_f64(u64(V[ra + 1, l]) << u64(32) | u64(V[ra, l]))
            y = as_f64(u64(V[rb + 1, l]) << u64(32) | u64(V[rb, l]))
            lt |= u32(u32(x < y) << u32(l))
            eq |= u32(u32(x == y) << u32(l))
            gt |= u32(u32(x > y) << u32(l))
    else:
        if var & 128:
            ra = flush_row(V, ra, ROW_A)
            rb = flush_row(V, rb, ROW_B)
        for l in range(32):
            x, y = VF[ra, l], VF[rb, l]
            lt |= u32(u32(x < y) << u32(l))
            eq |= u32(u32(x == y) << u32(l))
            gt |= u32(u32(x > y) << u32(l))
    if var & 1536:
        dsetp_minmax(V, P, var & 512, pd, pe, lt, gt, ra, rb, m)
        return
    r = compare_bits(lt, eq, gt, var & 15)
    if op == 1:
        P[9] = u32(0)
        write_bop(P, 9, 8, r, pa, var >> 5 & 3, m)
        one = u32(0x3F800000) if var & 256 else u32(0xFFFFFFFF)
        for l in range(32):
            V[ROW_D, l] = one if P[9] >> u32(l) & u32(1) else u32(0)
    else:
        write_bop(P, pd, pe, r, pa, var >> 5 & 3, m)


@jit
def dsetp_minmax(V: Any, P: Any, smallest: int, pd: int, pe: int, lt: Any, gt: Any, ra: int, rb: int, m: Any) -> None:
    """DSETP.MIN/MAX: pd selects a, pe says that the selected value is a NaN to be quieted."""
    na, nb = u32(0), u32(0)
    for l in range(32):
        na |= u32(u32(is_nan64(u64(V[ra + 1, l]) << u64(32) | u64(V[ra, l]))) << u32(l))
        nb |= u32(u32(is_nan64(u64(V[rb + 1, l]) << u64(32) | u64(V[rb, l]))) << u32(l))
    pick = u32((lt if smallest else gt) | (nb & ~na))
    write_pred(P, pd, pick, m)
    write_pred(P, pe, u32(na & nb), m)


@jit
def fp64_nan(x: Any, y: Any, z: Any) -> Any:
    """NaN result of a double operation: the first NaN operand quieted, else the generated one."""
    if is_nan64(x):
        return u64(x | u64(0x8000000000000))
    if is_nan64(y):
        return u64(y | u64(0x8000000000000))
    if is_nan64(z):
        return u64(z | u64(0x8000000000000))
    return NAN64_GENERATED


@jit
def gather64(V: Any, row: int, S: Any, k: int) -> None:
    for l in range(32):
        S[k, l] = u64(V[row + 1, l]) << u64(32) | u64(V[row, l])


@jit
def scatter64(V: Any, S: Any, k: int) -> None:
    for l in range(32):
        x = S[k, l]
        V[ROW_D, l] = u32(x & LOW)
        V[ROW_D + 1, l] = u32(x >> u64(32))


@jit
def fp64_group(V: Any, S: Any, SF: Any, op: int, rnd: int, ra: int, rb: int, rc: int) -> None:
    """DADD, DMUL, DFMA."""
    gather64(V, ra, S, 0)
    gather64(V, rb, S, 1)
    if op == FP_FMA:
        gather64(V, rc, S, 2)
    if rnd == 0:
        if op == FP_FMA:
            for l in range(32):
                SF[3, l] = fma64(SF[0, l], SF[1, l], SF[2, l])
        elif op == FP_ADD:
            for l in range(32):
                SF[3, l] = SF[0, l] + SF[1, l]
        else:
            for l in range(32):
                SF[3, l] = SF[0, l] * SF[1, l]
    else:
        for l in range(32):
            if op == FP_FMA:
                S[3, l] = fma64_round(S[0, l], S[1, l], S[2, l], rnd)
            elif op == FP_ADD:
                S[3, l] = add64_round(S[0, l], S[1, l], rnd)
            else:
                zero = (S[0, l] ^ S[1, l]) & u64(0x8000000000000000)
                S[3, l] = fma64_round(S[0, l], S[1, l], zero, rnd)
    for l in range(32):
        if is_nan64(S[3, l]):
            z = S[2, l] if op == FP_FMA else u64(0)
            S[3, l] = fp64_nan(S[0, l], S[1, l], z)
    scatter64(V, S, 3)


__all__ = ["as_u32", "as_u64"]
