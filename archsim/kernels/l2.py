"""L2 slices: sectored, write-back, LRU, misses merged per line, atomics carried out at the slice.

A line has one home slice, its point of coherence. With several partitions an SM's request enters the slice of its own
partition: reads may hit a copy there (that is why a footprint up to the size of one partition sees near latency, Hopper
sheet 2 and 3); misses, writes and atomics go on to the home slice, ``far_extra_cycles`` there and back. A write at home
drops the copies. Copies are never dirty.

Data of a miss are handed on as soon as the DRAM engine knows when they come: ``ready`` of the line then lies ahead.
"""

from archsim.kernels.backend import sort_by_time
from archsim.kernels.bits import popcount
from archsim.kernels.layout import (
    ATOMIC_FLOAT,
    ATOMIC_SWAP,
    NEVER,
    REQ_ATOMIC,
    REQ_CONST,
    REQ_INST,
    REQ_READ,
    REQ_REDUCTION,
    REQ_WRITE,
    jit,
)
from archsim.kernels.memory_layout import KIND_FORWARD, SECTORS
from archsim.kernels.noc import (
    enqueue,
    entry_slice,
    free_node,
    gpc_of,
    hashed,
    locate,
    new_node,
    partition_of,
    send_reply,
)

SECTOR_BYTES = 32
BLOCKED = -1


