"""Full memory backend (``memory.backend: full``): network, L2 slices and DRAM banks behind the windows of the SMs.

What happens beyond the SMs is known ahead of them by the time that a request needs to cross the network and L2: a
window that ends at ``end`` serves slices up to ``end`` + crossing and DRAM up to that + its controller's share, and
hands over all replies that arrive within the window after it. Requests in flight stay where they are between windows.
"""

from archsim.kernels.backend import sort_by_time
from archsim.kernels.dram import advance
from archsim.kernels.dram_queue import push
from archsim.kernels.l2 import channel_of, fill_home, find, serve_slice, set_of, take_forwards, touch, victim_of
from archsim.kernels.layout import NEVER, jit
from archsim.kernels.memory_layout import REPLY_SLOTS, SECTORS, TICK_SHIFT
from archsim.kernels.noc import deliver, empty_outboxes, locate, next_reply, take_requests
from archsim.kernels.ref import ref


@jit
def serve_full(m, chip, end):
    """Take the requests that leave the SMs before ``end``, and bring network, L2 and DRAM up to it."""
    f = ref(chip.memory)
    d = ref(f.dram)
    p = f.par[0]
    take_requests(m, chip, f, end)
    empty_outboxes(m, f, end)
    horizon = end + p["crossing"]
    if f.state[0]["forwards"] > 0:
        take_forwards(f)
    if f.state[0]["queued"] > 0:
        for i in range(p["slices"]):
            if f.slice[i]["queued"] > 0:
                serve_slice(m, f, i, horizon)
    if f.state[0]["misses"] > 0:
        _push_misses(f, d)
    if f.state[0]["in_dram"] > 0:
        until = (horizon + p["dram_there"]) * p["ticks_numerator"] >> TICK_SHIFT
        for channel in range(p["channels"]):
            if f.in_dram[channel] > 0:
                _run_channel(f, d, channel, until)
    deliver(m, chip, f, end + m.par[0]["window_cycles"])


@jit
def _push_misses(f, d):
    """Hand the listed accesses to their channels in order of time; those of a full channel stay listed."""
    c = f.state[0]
    total = c["misses"]
    sort_by_time(f.miss, total)
    kept = 0
    for i in range(total):
        if not _push(f, d, f.miss[i, 0], f.miss[i, 1]):
            f.miss[kept, 0] = f.miss[i, 0]
            f.miss[kept, 1] = f.miss[i, 1]
            kept += 1
    c["misses"] = kept


@jit
def _push(f, d, time, access):
    p = f.par[0]
    write = 0
    if access < 0:
        write = 1
        block = -access - 1
        line = block // SECTORS
        sector = block % SECTORS
    else:
        place = access // SECTORS
        sector = access % SECTORS
        ways = f.tags.shape[1]
        line = f.tags[place // ways, place % ways]
    channel, upper = channel_of(f, line)
    bank, row, column = _decode(f, upper * SECTORS + sector)
    tick = max(time * p["ticks_numerator"] >> TICK_SHIFT, d.channel[channel]["now"])
    if not push(d, channel, tick, bank, row, column, write, access):
        return False
    f.in_dram[channel] += 1
    f.state[0]["in_dram"] += 1
    return True


@jit
def _decode(f, burst):
    """Bank, row and column of a burst within its channel."""
    bank = 0
    row = 0
    column = 0
    for i in range(f.parts.shape[0]):
        part = f.parts[i]
        value = ((burst >> part["shift"]) & part["mask"]) * part["weight"]
        if part["target"] == 0:
            bank += value
        elif part["target"] == 1:
            row += value
        else:
            column += value
    return bank ^ (row & f.par[0]["bank_xor"]), row, column


@jit
def _run_channel(f, d, channel, until):
    """Advance one channel to tick ``until`` and fill L2 with what its reads bring."""
    while True:
        advance(d, channel, until, -1)
        ch = d.channel[channel]
        count = ch["done"]
        size = d.done.shape[1]
        at = ch["done_head"]
        for _ in range(count):
            r = d.done[channel, at]
            if r["tag"] >= 0:
                _return_sector(f, r["tag"], r["time"])
            at += 1
            if at == size:
                at = 0
        ch["done_head"] = at
        ch["done"] = 0
        f.in_dram[channel] -= count
        f.state[0]["in_dram"] -= count
        if count < size:
            return


@jit
def _return_sector(f, access, tick):
    p = f.par[0]
    data = -((-tick << TICK_SHIFT) // p["ticks_numerator"]) + p["dram_back"]
    fill_home(f, access // SECTORS, 1 << (access % SECTORS), data)


@jit
def next_reply_cycle(chip):
    """A cycle up to which no window is needed: 0 while requests are under way, else a window before the next reply."""
    f = ref(chip.memory)
    c = f.state[0]
    if c["queued"] + c["held"] + c["forwards"] + c["misses"] + c["in_dram"] > 0:
        return 0
    if c["replies"] == 0:
        return NEVER
    return next_reply(f, c["delivered"] + REPLY_SLOTS) - 2 * f.par[0]["crossing"]


def copy_lines(chip, first, count):
    """Leave ``count`` lines from line ``first`` on in L2, clean; returns how many were not there. Entry point.

    Host copies (gpu-core G.2: perf_sim_memcpy), and what a launch brings.
    """
    return _copy_lines(ref(chip.memory), first, count)


@jit
def _copy_lines(f, first, count):
    new = 0
    for line in range(first, first + count):
        home, upper = locate(f, line)
        index = set_of(f, home, upper)
        place = find(f, index, line)
        if place < 0:
            new += 1
            place = victim_of(f, index, False)
            ways = f.tags.shape[1]
            f.tags[index, place - index * ways] = line
            f.lines[place]["waiters"] = -1
        x = f.lines[place]
        x["valid"] = (1 << SECTORS) - 1
        x["dirty"] = 0
        x["copies"] = 0
        touch(f, place)
    return new
