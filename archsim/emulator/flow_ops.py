"""Control flow: branches, calls, exits, CTA and cluster barriers (sass.md 4.8, 4.9).

How threads of a warp part and meet is in splits.py and converge_ops.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import lowest, popc32
from archsim.emulator.converge_ops import bsync, move_barrier, release_waiting, warpsync, write_mask
from archsim.emulator.records import (
    BARRIERS,
    F_BARRIER,
    F_TRAP,
    Q_WARPS,
    R_FAULT,
    R_SPIN,
    R_SYSCALL,
    S_BAR,
    S_CLUSTER,
    S_FREE,
    S_RUN,
    SPLITS,
    SYSCALL_BASE,
    W_BLOCKED,
    W_DONE,
    W_RUN,
)
from archsim.emulator.splits import CONTINUE, branch, indirect, next_split, stamp, yield_split
from archsim.kernels.jit import jit

u32, u64, i32, i64 = np.uint32, np.uint64, np.int32, np.int64
FULL = u32(0xFFFFFFFF)

(FL_BRA, FL_BSSY, FL_BSYNC, FL_BREAK, FL_EXIT, FL_CALL, FL_INDIRECT, FL_CALL_ABS, FL_BAR, FL_WARPSYNC, FL_YIELD,
 FL_BRA_DIV, FL_BRA_CONV, FL_TRAP, FL_BMOV_FROM, FL_BMOV_TO, FL_NANOSLEEP, FL_CLUSTER_ARRIVE, FL_CLUSTER_WAIT,
 FL_ENDCOLLECTIVE, FL_COLLECTIVE) = range(21)  # fmt: skip
(BAR_SYNC, BAR_ARV, BAR_POPC, BAR_AND, BAR_OR) = range(5)


@jit
def barrier_complete(ctx: Any, slot: int, bar: int) -> Any:
    """True when enough threads of the CTA have arrived."""
    need = i64(ctx.ctas[slot]["bar_need"][bar])
    count = i64(0)
    nw = ctx.scal[Q_WARPS]
    for i in range(nw):
        ws = ctx.warps[slot * nw + i]
        live = u32(ws["exists"] & ~ws["exited"])
        arrived = u32(ctx.bars[slot, bar, i])
        missing = u32(live & ~arrived)
        if need == 0:
            if missing != u32(0):
                return False
        elif arrived != u32(0):
            count += i64(32) if missing == u32(0) else i64(popc32(arrived))
    return need == 0 or count >= need


@jit
def barrier_release(ctx: Any, slot: int, bar: int) -> None:
    """Wake everybody who waits at the barrier and reset it."""
    nw = ctx.scal[Q_WARPS]
    cta = ctx.ctas[slot]
    for i in range(nw):
        w = slot * nw + i
        ws, sp = ctx.warps[w], ctx.splits[w]
        for j in range(SPLITS):
            if sp[j]["state"] == S_BAR and i64(sp[j]["arg"]) & 255 == bar:
                kind = i64(sp[j]["arg"]) >> 8
                if kind == BAR_POPC:
                    ws["bar_result"] = cta["bar_pop"][bar]
                elif kind == BAR_AND:
                    ws["bar_result"] = cta["bar_and"][bar]
                elif kind == BAR_OR:
                    ws["bar_result"] = cta["bar_or"][bar]
                sp[j]["state"] = S_RUN
                if ws["state"] == W_BLOCKED:
                    ws["state"] = W_RUN
                    ws["split"] = j
        ctx.bars[slot, bar, i] = 0
    cta["bar_pop"][bar], cta["bar_and"][bar], cta["bar_or"][bar] = 0, 1, 0
    cta["bar_used"] &= ~(u32(1) << u32(bar))


@jit
def barrier_arrive(ctx: Any, w: int, cur: int, kind: int, bar: int, need: int, pa: Any, m: Any) -> int:
    """BAR.SYNC / .ARV / .RED by the threads of the current split."""
    ws, sp = ctx.warps[w], ctx.splits[w]
    slot = i64(ws["cta_slot"])
    cta = ctx.ctas[slot]
    if bar >= BARRIERS or need & 31:
        ctx.fault[0]["code"], ctx.fault[0]["address"] = F_BARRIER, u64(bar)
        return R_FAULT
    ctx.bars[slot, bar, ws["index"]] |= m
    cta["bar_used"] |= u32(1) << u32(bar)
    cta["bar_need"][bar] = need
    cta["bar_pop"][bar] += popc32(u32(pa & m))
    if u32(pa & m) != m:
        cta["bar_and"][bar] = 0
    if u32(pa & m) != u32(0):
        cta["bar_or"][bar] = 1
    if kind != BAR_ARV:
        sp[cur]["arg"] = bar | kind << 8
        stamp(ws, sp, cur, S_BAR)
    if barrier_complete(ctx, slot, bar):
        barrier_release(ctx, slot, bar)
        return CONTINUE
    return CONTINUE if kind == BAR_ARV else next_split(ws, sp, ctx.B[w])


@jit
def recheck_barriers(ctx: Any, slot: int) -> None:
    """After threads exited: a barrier may be complete now."""
    used = u32(ctx.ctas[slot]["bar_used"])
    for bar in range(BARRIERS):
        if used >> u32(bar) & u32(1) and barrier_complete(ctx, slot, bar):
            barrier_release(ctx, slot, bar)


@jit
def leave(ctx: Any, w: int, cur: int, m: Any) -> int:
    """EXIT of the threads in m."""
    ws, sp = ctx.warps[w], ctx.splits[w]
    ws["exited"] |= m
    sp[cur]["mask"] &= ~m
    if sp[cur]["mask"] == u32(0):
        sp[cur]["state"] = S_FREE
    if ws["exited"] != ws["exists"]:
        release_waiting(ws, sp, ctx.B[w])
    recheck_barriers(ctx, i64(ws["cta_slot"]))
    if sp[cur]["state"] == S_RUN:
        return CONTINUE
    return next_split(ws, sp, ctx.B[w])


@jit
def cluster_wait(ctx: Any, w: int, cur: int) -> int:
    """UCGABAR_WAIT: until every live warp of the cluster has arrived."""
    ws, sp = ctx.warps[w], ctx.splits[w]
    stamp(ws, sp, cur, S_CLUSTER)
    cta = ctx.ctas[ws["cta_slot"]]
    first, size, nw = i64(cta["cluster_first"]), i64(cta["cluster_size"]), ctx.scal[Q_WARPS]
    for i in range(first * nw, (first + size) * nw):
        if ctx.warps[i]["state"] == W_DONE:
            continue
        waits = False
        for j in range(SPLITS):
            if ctx.splits[i][j]["state"] == S_CLUSTER:
                waits = True
        if not waits:
            return next_split(ws, sp, ctx.B[w])
    for i in range(first * nw, (first + size) * nw):
        for j in range(SPLITS):
            if ctx.splits[i][j]["state"] == S_CLUSTER:
                ctx.splits[i][j]["state"] = S_RUN
                if ctx.warps[i]["state"] == W_BLOCKED:
                    ctx.warps[i]["state"] = W_RUN
                    ctx.warps[i]["split"] = j
    return CONTINUE


@jit
def converge(ctx: Any, w: int, cur: int, active: Any, m: Any, op: int, var: int, V: Any, row: int) -> int:
    """BSSY, BSYNC, BREAK, WARPSYNC."""
    ws, sp, B = ctx.warps[w], ctx.splits[w], ctx.B[w]
    if op == FL_BSSY:
        if m != u32(0):
            write_mask(ws, B, var, active, False)
    elif op == FL_BSYNC:
        return bsync(ws, sp, cur, active, B, var)
    elif op == FL_BREAK:
        if m != u32(0):
            B[var] &= ~m
            release_waiting(ws, sp, B)
    elif m != u32(0):
        return warpsync(ws, sp, B, cur, active, FULL if var else u32(V[row, lowest(m)]))
    return CONTINUE


@jit
def flow_group(ctx: Any, w: int, pc: int, active: Any, m: Any, pa: Any, ra: int, rb: int) -> int:
    """Execute one control-flow instruction; `pc` is the following instruction, already stored in the split."""
    ws, sp, V = ctx.warps[w], ctx.splits[w], ctx.V[w]
    ins = ctx.code[pc - 1]
    cur = i64(ws["split"])
    op = i64(ins["op"])
    var = i64(ins["var"])
    if op == FL_BRA:
        branch(ws, sp, cur, pc, i64(ins["target"]), active, u32(m & pa))
    elif op == FL_BSSY or op == FL_BSYNC or op == FL_BREAK or op == FL_WARPSYNC or op == FL_COLLECTIVE:
        return converge(ctx, w, cur, active, m, op, var, V, ra)
    elif op == FL_EXIT:
        m = u32(m & pa)
        return leave(ctx, w, cur, m) if m != u32(0) else CONTINUE
    elif op == FL_CALL:
        branch(ws, sp, cur, pc, i64(ins["target"]), active, m)
    elif op == FL_INDIRECT:
        return indirect(ws, V, sp, cur, pc, active, m, ra, ins["base"], ctx.pc_index, ctx.fault)
    elif op == FL_CALL_ABS:
        if m == u32(0):
            return CONTINUE
        lane = lowest(m)
        t = u64(V[ra + 1, lane]) << u64(32) | u64(V[ra, lane])
        if t < u64(SYSCALL_BASE):
            return indirect(ws, V, sp, cur, pc, active, m, ra, i64(0), ctx.pc_index, ctx.fault)
        ctx.fault[0]["address"], ctx.fault[0]["mask"] = t, m
        return R_SYSCALL
    elif op == FL_BAR:
        if m != u32(0):
            lane = lowest(m)
            need = i64(V[rb, lane]) if var & 16 else i64(0)
            return barrier_arrive(ctx, w, cur, var & 15, i64(V[ra, lane]), need, pa, m)
    elif op == FL_YIELD:
        yield_split(ws, sp, ctx.B[w])
    elif op == FL_NANOSLEEP:
        ws["spin_count"] += 1
        yield_split(ws, sp, ctx.B[w])
        if ws["spin_count"] > 4:
            ws["spin_count"] = 0
            return R_SPIN
    elif op == FL_BRA_DIV or op == FL_BRA_CONV:
        expected = u32(V[ra, 0])
        if (active != expected) == (op == FL_BRA_DIV):
            branch(ws, sp, cur, pc, i64(ins["target"]), active, m)
    elif op == FL_TRAP:
        if m != u32(0):
            ctx.fault[0]["code"], ctx.fault[0]["lane"] = F_TRAP, lowest(m)
            return R_FAULT
    elif op == FL_BMOV_FROM or op == FL_BMOV_TO:
        move_barrier(ws, V, ctx.B[w], op == FL_BMOV_TO, var & 31, var & 32, ra, i64(ins["dst"]), m)
    elif op == FL_CLUSTER_WAIT:
        return cluster_wait(ctx, w, cur)
    return CONTINUE


__all__ = ["W_DONE", "W_RUN"]