@jit
def set_of(f, i, upper):
    """Set of slice ``i``, skewed so that strides of a multiple of the sets do not meet in one."""
    sets = f.par[0]["sets"]
    return i * sets + (upper + 5 * (upper // sets)) % sets


@jit
def find(f, index, line):
    """Place of ``line`` in set ``index``, or -1."""
    ways = f.tags.shape[1]
    for way in range(ways):
        if f.tags[index, way] == line:
            return index * ways + way
    return -1


@jit
def touch(f, place):
    c = f.state[0]
    c["stamp"] += 1
    ways = f.tags.shape[1]
    f.stamps[place // ways, place % ways] = c["stamp"]


@jit
def victim_of(f, index, copy):
    """Least recently used place of the set without a miss outstanding; BLOCKED if there is none to be had.

    Copies that wait for another slice take at most half of the ways: requests at their home, which wait for DRAM only,
    always get one in the end.
    """
    ways = f.tags.shape[1]
    victim = BLOCKED
    oldest = NEVER
    waiting = 0
    for way in range(ways):
        if f.lines[index * ways + way]["pending"] != 0:
            waiting += 1
        elif f.stamps[index, way] < oldest:
            oldest = f.stamps[index, way]
            victim = index * ways + way
    if copy and 2 * waiting >= ways:
        return BLOCKED
    return victim


@jit
def allocate(m, f, sm, index, line, copy, time):
    """Give ``line`` a place; dirty sectors of the line that leaves go to DRAM. BLOCKED if every way waits for data."""
    place = victim_of(f, index, copy)
    if place == BLOCKED:
        return place
    ways = f.tags.shape[1]
    x = f.lines[place]
    dirty = x["dirty"]
    if dirty != 0:
        old = f.tags[index, place - index * ways]
        m.stats[sm]["dram_write_bytes"] += popcount(dirty) * SECTOR_BYTES
        for k in range(SECTORS):
            if (dirty >> k) & 1 != 0:
                _access_dram(f, time, -(old * SECTORS + k) - 1)
    f.tags[index, place - index * ways] = line
    x["valid"] = 0
    x["dirty"] = 0
    x["copies"] = 0
    x["ready"] = 0
    x["waiters"] = -1
    return place


@jit
def _access_dram(f, time, access):
    """List an access: >= 0 reads sector ``access`` % 4 of a place, < 0 writes sector -1 - ``access`` of memory."""
    c = f.state[0]
    n = c["misses"]
    f.miss[n, 0] = time + f.par[0]["dram_there"]
    f.miss[n, 1] = access
    c["misses"] = n + 1


@jit
def channel_of(f, line):
    """DRAM channel of a line, and its number within the channel: slices sit before the channel that they share."""
    p = f.par[0]
    per = p["slices_per_channel"]
    if per == 0:  # channels and slices do not divide: hashed apart
        shift = p["block_shift"]
        channel, upper = hashed(p["channel_hash"], line >> shift)
        return channel, (upper << shift) | (line & ((1 << shift) - 1))
    home, upper = locate(f, line)
    return home // per, upper * per + home % per


@jit
def _has_room(f, line):
    """True if the queues towards DRAM take the accesses of one more miss."""
    p = f.par[0]
    if f.state[0]["misses"] + 4 * SECTORS > f.miss.shape[0] or f.state[0]["forwards"] == f.forward.shape[0]:
        return False
    channel, _ = channel_of(f, line)
    return f.in_dram[channel] < p["dram_backlog"]


@jit
def serve_slice(m, f, i, horizon):
    """Serve the requests of slice ``i`` that it takes before ``horizon``, the earliest of its two queues first."""
    p = f.par[0]
    x = f.slice[i]
    f.queue[i, 0]["stalled"] = 0
    f.queue[i, 1]["stalled"] = 0
    while True:
        k = -1
        best = NEVER
        for j in range(2):
            q = f.queue[i, j]
            if q["head"] >= 0 and q["stalled"] == 0 and f.node[q["head"]]["time"] < best:
                best = f.node[q["head"]]["time"]
                k = j
        start = max(best, (x["free"] + 999) // 1000)
        if k < 0 or start >= horizon:
            return
        n = f.queue[i, k]["head"]
        room = _atomic_room(f, i, f.node[n])
        if room > start:
            f.node[n]["time"] = room
            continue
        sectors = popcount(f.node[n]["sectors"])
        cost = p["write_milli"] if f.node[n]["kind"] == REQ_WRITE else p["read_milli"]
        if f.node[n]["shared"] < 0:  # decided once: a request that has to wait comes here again
            f.node[n]["shared"] = 1 if _coalesced(f, i, f.node[n], best, start) else 0
        if f.node[n]["shared"] != 0:
            cost = 0
        following = f.node[n]["next"]
        far = f.node[n]["far"] + 0
        if not _serve(m, f, i, n, start):
            f.queue[i, k]["stalled"] = 1
            f.node[n]["time"] = max(f.node[n]["time"], horizon)
            continue
        if f.node[n]["far"] == far:  # what only passes through does not use the slice's array
            x["free"] = max(x["free"], best * 1000) + sectors * cost
        _leave_queue(f, i, k, following)


@jit
def _atomic_room(f, i, r):
    """Cycle from which the atomic unit of its home slice ``i`` has room for a request (0: it needs none)."""
    if r["kind"] != REQ_ATOMIC and r["kind"] != REQ_REDUCTION:
        return 0
    home, _ = locate(f, r["line"])
    if home != i:
        return 0
    return f.slice[i]["atomic_free"] // 1000 - f.par[0]["slice_queue"]


@jit
def _coalesced(f, i, r, arrival, start):
    """True if a read is answered together with an earlier one of its GPC; notes it if it is sent on.

    Reads of data are collected for a short while; code and constants are shared as long as they are on their way.
    """
    kind = r["kind"]
    entries = f.shared.shape[1]
    if entries == 0 or not (kind == REQ_READ or kind == REQ_INST or kind == REQ_CONST):
        return False
    p = f.par[0]
    line = r["line"] + 0
    group = gpc_of(f, r["sm"])
    sectors = r["sectors"] + 0
    x = f.shared[i, (line * p["gpcs"] + group) % entries]
    if x["line"] == line and x["group"] == group and x["sectors"] & sectors == sectors:
        if kind != REQ_READ:
            if x["until"] > start or _coming(f, i, line, sectors, start):
                return True
        elif arrival < x["since"] + p["coalescer_window"] and x["count"] < p["coalescer_reads"]:
            x["count"] += 1
            return True
    x["line"] = line
    x["group"] = group
    x["sectors"] = sectors
    x["since"] = arrival
    x["until"] = start + p["hit_latency"]
    x["count"] = 1
    return False


@jit
def _coming(f, i, line, sectors, start):
    """True if sectors of a line are missing at slice ``i`` and on their way to it at ``start``."""
    _, upper = locate(f, line)
    place = find(f, set_of(f, i, upper), line)
    return place >= 0 and (f.lines[place]["pending"] & sectors != 0 or f.lines[place]["ready"] > start)


@jit
def _leave_queue(f, i, k, following):
    f.queue[i, k]["head"] = following
    f.queue[i, k]["count"] -= 1
    f.slice[i]["queued"] -= 1
    f.state[0]["queued"] -= 1


@jit
def _serve(m, f, i, n, start):
    """One request at one slice; False if it has to wait for a miss to return. May free the node or move it."""
    r = f.node[n]
    home, upper = locate(f, r["line"])
    kind = r["kind"]
    s = r["sm"]
    if kind == REQ_WRITE or kind == REQ_ATOMIC or kind == REQ_REDUCTION:
        if home != i:
            done = _pass_on(f, home, n, start)
        elif kind == REQ_WRITE:
            done = _write(m, f, i, n, start, upper)
        else:
            done = _read(m, f, i, n, start, home, upper)
    else:
        done = _read(m, f, i, n, start, home, upper)
    if done and kind != KIND_FORWARD and i == entry_slice(f, home, partition_of(f, s)):
        f.in_network[s] -= 1
    return done


@jit
def _pass_on(f, home, n, start):
    """Send a write or atomic to its home slice in another partition; False if the queue there is full."""
    if f.queue[home, 1]["count"] >= f.par[0]["slice_queue"]:
        return False
    r = f.node[n]
    if f.state[0]["forwards"] == f.forward.shape[0]:
        return False
    r["far"] = 1
    _list_forward(f, n, start + f.par[0]["far_there"])
    return True


@jit
def _list_forward(f, n, time):
    """Node ``n`` reaches the home slice of its line at ``time``."""
    c = f.state[0]
    f.node[n]["time"] = time
    f.forward[c["forwards"], 0] = time
    f.forward[c["forwards"], 1] = n
    c["forwards"] += 1


@jit
def take_forwards(f):
    """Put what slices asked of each other in the last window into queues, in order of time."""
    c = f.state[0]
    sort_by_time(f.forward, c["forwards"])
    for i in range(c["forwards"]):
        n = f.forward[i, 1]
        home, _ = locate(f, f.node[n]["line"])
        enqueue(f, home, 1, n)
    c["forwards"] = 0


@jit
def _read(m, f, i, n, start, home, upper):
    """Read, fetch or atomic: answer it, or let it wait for the sectors that are missing."""
    p = f.par[0]
    r = f.node[n]
    line = r["line"]
    sectors = r["sectors"]
    copy = home != i
    index = set_of(f, i, upper)
    place = find(f, index, line)
    valid = 0
    pending = 0
    if place >= 0:
        valid = f.lines[place]["valid"]
        pending = f.lines[place]["pending"]
    missing = sectors & ~(valid | pending)
    if missing != 0:
        if pending == 0 and f.slice[i]["mshrs"][1 if copy else 0] >= p["mshrs"]:
            return False
        if not _has_room(f, line):
            return False
        if place < 0:
            place = allocate(m, f, r["sm"], index, line, copy, start)
            if place == BLOCKED:
                return False
    touch(f, place)
    x = f.lines[place]
    _count(m, f, r, sectors & ~missing, copy)
    r["place"] = place if r["kind"] != KIND_FORWARD else r["place"]
    r["data"] = max(start, x["ready"])
    r["want"] = sectors & ~valid
    if r["kind"] == REQ_ATOMIC or r["kind"] == REQ_REDUCTION:
        x["dirty"] |= sectors
        _drop_copies(f, home, upper, x, line, sectors)
    if r["want"] == 0:
        finish(f, n, place)
        return True
    r["next"] = x["waiters"]
    x["waiters"] = n
    if missing != 0:
        if pending == 0:
            f.slice[i]["mshrs"][1 if copy else 0] += 1
        x["pending"] = pending | missing
        if copy:
            _forward(f, n, place, missing, start)
        else:
            m.stats[r["sm"]]["dram_read_bytes"] += popcount(missing) * SECTOR_BYTES
            for k in range(SECTORS):
                if (missing >> k) & 1 != 0:
                    _access_dram(f, start, place * SECTORS + k)
    return True


@jit
def _forward(f, n, place, sectors, start):
    """Ask the home slice for sectors of a copy."""
    w = new_node(f)
    x = f.node[w]
    x["line"] = f.node[n]["line"]
    x["kind"] = KIND_FORWARD
    x["what"] = f.node[n]["kind"]
    x["sectors"] = sectors
    x["sm"] = f.node[n]["sm"]
    x["place"] = place
    x["far"] = 0
    x["shared"] = 0
    _list_forward(f, w, start + f.par[0]["far_there"])


@jit
def _write(m, f, i, n, start, upper):
    """Write at the home slice: allocate without fetching, mark dirty, acknowledge."""
    r = f.node[n]
    line = r["line"]
    sectors = r["sectors"]
    index = set_of(f, i, upper)
    place = find(f, index, line)
    if place < 0:
        if not _has_room(f, line):
            return False
        place = allocate(m, f, r["sm"], index, line, False, start)
        if place == BLOCKED:
            return False
    touch(f, place)
    x = f.lines[place]
    st = m.stats[r["sm"]]
    st["l2_write_sectors"] += popcount(sectors)
    st["l2_write_hits"] += popcount(sectors & x["valid"])
    x["valid"] |= sectors
    x["dirty"] |= sectors
    _drop_copies(f, i, upper, x, line, sectors)
    r["data"] = start
    finish(f, n, place)
    return True


@jit
def _drop_copies(f, home, upper, x, line, sectors):
    """Other partitions forget sectors that were written at home."""
    if x["copies"] == 0:
        return
    p = f.par[0]
    for partition in range(p["partitions"]):
        if (x["copies"] >> partition) & 1 != 0:
            place = find(f, set_of(f, entry_slice(f, home, partition), upper), line)
            if place >= 0:
                f.lines[place]["valid"] &= ~sectors
    x["copies"] = 0


@jit
def _count(m, f, r, hits, copy):
    """A sector is looked up once: at the copy, and what is missing there at home."""
    st = m.stats[r["sm"]]
    kind = r["kind"]
    if r["shared"] == 1:
        return
    if kind == KIND_FORWARD:
        if r["what"] == REQ_READ:
            st["l2_read_hits"] += popcount(hits)
    elif kind == REQ_ATOMIC or kind == REQ_REDUCTION:
        st["l2_atomic_sectors"] += popcount(r["sectors"])
    elif kind == REQ_INST:
        st["l2_inst_sectors"] += popcount(r["sectors"])
    elif kind == REQ_CONST:
        st["l2_const_sectors"] += popcount(r["sectors"])
    else:
        st["l2_read_sectors"] += popcount(r["sectors"])
        st["l2_read_hits"] += popcount(hits)


@jit
def finish(f, n, place):
    """All data of node ``n`` are at its slice (``data``): answer the SM, or fill the copy that asked."""
    p = f.par[0]
    r = f.node[n]
    kind = r["kind"]
    if kind == KIND_FORWARD:
        copy = r["place"]
        i = copy // (p["sets"] * p["ways"])
        f.lines[place]["copies"] |= 1 << (i // p["slices_per_partition"])
        fill_copy(f, copy, r["sectors"], r["data"] + p["far_back"])
        free_node(f, n)
        return
    data = r["data"]
    if kind == REQ_ATOMIC or kind == REQ_REDUCTION:
        data = _execute(f, r, place // (p["sets"] * p["ways"]), data)
    if r["tag"] < 0:  # nobody waits for it
        free_node(f, n)
        return
    if r["far"] == 1:
        data += p["far_back"]
    send_reply(f, n, data + p["hit_latency"])


@jit
def _execute(f, r, i, data):
    """Atomic unit of slice ``i``; returns when it is done.

    ``ops`` counts packets: one a sector, or one a lane where lanes name the same word, which takes longer (measured).
    """
    p = f.par[0]
    cost = p["atomic_milli"]
    packets = r["ops"]
    if packets > popcount(r["sectors"]):
        cost = p["float_milli"] if r["what"] == ATOMIC_FLOAT else p["same_word_milli"]
    elif r["what"] == ATOMIC_SWAP:
        cost = p["swap_milli"]
    x = f.slice[i]
    x["atomic_free"] = max(data * 1000, x["atomic_free"]) + p["atomic_request_milli"] + packets * cost
    return max(data, x["atomic_free"] // 1000)


@jit
def fill_copy(f, place, sectors, data):
    """Sectors of a copy come from the home slice at ``data``. Only SMs wait at copies."""
    _arrive(f, place, sectors, data, 1)
    x = f.lines[place]
    n = x["waiters"]
    x["waiters"] = -1
    while n >= 0:
        following = f.node[n]["next"]
        r = f.node[n]
        if _satisfied(r, sectors, data):
            send_reply(f, n, r["data"] + f.par[0]["hit_latency"])
        else:
            r["next"] = x["waiters"]
            x["waiters"] = n
        n = following


@jit
def fill_home(f, place, sectors, data):
    """Sectors of a line come from DRAM at ``data``."""
    _arrive(f, place, sectors, data, 0)
    x = f.lines[place]
    n = x["waiters"]
    x["waiters"] = -1
    while n >= 0:
        following = f.node[n]["next"]
        r = f.node[n]
        if _satisfied(r, sectors, data):
            finish(f, n, place)
        else:
            r["next"] = x["waiters"]
            x["waiters"] = n
        n = following


@jit
def _satisfied(r, sectors, data):
    if r["want"] & sectors != 0:
        r["want"] &= ~sectors
        r["data"] = max(r["data"], data)
    return r["want"] == 0


@jit
def _arrive(f, place, sectors, data, copy):
    """Mark sectors as there; a request that waited for room at this slice goes on."""
    p = f.par[0]
    x = f.lines[place]
    x["valid"] |= sectors
    x["pending"] &= ~sectors
    x["ready"] = max(x["ready"], data)
    i = place // (p["sets"] * p["ways"])
    if x["pending"] == 0:
        f.slice[i]["mshrs"][copy] -= 1
    for k in range(2):
        q = f.queue[i, k]
        if q["stalled"] == 1:
            q["stalled"] = 2
            f.node[q["head"]]["time"] = max(f.node[q["head"]]["time"], data)
