"""Special registers: S2R, S2UR, CS2R (sass.md 4.6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.records import (
    Q_CLOCK,
    Q_CLUSTER,
    Q_NSM,
    Q_NTID_X,
    Q_NTID_Y,
    Q_SHARED_BYTES,
    Q_TIME0,
    Q_WARPS,
    ROW_D,
    SHARED_WINDOW,
)
from archsim.kernels.jit import jit

u32, u64, i64 = np.uint32, np.uint64, np.int64
SHARED_HIGH = SHARED_WINDOW >> 32

(SR_ZERO, SR_TID_X, SR_TID_Y, SR_TID_Z, SR_CTAID_X, SR_CTAID_Y, SR_CTAID_Z, SR_LANEID, SR_EQMASK, SR_LTMASK, SR_LEMASK,
 SR_GTMASK, SR_GEMASK, SR_VIRTID, SR_SMID, SR_VIRTCFG, SR_SMEMSZ, SR_SWINHI, SR_CGACTAID, SR_CGASIZE, SR_CLOCKLO,
 SR_CLOCKHI, SR_GTIMELO, SR_GTIMEHI, SR_TID, SR_LEPC) = range(26)  # fmt: skip


@jit
def lane_value(ctx: Any, w: int, reg: int, l: int) -> Any:
    """Value of a special register in one lane."""
    ws, scal = ctx.warps[w], ctx.scal
    cta = ctx.ctas[ws["cta_slot"]]
    nx, ny = scal[Q_NTID_X], scal[Q_NTID_Y]
    t = i64(ws["index"]) * 32 + l
    one = u32(1) << u32(l)
    if reg == SR_TID_X:
        return u32(t % nx)
    if reg == SR_TID_Y:
        return u32(t // nx % ny)
    if reg == SR_TID_Z:
        return u32(t // (nx * ny))
    if reg == SR_TID:
        return u32(t % nx | (t // nx % ny) << 16 | (t // (nx * ny)) << 26)
    if reg == SR_CTAID_X:
        return u32(cta["x"])
    if reg == SR_CTAID_Y:
        return u32(cta["y"])
    if reg == SR_CTAID_Z:
        return u32(cta["z"])
    if reg == SR_LANEID:
        return u32(l)
    if reg == SR_EQMASK:
        return u32(one)
    if reg == SR_LTMASK:
        return u32(one - u32(1))
    if reg == SR_LEMASK:
        return u32((u64(one) << u64(1)) - u64(1))
    if reg == SR_GTMASK:
        return u32(~((u64(one) << u64(1)) - u64(1)))
    if reg == SR_GEMASK:
        return u32(~(one - u32(1)))
    if reg == SR_VIRTID:
        return u32(i64(ws["index"]) << 8)
    if reg == SR_SMID:
        return u32(i64(cta["linear"]) % scal[Q_NSM])
    if reg == SR_VIRTCFG:
        return u32(scal[Q_WARPS] << 8)
    if reg == SR_SMEMSZ:
        return u32(scal[Q_SHARED_BYTES])
    if reg == SR_SWINHI:
        return u32(SHARED_HIGH)
    if reg == SR_CGACTAID:
        return u32(cta["rank"])
    if reg == SR_CGASIZE:
        return u32(scal[Q_CLUSTER])
    return u32(0)


@jit
def special_group(ctx: Any, w: int, reg: int, wide: int, m: Any) -> None:
    """Value in D (and D+1 for the 64-bit form: the next register of a LO/HI pair). Clocks count instructions."""
    V, scal = ctx.V[w], ctx.scal
    if reg >= SR_CLOCKLO and reg <= SR_GTIMEHI:
        t = u64(scal[Q_CLOCK])
        if reg >= SR_GTIMELO:
            t += u64(scal[Q_TIME0])
        if reg == SR_CLOCKHI or reg == SR_GTIMEHI:
            t >>= u64(32)
        for l in range(32):
            V[ROW_D, l] = u32(t & u64(0xFFFFFFFF))
            V[ROW_D + 1, l] = u32(t >> u64(32))
        return
    for l in range(32):
        V[ROW_D, l] = lane_value(ctx, w, reg, l)
        V[ROW_D + 1, l] = u32(0)
