"""Sectored L1 data cache of one SM: write-through, allocate on read miss, LRU within a set, misses merged in MSHRs.

gpu-core sheet, E.4 and G.2 (`S:4:128:256`: few sets, up to 256 ways). Lines are found through a hash index, so that a
look-up costs the same at any associativity; each set keeps its lines in LRU order in a doubly linked list.
"""

from archsim.kernels.layout import REQ_READ, jit
from archsim.kernels.ports import send

LINE_BYTES = 128


@jit
def _set_of(p, line):
    return line % p["l1_sets"]


@jit
def _bucket(p, line):
    return (line ^ (line >> 11)) & (p["l1_buckets"] - 1)


@jit
def find(m, s, line):
    """Index of the line, or -1."""
    i = m.index[s, _bucket(m.par[0], line)]
    while i >= 0:
        if m.lines[s, i]["tag"] == line:
            return i
        i = m.lines[s, i]["chain"]
    return i


@jit
def _unlink_lru(m, s, i, set_index):
    p = m.par[0]
    newest = p["l1_buckets"] + set_index
    oldest = newest + p["l1_sets"]
    x = m.lines[s, i]
    if x["newer"] >= 0:
        m.lines[s, x["newer"]]["older"] = x["older"]
    else:
        m.index[s, newest] = x["older"]
    if x["older"] >= 0:
        m.lines[s, x["older"]]["newer"] = x["newer"]
    else:
        m.index[s, oldest] = x["newer"]


@jit
def _make_newest(m, s, i, set_index):
    p = m.par[0]
    newest = p["l1_buckets"] + set_index
    oldest = newest + p["l1_sets"]
    x = m.lines[s, i]
    head = m.index[s, newest]
    x["older"] = head
    x["newer"] = -1
    if head >= 0:
        m.lines[s, head]["newer"] = i
    else:
        m.index[s, oldest] = i
    m.index[s, newest] = i


@jit
def touch(m, s, i):
    """Mark a line as most recently used."""
    if m.lines[s, i]["newer"] >= 0:
        set_index = _set_of(m.par[0], m.lines[s, i]["tag"])
        _unlink_lru(m, s, i, set_index)
        _make_newest(m, s, i, set_index)


@jit
def _drop_from_index(m, s, i):
    """Take line ``i`` out of its hash chain."""
    bucket = _bucket(m.par[0], m.lines[s, i]["tag"])
    at = m.index[s, bucket]
    if at == i:
        m.index[s, bucket] = m.lines[s, i]["chain"]
        return
    while at >= 0:
        following = m.lines[s, at]["chain"]
        if following == i:
            m.lines[s, at]["chain"] = m.lines[s, i]["chain"]
            return
        at = following


@jit
def allocate(m, s, line):
    """Replace the least recently used line of the set that has no miss outstanding; -1 if all have one."""
    p = m.par[0]
    set_index = _set_of(p, line)
    i = m.index[s, p["l1_buckets"] + p["l1_sets"] + set_index]
    while i >= 0 and m.lines[s, i]["pending"] != 0:
        i = m.lines[s, i]["newer"]
    if i < 0:
        return i
    x = m.lines[s, i]
    if x["tag"] >= 0:
        _drop_from_index(m, s, i)
    _unlink_lru(m, s, i, set_index)
    x["tag"] = line
    x["valid"] = 0
    x["pending"] = 0
    x["mshr"] = -1
    bucket = _bucket(p, line)
    x["chain"] = m.index[s, bucket]
    m.index[s, bucket] = i
    _make_newest(m, s, i, set_index)
    return i


@jit
def _new_node(m, s):
    sm = m.sm[s]
    i = sm["mshr_free"]
    sm["mshr_free"] = m.mshr[s, i]["next"]
    sm["mshr_free_count"] -= 1
    return i


@jit
def _free_node(m, s, i):
    sm = m.sm[s]
    m.mshr[s, i]["next"] = sm["mshr_free"]
    sm["mshr_free"] = i
    sm["mshr_free_count"] += 1


