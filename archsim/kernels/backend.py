"""Parametric memory backend: an L2 tag array with latency and bandwidth, and a DRAM with latency and bandwidth.

The fast choice (``memory.backend: parametric``). Requests of a window are taken in one fixed order (time, then SM), so
the result does not depend on the order in which the SMs ran. Rates are in thousandths of a cycle per unit of work.
"""

from archsim.kernels.bits import popcount
from archsim.kernels.layout import (
    CONST_SPACE,
    EV_ACK,
    EV_CONST,
    EV_INST,
    EV_REPLY_DIRECT,
    EV_REPLY_L1,
    INSTRUCTION_SPACE,
    REQ_ATOMIC,
    REQ_CONST,
    REQ_INST,
    REQ_REDUCTION,
    REQ_WRITE,
    jit,
)
from archsim.kernels.wheel import schedule

SECTOR_BYTES = 32
CONST_BANK_SHIFT = 20  # constant address = bank << 20 | offset


@jit
def _order_requests(m, order):
    """Time and (sm << 32 | request) of all queued requests, by time, then SM, then issue order; returns how many."""
    p = m.par[0]
    total = 0
    for s in range(p["num_sms"]):
        for i in range(m.sm[s]["requests"]):
            order[total, 0] = m.requests[s, i]["time"]
            order[total, 1] = (s << 32) | i
            total += 1
    sort_by_time(order, total)
    return total


@jit
def sort_by_time(order, total):
    """Bottom-up merge sort by (time, key) in place, scratch in columns 2 and 3 (stable, no allocation)."""
    width = 1
    while width < total:
        at = 0
        while at < total:
            _merge(order, at, min(at + width, total), min(at + 2 * width, total))
            at += 2 * width
        for i in range(total):
            order[i, 0] = order[i, 2]
            order[i, 1] = order[i, 3]
        width *= 2


@jit
def _merge(order, first, middle, last):
    a = first
    b = middle
    for i in range(first, last):
        take_a = b >= last or (a < middle and order[a, 0] <= order[b, 0])
        source = a if take_a else b
        order[i, 2] = order[source, 0]
        order[i, 3] = order[source, 1]
        if take_a:
            a += 1
        else:
            b += 1


@jit
def _find_way(l2, index, line):
    for way in range(l2.shape[1]):
        if l2[index, way]["tag"] == line:
            return way
    return -1


@jit
def _set_index(p, line):
    """Hashed set index: upper address bits folded in, as L2 slice selection does."""
    return (line ^ (line >> 9) ^ (line >> 17)) % p["l2_sets"]


@jit
def _allocate(m, chip, s, index, line):
    """Replace the least recently used way; dirty sectors go to DRAM. Returns the way."""
    c = chip.state[0]
    l2 = chip.l2
    victim = 0
    for way in range(1, l2.shape[1]):
        if l2[index, way]["stamp"] < l2[index, victim]["stamp"]:
            victim = way
    x = l2[index, victim]
    dirty = popcount(x["dirty"])
    if dirty > 0:
        m.stats[s]["dram_write_bytes"] += dirty * SECTOR_BYTES
        c["dram_free_milli"] += dirty * m.par[0]["dram_milli_per_sector"]
    x["tag"] = line
    x["valid"] = 0
    x["dirty"] = 0
    x["ready"] = 0
    return victim


