"""Convergence registers B0..B15: BSSY, BSYNC, BREAK, BMOV, WARPSYNC (sass.md 4.8).

A register is one mask of the warp, as on the H100 (validation/hw/h100/divergence/README.md: recursion saves it in the
threads' registers and takes it back from the first thread). BSYNC lets threads through that its mask does not name and
holds the others until all that it names and that still run are there. A mask that BMOV put back makes the threads
that complete it execute BSYNC once more, unless some of them waited before and the mask names all who did not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.emulator.bits import lowest
from archsim.emulator.records import S_BSYNC, S_FREE, S_RUN, S_WARPSYNC, SPLITS
from archsim.emulator.splits import CONTINUE, new_split, next_split, stamp
from archsim.kernels.jit import jit

u32, i64 = np.uint32, np.int64
FULL = u32(0xFFFFFFFF)


@jit
def write_mask(ws: Any, B: Any, bar: int, mask: Any, restored: Any) -> None:
    """Set a convergence register; `restored`: by BMOV, from a general register."""
    B[bar] = mask
    bit = u32(u32(1) << u32(bar))
    ws["restored"] = u32(ws["restored"] | bit) if restored else u32(ws["restored"] & ~bit)


@jit
def release_waiting(ws: Any, sp: Any, B: Any) -> None:
    """After threads exited, left a region or came: who need not wait any more executes BSYNC again or leaves WARPSYNC."""
    gone = u32(ws["exited"])
    for i in range(SPLITS):
        state, arg, pc = sp[i]["state"], u32(sp[i]["arg"]), i64(sp[i]["pc"])
        if state != S_BSYNC and state != S_WARPSYNC:
            continue
        need = u32(B[i64(arg)]) if state == S_BSYNC else arg
        here = u32(0)
        for j in range(SPLITS):
            if sp[j]["state"] == state and (sp[j]["pc"] == pc if state == S_BSYNC else sp[j]["arg"] == arg):
                here |= u32(sp[j]["mask"])
        if u32(need & ~gone & ~here) != u32(0):
            continue
        for j in range(SPLITS):
            if j == i or sp[j]["state"] != state:
                continue
            if state == S_BSYNC:
                if sp[j]["pc"] == pc:
                    sp[j]["state"], sp[j]["pc"], sp[j]["waited"] = S_RUN, pc - 1, sp[j]["mask"]
            elif sp[j]["arg"] == arg:
                if sp[j]["pc"] == pc:
                    sp[i]["mask"] |= sp[j]["mask"]
                    sp[j]["state"] = S_FREE
                else:
                    sp[j]["state"] = S_RUN
        sp[i]["state"] = S_RUN
        if state == S_BSYNC:
            sp[i]["pc"], sp[i]["waited"] = pc - 1, sp[i]["mask"]


@jit
def bsync(ws: Any, sp: Any, cur: int, active: Any, B: Any, bar: int) -> int:
    """BSYNC by the current split; sp[cur]["pc"] is the instruction behind it."""
    need = u32(B[bar] & ~ws["exited"])
    waited = u32(sp[cur]["waited"])
    sp[cur]["waited"] = 0
    pc = i64(sp[cur]["pc"])
    union = active
    if u32(need & ~active) != u32(0):
        here = active
        for j in range(SPLITS):
            if sp[j]["state"] == S_BSYNC and sp[j]["pc"] == pc:
                here |= u32(sp[j]["mask"])
        if u32(need & ~here) != u32(0):
            return wait_bsync(ws, sp, B, cur, active, need, bar)
        for j in range(SPLITS):
            if sp[j]["state"] == S_BSYNC and sp[j]["pc"] == pc:
                union |= u32(sp[j]["mask"] & need)
                sp[j]["mask"] &= ~need
                if sp[j]["mask"] == u32(0):
                    sp[j]["state"] = S_FREE
        sp[cur]["mask"] = union
    again = u32(ws["restored"] >> u32(bar) & u32(1)) != u32(0) and need != u32(0)
    if again and (waited == u32(0) or u32(active & ~need & ~waited) != u32(0)):
        sp[cur]["pc"], sp[cur]["waited"] = pc - 1, union
    return CONTINUE


@jit
def wait_bsync(ws: Any, sp: Any, B: Any, cur: int, active: Any, need: Any, bar: int) -> int:
    """Threads that the mask names wait, the others go on."""
    outside = u32(active & ~need)
    if outside == u32(0):
        sp[cur]["arg"] = bar
        stamp(ws, sp, cur, S_BSYNC)
        return next_split(ws, sp, B)
    if outside != active:
        sp[cur]["mask"] = outside
        new_split(ws, sp, i64(sp[cur]["pc"]), u32(active & need), S_BSYNC, u32(bar))
    return CONTINUE


@jit
def warpsync(ws: Any, sp: Any, B: Any, cur: int, active: Any, need: Any) -> int:
    """WARPSYNC by the current split: wait for the threads of `need`."""
    if u32(need & ws["exists"] & ~ws["exited"] & ~active) == u32(0):
        return CONTINUE
    sp[cur]["arg"] = u32(need & ws["exists"])
    stamp(ws, sp, cur, S_WARPSYNC)
    release_waiting(ws, sp, B)
    return CONTINUE if sp[cur]["state"] == S_RUN else next_split(ws, sp, B)


@jit
def move_barrier(ws: Any, V: Any, B: Any, to_b: Any, bar: int, clear: int, row: int, dst: int, m: Any) -> None:
    """BMOV: all threads read the register's mask; writing takes the first thread's value."""
    if m == u32(0):
        return
    if to_b:
        write_mask(ws, B, bar, u32(V[row, lowest(m)]), True)
        return
    for l in range(32):
        if m >> u32(l) & u32(1):
            V[dst, l] = B[bar]
    if clear:
        write_mask(ws, B, bar, u32(0), False)
