"""PIM commands on the bank state machines of the DRAM engine, in program order.

Timing comes from the same compiled tables as plain DRAM (archsim/dram/compiler.py): a PIM command is a row of the
standard. What is special here: a command may address all banks of a level at once, a run of equal commands in an open
row is one step (`burst`), and the rows, modes and refreshes that a command needs are put in front of it, in order, each
as early as the table allows. docs/pim.md has the picture; tests/timing/test_pim_bursts.py compares it with steps.
"""

from archsim.kernels.dram_layout import NEVER, REFAB, REFPB, REFRESH_ALL_BANK, REFRESH_NONE, leaf
from archsim.kernels.layout import jit
from archsim.kernels.pim_layout import MODE_ANY


@leaf
def first_bank(k, bank):
    """First of the banks that a command addresses when it names ``bank``."""
    return bank - bank % k["extent"] + bank % k["stride"]


@leaf
def earliest_at(p, c, command, first, now):
    """First tick from ``now`` on at which the banks that ``command`` addresses, from ``first`` on, accept it."""
    k = p.info[command]
    column = p.command[command]["column"]
    align = p.command[command]["align"]
    t = now
    for level in range(k["deepest"] + 1):
        if level <= k["level"]:
            v = p.ready[c, p.path[first, level] + column]
            if v > t:
                t = v
        else:
            for b in range(first, first + k["extent"], max(p.span[level], k["stride"])):
                v = p.ready[c, p.path[b, level] + column]
                if v > t:
                    t = v
    return (t + align) & ~align


@leaf
def _raise(p, c, at, until):
    if p.ready[c, at] < until:
        p.ready[c, at] = until


@jit
def send(p, c, command, first, t, n, period):
    """Issue ``command`` n times, at t, t + period, ...: raise every ready time that it holds up; count it."""
    k = p.info[command]
    columns = p.par[0]["columns"]
    last = t + (n - 1) * period
    for u in range(p.command[command]["update_begin"], p.command[command]["update_end"]):
        r = p.update[u]
        level = r["level"]
        step = max(p.span[level], k["stride"])
        end = first + 1 if level <= k["level"] else first + k["extent"]
        for b in range(first, end, step):
            at = p.path[b, level] + r["column"]
            if r["sibling"] == 0:
                _raise(p, c, at, last + r["latency"])
                continue
            base = p.fanout[level, 1] + r["column"]
            size = p.fanout[level, 0] * columns
            begin = base + (at - base) // size * size
            for other in range(begin, begin + size, columns):
                if other != at:
                    _raise(p, c, other, last + r["latency"])
    for w in range(p.command[command]["window_begin"], p.command[command]["window_end"]):
        _windows(p, c, p.window[w], first, k, t, n, period)
    p.count[c, command] += n
    _log(p, c, command, first, t, n, period)
    p.channel[c]["now"] = last
    if last > p.channel[c]["latest"]:
        p.channel[c]["latest"] = last


@leaf
def _windows(p, c, w, first, k, t, n, period):
    level = w["level"]
    end = first + 1 if level <= k["level"] else first + k["extent"]
    for b in range(first, end, max(p.span[level], k["stride"])):
        offset = p.path[b, level]
        node = (offset - p.fanout[level, 1]) // p.par[0]["columns"]
        ring = w["base"] + node * (w["size"] + 1)
        for i in range(max(0, n - w["size"]), n):
            position = p.ring[c, ring]
            if w["slot"] == 1:
                p.ring[c, ring + 1 + position] = t + i * period
                position += 1
                if position == w["size"]:
                    position = 0
                p.ring[c, ring] = position
            _raise(p, c, offset + w["column"], p.ring[c, ring + 1 + position] + w["latency"])


@leaf
def _log(p, c, command, first, t, n, period):
    room = p.log.shape[1]
    at = p.logged[c]
    for i in range(n):
        if at >= room:
            break
        r = p.log[c, at]
        r["time"] = t + i * period
        r["command"] = command
        r["bank"] = first
        r["row"] = p.bank[c, first]["row"]
        r["column"] = i
        at += 1
    p.logged[c] = at


