"""Atomics and reductions: lanes in ascending order, one read-modify-write each (sass.md 4.7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import as_f32, as_f64, as_u32, as_u64
from archsim.emulator.half_ops import H_ADD, HV_BF16, half_one
from archsim.emulator.records import ROW_D
from archsim.emulator.softfloat import NAN32, flush32, is_nan32, is_nan64
from archsim.kernels.jit import jit

u32, u64, i32, i64, f32, f64 = np.uint32, np.uint64, np.int32, np.int64, np.float32, np.float64
LOW = u64(0xFFFFFFFF)

(A_ADD, A_MIN, A_MAX, A_INC, A_DEC, A_AND, A_OR, A_XOR, A_EXCH, A_CAS, A_CAST_SPIN, A_POPC_INC, A_ARRIVE) = range(13)
(AT_U32, AT_S32, AT_U64, AT_S64, AT_F32, AT_F64, AT_F16X2, AT_BF16X2, AT_F32_FTZ, AT_B128, AT_F32X2, AT_F32X4) = range(12)


@jit
def atomic32(op: int, kind: int, old: Any, s: Any) -> Any:
    """New value of a 32-bit location."""
    if op == A_ADD:
        if kind == AT_F32 or kind == AT_F32_FTZ:
            if kind == AT_F32_FTZ:
                old, s = flush32(old), flush32(s)
            r = as_u32(as_f32(u32(old)) + as_f32(u32(s)))
            if is_nan32(r):
                return NAN32
            return flush32(r) if kind == AT_F32_FTZ else r
        if kind == AT_F16X2 or kind == AT_BF16X2:
            var = HV_BF16 if kind == AT_BF16X2 else 0
            lo = half_one(u32(old & u32(0xFFFF)), u32(s & u32(0xFFFF)), u32(0), H_ADD, var)
            hi = half_one(u32(old >> u32(16)), u32(s >> u32(16)), u32(0), H_ADD, var)
            return u32(lo | hi << u32(16))
        return u32(old + s)
    if op == A_MIN or op == A_MAX:
        less = i32(old) < i32(s) if kind == AT_S32 else old < s
        return u32(old) if less == (op == A_MIN) else u32(s)
    if op == A_INC:
        return u32(0) if old >= s else u32(old + u32(1))
    if op == A_DEC:
        return u32(s) if old == u32(0) or old > s else u32(old - u32(1))
    if op == A_AND:
        return u32(old & s)
    if op == A_OR:
        return u32(old | s)
    if op == A_XOR:
        return u32(old ^ s)
    if op == A_POPC_INC:
        return u32(old + u32(1))
    return u32(s)


@jit
def atomic64(op: int, kind: int, old: Any, s: Any) -> Any:
    """New value of a 64-bit location."""
    if op == A_ADD:
        if kind == AT_F64:
            r = as_u64(as_f64(u64(old)) + as_f64(u64(s)))
            return u64(0xFFF8000000000000) if is_nan64(r) else r
        return u64(old + s)
    if op == A_MIN or op == A_MAX:
        less = i64(old) < i64(s) if kind == AT_S64 else old < s
        return u64(old) if less == (op == A_MIN) else u64(s)
    if op == A_AND:
        return u64(old & s)
    if op == A_OR:
        return u64(old | s)
    if op == A_XOR:
        return u64(old ^ s)
    return u64(s)


@jit
def compare_swap(V: Any, S: Any, mem: Any, words: int, rb: int, rc: int, m: Any) -> Any:
    """CAS of 1, 2 or 4 words: old value in D, mask of the lanes that succeeded."""
    done = u32(0)
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        i = i64(S[5, l] >> u64(2))
        same = True
        for j in range(words):
            V[ROW_D + j, l] = mem[i + j]
            same = same and mem[i + j] == V[rb + j, l]
        if same:
            done |= u32(u32(1) << u32(l))
            for j in range(words):
                mem[i + j] = V[rc + j, l]
    return u32(done)


@jit
def arrive(V: Any, S: Any, mem: Any, m: Any) -> None:
    """ATOMS.ARRIVE.64 (sm_80..89 mbarrier): pending count in the low word counts up to 2^30, phase is bit 31 high.

    Word for n threads: low 0x40000000 - n, high 0x80000000 - n; on completion the low word is restored from the high
    one and the phase bit flips.
    """
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        i = i64(S[5, l] >> u64(2))
        V[ROW_D, l], V[ROW_D + 1, l] = mem[i], mem[i + 1]
        lo, hi = u32(mem[i] + u32(1)), mem[i + 1]
        if lo & u32(0x40000000):
            lo = u32(hi & u32(0x3FFFFFFF))
            hi = u32(hi ^ u32(0x80000000))
        mem[i], mem[i + 1] = lo, hi


@jit
def atomic_group(V: Any, S: Any, mem: Any, op: int, kind: int, rb: int, rc: int, m: Any) -> Any:
    """One atomic on the lanes of m: old values in D; returns the lanes whose compare-and-swap succeeded."""
    if op == A_CAS or op == A_CAST_SPIN:
        words = 4 if kind == AT_B128 else (2 if kind == AT_U64 else 1)
        return compare_swap(V, S, mem, words, rb, rc, m)
    if op == A_ARRIVE:
        arrive(V, S, mem, m)
        return u32(m)
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        i = i64(S[5, l] >> u64(2))
        if kind == AT_U64 or kind == AT_S64 or kind == AT_F64:
            old = u64(mem[i + 1]) << u64(32) | u64(mem[i])
            r = atomic64(op, kind, old, u64(V[rb + 1, l]) << u64(32) | u64(V[rb, l]))
            V[ROW_D, l], V[ROW_D + 1, l] = mem[i], mem[i + 1]
            mem[i], mem[i + 1] = u32(r & LOW), u32(r >> u64(32))
        elif kind == AT_F32X4 or kind == AT_F32X2:
            for j in range(4 if kind == AT_F32X4 else 2):
                V[ROW_D + j, l] = mem[i + j]
                mem[i + j] = atomic32(op, AT_F32_FTZ, mem[i + j], V[rb + j, l])
        elif kind == AT_B128:
            for j in range(4):
                V[ROW_D + j, l] = mem[i + j]
                mem[i + j] = V[rb + j, l]
        else:
            V[ROW_D, l] = mem[i]
            mem[i] = atomic32(op, kind, u32(mem[i]), V[rb, l])
    return u32(m)
