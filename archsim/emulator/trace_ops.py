"""Dynamic trace: runs and address records of one warp, staged and copied to a batch a segment at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import lowest
from archsim.emulator.records import (
    Q_BATCH_LANES,
    Q_BATCH_MEMS,
    Q_BATCH_RUNS,
    Q_BATCH_WARPS,
)
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
SEGMENT = 4096  # instructions; archsim.trace.layout.SEGMENT_INSTRUCTIONS


@jit
def end_run(ctx: Any, w: int) -> None:
    """Write the open run to the staging area."""
    ws = ctx.warps[w]
    if ws["run_count"] == 0:
        return
    n = i64(ws["n_runs"])
    ctx.runs[w, n, 0], ctx.runs[w, n, 1], ctx.runs[w, n, 2] = ws["run_start"], ws["run_count"], ws["run_mask"]
    ws["n_runs"] = n + 1
    ws["run_count"] = 0


@jit
def segment_full(ctx: Any, ws: Any) -> Any:
    """True when the next instruction needs a new segment."""
    return (
        ws["n_inst"] >= SEGMENT
        or ws["n_runs"] >= ctx.runs.shape[1] - 2
        or ws["n_mems"] >= ctx.mems.shape[1] - 4
        or ws["n_lanes"] >= ctx.lanes.shape[1] - 128
    )


@jit
def close_segment(ctx: Any, w: int, cta: Any, last: int) -> Any:
    """Copy the staged segment to the batch; False (nothing done) if the batch has no room."""
    ws = ctx.warps[w]
    end_run(ctx, w)
    nr, nm, nl = i64(ws["n_runs"]), i64(ws["n_mems"]), i64(ws["n_lanes"])
    q = ctx.scal
    bw, br, bm, bl = q[Q_BATCH_WARPS], q[Q_BATCH_RUNS], q[Q_BATCH_MEMS], q[Q_BATCH_LANES]
    if bw >= len(ctx.bwarps) or br + nr > len(ctx.bruns) or bm + nm > len(ctx.bmems) or bl + nl > len(ctx.blanes):
        return False
    row = ctx.bwarps[bw]
    row["cta"], row["warp"], row["segment"], row["last"] = cta, ws["index"], ws["segment"], last
    row["run_begin"], row["run_count"], row["mem_begin"], row["mem_count"] = br, nr, bm, nm
    row["n_inst"] = ws["n_inst"]
    for i in range(nr):
        for j in range(3):
            ctx.bruns[br + i, j] = ctx.runs[w, i, j]
    for i in range(nm):
        ctx.bmems[bm + i, 0], ctx.bmems[bm + i, 1] = ctx.mems[w, i, 0], ctx.mems[w, i, 1]
        at = ctx.mems[w, i, 2]
        ctx.bmems[bm + i, 2] = at if at < 0 else at + bl
    for i in range(nl):
        ctx.blanes[bl + i] = ctx.lanes[w, i]
    q[Q_BATCH_WARPS], q[Q_BATCH_RUNS], q[Q_BATCH_MEMS], q[Q_BATCH_LANES] = bw + 1, br + nr, bm + nm, bl + nl
    ws["segment"] += 1
    ws["n_inst"], ws["n_runs"], ws["n_mems"], ws["n_lanes"] = 0, 0, 0, 0
    return True


@jit
def record_addresses(warps: Any, mems: Any, lanes: Any, S: Any, w: int, k: int, keep: Any, m: Any) -> None:
    """One address record: S[k] & keep of the lanes in m, affine in the lane number where it is."""
    ws = warps[w]
    n = i64(ws["n_mems"])
    first = lowest(m)
    rest = u32(m & (m - u32(1)))
    a0 = u64(S[k, first] & keep)
    stride = u64(0)
    affine = True
    if rest != u32(0):
        second = lowest(rest)
        gap = i64(u64(S[k, second] & keep) - a0)
        d = second - first
        affine = gap % d == 0
        if affine:
            stride = u64(gap // d)
            bad = u32(0)
            base = a0 - stride * u64(first)
            for l in range(32):
                x = u64(S[k, l] & keep) != base + stride * u64(l)
                bad |= u32(u32(x) << u32(l))
            affine = u32(bad & m) == u32(0)
    if affine:
        mems[w, n, 0] = i64(a0 - stride * u64(first))
        mems[w, n, 1] = i64(stride)
        mems[w, n, 2] = -1
    else:
        p = i64(ws["n_lanes"])
        mems[w, n, 0], mems[w, n, 1], mems[w, n, 2] = i64(0), i64(0), p
        for l in range(32):
            if m >> u32(l) & u32(1):
                lanes[w, p] = S[k, l] & keep
                p += 1
        ws["n_lanes"] = p
    ws["n_mems"] = n + 1
