"""Command timing: when a command may go out, and what it forbids afterwards, as the compiled table says."""

from archsim.kernels.dram_layout import leaf
from archsim.kernels.layout import jit


@leaf
def earliest(d, c, b, command, now):
    """First tick from ``now`` on at which bank ``b`` of channel ``c`` accepts ``command`` (states aside)."""
    k = d.command[command]
    column = k["column"]
    t = now
    for level in range(d.path.shape[1]):
        v = d.ready[c, d.path[b, level] + column]
        if v > t:
            t = v
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
def issue(d, c, b, command, t):
    """Send ``command`` to bank ``b`` at tick ``t``: raise the ready times of every node that it holds up."""
    k = d.command[command]
    for u in range(k["update_begin"], k["update_end"]):
        r = d.update[u]
        _hold(d, c, b, r, t + r["latency"])
    for w in range(k["window_begin"], k["window_end"]):
        _window(d, c, b, d.window[w], t)
    d.count[c, command] += 1
    d.fresh[c, b] = 0


@leaf
def _hold(d, c, b, r, until):
    level = r["level"]
    at = d.path[b, level] + r["column"]
    if r["sibling"] == 0:
        if d.ready[c, at] < until:
            d.ready[c, at] = until
        return
    # The other nodes of this level under the same parent.
    base = d.fanout[level, 1] + r["column"]
    size = d.fanout[level, 0] * d.par[0]["columns"]
    first = base + (at - base) // size * size
    for other in range(first, first + size, d.par[0]["columns"]):
        if other != at and d.ready[c, other] < until:
            d.ready[c, other] = until
    if level == d.path.shape[1] - 1:  # the bank-level times of other banks changed
        d.fresh[c, :] = 0


@leaf
def _window(d, c, b, w, t):
    offset = d.path[b, w["level"]]
    node = (offset - d.fanout[w["level"], 1]) // d.par[0]["columns"]
    ring = w["base"] + node * (w["size"] + 1)
    position = d.ring[c, ring]
    if w["slot"] == 1:
        d.ring[c, ring + 1 + position] = t
        position += 1
        if position == w["size"]:
            position = 0
        d.ring[c, ring] = position
    until = d.ring[c, ring + 1 + position] + w["latency"]
    at = offset + w["column"]
    if d.ready[c, at] < until:
        d.ready[c, at] = until


@jit
def issue_scope(d, c, s, command, t):
    """Send a command that addresses all banks of scope ``s``."""
    par = d.par[0]
    k = d.command[command]
    first = s * par["banks_per_scope"]
    for u in range(k["update_begin"], k["update_end"]):
        r = d.update[u]
        last = first + 1 if r["level"] <= par["scope_level"] else first + par["banks_per_scope"]
        for b in range(first, last):
            _hold(d, c, b, r, t + r["latency"])
    d.fresh[c, first : first + par["banks_per_scope"]] = 0
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
