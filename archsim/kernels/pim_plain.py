"""Plain reads and writes between PIM commands: a run of them is served out of order over the banks of a channel.

Within a bank they keep their order. Over the banks the command that can go out first does, columns before rows in the
same tick, older before younger: rows of several banks open at the same time, as in the FR-FCFS controller of plain
memory (archsim/kernels/dram.py). At most ``PLAIN_WINDOW`` records count from the oldest unfinished one on.
"""

from archsim.kernels.dram_layout import ACT, NEVER, PRE, leaf
from archsim.kernels.layout import jit
from archsim.kernels.pim import _account, _change_mode, _forced, _remember, earliest_at, refresh, send, set_row
from archsim.kernels.pim_layout import PLAIN_WINDOW, RUN


@leaf
def is_plain(p, r):
    """True if the record may be part of such a run."""
    return r["kind"] == RUN and r["flags"] == 0 and p.info[r["command"]]["plain"] == 1


@jit
def run_plain(p, program, outcome, i, j):
    """Run records ``i`` to ``j`` - 1, all plain, on the channels of their masks, and fill their outcomes."""
    front = p.front[0]
    now = front["time"]
    for k in range(i, j):
        now = max(now, program[k]["not_before"])
        o = outcome[k]
        o["taken"] = now
        o["first"] = NEVER
        o["last"] = now
        o["done"] = now
        now += front["decode"]
    sent = now
    for c in range(p.channel.shape[0]):
        sent = max(sent, _channel(p, c, program, outcome, i, j))
    for k in range(i, j):
        outcome[k]["first"] = min(outcome[k]["first"], outcome[k]["last"])
        front["end"] = max(front["end"], outcome[k]["done"])
    front["time"] = sent


@jit
def _channel(p, c, program, outcome, i, j):
    """One channel's share; returns the tick from which the front end may go on."""
    oldest = _next(program, i, j, c)
    if oldest == j:
        return 0
    now = max(outcome[oldest]["taken"], p.route[c, 0])
    _change_mode(p, c, program[oldest]["command"], program[oldest]["bank"], now)
    admitted = oldest
    moved = now
    while oldest < j:
        # Take records in while the window, counted from the oldest unfinished one, has room.
        while admitted < j and admitted - oldest < PLAIN_WINDOW:
            e = p.plain[c, admitted % PLAIN_WINDOW]
            e["left"] = program[admitted]["count"] if program[admitted]["mask"] >> c & 1 else 0
            e["touched"] = 0
            admitted += 1
            moved = now
        k, command, t = _choose(p, c, program, outcome, oldest, admitted, now)
        if t >= _forced(p, c):
            refresh(p, c, max(now, p.channel[c]["due"]))
            now = p.channel[c]["now"]
            continue
        now = t
        _issue(p, c, program[k], outcome[k], p.plain[c, k % PLAIN_WINDOW], command, t)
        while oldest < admitted and p.plain[c, oldest % PLAIN_WINDOW]["left"] == 0:
            oldest += 1
    p.route[c, 0] = now
    return moved + 1


@leaf
def _next(program, i, j, c):
    while i < j and program[i]["mask"] >> c & 1 == 0:
        i += 1
    return i


@jit
def _choose(p, c, program, outcome, oldest, admitted, now):
    """The record to serve, its next command and the command's earliest tick."""
    best = -1
    best_command = 0
    best_key = NEVER
    seen = 0  # banks that an older record of the window already uses
    for k in range(oldest, admitted):
        if p.plain[c, k % PLAIN_WINDOW]["left"] == 0:
            continue
        b = program[k]["bank"]
        if seen >> b & 1:
            continue
        seen |= 1 << b
        row = p.bank[c, b]["row"]
        command = program[k]["command"]
        if row < 0:
            command = ACT
        elif row != program[k]["row"]:
            command = PRE
        t = earliest_at(p, c, command, b, max(now, outcome[k]["taken"]))
        key = 2 * t + (command in (ACT, PRE))
        if best < 0 or key < best_key:
            best = k
            best_command = command
            best_key = key
    return best, best_command, best_key >> 1


@leaf
def _issue(p, c, r, o, e, command, t):
    b = r["bank"]
    send(p, c, command, b, t, 1, 0)
    if command == PRE:
        set_row(p, c, b, 1, 1, -1, t)
        e["touched"] = 2
        return
    if command == ACT:
        set_row(p, c, b, 1, 1, r["row"], t)
        e["touched"] = max(e["touched"], 1)
        return
    _remember(p, c, 1, t, 0)
    _account(p, c, command, b, 1, 0, e["touched"])
    e["touched"] = 0
    e["left"] -= 1
    done = t + p.info[command]["latency"]
    o["first"] = min(o["first"], t)
    o["last"] = max(o["last"], t)
    o["done"] = max(o["done"], done)
    if p.info[command]["posted"] == 1:
        p.channel[c]["posted_done"] = max(p.channel[c]["posted_done"], done)
