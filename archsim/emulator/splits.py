"""The threads of a warp that diverged: which group runs, which wait, who joins whom.

A warp is a set of *splits*: threads that run together at one pc. The rules are the H100's, found from the executed warp
and thread instructions of the programs under validation/hw/h100 (`divergence/README.md` states them with the evidence):

* a divergent branch runs the side with fewer threads first, at a tie the side that falls through;
* the other side is kept apart as the *next* group; a group that was next before is *spilled* to the threads' own pcs;
* when the running group stops, the next group runs as it is; without one, the spilled threads that were spilled last
  run, together with every other thread at their pc, also those that wait in a BSYNC there (which execute it again).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import lowest, popc32
from archsim.emulator.records import (
    F_BAD_PC,
    R_BLOCKED,
    R_DONE,
    R_FAULT,
    S_BSYNC,
    S_FREE,
    S_RUN,
    SPLITS,
    W_BLOCKED,
    W_DONE,
)
from archsim.kernels.jit import jit

u32, u64, i64 = np.uint32, np.uint64, np.int64
CONTINUE = -1
STUCK = 160_000  # instructions without a new split after which another one gets a turn
STUCK_LONG = 2_560_000  # the same with new splits
POLL = 1250  # instructions that a poll in vain (SPIN_LIMIT executions) counts for


@jit
def new_split(ws: Any, sp: Any, pc: int, mask: Any, state: int, arg: Any) -> int:
    """A further split, the youngest of the warp; returns its index."""
    k = 0
    for i in range(SPLITS):  # one is free: there are at most 32 groups of threads
        if sp[i]["state"] == S_FREE:
            k = i
            break
    sp[k]["pc"], sp[k]["mask"], sp[k]["arg"], sp[k]["waited"] = pc, mask, arg, 0
    stamp(ws, sp, k, state)
    return k


@jit
def stamp(ws: Any, sp: Any, i: int, state: int) -> None:
    """Give split i a state and make it the youngest."""
    ws["youngest"] += 1
    sp[i]["state"], sp[i]["age"] = state, ws["youngest"]


@jit
def defer(ws: Any, sp: Any, pc: int, mask: Any) -> None:
    """The threads of `mask` run at pc after the current ones; a group that was next is spilled."""
    if ws["next"] >= 0:
        stamp(ws, sp, i64(ws["next"]), S_RUN)
    ws["next"] = new_split(ws, sp, pc, mask, S_RUN, u32(0))


@jit
def gather(sp: Any, keep: int) -> None:
    """Join to split `keep` all threads at its pc, those too that wait in a BSYNC there."""
    pc = i64(sp[keep]["pc"])
    for j in range(SPLITS):
        if j == keep:
            continue
        state = sp[j]["state"]
        if (state == S_RUN and sp[j]["pc"] == pc) or (state == S_BSYNC and sp[j]["pc"] - 1 == pc):
            sp[keep]["mask"] |= sp[j]["mask"]
            sp[keep]["waited"] |= sp[j]["mask"] if state == S_BSYNC else sp[j]["waited"]
            sp[j]["state"] = S_FREE


@jit
def next_split(ws: Any, sp: Any, B: Any) -> int:
    """Make another runnable split current; R_BLOCKED or R_DONE if there is none."""
    if ws["next"] >= 0:
        ws["split"], ws["next"] = ws["next"], -1
        return CONTINUE
    best = -1
    waiting, only_bsync = False, True
    for i in range(SPLITS):
        state = sp[i]["state"]
        if state == S_RUN:
            if best < 0 or sp[i]["age"] > sp[best]["age"]:
                best = i
        elif state != S_FREE:
            waiting = True
            only_bsync = only_bsync and state == S_BSYNC
    if best < 0 and waiting:
        best = stranded(sp, B, only_bsync)
    if best >= 0:
        ws["split"] = best
        gather(sp, best)
        return CONTINUE
    ws["state"] = W_BLOCKED if waiting else W_DONE
    return R_BLOCKED if waiting else R_DONE


@jit
def stranded(sp: Any, B: Any, only_bsync: Any) -> int:
    """The youngest split whose BSYNC nobody can complete any more, now runnable behind it; -1 if there is none.

    A convergence register belongs to the warp: code that reuses one while threads wait for it leaves them stranded.
    `only_bsync`: all splits wait in a BSYNC, so that one of them has to go on.
    """
    best = -1
    for i in range(SPLITS):
        if sp[i]["state"] != S_BSYNC:
            continue
        if only_bsync or u32(sp[i]["mask"] & ~B[i64(sp[i]["arg"])]) != u32(0):
            if best < 0 or sp[i]["age"] > sp[best]["age"]:
                best = i
    if best >= 0:
        sp[best]["state"], sp[best]["waited"] = S_RUN, 0
    return best


@jit
def yield_split(ws: Any, sp: Any, B: Any) -> None:
    """Let another runnable split of the warp go first: the current one becomes the oldest."""
    cur = i64(ws["split"])
    ws["oldest"] -= 1
    sp[cur]["age"] = ws["oldest"]
    next_split(ws, sp, B)


@jit
def take_turns(ws: Any, sp: Any, B: Any, weight: int) -> None:
    """After a poll in vain (weight POLL) or a used slice (its instructions): at times other splits get a turn.

    The rules above let a split run as long as it can; one that spins until another split acts would spin for ever.
    """
    ws["turns"] += weight
    ws["stuck"] = ws["stuck"] + weight if ws["stuck_at"] == ws["youngest"] else weight
    ws["stuck_at"] = ws["youngest"]
    if ws["stuck"] >= STUCK or ws["turns"] >= STUCK_LONG:
        ws["stuck"], ws["turns"] = 0, 0
        yield_split(ws, sp, B)


@jit
def branch(ws: Any, sp: Any, cur: int, pc: int, target: int, active: Any, taken: Any) -> None:
    """Threads of `taken` go to target, the others to pc: fewer threads first, at a tie those that do not jump."""
    if taken == active:
        sp[cur]["pc"] = target
    elif taken != u32(0):
        rest = u32(active & ~taken)
        if popc32(taken) < popc32(rest):
            sp[cur]["pc"], sp[cur]["mask"] = target, taken
            defer(ws, sp, pc, rest)
        else:
            sp[cur]["mask"] = rest
            defer(ws, sp, target, taken)


@jit
def same_target(V: Any, row: int, m: Any, lane: int) -> Any:
    """Lanes of m whose register pair equals that of `lane`."""
    group = u32(0)
    for l in range(32):
        if m >> u32(l) & u32(1) and V[row, l] == V[row, lane] and V[row + 1, l] == V[row + 1, lane]:
            group |= u32(u32(1) << u32(l))
    return group


@jit
def indirect(
    ws: Any, V: Any, sp: Any, cur: int, pc: int, active: Any, m: Any, row: int, base: Any, pc_index: Any, fault: Any
) -> int:
    """BRX, RET, CALL R: the lanes that share the first lane's target go there; the others execute the instruction again.

    Measured on an H100: k different targets count as k executions, each of the lanes still there. Lanes that are more
    than half wait for the others: then the first lane of those chooses.
    """
    if m == u32(0):
        return CONTINUE
    lane = lowest(m)
    group = same_target(V, row, m, lane)
    if popc32(group) > popc32(u32(m & ~group)) and group != m:
        lane = lowest(u32(m & ~group))
        group = same_target(V, row, m, lane)
    t = (u64(V[row + 1, lane]) << u64(32) | u64(V[row, lane])) + u64(base)
    slot = i64(t >> u64(4))
    if t & u64(15) or slot >= len(pc_index) or slot < 0 or pc_index[slot] < 0:
        fault[0]["code"], fault[0]["lane"], fault[0]["address"] = F_BAD_PC, lane, t
        return R_FAULT
    sp[cur]["pc"], sp[cur]["mask"] = pc_index[slot], group
    if group != active:
        defer(ws, sp, pc - 1, u32(active & ~group))
    return CONTINUE