@jit
def _access(m, chip, s, line, sectors, write, time):
    """Look up sectors in L2; missing ones of a read come from DRAM.

    Returns the cycles to add to an L2 hit's trip.
    """
    p = m.par[0]
    c = chip.state[0]
    index = _set_index(p, line)
    way = _find_way(chip.l2, index, line)
    if way < 0:
        way = _allocate(m, chip, s, index, line)
    x = chip.l2[index, way]
    c["stamp"] += 1
    x["stamp"] = c["stamp"]
    missing = sectors & ~x["valid"]
    x["valid"] |= sectors
    if write:
        x["dirty"] |= sectors
        return popcount(sectors & ~missing) << 32
    extra = max(0, x["ready"] - time)
    if missing != 0:
        n = popcount(missing)
        m.stats[s]["dram_read_bytes"] += n * SECTOR_BYTES
        start = max(c["dram_free_milli"], time * 1000)
        c["dram_free_milli"] = start + n * p["dram_milli_per_sector"]
        extra = max(extra, c["dram_free_milli"] // 1000 - time + p["dram_trip"])
        x["ready"] = time + extra
    return (popcount(sectors & ~missing) << 32) | extra


@jit
def _serve(m, chip, s, r):
    """Carry out one request; schedules its reply in the SM."""
    p = m.par[0]
    c = chip.state[0]
    st = m.stats[s]
    kind = r["kind"]
    line = r["line"] >> 7
    sectors = r["sectors"] + 0
    count = popcount(sectors)
    time = r["time"]
    start = max(c["l2_free_milli"], time * 1000)
    c["l2_free_milli"] = start + count * p["l2_milli_per_sector"]
    wait = c["l2_free_milli"] // 1000 - time
    outcome = count << 32
    if not _launch_brought(p, kind, r["line"]):
        outcome = _access(m, chip, s, line, sectors, kind == REQ_WRITE, time)
    _count(st, kind, count, outcome >> 32)
    trip = p["l2_trip"] + wait + (outcome & 0xFFFFFFFF)
    far = p["l2_partitions"] > 1 and (line ^ (line >> 5) ^ (line >> 13)) & 1 != s & 1
    if far and kind != REQ_INST:  # code is in both partitions: 5.5 cycles an instruction leave no time for far trips
        trip += p["l2_far_extra"]
    if kind == REQ_ATOMIC or kind == REQ_REDUCTION:
        start = max(c["atomic_free_milli"], time * 1000)
        c["atomic_free_milli"] = start + r["ops"] * p["atomic_milli_per_packet"]
        trip += c["atomic_free_milli"] // 1000 - time
        _mark_dirty(chip, p, line, sectors)
    _reply(m, chip, s, r, kind, time + trip, count)


@jit
def _launch_brought(p, kind, address):
    """What the launch itself put into L2, flushed or not: constant bank 0, and the code that it prefetches."""
    if kind == REQ_CONST:
        return (address - CONST_SPACE) >> CONST_BANK_SHIFT == 0
    return kind == REQ_INST and address - INSTRUCTION_SPACE < p["launch_lines"] * 16 * p["line_insts"]


@jit
def _mark_dirty(chip, p, line, sectors):
    index = _set_index(p, line)
    way = _find_way(chip.l2, index, line)
    if way >= 0:
        chip.l2[index, way]["dirty"] |= sectors


@jit
def _count(st, kind, sectors, hits):
    if kind == REQ_WRITE:
        st["l2_write_sectors"] += sectors
        st["l2_write_hits"] += hits
    elif kind == REQ_ATOMIC or kind == REQ_REDUCTION:
        st["l2_atomic_sectors"] += sectors
    elif kind == REQ_INST:
        st["l2_inst_sectors"] += sectors
    elif kind == REQ_CONST:
        st["l2_const_sectors"] += sectors
    else:
        st["l2_read_sectors"] += sectors
        st["l2_read_hits"] += hits


@jit
def _reply(m, chip, s, r, kind, time, sectors):
    """Send the answer over the SM's reply port and schedule it there."""
    p = m.par[0]
    if kind == REQ_WRITE or kind == REQ_REDUCTION:
        if p["acks"] == 0:
            return
        sectors = 0
    free = max(chip.reply_free[s], time * 1000) + sectors * p["reply_milli_per_sector"]
    chip.reply_free[s] = free
    m.stats[s]["noc_reply_bytes"] += sectors * SECTOR_BYTES
    time = max(time, free // 1000)
    tag = r["tag"] + 0
    if kind == REQ_WRITE or kind == REQ_REDUCTION:
        schedule(m, s, time, EV_ACK, tag, 0)
    elif kind == REQ_INST:
        schedule(m, s, time, EV_INST, tag, r["line"])
    elif kind == REQ_CONST:
        schedule(m, s, time, EV_CONST, tag, (r["line"] << 4) | r["sectors"])
    elif r["bypass"] != 0:
        schedule(m, s, time, EV_REPLY_DIRECT, tag, 0)
    else:
        schedule(m, s, time, EV_REPLY_L1, tag, 0)
    sm = m.sm[s]
    if time < sm["next"]:
        sm["next"] = time


@jit
def serve_window(m, chip):
    """Carry out all requests that the SMs queued; the outboxes are empty afterwards."""
    total = _order_requests(m, chip.order)
    for i in range(total):
        s = chip.order[i, 1] >> 32
        _serve(m, chip, s, m.requests[s, chip.order[i, 1] & 0xFFFFFFFF])
    if total > 0:
        for s in range(m.par[0]["num_sms"]):
            m.sm[s]["requests"] = 0
