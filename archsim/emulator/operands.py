"""Operand fetch and masked write-back."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.records import (
    FULL,
    K_IMM,
    K_REG,
    K_UREG,
    MOD_FABS,
    MOD_FNEG,
    MOD_H0,
    MOD_H1,
    MOD_HABS,
    MOD_HNEG,
    MOD_INEG,
    MOD_INOT,
    MOD_NEG_H0,
    MOD_NEG_H1,
    ROW_D,
)
from archsim.kernels.jit import jit

u32, u64, i64 = np.uint32, np.uint64, np.int64


@jit
def modify(V: Any, row: int, width: int, mod: int) -> None:
    """Apply operand modifiers in place to `width` scratch rows."""
    top = row + width - 1
    if mod & (MOD_H0 | MOD_H1):
        for l in range(32):
            x = V[row, l]
            h = (x & u32(0xFFFF)) if mod & MOD_H0 else x >> u32(16)
            V[row, l] = h | h << u32(16)
    if mod & (MOD_FABS | MOD_HABS):
        keep = u32(0x7FFFFFFF) if mod & MOD_FABS else u32(0x7FFF7FFF)
        for l in range(32):
            V[top, l] &= keep
    if mod & (MOD_FNEG | MOD_HNEG | MOD_NEG_H0 | MOD_NEG_H1):
        flip = u32(0)
        if mod & (MOD_FNEG | MOD_NEG_H1):
            flip |= u32(0x80000000)
        if mod & MOD_HNEG:
            flip |= u32(0x80008000)
        if mod & MOD_NEG_H0:
            flip |= u32(0x8000)
        for l in range(32):
            V[top, l] ^= flip
    if mod & (MOD_INEG | MOD_INOT):
        carry = u32(1) if mod & MOD_INEG else u32(0)
        for l in range(32):
            x = u32(~V[row, l] + carry)
            V[row, l] = x
            if width == 2:
                V[row + 1, l] = ~V[row + 1, l] + (carry if x == u32(0) else u32(0))


@jit
def fetch(V: Any, U: Any, kind: int, row: int, imm: Any, mod: int, width: int, scratch: int) -> int:
    """Row where the operand can be read: its own, or scratch rows filled with the broadcast or modified value."""
    if kind == K_REG:
        if mod == 0:
            return row
        for k in range(width):
            for l in range(32):
                V[scratch + k, l] = V[row + k, l]
    elif kind == K_UREG:
        for k in range(width):
            x = U[row + k]
            for l in range(32):
                V[scratch + k, l] = x
    else:
        lo = u32(imm & u64(0xFFFFFFFF))
        hi = u32(imm >> u64(32))
        for l in range(32):
            V[scratch, l] = lo
        if width == 2:
            for l in range(32):
                V[scratch + 1, l] = hi
    if mod != 0:
        modify(V, scratch, width, mod)
    return scratch


@jit
def write_rows(V: Any, row: int, width: int, mask: Any) -> None:
    """Copy result rows ROW_D.. to the destination in the lanes of `mask`."""
    for k in range(width):
        if mask == FULL:
            for l in range(32):
                V[row + k, l] = V[ROW_D + k, l]
        else:
            for l in range(32):
                if mask >> u32(l) & u32(1):
                    V[row + k, l] = V[ROW_D + k, l]


@jit
def write_pred(P: Any, index: int, value: Any, mask: Any) -> None:
    """Set the lanes of `mask` of one predicate."""
    P[index] = (P[index] & ~mask) | (value & mask)


__all__ = ["K_IMM", "fetch", "modify", "write_pred", "write_rows"]
