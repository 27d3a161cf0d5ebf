"""Addresses, loads, stores, matrix loads, asynchronous copies (sass.md 2.3, 4.7).

All memory of a launch is one ``u4[]``: the device heap, then the shared windows and local memories of the resident
CTAs. An access is: addresses of the 32 lanes (S[4]), translation with bounds and alignment checks to byte offsets in
that array (S[5]), then the transfer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.records import (
    F_MISALIGNED,
    F_OOB,
    F_SHARED_OOB,
    F_STACK,
    LOCAL_WINDOW,
    Q_CLUSTER,
    Q_GBASE,
    Q_GBYTES,
    Q_LOCAL_BYTES,
    Q_LOCAL_STRIDE,
    Q_SHARED_BYTES,
    Q_SHARED_OFF,
    Q_SHARED_STRIDE,
    ROW_D,
    SHARED_WINDOW,
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_LOCAL,
    SPACE_SHARED,
)
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
LOW = u64(0xFFFFFFFF)
SHARED_HIGH = SHARED_WINDOW >> 32
LOCAL_HIGH = LOCAL_WINDOW >> 32

(L_LOAD, L_STORE, L_LDSM, L_STSM, L_MOVM, L_LDGSTS, L_LDC, L_QSPC, L_ARRIVE_COPY) = range(9)


@jit
def addresses(
    V: Any, U: Any, S: Any, k: int, mr: int, m64: int, mu: int, mu64: int, scale: int, off: Any, narrow: int
) -> None:
    """S[k] = register (pair if m64, scaled) + uniform register (pair if mu64) + offset; 32-bit space when narrow."""
    base = u64(off)
    if mu >= 0:
        base += u64(U[mu])
        if mu64:
            base += u64(U[mu + 1]) << u64(32)
    if mr < 0:
        for l in range(32):
            S[k, l] = base
    elif m64:
        for l in range(32):
            S[k, l] = (u64(V[mr + 1, l]) << u64(32) | u64(V[mr, l])) + base
    else:
        f = u64(scale)
        for l in range(32):
            S[k, l] = u64(V[mr, l]) * f + base
    if narrow:
        for l in range(32):
            S[k, l] &= LOW


@jit
def set_fault(fault: Any, code: int, lane: int, address: Any) -> Any:
    fault[0]["code"] = code
    fault[0]["lane"] = lane
    fault[0]["address"] = address
    return False


@jit
def translate_shared(S: Any, l: int, a: Any, size: int, scal: Any, sbase: Any, cfirst: int, fault: Any) -> Any:
    """Shared window address of one lane to a byte offset in mem."""
    rank, offset = i64(a >> u64(24)), i64(a & u64(0xFFFFFF))
    base = sbase
    if rank != 0:
        if rank >= scal[Q_CLUSTER]:
            return set_fault(fault, F_SHARED_OOB, l, a)
    if scal[Q_CLUSTER] > 1:
        base = scal[Q_SHARED_OFF] + (cfirst + rank) * scal[Q_SHARED_STRIDE]
    if offset + size > scal[Q_SHARED_BYTES]:
        return set_fault(fault, F_SHARED_OOB, l, a)
    S[5, l] = u64(base + offset)
    return True


@jit
def translate_local(S: Any, l: int, a: Any, size: int, scal: Any, lbase: Any, fault: Any) -> Any:
    """Local address of one lane to a byte offset in mem."""
    if i64(a) + size > scal[Q_LOCAL_BYTES]:
        return set_fault(fault, F_STACK, l, a)
    S[5, l] = u64(lbase + l * scal[Q_LOCAL_STRIDE] + i64(a))
    return True


@jit
def translate_global(S: Any, l: int, a: Any, size: int, gbase: Any, gbytes: Any, valid: Any) -> Any:
    """Global address to an offset in mem; False when outside every live allocation."""
    offset = a - gbase
    if offset >= gbytes:
        return False
    if i64(offset & u64(255)) + size > i64(valid[i64(offset >> u64(8))]):
        return False
    S[5, l] = offset
    return True


@jit
def translate(
    S: Any, k: int, space: int, size: int, m: Any, scal: Any, valid: Any, sbase: Any, lbase: Any, cfirst: int, fault: Any
) -> Any:
    """S[5] = byte offsets in mem of the addresses S[k] of the lanes in m; False after recording a fault."""
    gbase, gbytes = u64(scal[Q_GBASE]), u64(scal[Q_GBYTES])
    align = u64(size - 1)
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        a = S[k, l]
        if a & align:
            return set_fault(fault, F_MISALIGNED, l, a)
        if space == SPACE_GLOBAL:
            if not translate_global(S, l, a, size, gbase, gbytes, valid):
                return set_fault(fault, F_OOB, l, a)
        elif space == SPACE_SHARED:
            if not translate_shared(S, l, a, size, scal, sbase, cfirst, fault):
                return False
        elif space == SPACE_LOCAL:
            if not translate_local(S, l, a, size, scal, lbase, fault):
                return False
        else:
            high = a >> u64(32)
            if high == u64(SHARED_HIGH):
                if not translate_shared(S, l, u64(a & LOW), size, scal, sbase, cfirst, fault):
                    return False
            elif high == u64(LOCAL_HIGH):
                if not translate_local(S, l, u64(a & LOW), size, scal, lbase, fault):
                    return False
            elif not translate_global(S, l, a, size, gbase, gbytes, valid):
                return set_fault(fault, F_OOB, l, a)
    return True


@jit
def load_word(mem: Any, offset: Any, size: int, signed: int) -> Any:
    """1, 2 or 4 bytes at a byte offset, extended to 32 bits."""
    w = mem[i64(offset >> u64(2))]
    if size == 4:
        return u32(w)
    bits = u32(8 * size)
    x = u32(w >> u32((offset & u64(3)) * u64(8))) & u32((u32(1) << bits) - u32(1))
    if signed and x >> u32(bits - u32(1)) & u32(1):
        x |= u32(0xFFFFFFFF) << bits
    return u32(x)


@jit
def store_word(mem: Any, offset: Any, size: int, x: Any) -> None:
    """1, 2 or 4 bytes to a byte offset."""
    i = i64(offset >> u64(2))
    if size == 4:
        mem[i] = x
    else:
        shift = u32((offset & u64(3)) * u64(8))
        keep = u32(u32((u32(1) << u32(8 * size)) - u32(1)) << shift)
        mem[i] = (mem[i] & ~keep) | (u32(x << shift) & keep)


@jit
def load(V: Any, S: Any, mem: Any, dst: int, size: int, signed: int, m: Any) -> None:
    """Load 1-16 bytes a lane into dst.. in the lanes of m."""
    if size <= 4:
        for l in range(32):
            if m >> u32(l) & u32(1):
                V[dst, l] = load_word(mem, S[5, l], size, signed)
        return
    for l in range(32):
        if m >> u32(l) & u32(1):
            i = i64(S[5, l] >> u64(2))
            for j in range(size >> 2):
                V[dst + j, l] = mem[i + j]


@jit
def store(V: Any, S: Any, mem: Any, src: int, size: int, m: Any) -> None:
    """Store 1-16 bytes a lane from src.. in the lanes of m, in lane order."""
    for l in range(32):
        if m >> u32(l) & u32(1):
            if size <= 4:
                store_word(mem, S[5, l], size, V[src, l])
            else:
                i = i64(S[5, l] >> u64(2))
                for j in range(size >> 2):
                    mem[i + j] = V[src + j, l]


@jit
def ldsm(V: Any, S: Any, mem: Any, dst: int, matrices: int, transposed: int, m: Any) -> None:
    """LDSM.16: 8x8 matrices of halves; lane 8i+r addresses row r of matrix i."""
    for i in range(matrices):
        for l in range(32):
            if not m >> u32(l) & u32(1):
                continue
            if transposed:
                r = 2 * (l & 3)
                column = u64(2 * (l >> 2))
                lo = load_word(mem, S[5, 8 * i + r] + column, 2, 0)
                hi = load_word(mem, S[5, 8 * i + r + 1] + column, 2, 0)
                V[ROW_D + i, l] = lo | hi << u32(16)
            else:
                V[ROW_D + i, l] = load_word(mem, S[5, 8 * i + (l >> 2)] + u64(4 * (l & 3)), 4, 0)


@jit
def stsm(V: Any, S: Any, mem: Any, src: int, matrices: int, transposed: int) -> None:
    """STSM.16: the inverse of LDSM."""
    for i in range(matrices):
        for l in range(32):
            x = V[src + i, l]
            if transposed:
                r = 2 * (l & 3)
                column = u64(2 * (l >> 2))
                store_word(mem, S[5, 8 * i + r] + column, 2, u32(x & u32(0xFFFF)))
                store_word(mem, S[5, 8 * i + r + 1] + column, 2, u32(x >> u32(16)))
            else:
                store_word(mem, S[5, 8 * i + (l >> 2)] + u64(4 * (l & 3)), 4, x)


@jit
def movm(V: Any, ra: int) -> None:
    """MOVM.16.MT88: transpose the 8x8 matrix of halves held as one word a lane."""
    for l in range(32):
        r, c = l >> 2, 2 * (l & 3)
        # element (r, c) of the result is element (c, r) of the source: lane 4c + r/2, half r%2.
        lo = V[ra, 4 * c + (r >> 1)] >> u32(16 * (r & 1)) & u32(0xFFFF)
        hi = V[ra, 4 * (c + 1) + (r >> 1)] >> u32(16 * (r & 1)) & u32(0xFFFF)
        V[ROW_D, l] = lo | hi << u32(16)


@jit
def ldgsts(S: Any, mem: Any, size: int, zfill: int, pa: Any, m: Any) -> None:
    """Copy `size` bytes a lane from global offset S[7] to shared offset S[6]; the last S[3] bytes are zeros."""
    for l in range(32):
        if not m >> u32(l) & u32(1):
            continue
        source, target = i64(S[7, l] >> u64(2)), i64(S[6, l] >> u64(2))
        zeros = i64(S[3, l])
        if zfill and not pa >> u32(l) & u32(1):
            zeros = i64(size)
        for j in range(size >> 2):
            bytes_left = i64(size) - zeros - 4 * j
            if bytes_left >= 4:
                mem[target + j] = mem[source + j]
            elif bytes_left <= 0:
                mem[target + j] = u32(0)
            else:
                mem[target + j] = mem[source + j] & u32((u32(1) << u32(8 * bytes_left)) - u32(1))


__all__ = ["SPACE_GENERIC", "SPACE_LOCAL"]