@jit
def set_row(p, c, first, extent, stride, row, t):
    """Open ``row`` (or close, -1) in every ``stride``-th of ``extent`` banks from ``first`` on at tick ``t``."""
    ch = p.channel[c]
    before = ch["open_banks"]
    for b in range(first, first + extent, stride):
        bank = p.bank[c, b]
        if bank["row"] >= 0:
            bank["open_ticks"] += t - bank["opened"]
            ch["open_banks"] -= 1
        bank["row"] = row
        if row >= 0:
            bank["opened"] = t
            bank["activates"] += 1
            ch["open_banks"] += 1
    if before > 0 and ch["open_banks"] == 0:
        ch["active_ticks"] += t - ch["since"]
        ch["since"] = t
    elif before == 0 and ch["open_banks"] > 0:
        ch["since"] = t
    if extent == p.bank.shape[1] and stride == 1:
        ch["common_row"] = row
    elif row < 0 or ch["open_banks"] < p.bank.shape[1]:
        ch["common_row"] = -1
    else:
        for b in range(p.bank.shape[1]):
            if p.bank[c, b]["row"] != row:
                row = -1
        ch["common_row"] = row


@jit
def _simple(p, c, command, first, now):
    """Issue one row, mode or refresh command as early as possible; returns the tick."""
    t = earliest_at(p, c, command, first, now)
    send(p, c, command, first, t, 1, 0)
    return t


@leaf
def _change_mode(p, c, command, first, now):
    """Change the access mode where ``command`` wants another: at the tick at which ``command`` itself could go out."""
    mode = p.info[command]["mode"]
    if mode == MODE_ANY or mode == p.channel[c]["mode"] or p.pim[0]["mode_command"] < 0:
        return
    t = earliest_at(p, c, command, first, now)
    _simple(p, c, p.pim[0]["mode_command"], 0, t)
    p.channel[c]["mode"] = mode
    p.channel[c]["mode_changes"] += 1


@jit
def _close(p, c, first, command, now):
    _change_mode(p, c, command, first, now)
    t = _simple(p, c, command, first, now)
    k = p.info[command]
    set_row(p, c, first, k["extent"], k["stride"], -1, t)


@jit
def refresh(p, c, now):
    """One refresh, all-bank or of the next bank; rows in its way are closed (and opened again by who needs them)."""
    ch = p.channel[c]
    par = p.par[0]
    if par["refresh"] == REFRESH_ALL_BANK:
        banks = par["banks_per_scope"]
        for first in range(0, par["banks"], banks):
            used = 0
            for b in range(first, first + banks):
                used += p.bank[c, b]["row"] >= 0
            if used > 0:
                _close(p, c, first, p.info[REFAB]["close_command"], now)
            _change_mode(p, c, REFAB, first, now)
            _simple(p, c, REFAB, first, now)
    else:
        b = ch["target"]
        if p.bank[c, b]["row"] >= 0:
            _close(p, c, b, p.pim[0]["single_close"], now)
        _change_mode(p, c, REFPB, b, now)
        _simple(p, c, REFPB, b, now)
        ch["target"] = b + 1 if b + 1 < par["banks"] else 0
    ch["due"] += par["refresh_interval"]
    ch["refreshes"] += 1


@leaf
def _forced(p, c):
    """Tick from which on a refresh can't be put off any more."""
    par = p.par[0]
    if par["refresh"] == REFRESH_NONE:
        return NEVER
    return p.channel[c]["due"] + par["refresh_postpone"] * par["refresh_interval"]


@leaf
def _is_open(p, c, first, k, row):
    if k["banks"] == p.bank.shape[1]:
        return p.channel[c]["common_row"] == row
    right = 0
    for b in range(first, first + k["extent"], k["stride"]):
        right += p.bank[c, b]["row"] == row
    return right == k["banks"]


@jit
def _open(p, c, command, first, row, now):
    """Close what is open in the banks of ``command`` and open ``row``; True if another row was open."""
    k = p.info[command]
    par = p.pim[0]
    end = first + k["extent"]
    used = 0
    right = 0
    for b in range(first, end, k["stride"]):
        used += p.bank[c, b]["row"] >= 0
        right += p.bank[c, b]["row"] == row
    if used > right or (used > 0 and par["each_bank"] == 0):
        _close(p, c, first, k["close_command"], now)
    if par["each_bank"] == 0 or k["banks"] == 1:
        _change_mode(p, c, k["open_command"], first, now)
        t = _simple(p, c, k["open_command"], first, now)
        set_row(p, c, first, k["extent"], k["stride"], row, t)
    else:
        _change_mode(p, c, par["single_open"], first, now)
        for b in range(first, end, k["stride"]):
            if p.bank[c, b]["row"] != row:
                t = _simple(p, c, par["single_open"], b, now)
                set_row(p, c, b, 1, 1, row, t)
    return used > right


