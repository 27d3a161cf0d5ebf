"""Record layouts of the PIM executor (archsim/kernels/pim.py). archsim/dram/pim.py fills the tables; docs/pim.md.

Times are int64 ticks of the compiled DRAM standard (a command clock, or half of one), counted from 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MODE_ANY = -1

# Kinds of program records. BARRIER: the front end waits until all channels have finished. FENCE: in each channel, no
# column command behind it goes before one in front of it. NOTHING: work of the front end alone.
RUN, BARRIER, FENCE, NOTHING = range(4)
WAIT = 1  # flag: the front end waits until the commands of this record are complete

# One command of the standard as the executor sees it.
PIM_COMMAND_DT = np.dtype(
    [
        ("level", "i8"),  # merged level whose banks it addresses at once
        ("banks", "i8"),  # how many those are: from first on, every stride-th below first + extent
        ("extent", "i8"),
        ("stride", "i8"),
        ("deepest", "i8"),  # deepest level at which anything can hold it up
        ("opens", "i8"),
        ("closes", "i8"),
        ("row", "i8"),  # 1: needs its row open in all those banks
        ("open_command", "i8"),  # command that opens rows for it, and the one that closes other rows before that
        ("close_command", "i8"),
        ("mode", "i8"),
        ("period", "i8"),  # ticks between two of them in an uninterrupted burst; 0: no closed form, step them
        ("latency", "i8"),
        ("posted", "i8"),
        ("bytes_in", "i8"),
        ("bytes_out", "i8"),
        ("macs", "i8"),
        ("route", "i8"),  # commands of one route go out in program order
        ("plain", "i8"),  # 1: a plain read or write of one bank
    ]
)

# A record of a program: ``count`` commands in columns column, column + 1, ... of row, then the same in row + 1, ... for
# ``rows`` rows. ``mask``: bit i is channel i. Commands without a row ignore it. ``not_before``: tick.
RECORD_DT = np.dtype(
    [
        ("kind", "i8"),
        ("command", "i8"),
        ("mask", "i8"),
        ("bank", "i8"),
        ("row", "i8"),
        ("column", "i8"),
        ("count", "i8"),
        ("rows", "i8"),
        ("flags", "i8"),
        ("not_before", "i8"),
    ]
)

# What became of a record: tick at which the front end took it, first and last issue of its own commands (over all
# channels), completion of the last.
OUTCOME_DT = np.dtype([("taken", "i8"), ("first", "i8"), ("last", "i8"), ("done", "i8")])

FRONT_DT = np.dtype(
    [
        ("time", "i8"),  # tick at which it can take the next record
        ("decode", "i8"),  # ticks a record
        ("queue", "i8"),  # commands that one channel holds, 0: any number
        ("end", "i8"),  # completion of everything so far
    ]
)

PIM_PAR_DT = np.dtype(
    [
        ("mode_command", "i8"),  # -1: the standard has no modes
        ("ahead", "i8"),  # 1: rows are opened as soon as the command that needs them is queued
        ("each_bank", "i8"),  # 1: rows of many banks are opened one bank after the other (tRRD, tFAW hold)
        ("single_open", "i8"),
        ("single_close", "i8"),
    ]
)

PLAIN_WINDOW = 64
PLAIN_DT = np.dtype([("left", "i8"), ("touched", "i8")])

ROUTES = 2  # with a command bus and an order of their own (bank units; data movement)

PIM_CHANNEL_DT = np.dtype(
    [
        ("now", "i8"),  # tick of the last command simulated, and of the latest of all routes
        ("latest", "i8"),
        ("fence", "i8"),  # no column command before this tick
        ("mode", "i8"),
        ("common_row", "i8"),  # row that all banks have open, or -1
        ("open_banks", "i8"),
        ("posted_done", "i8"),
        ("due", "i8"),  # next refresh
        ("target", "i8"),  # bank of the next per-bank refresh
        ("elements", "i8"),  # commands queued so far
        ("ring", "i8"),  # place of the newest burst in ``burst``
        ("since", "i8"),  # last change of the number of open banks from or to 0
        # counters
        ("active_ticks", "i8"),
        ("row_hits", "i8"),
        ("row_misses", "i8"),
        ("row_conflicts", "i8"),
        ("bytes_in", "i8"),
        ("bytes_out", "i8"),
        ("pin_ticks", "i8"),
        ("macs", "i8"),
        ("mode_changes", "i8"),
        ("refreshes", "i8"),
        ("bursts", "i8"),
    ]
)

PIM_BANK_DT = np.dtype(
    [
        ("row", "i8"),  # open row or -1
        ("opened", "i8"),
        # counters
        ("activates", "i8"),
        ("columns", "i8"),
        ("busy_ticks", "i8"),
        ("open_ticks", "i8"),
    ]
)

# The last bursts of a channel: their commands have the numbers up to ``end`` (counted from 1).
BURST_DT = np.dtype([("end", "i8"), ("first", "i8"), ("period", "i8")])


class Pim(NamedTuple):
    """Tables (shared by all channels) and state (first axis: channel) of the PIM executor."""

    par: np.ndarray  # [1] of the DRAM engine: refresh
    pim: np.ndarray  # [1]
    front: np.ndarray  # [1]
    info: np.ndarray  # [command]
    command: np.ndarray  # timing tables of the DRAM engine
    update: np.ndarray
    window: np.ndarray
    path: np.ndarray
    fanout: np.ndarray
    span: np.ndarray  # [level]: banks of one node
    channel: np.ndarray
    bank: np.ndarray  # [channel, bank]
    route: np.ndarray  # [channel, route]: tick of the last command of each route
    ready: np.ndarray
    ring: np.ndarray
    burst: np.ndarray  # [channel, place]
    plain: np.ndarray  # [channel, PLAIN_WINDOW]
    count: np.ndarray  # [channel, command]
    log: np.ndarray  # [channel, entry]
    logged: np.ndarray  # [channel]
