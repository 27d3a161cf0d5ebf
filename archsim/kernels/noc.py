"""Network between SMs and L2 slices: request queues of the slices, replies in order of arrival, back-pressure.

Each SM's request port (`ports.send`), each slice's port and each SM's reply port has its bandwidth; the crossbar
between them adds a fixed crossing. A request for a line whose home is in another partition goes to the SM's own
partition first (`l2`).
"""

from archsim.kernels.backend import sort_by_time
from archsim.kernels.bits import popcount
from archsim.kernels.layout import (
    ERR_REQUESTS,
    EV_ACK,
    EV_CONST,
    EV_INST,
    EV_REPLY_DIRECT,
    EV_REPLY_L1,
    REQ_ATOMIC,
    REQ_CONST,
    REQ_INST,
    REQ_REDUCTION,
    REQ_WRITE,
    jit,
)
from archsim.kernels.memory_layout import REPLY_SLOTS
from archsim.kernels.wheel import schedule

SECTOR_BYTES = 32


@jit
def new_node(f):
    """Take a node; the pool is sized so that one is free (`take_requests` looks first)."""
    c = f.state[0]
    n = c["free_node"]
    c["free_node"] = f.node[n]["next"]
    c["free_nodes"] -= 1
    return n


@jit
def free_node(f, n):
    c = f.state[0]
    f.node[n]["next"] = c["free_node"]
    c["free_node"] = n
    c["free_nodes"] += 1


@jit
def hashed(h, number):
    """Target and number within the target: a bijection for every block of ``ways`` consecutive numbers.

    The target's power-of-two part is XORed with the remainder of the upper address modulo an irreducible polynomial
    (IPOLY hashing), its odd part is rotated by the upper address.
    """
    upper = number // h["ways"]
    place = number - upper * h["ways"]
    bits = h["bits"]
    low = place & ((1 << bits) - 1)
    for k in range(bits):
        low ^= (popcount(upper & h["poly"][k]) & 1) << k
    odd = place >> bits
    if h["rotate"] != 0:
        odd = (odd + upper + (upper >> 7)) % h["odd"]
    return (odd << bits) | low, upper


@jit
def locate(f, line):
    """Home slice of a line, and its number within the slice.

    Two slices share every two blocks of `l2.slice_block_bytes`, in turns of half a block: the number of a block and
    the half of a line change places (measured on an H100: slice_of_line, turns of 256 bytes).
    """
    p = f.par[0]
    shift = p["block_shift"]
    if shift > 0:
        low = line >> (shift - 1)
        line ^= (((low ^ (low >> 1)) & 1) * 3) << (shift - 1)
    home, upper = hashed(p["slice_hash"], line >> shift)
    return home, (upper << shift) | (line & ((1 << shift) - 1))


@jit
def gpc_of(f, s):
    """GPC of an SM. SMs are numbered in the order in which CTAs come to them, GPC after GPC (measured: cta_to_sm)."""
    return s * f.par[0]["gpcs"] // f.par[0]["num_sms"]


@jit
def partition_of(f, s):
    """L2 partition that an SM's GPC is near to."""
    return gpc_of(f, s) % f.par[0]["partitions"]


@jit
def entry_slice(f, home, partition):
    """The slice of ``partition`` that stands for slice ``home``."""
    n = f.par[0]["slices_per_partition"]
    return partition * n + home % n


@jit
def enqueue(f, i, k, n):
    """Append node ``n`` to queue ``k`` of slice ``i`` (its ``time``: arrival)."""
    q = f.queue[i, k]
    f.node[n]["next"] = -1
    if q["head"] < 0:
        q["head"] = n
    else:
        f.node[q["tail"]]["next"] = n
    q["tail"] = n
    q["count"] += 1
    f.slice[i]["queued"] += 1
    f.state[0]["queued"] += 1


@jit
def take_requests(m, chip, f, end):
    """Move what left the SMs before ``end`` to the slices' queues, in order of time, then SM."""
    total = 0
    order = chip.order
    c = f.state[0]
    for s in range(m.par[0]["num_sms"]):
        for i in range(m.sm[s]["requests"]):
            if m.requests[s, i]["time"] >= end:
                break
            order[total, 0] = m.requests[s, i]["time"]
            order[total, 1] = (s << 32) | i
            total += 1
    if total == 0:
        return
    sort_by_time(order, total)
    if c["free_nodes"] < 2 * total:
        m.sm[order[0, 1] >> 32]["error"] = ERR_REQUESTS
        return
    for k in range(total):
        s = order[k, 1] >> 32
        _enter(m, f, s, m.requests[s, order[k, 1] & 0xFFFFFFFF])


@jit
def _enter(m, f, s, r):
    p = f.par[0]
    n = new_node(f)
    x = f.node[n]
    line = r["line"] >> 7
    x["time"] = _through_crossbar(f, r) + p["crossing"]
    x["line"] = line
    x["address"] = r["line"]
    x["kind"] = r["kind"]
    x["sectors"] = r["sectors"]
    x["sm"] = s
    silent = m.par[0]["acks"] == 0 and (r["kind"] == REQ_WRITE or r["kind"] == REQ_REDUCTION)
    x["tag"] = -1 if silent else r["tag"]
    x["bypass"] = r["bypass"]
    x["ops"] = r["ops"]
    x["what"] = r["what"]
    x["far"] = 0
    x["shared"] = -1
    x["late"] = 0 if r["kind"] == REQ_INST or r["kind"] == REQ_CONST else _late(f, s, r["time"])
    f.in_network[s] += 1
    home, _ = locate(f, line)
    enqueue(f, entry_slice(f, home, partition_of(f, s)), 0, n)


