"""Record layouts of the DRAM engine. docs/dram.md has the picture; archsim/dram/compile.py fills the tables.

Times are int64 ticks; a tick is a command-clock cycle, or half of one where a standard sends commands on both edges.
A *node* is one channel, pseudo-channel, rank, bank group or bank; ``ready`` holds, per node and command column, the
earliest tick at which that node accepts the command.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

# Leaves of the hot loop are always inlined: a call would pass some two hundred machine words of array descriptors.
leaf = njit(no_cpython_wrapper=True, error_model="numpy", forceinline=True)

NEVER = 1 << 60

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
        ("levels", "i8"),
        ("columns", "i8"),
        ("commands", "i8"),
        ("scopes", "i8"),
        ("banks_per_scope", "i8"),
        ("scope_level", "i8"),
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
        ("now", "i8"),
        ("sequence", "i8"),
        ("writing", "i8"),
        ("stale", "i8"),  # tick for which reads or writes are still to be chosen after the last command, or -1
        ("reads", "i8"),
        ("writes", "i8"),
        ("active", "i8"),
        ("occupied", "i8"),
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
        ("place", "i8"),  # position in the list of occupied banks, or -1
        ("streak", "i8"),  # column commands since the row was opened
        ("last_use", "i8"),
        ("scope", "i8"),
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

# A possible next command of a bank: the tick that the bank itself allows, its kind (column of ``upper``), what it does.
CANDIDATE_DT = np.dtype([("time", "i8"), ("key", "i8"), ("kind", "i8"), ("do", "i8"), ("index", "i8")])
KIND_ACT, KIND_PRE, KIND_RD, KIND_WR = range(4)

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
        ("update_end", "i8"),
        ("window_begin", "i8"),
        ("window_end", "i8"),
    ]
)
UPDATE_DT = np.dtype([("level", "i8"), ("column", "i8"), ("latency", "i8"), ("sibling", "i8")])
# ``size`` commands of one kind in any ``latency`` ticks: ring buffers of times start at ``base + node * size``.
WINDOW_DT = np.dtype(
    [("level", "i8"), ("size", "i8"), ("base", "i8"), ("latency", "i8"), ("column", "i8"), ("slot", "i8")]
)
LOG_DT = np.dtype([("time", "i8"), ("command", "i8"), ("bank", "i8"), ("row", "i8"), ("column", "i8")])


class Dram(NamedTuple):
    """State of all channels of one memory. First axis of the per-channel arrays: channel."""

    par: np.ndarray
    channel: np.ndarray
    bank: np.ndarray
    queue: np.ndarray
    fresh: np.ndarray  # 1 while ``candidate`` of the bank is up to date
    candidate: np.ndarray  # [channel, bank, 2]
    upper: np.ndarray  # [channel, group, kind]: tick that all levels above the bank allow, as of the last scan
    group: np.ndarray  # [bank]
    occupied: np.ndarray
    ready: np.ndarray
    path: np.ndarray  # [bank, level]: offset of the bank's node in ``ready``
    fanout: np.ndarray  # [level, 2]: nodes of the level under one parent, offset of the level's first node in ``ready``
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
