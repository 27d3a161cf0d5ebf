"""DRAM channel controller: bank state machines under a compiled timing table, scheduled by a plug-in.

The engine never steps through idle ticks. It computes, for each bank with work, the earliest tick of the bank's next
command; the smallest over the banks is the next tick in which anything can happen, and the scheduler's rank decides
between commands of that tick. An arrival, a refresh falling due or the end of the caller's window may come first.

Order of priority within a tick (docs/dram.md): column command of a row that was opened for a request, refresh, other
requests by the scheduler's rank, closing of idle rows.
"""

from archsim.kernels.dram_hooks import closes_after, has_timeout, idle_ticks, may_close, rank, write_mode
from archsim.kernels.dram_layout import (
    ACT,
    CLASS_ACTIVE,
    CLASS_REFRESH,
    CLASS_REQUEST,
    CLASS_SHIFT,
    CLASS_TIMEOUT,
    DO_ACTIVATE,
    DO_CLOSE_FOR_REFRESH,
    DO_COLUMN,
    DO_NOTHING,
    DO_PRECHARGE,
    DO_PRECHARGE_ALL,
    DO_REFRESH,
    DO_TIMEOUT,
    KIND_ACT,
    KIND_PRE,
    KIND_RD,
    NEVER,
    PRE,
    PREA,
    RD,
    RDA,
    REFAB,
    REFPB,
    REFRESH_ALL_BANK,
    REFRESH_NONE,
    leaf,
)
from archsim.kernels.dram_queue import admit, complete, next_arrival, release_slot, sort_rows, unlink, vacate
from archsim.kernels.dram_refresh import come_due, demand, refreshed, settle, wake
from archsim.kernels.dram_timing import earliest, earliest_scope, issue, issue_scope, log
from archsim.kernels.layout import jit


@leaf
def _command(kind):
    """Command of a candidate's kind."""
    if kind == KIND_ACT:
        return ACT
    if kind == KIND_PRE:
        return PRE
    return RD + kind - KIND_RD


@leaf
def _set_candidate(d, c, b, slot, kind, key, do, index):
    k = d.command[_command(kind)]
    last = d.path.shape[1] - 1
    t = d.ready[c, d.path[b, last] + k["column"]]
    r = d.candidate[c, b, slot]
    r["time"] = (t + k["align"]) & ~k["align"]
    r["key"] = key
    r["kind"] = kind
    r["do"] = do
    r["index"] = index


@leaf
def _renew(d, c, b):
    """Work out the bank's candidates: at most two (active request and row hit, or row hit and row command)."""
    d.fresh[c, b] = 1
    d.candidate[c, b, 0]["time"] = NEVER
    d.candidate[c, b, 1]["time"] = NEVER
    bank = d.bank[c, b]
    active = bank["active"]
    slot = 0
    if active >= 0:
        r = d.request[c, active]
        key = (CLASS_ACTIVE << CLASS_SHIFT) + r["sequence"]
        _set_candidate(d, c, b, 0, KIND_RD + r["write"], key, DO_COLUMN, active)
        slot = 1
    if bank["blocked"] == 1:
        return
    writing = d.channel[c]["writing"]
    q = d.queue[c, b, writing]
    hit = q["hit"]
    miss = q["miss"]
    base = CLASS_REQUEST << CLASS_SHIFT
    if hit >= 0:
        key = base + rank(d.scheduler, c, b, True, d.request[c, hit]["sequence"])
        _set_candidate(d, c, b, slot, KIND_RD + writing, key, DO_COLUMN, hit)
    if miss < 0 or active >= 0:
        return
    sequence = d.request[c, miss]["sequence"]
    key = base + rank(d.scheduler, c, b, False, sequence)
    if bank["row"] < 0:
        _set_candidate(d, c, b, 1, KIND_ACT, key, DO_ACTIVATE, miss)
    elif hit < 0 or may_close(d.scheduler, c, b, d.request[c, hit]["sequence"], sequence, bank["streak"]):
        _set_candidate(d, c, b, 1, KIND_PRE, key, DO_PRECHARGE, miss)