@jit
def _late(f, s, time):
    """Cycles that an access of SM ``s`` comes later because the SM has just begun to use memory (measured, H100).

    Not a page's translation: a chase over 4 GB in random order pays nothing of the kind.
    """
    p = f.par[0]
    if f.begun[s] < 0:
        f.begun[s] = time + p["first_access"]
    return max(0, f.begun[s] - time)


@jit
def _through_crossbar(f, r):
    """Cycle from which a request crosses: written sectors and packets of atomics share the crossbar's places."""
    p = f.par[0]
    c = f.state[0]
    if r["kind"] == REQ_ATOMIC:
        cost = p["atomic_packet_milli"]
    elif r["kind"] == REQ_REDUCTION:
        cost = p["reduction_packet_milli"]
    elif r["kind"] == REQ_WRITE:
        cost = p["write_packet_milli"]
    else:
        return r["time"]
    packets = popcount(r["sectors"]) if r["kind"] == REQ_WRITE else r["ops"]
    free = max(c["crossbar_free"], r["time"] * 1000) + packets * cost
    c["crossbar_free"] = free
    return max(r["time"], free // 1000)


@jit
def empty_outboxes(m, f, end):
    """Drop the taken requests from the outboxes; what leaves later moves to the front. Applies back-pressure.

    An SM whose port is behind, or that has ``in_network`` requests waiting at slices, takes no memory instruction in
    the next window: the buffers of the network are full.
    """
    p = f.par[0]
    held = 0
    for s in range(m.par[0]["num_sms"]):
        sm = m.sm[s]
        count = sm["requests"]
        if count > 0:
            first = 0
            while first < count and m.requests[s, first]["time"] < end:
                first += 1
            for i in range(first, count):
                _copy(m.requests[s, i - first], m.requests[s, i])
            sm["requests"] = count - first
            held += count - first
        if f.in_network[s] > p["in_network"]:
            sm["accept_free"] = max(sm["accept_free"], end + m.par[0]["window_cycles"])
        elif sm["out_free"] - end > p["in_network"]:
            sm["accept_free"] = max(sm["accept_free"], sm["out_free"] - p["in_network"])
    f.state[0]["held"] = held


@jit
def _copy(to, r):
    to["time"] = r["time"]
    to["line"] = r["line"]
    to["kind"] = r["kind"]
    to["sectors"] = r["sectors"]
    to["sm"] = r["sm"]
    to["tag"] = r["tag"]
    to["bypass"] = r["bypass"]
    to["bytes"] = r["bytes"]
    to["ops"] = r["ops"]
    to["what"] = r["what"]


@jit
def send_reply(f, n, leave):
    """Node ``n``'s answer leaves its slice at ``leave``."""
    time = leave + f.par[0]["crossing"] + f.node[n]["late"]
    f.node[n]["time"] = max(time, f.state[0]["delivered"])
    f.state[0]["replies"] += 1
    _into_wheel(f, n)


@jit
def _into_wheel(f, n):
    base = f.state[0]["delivered"]
    time = min(f.node[n]["time"], base + REPLY_SLOTS - 1)
    ends = f.wheel[time & (REPLY_SLOTS - 1)]
    f.node[n]["next"] = -1
    if ends[0] < 0:
        ends[0] = n
    else:
        f.node[ends[1]]["next"] = n
    ends[1] = n


@jit
def next_reply(f, limit):
    """Cycle of the earliest reply before ``limit`` that has not been handed over; ``limit`` if there is none."""
    c = f.state[0]
    if c["replies"] == 0:
        return limit
    last = min(limit, c["delivered"] + REPLY_SLOTS)
    for time in range(c["delivered"], last):
        if f.wheel[time & (REPLY_SLOTS - 1), 0] >= 0:
            return time
    return limit


@jit
def deliver(m, chip, f, until):
    """Hand replies that arrive before ``until`` to their SMs."""
    c = f.state[0]
    while c["delivered"] < until:
        if c["replies"] == 0:
            c["delivered"] = until
            return
        time = c["delivered"]
        ends = f.wheel[time & (REPLY_SLOTS - 1)]
        n = ends[0]
        ends[0] = -1
        c["delivered"] = time + 1
        while n >= 0:
            following = f.node[n]["next"]
            if f.node[n]["time"] > time:
                _into_wheel(f, n)
            else:
                _hand_over(m, chip, f.node[n], time)
                c["replies"] -= 1
                free_node(f, n)
            n = following


@jit
def _hand_over(m, chip, r, time):
    """Over the SM's reply port and into its events."""
    s = r["sm"]
    kind = r["kind"]
    sectors = popcount(r["sectors"])
    if kind == REQ_WRITE or kind == REQ_REDUCTION:
        sectors = 0
    free = max(chip.reply_free[s], time * 1000) + sectors * m.par[0]["reply_milli_per_sector"]
    chip.reply_free[s] = free
    m.stats[s]["noc_reply_bytes"] += sectors * SECTOR_BYTES
    time = max(time, free // 1000)
    tag = r["tag"]
    if kind == REQ_WRITE or kind == REQ_REDUCTION:
        schedule(m, s, time, EV_ACK, tag, 0)
    elif kind == REQ_INST:
        schedule(m, s, time, EV_INST, tag, r["address"])
    elif kind == REQ_CONST:
        schedule(m, s, time, EV_CONST, tag, (r["address"] << 4) | r["sectors"])
    elif r["bypass"] != 0:
        schedule(m, s, time, EV_REPLY_DIRECT, tag, 0)
    else:
        schedule(m, s, time, EV_REPLY_L1, tag, 0)
    sm = m.sm[s]
    if time < sm["next"]:
        sm["next"] = time
