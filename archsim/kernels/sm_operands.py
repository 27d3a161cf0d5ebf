"""Allocate stage, register-file ports and register-file cache of a sub-core.

gpu-core sheet, section D. A fixed-latency instruction leaves Allocate when all its reads that the register-file cache
does not serve fit into the read window (the three cycles that follow), one port per bank and cycle; until then it holds
up Control and Issue. Bookings are relative to ``port_base``: reads four bits a cycle (reads booked in that cycle, so at
most 15 ports a bank), write ports one bit a cycle.
"""

from archsim.kernels.hooks import lookup, update
from archsim.kernels.layout import F_RFC, F_WIDE_READ, jit

RESULT_AFTER_ALLOCATE = 8  # issue t, allocate t + 2, result written back t + 10 (gpu-core B.3, latency 4)


@jit
def advance_ports(sc, now):
    """Shift the bookings so that bit 0 is cycle ``now``."""
    shift = now - sc["port_base"]
    if shift > 0:
        for b in range(2):
            sc["read_used"][b] >>= min(4 * shift, 62)
            sc["write_used"][b] >>= min(shift, 62)
        sc["port_base"] = now


@jit
def _needs(m, s, k, ins, warp, commit):
    """Reads per bank that must go to the register file; with ``commit``, updates the register-file cache.

    Returned packed: bank 0 in the low 16 bits, bank 1 above. A register named twice is read once.
    """
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    cache = m.plugins.rfc
    cached = ins["flags"] & F_RFC != 0
    banks = p["banks"]
    need0 = 0
    need1 = 0
    for slot in range(ins["num_src"]):
        register = np_int(ins["src"][slot])
        if register < 0:
            continue
        for r in range(register, register + ins["src_width"][slot]):
            bank = r % banks
            hit = cached and lookup(cache, sub, warp, slot, bank, r)
            if not hit and not _read_before(ins, slot, r, register):
                if bank == 0:
                    need0 += 1
                else:
                    need1 += 1
            if commit:
                st = m.stats[s]
                st["register_reads"] += 1
                if hit:
                    st["rfc_hits"] += 1
                if cached:
                    st["rfc_lookups"] += 1
                    update(cache, sub, warp, slot, bank, r, ins["src_reuse"][slot])
    return need0 | (need1 << 16)


@jit
def np_int(value):
    """Widen a small field to int64."""
    return value + 0


@jit
def _read_before(ins, slot, r, register):
    """True if an earlier operand of the instruction already reads register ``r``."""
    for i in range(slot):
        first = ins["src"][i]
        if first >= 0 and first <= r and r < first + ins["src_width"][i]:
            return True
    return False


@jit
def _free_reads(used, ports, window):
    """Reads that still fit in cycles 1..window of a bank (``used``: four bits per cycle)."""
    free = 0
    for c in range(1, window + 1):
        free += ports - ((used >> (4 * c)) & 15)
    return free


@jit
def _book_reads(used, ports, need, window):
    """Book ``need`` reads in the earliest free cycles 1..window; returns the new word."""
    for c in range(1, window + 1):
        room = ports - ((used >> (4 * c)) & 15)
        take = min(room, need)
        used += take << (4 * c)
        need -= take
    return used


@jit
def try_allocate(m, s, k, ins, warp, now):
    """Reserve the read ports of a fixed-latency instruction; False if its reads do not fit into the window."""
    p = m.par[0]
    sc = m.sc[s * p["num_subcores"] + k]
    if ins["num_src"] > 0:
        advance_ports(sc, now)
        need = _needs(m, s, k, ins, warp, False)
        window = p["tensor_window"] if ins["flags"] & F_WIDE_READ != 0 else p["window"]
        ports = p["read_ports"]
        used = sc["read_used"]
        if need & 0xFFFF > _free_reads(used[0], ports, window) or need >> 16 > _free_reads(used[1], ports, window):
            return False
        used[0] = _book_reads(used[0], ports, need & 0xFFFF, window)
        used[1] = _book_reads(used[1], ports, need >> 16, window)
        _needs(m, s, k, ins, warp, True)
    if ins["dst"] >= 0:
        advance_ports(sc, now)
        _book_result(sc, p["banks"], ins, RESULT_AFTER_ALLOCATE + ins["latency"] - 4)
    return True


@jit
def _book_result(sc, banks, ins, after):
    """Fixed-latency results own the write port in their cycle (two of them never delay each other: result queue)."""
    for r in range(ins["dst"], ins["dst"] + ins["dst_width"]):
        sc["write_used"][r % banks] |= 1 << min(after, 62)


@jit
def ports_free(m, s, k, ins, now):
    """A queued (memory, FP64) instruction reads its registers now: one port of every bank that it uses must be free.

    Books them and returns True, or returns False. Fixed-latency instructions have priority: they booked earlier.
    """
    p = m.par[0]
    sc = m.sc[s * p["num_subcores"] + k]
    advance_ports(sc, now)
    banks_used = 0
    reads = 0
    for slot in range(ins["num_src"]):
        register = np_int(ins["src"][slot])
        if register >= 0:
            width = np_int(ins["src_width"][slot])
            reads += width
            for r in range(register, register + min(width, 2)):
                banks_used |= 1 << (r % p["banks"])
    used = sc["read_used"]
    for b in range(2):
        if (banks_used >> b) & 1 != 0 and (used[b] >> 4) & 15 >= p["read_ports"]:
            return False
    for b in range(2):
        if (banks_used >> b) & 1 != 0:
            used[b] += 1 << 4
    m.stats[s]["register_reads"] += reads
    return True


@jit
def write_back_at(m, s, k, ins, time, now):
    """Cycle at which a returning load can write its register: one later for each collision with a fixed result."""
    p = m.par[0]
    sc = m.sc[s * p["num_subcores"] + k]
    if ins["dst"] < 0 or p["write_ports"] > 1:
        return time
    advance_ports(sc, now)
    bank = (ins["dst"] + ins["dst_width"] - 1) % p["banks"]
    offset = time - sc["port_base"]
    while offset >= 0 and offset < 62 and (sc["write_used"][bank] >> offset) & 1 != 0:
        offset += 1
        time += 1
        m.stats[s]["write_port_delays"] += 1
    if offset >= 0 and offset < 62:
        sc["write_used"][bank] |= 1 << offset
    return time