@leaf
def _set_upper(d, c, now):
    """For every group of banks and kind of command, the tick that the levels above the banks allow."""
    levels = d.path.shape[1] - 1
    groups = d.upper.shape[1]
    size = d.bank.shape[1] // groups
    for kind in range(4):
        k = d.command[_command(kind)]
        column = k["column"]
        align = k["align"]
        for g in range(groups):
            t = now
            for level in range(levels):
                v = d.ready[c, d.path[g * size, level] + column]
                if v > t:
                    t = v
            d.upper[c, g, kind] = (t + align) & ~align


@leaf
def best_of(d, c, b, floor):
    """Earliest next command of bank ``b``: (tick, priority key, candidate). ``floor``: a tick that it can't precede."""
    if d.fresh[c, b] == 0:
        _renew(d, c, b)
    g = d.group[b]
    r = d.candidate[c, b, 0]
    t = max(r["time"], d.upper[c, g, r["kind"]])
    key = r["key"]
    slot = 0
    r = d.candidate[c, b, 1]
    t2 = max(r["time"], d.upper[c, g, r["kind"]])
    if t2 < t or (t2 == t and r["key"] < key):
        t = t2
        key = r["key"]
        slot = 1
    if t < floor:
        align = d.command[_command(d.candidate[c, b, slot]["kind"])]["align"]
        t = (floor + align) & ~align
    return t, key, slot


@jit
def refresh_step(d, c, s, now):
    """Earliest step towards the refresh that scope ``s`` owes: (tick, what, bank or scope)."""
    par = d.par[0]
    scope = d.scope[c, s]
    if par["refresh"] == REFRESH_ALL_BANK:
        if scope["active"] > 0:  # a row that was opened for a request is used before it is closed
            return NEVER, DO_NOTHING, s
        if scope["open"] > 0:
            return earliest_scope(d, c, s, PREA, now), DO_PRECHARGE_ALL, s
        return earliest_scope(d, c, s, REFAB, now), DO_REFRESH, s
    b = s * par["banks_per_scope"] + scope["target"]
    if d.bank[c, b]["active"] >= 0:
        return NEVER, DO_NOTHING, b
    if d.bank[c, b]["row"] >= 0:
        return earliest(d, c, b, PRE, now), DO_CLOSE_FOR_REFRESH, b
    return earliest(d, c, b, REFPB, now), DO_REFRESH, b


@jit
def timeout_step(d, c, now):
    """Earliest closing of an idle open row: (tick, bank)."""
    t = NEVER
    bank = -1
    for b in range(d.par[0]["banks"]):
        r = d.bank[c, b]
        if r["row"] >= 0 and r["place"] < 0 and r["blocked"] == 0:
            wait = idle_ticks(d.page, c, b)
            if wait < NEVER:
                t2 = earliest(d, c, b, PRE, max(now, r["last_use"] + wait))
                if t2 < t:
                    t, bank = t2, b
    return t, bank


@leaf
def scan(d, c, now):
    """The next command of the channel: (tick, priority key, bank or scope, what, request)."""
    ch = d.channel[c]
    t = NEVER
    key = NEVER
    bank = -1
    do = DO_NOTHING
    slot = 0
    _set_upper(d, c, now)
    for k in range(ch["occupied"]):
        b = d.occupied[c, k]
        t2, key2, slot2 = best_of(d, c, b, now)
        if t2 < t or (t2 == t and t2 < NEVER and key2 < key):
            t, key, bank, slot = t2, key2, b, slot2
    index = -1
    if bank >= 0:
        do = d.candidate[c, bank, slot]["do"]
        index = d.candidate[c, bank, slot]["index"]
    if ch["urgent"] > 0:
        for s in range(d.par[0]["scopes"]):
            if d.scope[c, s]["urgent"] == 1:
                t2, do2, b2 = refresh_step(d, c, s, now)
                key2 = (CLASS_REFRESH << CLASS_SHIFT) + s
                if t2 < t or (t2 == t and key2 < key):
                    t, key, bank, do, index = t2, key2, b2, do2, -1
    if has_timeout(d.page):
        t2, b2 = timeout_step(d, c, now)
        key2 = (CLASS_TIMEOUT << CLASS_SHIFT) + b2
        if t2 < t or (t2 == t and key2 < key):
            t, key, bank, do, index = t2, key2, b2, DO_TIMEOUT, -1
    return t, key, bank, do, index


