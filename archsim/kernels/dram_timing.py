"""Command timing: when a command may go out, and what it forbids afterwards, as the compiled table says."""

from archsim.kernels.dram_layout import leaf
from archsim.kernels.layout import jit


@leaf
def touch(d, c, b):
    """Have the possible next commands of bank ``b`` worked out anew before the next choice."""
    if d.fresh[c, b] == 1:
        d.fresh[c, b] = 0
        ch = d.channel[c]
        n = ch["changed"]
        d.changed[c, n] = b
        ch["changed"] = n + 1


@leaf
def earliest(d, c, b, command, now):
    """First tick from ``now`` on at which bank ``b`` of channel ``c`` accepts ``command`` (states aside)."""
    k = d.command[command]
    column = k["column"]
    t = max(now, d.ready[c, b, column], d.above[c, column * d.par[0]["groups"] + d.bank[c, b]["group"]])
    align = k["align"]
    return (t + align) & ~align


@jit
def earliest_scope(d, c, s, command, now):
    """The same for a command that addresses all banks of scope ``s``."""
    n = d.par[0]["banks_per_scope"]
    t = now
    for b in range(s * n, s * n + n):
        t = earliest(d, c, b, command, t)
    return t


@leaf
def _hold_above(d, c, g, command, t):
    """Raise the ready times that ``command`` to a bank of group ``g`` holds up outside its bank."""
    above = d.above[c]
    hold = d.hold_above[command, g]
    for i in range(above.size):
        above[i] += max(t + hold[i] - above[i], 0)  # (a plain maximum becomes a masked store, which is slow)


@leaf
def _hold_bank(d, c, b, command, t):
    ready = d.ready[c, b]
    hold = d.hold_bank[command]
    for i in range(ready.size):
        ready[i] += max(t + hold[i] - ready[i], 0)
    touch(d, c, b)


@jit
def _hold_siblings(d, c, b, r, t):
    """Raise a ready time of the other banks of the group."""
    size = d.par[0]["group_size"]
    first = d.bank[c, b]["group"] * size
    column = r["column"]
    for other in range(first, first + size):
        if other != b:
            d.ready[c, other, column] = max(d.ready[c, other, column], t + r["latency"])
            touch(d, c, other)


@leaf
def _hold_window(d, c, b, g, w, t):
    """Enter the command in its window's ring; its followers wait for the one that leaves the window next."""
    par = d.par[0]
    n = w["groups"]
    node = b if n == 0 else g // n
    ring = w["base"] + node * (w["size"] + 1)
    position = d.ring[c, ring]
    if w["slot"] == 1:
        d.ring[c, ring + 1 + position] = t
        position += 1
        if position == w["size"]:
            position = 0
        d.ring[c, ring] = position
    until = d.ring[c, ring + 1 + position] + w["latency"]
    column = w["column"]
    if n == 0:
        d.ready[c, b, column] = max(d.ready[c, b, column], until)
        return
    at = column * par["groups"] + node * n
    for i in range(at, at + n):
        d.above[c, i] = max(d.above[c, i], until)


@leaf
def issue(d, c, b, command, t):
    """Send ``command`` to bank ``b`` at tick ``t``: raise the ready times of everything that it holds up."""
    k = d.command[command]
    g = d.bank[c, b]["group"]
    _hold_above(d, c, g, command, t)
    _hold_bank(d, c, b, command, t)
    for i in range(k["sibling_begin"], k["update_end"]):
        _hold_siblings(d, c, b, d.update[i], t)
    for w in range(k["window_begin"], k["window_end"]):
        _hold_window(d, c, b, g, d.window[w], t)
    d.count[c, command] += 1


@jit
def issue_scope(d, c, s, command, t):
    """Send a command that addresses all banks of scope ``s``."""
    par = d.par[0]
    k = d.command[command]
    first = s * par["banks_per_scope"]
    for b in range(first, first + par["banks_per_scope"]):
        if b == first or b % par["group_size"] == 0:
            _hold_above(d, c, d.bank[c, b]["group"], command, t)
        _hold_bank(d, c, b, command, t)
        for i in range(k["sibling_begin"], k["update_end"]):
            _hold_siblings(d, c, b, d.update[i], t)
    d.count[c, command] += 1


@jit
def log(d, c, t, command, bank, row, column):
    """Keep the command in the log while there is room (a log of length 0 switches it off)."""
    n = d.channel[c]["log_count"]
    if n < d.log.shape[1]:
        r = d.log[c, n]
        r["time"] = t
        r["command"] = command
        r["bank"] = bank
        r["row"] = row
        r["column"] = column
        d.channel[c]["log_count"] = n + 1