@jit
def prepare(p, c, command, first, row, now, floor):
    """Refresh what is owed, open the row, change the mode. Returns 0: row was open, 1: opened, 2: another was closed.

    Rows may be opened from ``now`` on, the command itself goes out from ``floor`` on. A row that was opened again after
    a refresh is used at least once before the next refresh.
    """
    k = p.info[command]
    state = 0
    refreshed = False
    while True:
        if k["row"] + k["opens"] > 0 and not _is_open(p, c, first, k, row):
            # The border between rows is where postponed refreshes go.
            while p.channel[c]["due"] <= earliest_at(p, c, k["open_command"], first, now):
                refresh(p, c, max(now, p.channel[c]["due"]))
            state = 2 if _open(p, c, command, first, row, now) else max(state, 1)
        if k["opens"] == 1:
            return state
        _change_mode(p, c, command, first, now)
        if refreshed or earliest_at(p, c, command, first, floor) < _forced(p, c):
            return state
        refresh(p, c, max(now, p.channel[c]["due"]))
        refreshed = True


@jit
def burst(p, c, command, first, row, count, now):
    """``count`` commands to one row (ticks of the first and the last issue). A refresh that is forced splits it."""
    k = p.info[command]
    ch = p.channel[c]
    floor = max(now, p.route[c, k["route"]])
    if p.pim[0]["ahead"] == 0:
        now = floor
    floor = max(floor, ch["fence"])
    left = count
    begin = -1
    if k["opens"] == 1:
        if prepare(p, c, command, first, row, now, floor) == 0:
            return now, now
        p.route[c, k["route"]] = ch["now"]
        return ch["now"], ch["now"]
    while left > 0:
        state = prepare(p, c, command, first, row, now, floor)
        t = earliest_at(p, c, command, first, floor)
        n = 1
        period = k["period"]
        if period > 0:
            n = max(1, min(left, (_forced(p, c) - 1 - t) // period + 1))
        send(p, c, command, first, t, n, period)
        _remember(p, c, n, t, period)
        _account(p, c, command, first, n, period, state)
        if begin < 0:
            begin = t
        left -= n
        p.route[c, k["route"]] = ch["now"]
        if k["closes"] == 1:
            set_row(p, c, first, k["extent"], k["stride"], -1, ch["now"])
    return begin, ch["now"]


@leaf
def _account(p, c, command, first, n, period, state):
    k = p.info[command]
    ch = p.channel[c]
    ch["bursts"] += 1
    ch["bytes_in"] += n * k["bytes_in"]
    ch["bytes_out"] += n * k["bytes_out"]
    if k["bytes_in"] + k["bytes_out"] > 0:
        ch["pin_ticks"] += n * p.par[0]["burst"]
    ch["macs"] += n * k["macs"]
    if k["row"] == 0:
        return
    ch["row_hits"] += n
    if state > 0:
        ch["row_hits"] -= 1
        if state == 1:
            ch["row_misses"] += 1
        else:
            ch["row_conflicts"] += 1
    busy = n * max(period, p.par[0]["burst"])
    for b in range(first, first + k["extent"], k["stride"]):
        bank = p.bank[c, b]
        bank["columns"] += n
        bank["busy_ticks"] += busy


@leaf
def _remember(p, c, n, t, period):
    ch = p.channel[c]
    ch["elements"] += n
    at = ch["ring"] + 1
    if at == p.burst.shape[1]:
        at = 0
    ch["ring"] = at
    r = p.burst[c, at]
    r["end"] = ch["elements"]
    r["first"] = (
        t - (ch["elements"] - n) * period
    )  # of command number 1, as if the burst had begun there, less one period
    r["period"] = period


@jit
def execute(p, c, r, now):
    """Run one record that reaches channel ``c`` at ``now``: ticks of its first and last issue and its completion."""
    command = r["command"]
    k = p.info[command]
    first = first_bank(k, r["bank"])
    ch = p.channel[c]
    begin = -1
    last = now
    for i in range(r["rows"]):
        t, last = burst(p, c, command, first, r["row"] + i, r["count"], now)
        if begin < 0:
            begin = t
    done = last + k["latency"]
    if k["posted"] == 1 and done > ch["posted_done"]:
        ch["posted_done"] = done
    return begin, last, done
