"""CTA scheduling: which warp runs next, when a further CTA starts (compiled)."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.interp import run_warp
from archsim.emulator.records import (
    F_DEADLOCK,
    FULL,
    P_TRUE,
    Q_CLUSTER,
    Q_CLUSTER_X,
    Q_CLUSTER_Y,
    Q_CLUSTER_Z,
    Q_DONE_CTAS,
    Q_EXECUTED,
    Q_LOCAL_OFF,
    Q_LOCAL_STRIDE,
    Q_NCTA_X,
    Q_NCTA_Y,
    Q_NCTAS,
    Q_NEXT_CTA,
    Q_NOW,
    Q_RUNNING,
    Q_SAMPLE,
    Q_SHARED_OFF,
    Q_SHARED_STRIDE,
    Q_SLOT,
    Q_SLOTS,
    Q_THREADS,
    Q_TRACE,
    Q_TURN,
    Q_WARP,
    Q_WARPS,
    Q_YIELD_AT,
    R_BLOCKED,
    R_DONE,
    R_FAULT,
    R_FLUSH,
    R_LIMIT,
    R_PROGRESS,
    R_SLICE,
    R_SPIN,
    R_SYSCALL,
    S_FREE,
    S_RUN,
    SPLITS,
    UP_TRUE,
    W_DONE,
    W_RUN,
)
from archsim.emulator.trace_ops import close_segment
from archsim.kernels.jit import jit
from archsim.kernels.ref import ref

u32, u64, i64 = np.uint32, np.uint64, np.int64

SLICE = 20000  # instructions of one warp before the next warp of its CTA gets a turn
SPIN_ROUNDS = 16  # rounds in which every warp of a CTA polled in vain before another CTA is started or resumed


@jit
def start_warp(ctx: Any, w: int, slot: int, index: int) -> None:
    """A fresh warp at pc 0: registers, predicates and convergence registers cleared."""
    V, P, U, B = ctx.V[w], ctx.P[w], ctx.U[w], ctx.B[w]
    for r in range(256):
        for l in range(32):
            V[r, l] = 0
    for i in range(len(P)):
        P[i] = 0
    P[P_TRUE] = FULL
    P[UP_TRUE] = FULL
    for i in range(len(U)):
        U[i] = 0
    for r in range(17):
        B[r] = 0
    ws, sp = ctx.warps[w], ctx.splits[w]
    left = ctx.scal[Q_THREADS] - 32 * index
    exists = FULL if left >= 32 else u32((u64(1) << u64(left)) - u64(1))
    ws["exists"], ws["exited"], ws["split"], ws["state"] = exists, 0, 0, W_RUN
    ws["cta_slot"], ws["index"], ws["bar_result"], ws["spin_pc"], ws["spin_count"] = slot, index, 0, -1, 0
    ws["run_count"], ws["n_runs"], ws["n_mems"], ws["n_lanes"], ws["n_inst"], ws["segment"] = 0, 0, 0, 0, 0, 0
    ws["total"], ws["next"], ws["youngest"], ws["oldest"], ws["restored"] = 0, -1, 0, 0, 0
    ws["stuck"], ws["stuck_at"], ws["turns"], ws["credit"] = 0, 0, 0, 0
    for i in range(SPLITS):
        sp[i]["state"] = S_FREE
    sp[0]["pc"], sp[0]["mask"], sp[0]["state"], sp[0]["arg"], sp[0]["age"] = 0, exists, S_RUN, 0, 0
    sp[0]["waited"] = 0


@jit
def start_cta(ctx: Any, slot: int, linear: Any, rank: int, first: int) -> None:
    """Place one CTA in a slot: zero its shared and local memory, start its warps."""
    scal = ctx.scal
    cta = ctx.ctas[slot]
    nx, ny = scal[Q_NCTA_X], scal[Q_NCTA_Y]
    cta["linear"], cta["x"], cta["y"], cta["z"] = linear, linear % nx, linear // nx % ny, linear // (nx * ny)
    cta["state"], cta["record"] = 1, 1 if linear % scal[Q_SAMPLE] == 0 else 0
    cta["rank"], cta["cluster_first"], cta["cluster_size"] = rank, first, scal[Q_CLUSTER]
    nw = scal[Q_WARPS]
    cta["live_warps"], cta["next_warp"], cta["spin_rounds"], cta["bar_used"] = nw, 0, 0, 0
    for b in range(16):
        cta["bar_need"][b], cta["bar_pop"][b], cta["bar_and"][b], cta["bar_or"][b] = 0, 0, 1, 0
        for i in range(nw):
            ctx.bars[slot, b, i] = 0
    begin = (scal[Q_SHARED_OFF] + slot * scal[Q_SHARED_STRIDE]) >> 2
    for i in range(begin, begin + (scal[Q_SHARED_STRIDE] >> 2)):
        ctx.mem[i] = 0
    words = scal[Q_LOCAL_STRIDE] >> 2
    begin = (scal[Q_LOCAL_OFF] >> 2) + slot * nw * 32 * words
    for i in range(begin, begin + nw * 32 * words):
        ctx.mem[i] = 0
    for i in range(nw):
        start_warp(ctx, slot * nw + i, slot, i)


@jit
def start_next(ctx: Any) -> Any:
    """Start the next cluster of CTAs in free slots; False when none is left or there is no room."""
    scal = ctx.scal
    size = scal[Q_CLUSTER]
    if scal[Q_NEXT_CTA] >= scal[Q_NCTAS]:
        return False
    for first in range(0, scal[Q_SLOTS] - size + 1, size):
        free = True
        for k in range(size):
            if ctx.ctas[first + k]["state"] == 1:
                free = False
        if not free:
            continue
        if size == 1:
            start_cta(ctx, first, scal[Q_NEXT_CTA], 0, first)
        else:
            cx, cy, cz = scal[Q_CLUSTER_X], scal[Q_CLUSTER_Y], scal[Q_CLUSTER_Z]
            n = scal[Q_NEXT_CTA] // size
            nx, ny = scal[Q_NCTA_X], scal[Q_NCTA_Y]
            gx, gy = nx // cx, ny // cy
            bx, by, bz = n % gx * cx, n // gx % gy * cy, n // (gx * gy) * cz
            for k in range(size):
                x, y, z = bx + k % cx, by + k // cx % cy, bz + k // (cx * cy)
                start_cta(ctx, first + k, x + nx * (y + ny * z), k, first)
        scal[Q_NEXT_CTA] += size
        scal[Q_RUNNING] += size
        return True
    return False


@jit
def finish_warp(ctx: Any, w: int, cta: Any) -> Any:
    """Write the last trace segment of an ended warp; False if the batch is full."""
    if ctx.scal[Q_TRACE] != 0 and cta["record"] != 0:
        if not close_segment(ctx, w, cta["linear"], 1):
            return False
    cta["live_warps"] -= 1
    return True


@jit
def run_cta(ctx: Any, slot: int) -> int:
    """Run the warps of one CTA in turn until it ends (R_DONE), waits for others (R_SPIN, R_BLOCKED) or must return."""
    scal, cta = ctx.scal, ctx.ctas[slot]
    nw = scal[Q_WARPS]
    while True:
        runnable, spun = 0, 0
        start = i64(cta["next_warp"])
        cta["next_warp"] = 0
        for i in range(start, nw):
            w = slot * nw + i
            ws = ctx.warps[w]
            if ws["state"] == 3:  # ended, its last segment not written yet
                if not finish_warp(ctx, w, cta):
                    cta["next_warp"] = i
                    return R_FLUSH
                ws["state"] = W_DONE
                runnable += 1
                continue
            if ws["state"] != W_RUN:
                continue
            runnable += 1
            scal[Q_WARP] = w
            reason = run_warp(ctx, w, SLICE)
            if reason == R_DONE:
                if not finish_warp(ctx, w, cta):
                    ws["state"] = 3
                    cta["next_warp"] = i
                    return R_FLUSH
            elif reason == R_SPIN:
                spun += 1
            elif reason != R_SLICE and reason != R_BLOCKED:
                cta["next_warp"] = i
                return reason
            if scal[Q_EXECUTED] >= scal[Q_YIELD_AT]:
                cta["next_warp"] = i + 1
                return R_PROGRESS
        if cta["live_warps"] == 0:
            return R_DONE
        if runnable == 0 and start == 0:
            return R_BLOCKED
        if runnable > 0 and spun == runnable:
            cta["spin_rounds"] += 1
            if cta["spin_rounds"] >= SPIN_ROUNDS:
                cta["spin_rounds"] = 0
                return R_SPIN
        else:
            cta["spin_rounds"] = 0


@jit
def grid_loop(ctx: Any) -> int:
    """Run until the grid is done or something needs Python (flush, system call, progress, fault)."""
    scal = ctx.scal
    while True:
        if scal[Q_RUNNING] == 0 and not start_next(ctx):
            return R_DONE
        moved = False
        slot = i64(scal[Q_SLOT])
        scal[Q_SLOT] = 0
        while slot < scal[Q_SLOTS]:
            cta = ctx.ctas[slot]
            if cta["state"] == 1:
                reason = run_cta(ctx, slot)
                if reason == R_DONE:
                    cta["state"] = 2
                    scal[Q_RUNNING] -= 1
                    scal[Q_DONE_CTAS] += 1
                    moved = True
                elif reason == R_SPIN:
                    moved = True
                elif reason == R_BLOCKED:
                    if scal[Q_CLUSTER] == 1:
                        return blocked(ctx, slot)
                else:
                    scal[Q_SLOT] = slot
                    return reason
            slot += 1
        if scal[Q_RUNNING] > 0:
            if not moved and scal[Q_CLUSTER] > 1 and all_blocked(ctx):
                return blocked(ctx, 0)
            if any_open(ctx):
                start_next(ctx)


@jit
def take_turn(ctx: Any, slot: int) -> int:
    """Give every warp of one CTA its turn: R_DONE, R_BLOCKED (all warps wait), R_SLICE, or a reason to return."""
    scal, cta = ctx.scal, ctx.ctas[slot]
    nw = scal[Q_WARPS]
    start = i64(cta["next_warp"])
    cta["next_warp"] = 0
    runnable = bool(start > 0)
    for i in range(start, nw):
        w = slot * nw + i
        ws = ctx.warps[w]
        if ws["state"] == 3:  # ended, its last segment not written yet
            if not finish_warp(ctx, w, cta):
                cta["next_warp"] = i
                return R_FLUSH
            ws["state"] = W_DONE
        if ws["state"] != W_RUN:
            ws["credit"] = 0
            continue
        runnable = True
        if ws["credit"] <= 0:
            ws["credit"] += scal[Q_TURN]
        if ws["credit"] <= 0:
            continue
        scal[Q_WARP] = w
        reason = run_warp(ctx, w, i64(ws["credit"]))
        if reason == R_DONE:
            if not finish_warp(ctx, w, cta):
                ws["state"] = 3
                cta["next_warp"] = i
                return R_FLUSH
        elif reason == R_SPIN:
            ws["credit"] = min(ws["credit"], i64(0))
        elif reason != R_SLICE and reason != R_BLOCKED:
            cta["next_warp"] = i
            return reason
        if scal[Q_EXECUTED] >= scal[Q_YIELD_AT]:
            cta["next_warp"] = i + 1
            return R_PROGRESS
    if cta["live_warps"] == 0:
        return R_DONE
    return R_SLICE if runnable else R_BLOCKED


@jit
def concurrent_loop(ctx: Any) -> int:
    """As `grid_loop`, with all CTAs that fit running at once: a turn of scal[Q_TURN] instructions each, slot by slot."""
    scal = ctx.scal
    while True:
        while start_next(ctx):
            pass
        if scal[Q_RUNNING] == 0:
            return R_DONE
        moved = False
        slot = i64(scal[Q_SLOT])
        scal[Q_SLOT] = 0
        while slot < scal[Q_SLOTS]:
            cta = ctx.ctas[slot]
            if cta["state"] == 1:
                reason = take_turn(ctx, slot)
                if reason == R_DONE:
                    cta["state"] = 2
                    scal[Q_RUNNING] -= 1
                    scal[Q_DONE_CTAS] += 1
                    moved = True
                elif reason == R_SLICE:
                    moved = True
                elif reason == R_BLOCKED:
                    if scal[Q_CLUSTER] == 1:
                        return blocked(ctx, slot)
                else:
                    scal[Q_SLOT] = slot
                    return reason
            slot += 1
        scal[Q_NOW] += scal[Q_TURN]
        if not moved and scal[Q_RUNNING] > 0 and scal[Q_CLUSTER] > 1 and all_blocked(ctx):
            return blocked(ctx, 0)


def run_grid(ctx: Any) -> int:
    """Entry point, compiled by `archsim.emulator.compiled`: see `grid_loop` and `concurrent_loop`."""
    held = ref(ctx)
    if held.scal[Q_TURN] > 0:
        return concurrent_loop(held)
    return grid_loop(held)


@jit
def any_open(ctx: Any) -> Any:
    """True when every resident CTA is still running after a whole round: they poll, so another CTA may help."""
    return ctx.scal[Q_NEXT_CTA] < ctx.scal[Q_NCTAS]


@jit
def all_blocked(ctx: Any) -> Any:
    for slot in range(ctx.scal[Q_SLOTS]):
        if ctx.ctas[slot]["state"] == 1:
            for i in range(ctx.scal[Q_WARPS]):
                if ctx.warps[slot * ctx.scal[Q_WARPS] + i]["state"] == W_RUN:
                    return False
    return True


@jit
def blocked(ctx: Any, slot: int) -> int:
    """Deadlock: report the first waiting split of the CTA."""
    nw = ctx.scal[Q_WARPS]
    for i in range(nw):
        w = slot * nw + i
        for j in range(SPLITS):
            state = ctx.splits[w][j]["state"]
            if state != S_FREE and state != S_RUN:
                f = ctx.fault[0]
                f["code"], f["pc"], f["lane"], f["warp"] = F_DEADLOCK, ctx.splits[w][j]["pc"] - 1, -1, w
                f["mask"], f["address"] = ctx.splits[w][j]["mask"], u64(state)
                ctx.scal[Q_WARP] = w
                return R_FAULT
    return R_FAULT


__all__ = ["R_LIMIT", "R_SYSCALL"]