@leaf
def close_row(d, c, b, t):
    """Bookkeeping of a row that is closed at ``t``."""
    bank = d.bank[c, b]
    s = bank["scope"]
    settle(d, c, s, t)
    d.scope[c, s]["open"] -= 1
    bank["row"] = -1
    bank["open_ticks"] += t - bank["opened"]
    bank["streak"] = 0
    sort_rows(d, c, b)
    d.fresh[c, b] = 0


@leaf
def open_row(d, c, b, i, t):
    """Activate the row of request ``i``, which from now on waits for its column command only."""
    bank = d.bank[c, b]
    r = d.request[c, i]
    s = bank["scope"]
    settle(d, c, s, t)
    scope = d.scope[c, s]
    scope["open"] += 1
    scope["active"] += 1
    if r["touched"] == 0:
        r["touched"] = 1
    unlink(d, c, i)
    bank["active"] = i
    bank["row"] = r["row"]
    bank["opened"] = t
    bank["activates"] += 1
    sort_rows(d, c, b)
    release_slot(d, c, r["write"], t)
    d.channel[c]["active"] += 1
    d.fresh[c, b] = 0
    issue(d, c, b, ACT, t)
    log(d, c, t, ACT, b, r["row"], -1)


@leaf
def _count_column(d, c, b, r, t):
    ch = d.channel[c]
    bank = d.bank[c, b]
    touched = r["touched"]
    if r["write"] == 0:
        bank["reads"] += 1
        if touched == 0:
            ch["read_hits"] += 1
        elif touched == 1:
            ch["read_misses"] += 1
        else:
            ch["read_conflicts"] += 1
    else:
        bank["writes"] += 1
        if touched == 0:
            ch["write_hits"] += 1
        elif touched == 1:
            ch["write_misses"] += 1
        else:
            ch["write_conflicts"] += 1
    bank["streak"] += 1
    bank["last_use"] = t
    ch["last_column"] = t


@leaf
def serve(d, c, b, i, t):
    """Read or write for request ``i``, closing the row with it if the page policy says so."""
    ch = d.channel[c]
    par = d.par[0]
    bank = d.bank[c, b]
    r = d.request[c, i]
    scope = d.scope[c, bank["scope"]]
    write = r["write"]
    if bank["active"] == i:
        bank["active"] = -1
        scope["active"] -= 1
        ch["active"] -= 1
    else:
        unlink(d, c, i)
        release_slot(d, c, write, t)
    _count_column(d, c, b, r, t)
    more = d.queue[c, b, 0]["hit"] >= 0 or d.queue[c, b, 1]["hit"] >= 0 or bank["active"] >= 0
    command = RD + write
    if closes_after(d.page, c, b, more) and bank["active"] < 0 and earliest(d, c, b, RDA + write, t) == t:
        command = RDA + write
    issue(d, c, b, command, t)
    log(d, c, t, command, b, bank["row"], r["column"])
    if command >= RDA:
        close_row(d, c, b, t)
    complete(
        d,
        c,
        r["tag"],
        t + (par["read_latency"] if write == 0 else par["write_latency"]),
        r["time"],
        r["admitted"],
        write,
    )
    r["next"] = ch["free"]
    ch["free"] = i
    scope["queued"] -= 1
    if scope["queued"] == 0:
        scope["idle_since"] = t
        if scope["debt"] > 0 and scope["urgent"] == 0:
            demand(d, c, bank["scope"])
    vacate(d, c, b)


@jit
def perform(d, c, b, do, i, t):
    """Carry out the chosen command at tick ``t``."""
    if do == DO_COLUMN:
        serve(d, c, b, i, t)
    elif do == DO_ACTIVATE:
        open_row(d, c, b, i, t)
    elif do == DO_PRECHARGE or do == DO_TIMEOUT or do == DO_CLOSE_FOR_REFRESH:
        if do == DO_PRECHARGE:
            d.request[c, i]["touched"] = 2
        issue(d, c, b, PRE, t)
        log(d, c, t, PRE, b, d.bank[c, b]["row"], -1)
        close_row(d, c, b, t)
    elif do == DO_PRECHARGE_ALL:
        n = d.par[0]["banks_per_scope"]
        issue_scope(d, c, b, PREA, t)
        log(d, c, t, PREA, b * n, -1, -1)
        for k in range(b * n, b * n + n):
            if d.bank[c, k]["row"] >= 0:
                close_row(d, c, k, t)
    elif d.par[0]["refresh"] == REFRESH_ALL_BANK:
        issue_scope(d, c, b, REFAB, t)
        log(d, c, t, REFAB, b * d.par[0]["banks_per_scope"], -1, -1)
        refreshed(d, c, b, t)
    else:
        issue(d, c, b, REFPB, t)
        log(d, c, t, REFPB, b, -1, -1)
        refreshed(d, c, d.bank[c, b]["scope"], t)


