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
    INDEX,
    KIND_ACT,
    KIND_PRE,
    KIND_RD,
    KIND_WR,
    NEVER,
    NUM_KINDS,
    ONLY,
    PRE,
    PREA,
    RD,
    RDA,
    REFAB,
    REFPB,
    REFRESH_ALL_BANK,
    REFRESH_NONE,
    alone,
    at,
    leaf,
)
from archsim.kernels.dram_queue import admit, complete, detach, next_arrival, release_slot, sort_rows, unlink
from archsim.kernels.dram_refresh import come_due, demand, refreshed, settle, wake
from archsim.kernels.dram_timing import earliest, earliest_scope, issue, issue_scope, log, touch
from archsim.kernels.layout import jit
from archsim.kernels.ref import ref


@leaf
def _offer(d, c, b, g, kind, key):
    """Note the bank's next command of one kind by its priority key; NEVER: it has none."""
    par = d.par[0]
    first = d.first[c]
    begin = kind * par["banks"]
    d.key[c, at(begin + b)] = key
    time = NEVER if key == NEVER else d.ready[c, b, kind]
    before = first[at(begin + b)]
    if time == before:
        return
    first[at(begin + b)] = time
    if before == NEVER:
        d.offers[c, kind] += 1
    elif time == NEVER:
        d.offers[c, kind] -= 1
    group = at(kind * par["groups"] + g)
    if before <= d.group_first[c, group]:
        now = d.channel[c]["now"]
        begin += g * par["group_size"]
        for i in range(par["group_size"]):
            time = min(time, first[at(begin + i)])
            if time <= now:  # as good as any earlier one
                break
        d.group_first[c, group] = time
    elif time < d.group_first[c, group]:
        d.group_first[c, group] = time


@leaf
def _renew(d, c, b):
    """Work out what bank ``b`` could do next: at most one command of each kind."""
    d.fresh[c, b] = 1
    bank = d.bank[c, b]
    active = bank["active"]
    activate = NEVER
    precharge = NEVER
    read = NEVER
    write = NEVER
    if bank["blocked"] == 0:
        writing = d.channel[c]["writing"]
        q = d.queue[c, b, writing]
        hit = q["hit"]
        miss = q["miss"]
        base = CLASS_REQUEST << CLASS_SHIFT
        if hit >= 0:
            key = base + rank(d.scheduler, d.channel[c]["number"], b, True, d.request[c, hit]["sequence"])
            if writing == 0:
                read = key
            else:
                write = key
        if miss >= 0 and active < 0:
            sequence = d.request[c, miss]["sequence"]
            key = base + rank(d.scheduler, d.channel[c]["number"], b, False, sequence)
            if bank["row"] < 0:
                activate = key
            elif hit < 0 or may_close(
                d.scheduler, d.channel[c]["number"], b, d.request[c, hit]["sequence"], sequence, bank["streak"]
            ):
                precharge = key
    if active >= 0:
        r = d.request[c, active]
        key = (CLASS_ACTIVE << CLASS_SHIFT) + r["sequence"]
        if r["write"] == 0:
            read = key
        else:
            write = key
    _offer(d, c, b, bank["group"] & INDEX, KIND_ACT, activate)
    _offer(d, c, b, bank["group"] & INDEX, KIND_PRE, precharge)
    _offer(d, c, b, bank["group"] & INDEX, KIND_RD, read)
    _offer(d, c, b, bank["group"] & INDEX, KIND_WR, write)


@leaf
def _renew_changed(d, c):
    ch = d.channel[c]
    for k in range(ch["changed"]):
        _renew(d, c, d.changed[c, k] & INDEX)
    ch["changed"] = 0


