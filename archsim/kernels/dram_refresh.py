"""Refresh, power-down and background accounting of one scope (channel, pseudo-channel or rank)."""

from archsim.kernels.dram_layout import NEVER, REFRESH_ALL_BANK, leaf
from archsim.kernels.dram_timing import touch
from archsim.kernels.layout import jit


@leaf
def settle(d, c, s, now):
    """Charge the time since the last change to active or precharged standby."""
    scope = d.scope[c, s]
    if scope["open"] > 0:
        scope["active_ticks"] += now - scope["since"]
    else:
        scope["idle_ticks"] += now - scope["since"]
    scope["since"] = now


@jit
def wake(d, c, s, now):
    """Leave power-down, if the scope had been idle long enough to be in it: commands wait for its exit time."""
    par = d.par[0]
    if par["power_down"] == 0:
        return
    scope = d.scope[c, s]
    entry = scope["idle_since"] + par["power_down_idle"]
    if scope["queued"] > 0 or scope["urgent"] == 1 or now <= entry:
        return
    settle(d, c, s, entry)
    if scope["open"] > 0:
        scope["active_down_ticks"] += now - entry
    else:
        scope["idle_down_ticks"] += now - entry
    scope["since"] = now
    until = now + par["power_down_exit"]
    first = s * par["banks_per_scope"]
    for b in range(first, first + par["banks_per_scope"]):
        for column in range(par["columns"]):
            d.ready[c, b, column] = max(d.ready[c, b, column], until)
        touch(d, c, b)


@jit
def demand(d, c, s):
    """Make the refresh that scope ``s`` owes urgent: its banks take no new work until it is done."""
    par = d.par[0]
    scope = d.scope[c, s]
    scope["urgent"] = 1
    d.channel[c]["urgent"] += 1
    first = s * par["banks_per_scope"]
    if par["refresh"] == REFRESH_ALL_BANK:
        for b in range(first, first + par["banks_per_scope"]):
            d.bank[c, b]["blocked"] = 1
            touch(d, c, b)
    else:
        b = first + scope["target"]
        d.bank[c, b]["blocked"] = 1
        touch(d, c, b)


@jit
def come_due(d, c, now):
    """Book the refreshes that fall due at ``now``; those that can't be postponed become urgent."""
    par = d.par[0]
    earliest = NEVER
    for s in range(par["scopes"]):
        scope = d.scope[c, s]
        if scope["due"] <= now:
            scope["due"] += par["refresh_interval"]
            wake(d, c, s, now)
            scope["debt"] += 1
            if scope["urgent"] == 0 and (scope["debt"] > par["refresh_postpone"] or scope["queued"] == 0):
                demand(d, c, s)
        if scope["due"] < earliest:
            earliest = scope["due"]
    d.channel[c]["next_refresh"] = earliest


@jit
def refreshed(d, c, s, now):
    """The refresh command of scope ``s`` went out: free its banks."""
    par = d.par[0]
    scope = d.scope[c, s]
    scope["refreshes"] += 1
    scope["debt"] -= 1
    scope["urgent"] = 0
    scope["idle_since"] = now + par["refresh_ticks"]
    d.channel[c]["urgent"] -= 1
    first = s * par["banks_per_scope"]
    for b in range(first, first + par["banks_per_scope"]):
        d.bank[c, b]["blocked"] = 0
        touch(d, c, b)
    if par["refresh"] != REFRESH_ALL_BANK:
        target = scope["target"] + 1
        scope["target"] = 0 if target == par["banks_per_scope"] else target
    if scope["debt"] > par["refresh_postpone"] or (scope["debt"] > 0 and scope["queued"] == 0):
        demand(d, c, s)
