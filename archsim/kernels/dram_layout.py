"""Record layouts of the DRAM engine. docs/dram.md has the picture; archsim/dram/compile.py fills the tables.

Times are int64 ticks; a tick is a command-clock cycle, or half of one where a standard sends commands on both edges.
A *node* is one channel, pseudo-channel, rank, bank group or bank; a *group* is the banks of one node of the level just
above the banks. Commands that every constraint treats alike as followers share a *column*. ``ready`` holds, per bank
and column, the earliest tick that the bank itself allows; ``above`` holds, per column and group, what all wider nodes
allow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from archsim.kernels.jit import OPTIONS

leaf = njit(forceinline=True, **OPTIONS)  # small functions of the hot loop

NEVER = 1 << 60
# An index known not to be negative spares the access the wrap of negative ones: `a[at(i)]`, or `i & INDEX` for many.
INDEX = (1 << 32) - 1
at = np.uint64

# Commands every standard has; a standard's further commands (PIM) get the numbers from NUM_BASE_COMMANDS on.
ACT, PRE, PREA, RD, WR, RDA, WRA, REFAB, REFPB = range(9)
NUM_BASE_COMMANDS = 9

REFRESH_NONE, REFRESH_ALL_BANK, REFRESH_PER_BANK = range(3)

# What a candidate would do.
DO_NOTHING, DO_COLUMN, DO_PRECHARGE, DO_ACTIVATE, DO_REFRESH, DO_PRECHARGE_ALL, DO_CLOSE_FOR_REFRESH, DO_TIMEOUT = (
    range(8)
)

# Priority classes of commands that can go out in the same tick, and the room left for a scheduler's rank.
CLASS_ACTIVE, CLASS_REFRESH, CLASS_REQUEST, CLASS_TIMEOUT = range(4)
CLASS_SHIFT = 58

PAR_DT = np.dtype(
    [
        ("banks", "i8"),
        ("groups", "i8"),
        ("group_size", "i8"),  # banks of a group
        ("columns", "i8"),
        ("scopes", "i8"),
        ("banks_per_scope", "i8"),
        ("read_capacity", "i8"),
        ("write_capacity", "i8"),
        ("read_latency", "i8"),
        ("write_latency", "i8"),
        ("burst", "i8"),
        ("forward_writes", "i8"),
        ("serial_arrivals", "i8"),
        ("refresh", "i8"),
        ("refresh_interval", "i8"),
        ("refresh_postpone", "i8"),
        ("refresh_ticks", "i8"),
        ("power_down", "i8"),
        ("power_down_idle", "i8"),
        ("power_down_exit", "i8"),
    ]
)

CHANNEL_DT = np.dtype(
    [
        ("number", "i8"),
        ("now", "i8"),
        ("sequence", "i8"),
        ("writing", "i8"),
        ("stale", "i8"),  # tick for which reads or writes are still to be chosen after the last command, or -1
        ("reads", "i8"),
        ("writes", "i8"),
        ("active", "i8"),
        ("changed", "i8"),  # length of the list ``changed``
        ("urgent", "i8"),
        ("next_refresh", "i8"),
        ("free", "i8"),
        ("admit_from", "i8"),
        ("arrival_head", "i8"),
        ("arrivals", "i8"),
        ("done_head", "i8"),
        ("done", "i8"),
        ("log_count", "i8"),
        ("last_admit", "i8"),
        ("last_column", "i8"),
        ("last_time", "i8"),
        # counters
        ("reads_done", "i8"),
        ("writes_done", "i8"),
        ("forwarded", "i8"),
        ("read_hits", "i8"),
        ("read_misses", "i8"),
        ("read_conflicts", "i8"),
        ("write_hits", "i8"),
        ("write_misses", "i8"),
        ("write_conflicts", "i8"),
        ("read_latency_sum", "i8"),
        ("read_latency_max", "i8"),
        ("write_latency_sum", "i8"),
        ("queue_full", "i8"),
        ("mode_switches", "i8"),
        ("late", "i8"),
    ]
)

BANK_DT = np.dtype(
    [
        ("row", "i8"),  # open row, -1 when closed
        ("active", "i8"),  # request whose row was opened and that still waits for its column command, or -1
        ("blocked", "i8"),  # 1 while a refresh waits for this bank
        ("streak", "i8"),  # column commands since the row was opened
        ("last_use", "i8"),
        ("scope", "i8"),
        ("group", "i8"),
        ("opened", "i8"),
        ("open_ticks", "i8"),
        ("activates", "i8"),
        ("reads", "i8"),
        ("writes", "i8"),
    ]
)

# Requests of one bank and direction, oldest first.
QUEUE_DT = np.dtype(
    [
        ("head", "i8"),
        ("tail", "i8"),
        ("hit", "i8"),  # oldest request to the open row, or -1
        ("miss", "i8"),  # oldest request to another row (any row when the bank is closed), or -1
        ("count", "i8"),
    ]
)

REQUEST_DT = np.dtype(
    [
        ("row", "i8"),
        ("column", "i8"),
        ("bank", "i8"),
        ("time", "i8"),
        ("admitted", "i8"),
        ("sequence", "i8"),
        ("next", "i8"),
        ("previous", "i8"),
        ("write", "i8"),
        ("touched", "i8"),  # 0: no command yet; 1: row was opened for it; 2: another row was closed for it
        ("tag", "i8"),
    ]
)

# Kinds of a bank's possible next commands; the compiler gives their commands the columns of these numbers.
KIND_ACT, KIND_PRE, KIND_RD, KIND_WR = range(4)
NUM_KINDS = 4

ARRIVAL_DT = np.dtype([("time", "i8"), ("bank", "i8"), ("row", "i8"), ("column", "i8"), ("write", "i8"), ("tag", "i8")])
DONE_DT = np.dtype([("tag", "i8"), ("time", "i8"), ("arrival", "i8"), ("admitted", "i8"), ("write", "i8")])

# Refresh and power-down domain: one channel, pseudo-channel or rank.
SCOPE_DT = np.dtype(
    [
        ("due", "i8"),
        ("debt", "i8"),
        ("urgent", "i8"),
        ("target", "i8"),  # next bank of a per-bank refresh, counted inside the scope
        ("queued", "i8"),
        ("active", "i8"),
        ("open", "i8"),
        ("since", "i8"),
        ("idle_since", "i8"),
        # counters, ticks
        ("active_ticks", "i8"),
        ("idle_ticks", "i8"),
        ("active_down_ticks", "i8"),
        ("idle_down_ticks", "i8"),
        ("refreshes", "i8"),
    ]
)

COMMAND_DT = np.dtype(
    [
        ("column", "i8"),
        ("align", "i8"),
        ("update_begin", "i8"),
        ("sibling_begin", "i8"),  # rows for the other banks of the group: the last ones of the command
        ("update_end", "i8"),
        ("window_begin", "i8"),
        ("window_end", "i8"),
    ]
)
NO_HOLD = -(1 << 30)  # latency of a command that does not hold up a column
UPDATE_DT = np.dtype([("level", "i8"), ("column", "i8"), ("latency", "i8"), ("sibling", "i8")])
# ``size`` commands of one kind in any ``latency`` ticks: ring buffers of times start at ``base + node * (size + 1)``.
# ``groups``: groups of one node, 0 where the node is a bank.
WINDOW_DT = np.dtype(
    [
        ("level", "i8"),
        ("groups", "i8"),
        ("size", "i8"),
        ("base", "i8"),
        ("latency", "i8"),
        ("column", "i8"),
        ("slot", "i8"),
    ]
)
LOG_DT = np.dtype([("time", "i8"), ("command", "i8"), ("bank", "i8"), ("row", "i8"), ("column", "i8")])


class Dram(NamedTuple):
    """State of all channels of one memory. First axis of the per-channel arrays: channel."""

    par: np.ndarray
    channel: np.ndarray
    bank: np.ndarray
    queue: np.ndarray
    fresh: np.ndarray  # [channel, bank]: 0 while the bank is on the list ``changed``
    changed: np.ndarray  # [channel, i]: banks whose possible next commands are to be worked out anew
    first: np.ndarray  # [channel, kind * banks + bank]: tick that the bank allows for its next command of that kind
    key: np.ndarray  # the same: priority key of that command
    offers: np.ndarray  # [channel, kind]: banks that have a next command of the kind
    group_first: np.ndarray  # [channel, kind * groups + group]: smallest ``first`` of the group
    soonest: np.ndarray  # the same: earliest tick of a command in sight of everything, as of the last scan
    align: np.ndarray  # [kind]: ticks that commands of the kind align to, less one
    above: np.ndarray  # [channel, column * groups + group]
    ready: np.ndarray  # [channel, bank, column]
    hold_above: np.ndarray  # [command, group of its bank, column * groups + group]: ticks that it holds up, or NO_HOLD
    hold_bank: np.ndarray  # [command, column]: the same for its bank
    command: np.ndarray
    update: np.ndarray
    window: np.ndarray
    ring: np.ndarray
    scope: np.ndarray
    request: np.ndarray
    arrival: np.ndarray
    done: np.ndarray
    count: np.ndarray  # [channel, command]
    log: np.ndarray
    scheduler: Any
    page: Any


ONLY = 0  # index of the channel in what `alone` returns


@leaf
def alone(d, c):
    """Channel ``c`` as a memory of its own: with `ONLY` for the channel, the compiler drops that axis everywhere."""
    end = c + 1
    return Dram(
        d.par,
        d.channel[c:end],
        d.bank[c:end],
        d.queue[c:end],
        d.fresh[c:end],
        d.changed[c:end],
        d.first[c:end],
        d.key[c:end],
        d.offers[c:end],
        d.group_first[c:end],
        d.soonest[c:end],
        d.align,
        d.above[c:end],
        d.ready[c:end],
        d.hold_above,
        d.hold_bank,
        d.command,
        d.update,
        d.window,
        d.ring[c:end],
        d.scope[c:end],
        d.request[c:end],
        d.arrival[c:end],
        d.done[c:end],
        d.count[c:end],
        d.log[c:end],
        d.scheduler,
        d.page,
    )
