"""Watchdog: what the warps of a chip wait for when none of them can go on."""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.kernels import layout as lay

SHOWN = 8  # warps named in a message
QUIET_CYCLES = 2_000_000  # without a single issue: twice the longest NANOSLEEP, and no memory answers that late


def describe_deadlock(machine: lay.Machine, program: Any, name: str) -> str:
    """One line: which warps wait on what."""
    warps = np.flatnonzero(machine.wp["state"] != lay.W_EMPTY)
    lines = [_warp(machine, program, int(i)) for i in warps[:SHOWN]]
    if len(warps) > SHOWN:
        lines.append(f"and {len(warps) - SHOWN} more")
    cycle = int(machine.sm["now"].max())
    return f"{name}: deadlock at cycle {cycle}: {len(warps)} warps cannot go on; " + "; ".join(lines)


def _warp(machine: lay.Machine, program: Any, index: int) -> str:
    w = machine.wp[index]
    sm, local = divmod(index, int(machine.par[0]["num_warps"]))
    instruction = program.instructions[int(w["pc"])]
    place = f"SM {sm} warp {local} (CTA {w['trace_cta']}, its warp {w['warp_in_cta']})"
    if w["state"] == lay.W_DRAIN:
        return f"{place}, at its end, waits for {_in_flight(w)}"
    at = f"{place}, before {instruction.text or instruction.opcode}"
    if w["state"] == lay.W_BARRIER:
        return f"{at}, waits at {_barrier(machine, sm, w)}"
    if w["state"] == lay.W_MEMBAR:
        return f"{at}, waits in a memory barrier for {_in_flight(w)}"
    return f"{at}, waits for {_reason(machine, w)}"


def _barrier(machine: lay.Machine, sm: int, w: Any) -> str:
    cta = machine.cta[sm, int(w["cta"])]
    number = int(w["barrier"])
    expected = int(cta["expected"][number]) or int(cta["warps_left"])
    return f"barrier {number}: {cta['arrived'][number]} of {expected} warps have arrived"


def _in_flight(w: Any) -> str:
    return f"{w['loads']} loads and {w['stores']} stores in flight"


def _reason(machine: lay.Machine, w: Any) -> str:
    ins = machine.ins[int(w["pc"])]
    name = lay.REASON_NAMES[int(w["why"])]
    packed = int(w["sb"])
    raised = [k for k in range(lay.NUM_SB) if int(ins["wait"]) >> k & 1 and packed >> (8 * k) & 0xFF]
    if raised:
        return f"dependence counters {', '.join(map(str, raised))} ({name}; {_in_flight(w)})"
    return f"{name} ({_in_flight(w)})"