@jit
def read(m, s, line, sectors, prt, time):
    """Read sectors of a line (line number, not address) for pending-request entry ``prt``.

    Returns hit sectors | pending sectors << 8 | missing sectors << 16. The entry then waits for the requests of which
    pending and missing sectors are part; `waits` of them are added to it. The caller saw to it that nodes are free.
    """
    i = find(m, s, line)
    if i >= 0:
        touch(m, s, i)
    else:
        i = allocate(m, s, line)
        if i < 0:  # every way waits for data: served around the cache
            m.prt[s, prt]["waiting"] += 1
            send(m, s, time, line * LINE_BYTES, REQ_READ, sectors, prt, 0, 0, 1)
            return sectors << 16
    x = m.lines[s, i]
    valid = x["valid"] + 0
    pending = x["pending"] + 0
    hit = sectors & valid
    wait = sectors & pending & ~valid  # a store may have completed a sector that is still on its way
    miss = sectors & ~(valid | pending)
    if wait != 0:
        _wait_for(m, s, x, wait, prt)
    if miss != 0:
        n = _new_node(m, s)
        r = m.mshr[s, n]
        r["sectors"] = miss
        r["line"] = i
        r["next"] = x["mshr"]
        r["waiters"] = -1
        x["mshr"] = n
        x["pending"] = pending | miss
        _add_waiter(m, s, n, prt)
        send(m, s, time, line * LINE_BYTES, REQ_READ, miss, n, 0, 0, 0)
    return hit | (wait << 8) | (miss << 16)


@jit
def _add_waiter(m, s, request, prt):
    n = _new_node(m, s)
    m.mshr[s, n]["sectors"] = 0
    m.mshr[s, n]["prt"] = prt
    m.mshr[s, n]["next"] = m.mshr[s, request]["waiters"]
    m.mshr[s, request]["waiters"] = n
    m.prt[s, prt]["waiting"] += 1


@jit
def _wait_for(m, s, x, sectors, prt):
    """Join the outstanding requests of a line that bring the wanted sectors."""
    n = x["mshr"]
    while n >= 0:
        if m.mshr[s, n]["sectors"] & sectors != 0:
            _add_waiter(m, s, n, prt)
        n = m.mshr[s, n]["next"]


@jit
def write(m, s, line, sectors, full):
    """Write-through with lazy fetch on read: a line is allocated, sectors written completely (``full``) become valid.

    Returns the sectors that were valid before.
    """
    i = find(m, s, line)
    if i >= 0:
        touch(m, s, i)
    elif full != 0 and m.par[0]["l1_write_allocate"] != 0:
        i = allocate(m, s, line)
    if i < 0:
        return 0
    held = sectors & m.lines[s, i]["valid"]
    m.lines[s, i]["valid"] |= full
    return held


@jit
def invalidate(m, s, line):
    """An atomic changed the line at L2: what L1 holds of it is stale."""
    i = find(m, s, line)
    if i >= 0:
        m.lines[s, i]["valid"] = 0


@jit
def fill(m, s, request):
    """Data of a request arrived. Returns the first waiter node (to be walked with `next_waiter`), -1 if none."""
    r = m.mshr[s, request]
    x = m.lines[s, r["line"]]
    x["valid"] |= r["sectors"]
    x["pending"] &= ~r["sectors"]
    n = x["mshr"]
    if n == request:
        x["mshr"] = r["next"]
    else:
        while m.mshr[s, n]["next"] != request:
            n = m.mshr[s, n]["next"]
        m.mshr[s, n]["next"] = r["next"]
    first = r["waiters"] + 0
    _free_node(m, s, request)
    return first


@jit
def next_waiter(m, s, node):
    """Free a waiter node; returns the following one."""
    following = m.mshr[s, node]["next"] + 0
    _free_node(m, s, node)
    return following