@leaf
def _action(d, c, b, kind):
    """What a bank's command of some kind is for: (what, request)."""
    writing = d.channel[c]["writing"]
    if kind == KIND_ACT:
        return DO_ACTIVATE, d.queue[c, b, writing]["miss"]
    if kind == KIND_PRE:
        return DO_PRECHARGE, d.queue[c, b, writing]["miss"]
    active = d.bank[c, b]["active"]
    if active >= 0 and d.request[c, active]["write"] == kind - KIND_RD:
        return DO_COLUMN, active
    return DO_COLUMN, d.queue[c, b, writing]["hit"]


@leaf
def best_of(d, c, b, now):
    """Earliest next command of bank ``b`` from ``now`` on: (tick, priority key, kind)."""
    par = d.par[0]
    g = d.bank[c, b]["group"]
    t = NEVER
    key = NEVER
    kind = 0
    for k in range(NUM_KINDS):
        first = d.first[c, k * par["banks"] + b]
        if first < NEVER:
            align = d.align[k * par["groups"] + g]
            t2 = (max(first, d.above[c, k * par["groups"] + g], now) + align) & ~align
            key2 = d.key[c, k * par["banks"] + b]
            if t2 < t or (t2 == t and key2 < key):
                t, key, kind = t2, key2, k
    return t, key, kind


@leaf
def _soonest(d, c, now):
    """Earliest tick of any command from ``now`` on, and that of each kind and group in ``soonest``."""
    soonest = d.soonest[c]
    group_first = d.group_first[c]
    above = d.above[c]
    align = d.align
    t = NEVER
    for i in range(align.size):  # (vectorised)
        e = (max(group_first[i], above[i], now) + align[i]) & ~align[i]
        soonest[i] = e
        t = min(t, e)
    return t


@leaf
def _choose(d, c, t):
    """The command of the smallest key among those that can go out at ``t``: (key, bank, kind)."""
    par = d.par[0]
    groups = par["groups"]
    size = par["group_size"]
    soonest = d.soonest[c]
    first = d.first[c]
    keys = d.key[c]
    key = NEVER
    best = 0
    kind = 0
    for k in range(NUM_KINDS):
        if d.offers[c, k] > 0:
            for g in range(groups):
                if soonest[at(k * groups + g)] == t:
                    # (kind * groups + group) * size = kind * banks + first bank of the group
                    begin = (k * groups + g) * size
                    for i in range(size):
                        key2 = keys[at(begin + i)]
                        key2 = key2 if first[at(begin + i)] <= t else NEVER
                        if key2 < key:
                            key = key2
                            best = begin + i
                            kind = k
    return key, best - kind * par["banks"], kind


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


@leaf
def _has_work(d, c, b):
    return d.bank[c, b]["active"] >= 0 or d.queue[c, b, 0]["count"] > 0 or d.queue[c, b, 1]["count"] > 0


@jit
def timeout_step(d, c, now):
    """Earliest closing of an idle open row: (tick, bank)."""
    t = NEVER
    bank = -1
    for b in range(d.par[0]["banks"]):
        r = d.bank[c, b]
        if r["row"] >= 0 and r["blocked"] == 0 and not _has_work(d, c, b):
            wait = idle_ticks(d.page, d.channel[c]["number"], b)
            if wait < NEVER:
                t2 = earliest(d, c, b, PRE, max(now, r["last_use"] + wait))
                if t2 < t:
                    t, bank = t2, b
    return t, bank


@jit
def _scan(d, now):
    """The next command of the channel: (tick, priority key, bank or scope, what, request)."""
    c = ONLY
    ch = d.channel[c]
    _renew_changed(d, c)
    t = _soonest(d, c, now)
    key = NEVER
    bank = -1
    do = DO_NOTHING
    index = -1
    if t < NEVER:
        key, bank, kind = _choose(d, c, t)
        do, index = _action(d, c, bank, kind)
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
    for direction in range(2):
        q = d.queue[c, b, direction]
        q["hit"] = -1
        q["miss"] = q["head"]
    touch(d, c, b)


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
    detach(d, c, i)
    bank["active"] = i
    bank["row"] = r["row"]
    bank["opened"] = t
    bank["activates"] += 1
    sort_rows(d, c, b)
    release_slot(d, c, r["write"], t)
    d.channel[c]["active"] += 1
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
    if closes_after(d.page, ch["number"], b, more) and bank["active"] < 0 and earliest(d, c, b, RDA + write, t) == t:
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