@jit
def set_mode(d, c):
    """Ask the scheduler whether to serve reads or writes; True if that changed."""
    ch = d.channel[c]
    mode = write_mode(d.scheduler, c, ch["writing"], ch["reads"], ch["writes"], d.par[0]["write_capacity"])
    if mode == ch["writing"]:
        return False
    ch["writing"] = mode
    ch["mode_switches"] += 1
    for k in range(ch["occupied"]):
        d.fresh[c, d.occupied[c, k]] = 0
    return True


@leaf
def enter(d, c, now):
    """Admit the head of the arrival queue at ``now``; returns its bank or -1."""
    a = d.arrival[c, d.channel[c]["arrival_head"]]
    s = d.bank[c, a["bank"]]["scope"]
    wake(d, c, s, now)
    b = admit(d, c, now)
    if b >= 0:
        d.scope[c, s]["queued"] += 1
    return b


@jit
def advance(d, c, until, keep):
    """Run channel ``c`` through all ticks before ``until``.

    Every request that reaches the channel before ``until`` must have been pushed. Cutting a run into windows changes
    nothing. ``keep`` >= 0 returns as soon as no more than that many arrivals wait, so that the caller can add some
    (-1: never). Also returns when the completion queue is full; the caller empties it and calls again.
    With ``until`` = NEVER it returns once nothing is left to do. Returns the tick reached.

    Reads or writes are chosen anew for the tick after each command, in sight of what arrives in that tick.
    """
    ch = d.channel[c]
    room = d.done.shape[1]
    while ch["arrivals"] > keep and ch["done"] < room:
        now = ch["now"]
        t, key, b, do, i = scan(d, c, now)
        choose = 0 <= ch["stale"] <= t
        if choose and ch["stale"] >= until:
            break
        while True:
            e = next_arrival(d, c)
            if choose and e > ch["stale"]:
                choose = False
                now = max(now, ch["stale"])
                ch["stale"] = -1
                if set_mode(d, c):
                    ch["now"] = now
                    t, key, b, do, i = scan(d, c, now)
            if e > t or e >= until or ch["done"] >= room or (e >= ch["next_refresh"] and not choose):
                break
            # All other commands go out at t >= e, so that time can move on to e.
            now = max(now, e)
            ch["now"] = now
            b2 = enter(d, c, now)
            if (not choose and set_mode(d, c)) or b2 == b:
                # (a new row hit may take away the precharge that was the bank's next command)
                t, key, b, do, i = scan(d, c, now)
            elif b2 >= 0:
                t2, key2, slot2 = best_of(d, c, b2, now)
                if t2 < t or (t2 == t and t2 < NEVER and key2 < key):
                    r = d.candidate[c, b2, slot2]
                    t, key, b, do, i = t2, key2, b2, r["do"], r["index"]
            if ch["arrivals"] <= keep:
                return now
        if ch["done"] >= room:
            break
        due = ch["next_refresh"]
        if due <= t:
            if due >= until or (until == NEVER and t == NEVER and ch["arrivals"] == 0):
                break
            ch["now"] = max(now, due)
            come_due(d, c, due)
            continue
        if t >= until or do == DO_NOTHING:
            break
        perform(d, c, b, do, i, t)
        ch["now"] = t
        ch["stale"] = t + 1
    return ch["now"]


@jit
def next_event(d, c):
    """A tick before which channel ``c`` changes nothing without further arrivals (NEVER if it is idle)."""
    ch = d.channel[c]
    t = scan(d, c, ch["now"])[0]
    t = min(t, next_arrival(d, c))
    if ch["reads"] + ch["writes"] + ch["active"] + ch["urgent"] > 0 and d.par[0]["refresh"] != REFRESH_NONE:
        t = min(t, ch["next_refresh"])
    return t
