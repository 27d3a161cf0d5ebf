"""Request queues: one list per bank and direction, oldest first, with the oldest hit and the oldest miss at hand."""

from archsim.kernels.dram_layout import NEVER, leaf
from archsim.kernels.dram_timing import touch
from archsim.kernels.layout import jit


@leaf
def link(d, c, i):
    """Append request ``i`` to its bank's list. Only the first hit and miss bear on the bank's next commands."""
    r = d.request[c, i]
    b = r["bank"]
    q = d.queue[c, b, r["write"]]
    tail = q["tail"]
    r["next"] = -1
    r["previous"] = tail
    if tail < 0:
        q["head"] = i
    else:
        d.request[c, tail]["next"] = i
    q["tail"] = i
    q["count"] += 1
    if r["row"] == d.bank[c, b]["row"]:
        if q["hit"] < 0:
            q["hit"] = i
            touch(d, c, b)
    elif q["miss"] < 0:
        q["miss"] = i
        touch(d, c, b)


@leaf
def detach(d, c, i):
    """Take request ``i`` out of its bank's list, whose oldest hit and miss the caller then sets."""
    r = d.request[c, i]
    q = d.queue[c, r["bank"], r["write"]]
    following = r["next"]
    before = r["previous"]
    if before < 0:
        q["head"] = following
    else:
        d.request[c, before]["next"] = following
    if following < 0:
        q["tail"] = before
    else:
        d.request[c, following]["previous"] = before
    q["count"] -= 1


@leaf
def unlink(d, c, i):
    """Take request ``i`` out of its bank's list and find the next oldest hit or miss."""
    r = d.request[c, i]
    b = r["bank"]
    q = d.queue[c, b, r["write"]]
    row = d.bank[c, b]["row"]
    following = r["next"]
    if q["hit"] == i:
        j = following
        while j >= 0 and d.request[c, j]["row"] != row:
            j = d.request[c, j]["next"]
        q["hit"] = j
    elif q["miss"] == i:
        j = following
        while j >= 0 and d.request[c, j]["row"] == row:
            j = d.request[c, j]["next"]
        q["miss"] = j
    detach(d, c, i)


@leaf
def sort_rows(d, c, b):
    """Find the oldest hit and miss of both directions anew, after the bank's row changed."""
    row = d.bank[c, b]["row"]
    for direction in range(2):
        q = d.queue[c, b, direction]
        hit = -1
        miss = -1
        j = q["head"]
        while j >= 0 and (hit < 0 or miss < 0):
            if d.request[c, j]["row"] == row:
                if hit < 0:
                    hit = j
            elif miss < 0:
                miss = j
            j = d.request[c, j]["next"]
        q["hit"] = hit
        q["miss"] = miss


@leaf
def waiting_write(d, c, b, row, column):
    """True if a write to that place waits, so that a read can be answered from it."""
    j = d.queue[c, b, 1]["tail"]
    while j >= 0:
        r = d.request[c, j]
        if r["row"] == row and r["column"] == column:
            return True
        j = r["previous"]
    return False


@leaf
def complete(d, c, tag, time, arrival, admitted, write):
    """Report a finished request: `time` may lie ahead of the channel's present."""
    ch = d.channel[c]
    size = d.done.shape[1]
    at = ch["done_head"] + ch["done"]
    if at >= size:
        at -= size
    r = d.done[c, at]
    r["tag"] = tag
    r["time"] = time
    r["arrival"] = arrival
    r["admitted"] = admitted
    r["write"] = write
    ch["done"] += 1
    if time > ch["last_time"]:
        ch["last_time"] = time
    if write == 0:
        ch["reads_done"] += 1
        ch["read_latency_sum"] += time - arrival
        if time - arrival > ch["read_latency_max"]:
            ch["read_latency_max"] = time - arrival
    else:
        ch["writes_done"] += 1
        ch["write_latency_sum"] += time - arrival


@jit
def push(d, c, time, bank, row, column, write, tag):
    """Queue a request that reaches channel ``c`` at tick ``time`` (not before the previous one's).

    Returns False, and queues nothing, if the arrival queue is full. ``tag`` comes back with the completion.
    """
    ch = d.channel[c]
    size = d.arrival.shape[1]
    n = ch["arrivals"]
    if n == size:
        return False
    if time < ch["now"]:  # a caller that breaks the window rule: counted, never reordered
        ch["late"] += 1
    at = ch["arrival_head"] + n
    if at >= size:
        at -= size
    r = d.arrival[c, at]
    r["time"] = time
    r["bank"] = bank
    r["row"] = row
    r["column"] = column
    r["write"] = write
    r["tag"] = tag
    ch["arrivals"] = n + 1
    return True


@leaf
def next_arrival(d, c):
    """Tick at which the head of the arrival queue wants in; NEVER if it is empty or its direction has no room."""
    ch = d.channel[c]
    if ch["arrivals"] == 0:
        return NEVER
    a = d.arrival[c, ch["arrival_head"]]
    if a["write"] == 0:
        if ch["reads"] >= d.par[0]["read_capacity"]:
            return NEVER
    elif ch["writes"] >= d.par[0]["write_capacity"]:
        return NEVER
    return max(a["time"], ch["admit_from"])


@leaf
def admit(d, c, b, now):
    """Move the head of the arrival queue into the list of its bank ``b``; False if a waiting write answers it."""
    ch = d.channel[c]
    a = d.arrival[c, ch["arrival_head"]]
    head = ch["arrival_head"] + 1
    ch["arrival_head"] = 0 if head == d.arrival.shape[1] else head
    ch["arrivals"] -= 1
    ch["last_admit"] = now
    if d.par[0]["serial_arrivals"] == 1:
        ch["admit_from"] = now + 1
    write = a["write"]
    forward = write == 0 and d.queue[c, b, 1]["count"] > 0 and d.par[0]["forward_writes"] == 1
    if forward and waiting_write(d, c, b, a["row"], a["column"]):
        ch["forwarded"] += 1
        complete(d, c, a["tag"], now + 1, a["time"], now, 0)
        return False
    i = ch["free"]
    r = d.request[c, i]
    ch["free"] = r["next"]
    r["row"] = a["row"]
    r["column"] = a["column"]
    r["bank"] = b
    r["time"] = a["time"]
    r["admitted"] = now
    r["sequence"] = ch["sequence"]
    ch["sequence"] += 1
    r["write"] = write
    r["touched"] = 0
    r["tag"] = a["tag"]
    link(d, c, i)
    if write == 0:
        ch["reads"] += 1
    else:
        ch["writes"] += 1
    return True


@leaf
def release_slot(d, c, write, now):
    """A queued request left its place; if the queue was full, the next arrival gets in one tick later."""
    ch = d.channel[c]
    if write == 0:
        if ch["reads"] == d.par[0]["read_capacity"]:
            ch["admit_from"] = now + 1
            ch["queue_full"] += 1
        ch["reads"] -= 1
    else:
        if ch["writes"] == d.par[0]["write_capacity"]:
            ch["admit_from"] = now + 1
            ch["queue_full"] += 1
        ch["writes"] -= 1
