"""Warp-wide instructions: SHFL, VOTE, MATCH, REDUX, special registers (sass.md 4.6, 4.8)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import lowest
from archsim.emulator.operands import write_pred
from archsim.emulator.records import ROW_D
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64

(X_SHFL, X_VOTE, X_MATCH_ANY, X_MATCH_ALL, X_REDUX, X_R2UR, X_ELECT, X_B2R) = range(8)
(RD_AND, RD_OR, RD_XOR, RD_SUM, RD_MIN, RD_MAX, RD_SMIN, RD_SMAX) = range(8)


@jit
def shfl(V: Any, P: Any, mode: int, pd: int, ra: int, rb: int, rc: int, m: Any) -> None:
    """mode 0 IDX, 1 UP, 2 DOWN, 3 BFLY. An inactive source lane gives the value its register holds."""
    ok_mask = u32(0)
    for l in range(32):
        b, c = i64(V[rb, l]) & 31, i64(V[rc, l])
        clamp, seg = c & 31, c >> 8 & 31
        low = l & seg
        top = low | (clamp & ~seg)
        if mode == 0:
            j = low | (b & ~seg & 31)
            ok = j <= top
        elif mode == 1:
            j = l - b
            ok = j >= top
        elif mode == 2:
            j = l + b
            ok = j <= top
        else:
            j = l ^ b
            ok = j <= top
        V[ROW_D, l] = V[ra, j] if ok else V[ra, l]
        ok_mask |= u32(u32(ok) << u32(l))
    write_pred(P, pd, ok_mask, m)


@jit
def match(V: Any, P: Any, every: int, wide: int, pd: int, ra: int, m: Any) -> None:
    """Masks of the active lanes with equal values; ALL: the whole mask or 0."""
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        same = u32(0)
        for j in range(32):
            if m >> u32(j) & u32(1) and V[ra, j] == V[ra, l]:
                if not wide or V[ra + 1, j] == V[ra + 1, l]:
                    same |= u32(u32(1) << u32(j))
        V[ROW_D, l] = same
    if every:
        first = lowest(u32(m))
        whole = V[ROW_D, first] == m
        for l in range(32):
            V[ROW_D, l] = m if whole else u32(0)
        write_pred(P, pd, u32(0xFFFFFFFF) if whole else u32(0), m)


@jit
def redux(V: Any, op: int, ra: int, m: Any) -> None:
    """Reduction over the active lanes, broadcast."""
    started = False
    r = u32(0)
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        x = V[ra, l]
        if not started:
            r = x
            started = True
        elif op == RD_AND:
            r = u32(r & x)
        elif op == RD_OR:
            r = u32(r | x)
        elif op == RD_XOR:
            r = u32(r ^ x)
        elif op == RD_SUM:
            r = u32(r + x)
        elif op == RD_MIN:
            r = min(r, x)
        elif op == RD_MAX:
            r = max(r, x)
        elif op == RD_SMIN:
            r = u32(min(i32(r), i32(x)))
        else:
            r = u32(max(i32(r), i32(x)))
    for l in range(32):
        V[ROW_D, l] = r


@jit
def vote(V: Any, P: Any, mode: int, pd: int, pa: Any, m: Any) -> None:
    """Ballot in D; pd: 0 any, 1 all, 2 uniform."""
    ballot = u32(pa & m)
    for l in range(32):
        V[ROW_D, l] = ballot
    if mode == 0:
        result = ballot != u32(0)
    elif mode == 1:
        result = ballot == m
    else:
        result = ballot == m or ballot == u32(0)
    write_pred(P, pd, u32(0xFFFFFFFF) if result else u32(0), u32(0xFFFFFFFF) if pd >= 16 else m)


@jit
def warp_group(
    V: Any, P: Any, op: int, var: int, pd: int, pe: int, pa: Any, ra: int, rb: int, rc: int, m: Any, bar: Any
) -> None:
    """All warp-wide operations."""
    if op == X_SHFL:
        shfl(V, P, var, pd, ra, rb, rc, m)
    elif op == X_VOTE:
        vote(V, P, var, pd, pa, m)
    elif op == X_MATCH_ANY or op == X_MATCH_ALL:
        match(V, P, u32(op == X_MATCH_ALL), var, pd, ra, m)
    elif op == X_REDUX:
        redux(V, var, ra, m)
    elif op == X_R2UR:
        x = V[ra, max(lowest(m), 0)]
        same = u32(0xFFFFFFFF)
        for l in range(32):
            if m >> u32(l) & u32(1) and V[ra, l] != x:
                same = u32(0)
        for l in range(32):
            V[ROW_D, l] = x
        write_pred(P, pd, same, u32(0xFFFFFFFF))
    elif op == X_ELECT:
        x = lowest(u32(m & pa))
        for l in range(32):
            V[ROW_D, l] = u32(x & i64(31))
        write_pred(P, pd, u32(1) << u32(x) if x >= 0 else u32(0), m)
    else:  # B2R.RESULT
        for l in range(32):
            V[ROW_D, l] = bar
        write_pred(P, pd, u32(0xFFFFFFFF) if bar != u32(0) else u32(0), m)