@leaf
def perform(d, c, b, do, i, t):
    """Carry out the chosen command at tick ``t``."""
    if do == DO_COLUMN:
        serve(d, c, b, i, t)
    elif do == DO_ACTIVATE:
        open_row(d, c, b, i, t)
    elif do in (DO_PRECHARGE, DO_TIMEOUT, DO_CLOSE_FOR_REFRESH):
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
    mode = write_mode(d.scheduler, ch["number"], ch["writing"], ch["reads"], ch["writes"], d.par[0]["write_capacity"])
    if mode == ch["writing"]:
        return False
    ch["writing"] = mode
    ch["mode_switches"] += 1
    for b in range(d.par[0]["banks"]):
        if d.queue[c, b, 0]["count"] + d.queue[c, b, 1]["count"] > 0:
            touch(d, c, b)
    return True


@leaf
def enter(d, c, now):
    """Admit the head of the arrival queue at ``now``; its bank if that changes the bank's next commands, else -1."""
    a = d.arrival[c, d.channel[c]["arrival_head"] & INDEX]
    b = a["bank"] & INDEX
    s = d.bank[c, b]["scope"] & INDEX
    wake(d, c, s, now)
    if admit(d, c, b, now):
        d.scope[c, s]["queued"] += 1
    return b if d.fresh[c, b] == 0 else -1


@jit
def advance(memory, channel, until, keep):
    """Run one channel through all ticks before ``until``.

    Every request that reaches the channel before ``until`` must have been pushed. Cutting a run into windows changes
    nothing. ``keep`` >= 0 returns as soon as no more than that many arrivals wait, so that the caller can add some
    (-1: never). Also returns when the completion queue is full; the caller empties it and calls again.
    With ``until`` = NEVER it returns once nothing is left to do. Returns the tick reached.

    Reads or writes are chosen anew for the tick after each command, in sight of what arrives in that tick.
    """
    d = ref(alone(memory, channel))
    c = ONLY
    ch = d.channel[c]
    room = d.done.shape[1]
    while ch["arrivals"] > keep and ch["done"] < room:
        now = ch["now"]
        t, key, b, do, i = _scan(d, now)
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
                    t, key, b, do, i = _scan(d, now)
            if e > t or e >= until or ch["done"] >= room or (e >= ch["next_refresh"] and not choose):
                break
            # All other commands go out at t >= e, so that time can move on to e.
            now = max(now, e)
            ch["now"] = now
            b2 = enter(d, c, now)
            if (not choose and set_mode(d, c)) or b2 == b:
                # (a new row hit may take away the precharge that was the bank's next command)
                t, key, b, do, i = _scan(d, now)
            elif b2 >= 0:
                _renew_changed(d, c)
                t2, key2, kind = best_of(d, c, b2, now)
                if t2 < t or (t2 == t and t2 < NEVER and key2 < key):
                    t, key, b = t2, key2, b2
                    do, i = _action(d, c, b, kind)
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
        perform(d, c, b & INDEX, do, i & INDEX, t)
        ch["now"] = t
        ch["stale"] = t + 1
    return ch["now"]


@jit
def next_event(memory, channel):
    """A tick before which the channel changes nothing without further arrivals (NEVER if it is idle)."""
    d = ref(alone(memory, channel))
    c = ONLY
    ch = d.channel[c]
    t = _scan(d, ch["now"])[0]
    t = min(t, next_arrival(d, c))
    if ch["reads"] + ch["writes"] + ch["active"] + ch["urgent"] > 0 and d.par[0]["refresh"] != REFRESH_NONE:
        t = min(t, ch["next_refresh"])
    return t
