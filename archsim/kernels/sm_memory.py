"""Memory pipeline: the sub-core's local unit, the SM's shared load/store unit, loads in flight and their completion.

gpu-core sheet, section E. An instruction enters the local unit's queue from Control; address generation takes ``agu``
cycles per instruction of a sub-core; the shared unit accepts one instruction every ``accept_interval`` cycles from all
sub-cores in turn (fair, as measured: table 1). An undisturbed instruction is accepted ``accept_base`` cycles after its
issue; the table of measured latencies (E.2) then fixes when its registers are free (WAR) and its result usable (RAW).
"""

from archsim.kernels import coalesce, l1, small_cache
from archsim.kernels.bits import popcount
from archsim.kernels.layout import (
    CONST_MERGED,
    CONST_MISSES,
    CONST_SPACE,
    EV_LDGSTS,
    EV_LOAD_DONE,
    EV_READERS,
    EV_REPLY_DIRECT,
    EV_SB,
    EV_VL,
    F_BYPASS_L1,
    F_MATRIX_LOAD,
    KIND_ATOMIC,
    KIND_FENCE,
    KIND_LDGSTS,
    KIND_LOAD,
    KIND_MISC,
    KIND_REDUCTION,
    KIND_STORE,
    LOG_ACCEPT,
    LOG_READ,
    MISS_NODES,
    NO_SB,
    REQ_ATOMIC,
    REQ_CONST,
    REQ_READ,
    REQ_REDUCTION,
    REQ_WRITE,
    SPACE_CONST,
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_LOCAL,
    SPACE_SHARED,
    jit,
)
from archsim.kernels.log import record
from archsim.kernels.ports import send, send_atomic
from archsim.kernels.sm_operands import ports_free, write_back_at
from archsim.kernels.wheel import schedule

LOCAL_SPACE = 1 << 46  # local memory of all warps, word-interleaved over the lanes


OUTBOX_RESERVE = 512  # requests that instructions under way, constants and code may still send in a window


@jit
def enqueue(m, s, k, pc, warp, mask, mem, issued, now):
    """Move an instruction from Control into the queue of the sub-core's local unit; False if the queue is full."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    if sc["mq_count"] >= p["queue"]:
        return False
    e = m.mq[sub, (sc["mq_head"] + sc["mq_count"]) % p["queue"]]
    e["pc"] = pc
    e["warp"] = warp
    e["mask"] = mask
    e["mem"] = mem
    e["issued"] = issued
    sc["mq_count"] += 1
    return True


@jit
def generate_addresses(m, s, k, now):
    """Start address generation of the oldest waiting instruction if the unit and the register ports are free.

    Returns the next cycle at which this unit has something to do by itself (a large time if nothing waits).
    """
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    if sc["mq_started"] >= sc["mq_count"]:
        return 1 << 60
    if now < sc["agu_free"]:
        return sc["agu_free"]
    e = m.mq[sub, (sc["mq_head"] + sc["mq_started"]) % p["queue"]]
    if now < e["issued"] + 2:
        return e["issued"] + 2
    ins = m.ins[e["pc"]]
    if not ports_free(m, s, k, ins, now):
        m.stats[s]["port_stall_cycles"] += 1
        return now + 1
    e["start"] = now
    e["ready"] = now + p["accept_base"] - 2
    sc["agu_free"] = now + ins["agu"]
    sc["mq_started"] += 1
    sm = m.sm[s]
    if e["ready"] < sm["lsu_next"] and sc["mq_started"] == 1:
        sm["lsu_next"] = max(e["ready"], sc["accept_after"])
    record(m, LOG_READ, now, s, e["warp"], e["pc"], 0)
    if ins["rb"] != NO_SB:
        schedule(m, s, now + ins["war"] - 2, EV_SB, e["warp"], ins["rb"])
    if p["scoreboard"] != 0:
        schedule(m, s, now + ins["war"] - 2, EV_READERS, e["warp"], e["pc"])
    return now + 1


@jit
def next_accept(m, s):
    """Earliest cycle at which the shared unit can take an instruction (a large time if none is under way)."""
    p = m.par[0]
    soonest = 1 << 60
    for k in range(p["num_subcores"]):
        sub = s * p["num_subcores"] + k
        sc = m.sc[sub]
        if sc["mq_started"] > 0:
            soonest = min(soonest, max(m.mq[sub, sc["mq_head"]]["ready"], sc["accept_after"]))
    return max(soonest, m.sm[s]["accept_free"])


@jit
def accept(m, s, now, tr):
    """The shared unit takes the next ready instruction, sub-cores in turn. Returns when to look again."""
    p = m.par[0]
    sm = m.sm[s]
    nsub = p["num_subcores"]
    at = next_accept(m, s)
    if at > now:
        return at
    free_at = _room_at(m, s, now)
    if m.requests.shape[1] - sm["requests"] < OUTBOX_RESERVE:  # the chip empties the outbox between windows
        free_at = max(free_at, now + p["window_cycles"])
    if free_at > now:
        m.stats[s]["lsu_backpressure_cycles"] += free_at - now
        return free_at
    for i in range(nsub):
        k = (sm["accept_next"] + i) % nsub
        sub = s * nsub + k
        sc = m.sc[sub]
        if sc["mq_started"] > 0 and max(m.mq[sub, sc["mq_head"]]["ready"], sc["accept_after"]) <= now:
            e = m.mq[sub, sc["mq_head"]]
            sm["accept_free"] = now + p["accept_interval"]
            sm["accept_next"] = (k + 1) % nsub
            sc["accept_after"] = now + m.ins[e["pc"]]["agu"]
            record(m, LOG_ACCEPT, now, s, e["warp"], e["pc"], 0)
            execute(m, s, k, e["pc"], e["warp"], e["mask"] + 0, e["mem"], now, tr)
            sc["mq_head"] = (sc["mq_head"] + 1) % p["queue"]
            sc["mq_count"] -= 1
            sc["mq_started"] -= 1
            sc["wake"] = min(sc["wake"], now)
            break
    return next_accept(m, s)


@jit
def _room_at(m, s, now):
    """Cycle from which another instruction has room: pending-request table, miss nodes, queue of the data stage."""
    p = m.par[0]
    sm = m.sm[s]
    if sm["prt_free_count"] < 1 or sm["mshr_free_count"] < MISS_NODES:
        return now + 1  # until a reply frees some
    return max(now, (sm["data_free_x4"] >> 2) - p["prt"])


@jit
def execute(m, s, k, pc, warp, mask, mem, now, tr):
    """Carry out an accepted instruction at cycle ``now``."""
    ins = m.ins[pc]
    kind = ins["kind"]
    space = ins["space"]
    if mask == 0 or kind == KIND_MISC or kind == KIND_FENCE:
        if kind == KIND_MISC:
            m.stats[s]["misc_memory"] += 1
        _finish(m, s, k, ins, pc, warp, now + ins["latency"] - m.par[0]["accept_base"])
        return
    if ins["mem_records"] > 0:
        coalesce.lane_addresses(m.scratch[s], tr.mems[mem], tr.lanes, mask)
        if space == SPACE_GENERIC:
            space = _generic_space(m, s, mask)
    if space == SPACE_CONST:
        _constant(m, s, k, ins, pc, warp, mask, now)
    elif space == SPACE_SHARED:
        _shared(m, s, k, ins, pc, warp, mask, now)
    elif kind == KIND_LOAD or kind == KIND_LDGSTS:
        _load(m, s, k, ins, pc, warp, mask, space, now)
    elif kind == KIND_STORE:
        _store(m, s, k, ins, pc, warp, mask, space, now)
    else:
        _atomic(m, s, k, ins, pc, warp, mask, now)


@jit
def _generic_space(m, s, mask):
    """Which window a generic access falls into, by its first active lane; addresses become offsets of the window."""
    p = m.par[0]
    row = m.scratch[s]
    first = row[coalesce.LANES_AT + coalesce.first_lane(mask)]
    if p["shared_base"] <= first and first < p["shared_base"] + p["window_bytes"]:
        coalesce.subtract(row, mask, p["shared_base"])
        return SPACE_SHARED
    if p["local_base"] <= first and first < p["local_base"] + p["window_bytes"]:
        coalesce.subtract(row, mask, p["local_base"])
        return SPACE_LOCAL
    return SPACE_GLOBAL


@jit
def _finish(m, s, k, ins, pc, warp, ready):
    """The result is at hand at ``ready`` - transfer: put it on the sub-core's return link then."""
    transfer = 0
    if ins["dst"] >= 0:
        transfer = m.par[0]["return_cycles_per_register"] * ins["dst_width"]
    schedule(m, s, ready - transfer, EV_LOAD_DONE, warp, (pc << 8) | transfer)


@jit
def return_link(m, s, warp, pc, transfer, now):
    """Transfer of a result to the register file starts; returns the cycle at which a consumer may issue."""
    p = m.par[0]
    k = warp % p["num_subcores"]
    sc = m.sc[s * p["num_subcores"] + k]
    end = max(now, sc["return_free"]) + transfer
    sc["return_free"] = end
    if transfer == 0:
        return end
    return write_back_at(m, s, k, m.ins[pc], end - 1, now) + 1


@jit
def _data_stage(m, s, quarters, now):
    """Occupy the L1D/shared data array; returns the cycles that the instruction waited for it."""
    sm = m.sm[s]
    start = max(sm["data_free_x4"], 4 * now)
    sm["data_free_x4"] = start + quarters
    return (start - 4 * now) >> 2


@jit
def _shared(m, s, k, ins, pc, warp, mask, now):
    p = m.par[0]
    st = m.stats[s]
    row = m.scratch[s]
    size = 16 if ins["flags"] & F_MATRIX_LOAD != 0 else ins["bytes"] + 0
    lanes = mask
    if ins["flags"] & F_MATRIX_LOAD != 0:  # lanes 0..8n-1 hold the row addresses of n matrices
        lanes = mask & ((1 << (8 * max(ins["dst_width"], 1))) - 1)
    waves = coalesce.shared_wavefronts(row, lanes, size)
    ideal = coalesce.ideal_wavefronts(lanes, size)
    if ins["kind"] == KIND_ATOMIC or ins["kind"] == KIND_REDUCTION:
        st["shared_atomics"] += 1
        waves = max(waves, coalesce.same_address_lanes(row, mask))
    elif ins["kind"] == KIND_STORE:
        st["shared_stores"] += 1
    else:
        st["shared_loads"] += 1
    st["shared_wavefronts"] += waves
    st["shared_ideal_wavefronts"] += ideal
    conflict = (waves - ideal) * p["shared_conflict"]
    wait = _data_stage(m, s, 4 * waves, now)  # one wavefront a cycle; the latency grows faster
    _finish(m, s, k, ins, pc, warp, now + ins["latency"] - p["accept_base"] + wait + conflict)


@jit
def _constant(m, s, k, ins, pc, warp, mask, now):
    """LDC through the VL constant cache; a line that misses comes from the L1 constant cache."""
    p = m.par[0]
    st = m.stats[s]
    sm = m.sm[s]
    st["constants"] += 1
    line = ins["const_line"] + 0
    if ins["mem_records"] > 0:
        if coalesce.same_address(m.scratch[s], mask):
            line = _constant_line(m, s, ins, coalesce.first_lane(mask))
        else:
            _divergent_constant(m, s, ins, pc, warp, mask, now)
            return
    sm["lru"] += 1
    if line < 0 or small_cache.lookup(m.caches[s], small_cache.vl_base(p), p["vl_sets"], p["vl_ways"], line, sm["lru"]):
        st["vl_hits"] += 1
        _finish(m, s, k, ins, pc, warp, now + ins["latency"] - p["accept_base"])
        return
    st["vl_misses"] += 1
    schedule(m, s, now + p["vl_miss"], EV_VL, warp, (line << 24) | pc)


@jit
def _constant_line(m, s, ins, lane):
    return (ins["arg0"] << 32 | m.scratch[s, coalesce.LANES_AT + lane]) >> 6


@jit
def _divergent_constant(m, s, ins, pc, warp, mask, now):
    """An LDC whose lanes name several words: served word after word, each as long as an LDC of its own, hit or miss.

    Words are looked up when the instruction is accepted; lines that miss come one after the other as events."""
    p = m.par[0]
    st = m.stats[s]
    sm = m.sm[s]
    row = m.scratch[s]
    prt = _new_prt(m, s, warp, pc, ins["latency"] - p["accept_base"])
    waiting = 1
    at = now
    rest = mask
    while rest != 0:
        lane = coalesce.first_lane(rest)
        rest &= rest - 1
        if coalesce.earlier_lane(row, mask, lane, 0):
            continue
        if rest != mask & (mask - 1):  # not the first word
            at += ins["latency"]
        line = _constant_line(m, s, ins, lane)
        sm["lru"] += 1
        if coalesce.earlier_lane(row, mask, lane, 6) or small_cache.lookup(
            m.caches[s], small_cache.vl_base(p), p["vl_sets"], p["vl_ways"], line, sm["lru"]
        ):
            st["vl_hits"] += 1
        else:
            st["vl_misses"] += 1
            at += p["vl_miss"]
            waiting += 1
            schedule(m, s, at, EV_VL, -1 - prt, line)
    m.prt[s, prt]["waiting"] = waiting
    schedule(m, s, at, EV_REPLY_DIRECT, prt, 0)


@jit
def constant_word(m, s, prt, line, now):
    """A line of a divergent LDC is wanted: from L1, or from the chip."""
    p = m.par[0]
    sm = m.sm[s]
    sm["lru"] += 1
    if small_cache.lookup(
        m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], constant_line_in_l1(line), sm["lru"]
    ):
        small_cache.insert(m.caches[s], small_cache.vl_base(p), p["vl_sets"], p["vl_ways"], line, sm["lru"])
        complete_one(m, s, prt, now)
    else:
        request_constant(m, s, line, 64 + prt, now)


@jit
def constant_line_in_l1(line):
    """Constant lines are 64 bytes, lines of the L1 instruction/constant cache 128: key apart from instruction lines."""
    return (CONST_SPACE >> 7) + (line >> 1)


@jit
def request_constant(m, s, line, tag, now):
    """Fetch a constant line from the chip; ``tag``: sub-core for a fixed-latency operand, 64 + PRT entry for LDC.

    Misses of one 128-byte line share a request.
    """
    sm = m.sm[s]
    n = sm["const_waiting"]
    if n < CONST_MISSES:
        sm["const_line"][n] = line
        sm["const_tag"][n] = tag
        sm["const_waiting"] = n + 1
        for i in range(n):
            if sm["const_line"][i] >> 1 == line >> 1:
                return
        tag = CONST_MERGED
    send(m, s, now, CONST_SPACE + (line >> 1 << 7), REQ_CONST, 3 << (2 * (line & 1)), tag, 0, 0, 0)


@jit
def constant_miss(m, s, warp, line, pc, now):
    """An LDC missed VL; its line comes from L1, or from the chip through a pending-request entry."""
    p = m.par[0]
    sm = m.sm[s]
    ins = m.ins[pc]
    extra = ins["latency"] - p["accept_base"]
    sm["lru"] += 1
    if small_cache.lookup(
        m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], constant_line_in_l1(line), sm["lru"]
    ):
        small_cache.insert(m.caches[s], small_cache.vl_base(p), p["vl_sets"], p["vl_ways"], line, sm["lru"])
        _finish(m, s, warp % p["num_subcores"], ins, pc, warp, now + extra)
        return
    prt = _new_prt(m, s, warp, pc, extra)
    m.prt[s, prt]["waiting"] = 1
    request_constant(m, s, line, 64 + prt, now)


@jit
def _new_prt(m, s, warp, pc, extra):
    sm = m.sm[s]
    i = sm["prt_free"]
    e = m.prt[s, i]
    sm["prt_free"] = e["next"]
    sm["prt_free_count"] -= 1
    e["warp"] = warp
    e["pc"] = pc
    e["waiting"] = 0
    e["extra"] = extra
    return i


@jit
def complete_one(m, s, prt, now):
    """One of the requests of a pending-request entry was answered; after the last the result returns."""
    e = m.prt[s, prt]
    e["waiting"] -= 1
    if e["waiting"] > 0:
        return
    sm = m.sm[s]
    e["next"] = sm["prt_free"]
    sm["prt_free"] = prt
    sm["prt_free_count"] += 1
    ins = m.ins[e["pc"]]
    warp = e["warp"] + 0
    if ins["kind"] == KIND_LDGSTS:
        schedule(m, s, now + e["extra"], EV_LDGSTS, warp, e["pc"])
    else:
        _finish(m, s, warp % m.par[0]["num_subcores"], ins, e["pc"] + 0, warp, now + e["extra"])


@jit
def _global_lines(m, s, ins, warp, mask, space):
    """Coalesce the lanes of a global or local access into scratch; returns the number of lines."""
    p = m.par[0]
    word_stride = 4
    if space == SPACE_LOCAL:
        window = LOCAL_SPACE + (s * p["num_warps"] + warp) * (p["local_bytes"] * 32)
        coalesce.spread_local(m.scratch[s], mask, window)
        word_stride = 128
    return coalesce.lines_and_sectors(m.scratch[s], mask, ins["bytes"] + 0, word_stride)


@jit
def _load_stage(m, s, waves, lines, now):
    """A load passes through the L1D array: a wavefront a cycle, or tag look-ups where lines are scattered.

    The array has the 32 banks of shared memory, conflicts cost the same (measured, H100: LDG_L1_* of all
    strides and widths). Returns the cycles waited.
    """
    quarters = max(4 * waves, 4 + m.par[0]["tag_quarters"] * (lines - 1))
    m.stats[s]["l1_wavefronts"] += (quarters + 3) >> 2
    return _data_stage(m, s, quarters, now)


@jit
def _cache_stage(m, s, lines, sectors, now):
    """A store or atomic passes through the L1D array: bytes moved, or tag look-ups. Returns the cycles waited."""
    p = m.par[0]
    quarters = max(128 * sectors // p["data_bytes_per_cycle"], 4 + p["tag_quarters"] * (lines - 1))
    m.stats[s]["l1_wavefronts"] += (quarters + 3) >> 2
    return _data_stage(m, s, quarters, now)


@jit
def _load(m, s, k, ins, pc, warp, mask, space, now):
    """Load or LDGSTS through L1D (or around it)."""
    p = m.par[0]
    st = m.stats[s]
    row = m.scratch[s]
    lines = _global_lines(m, s, ins, warp, mask, space)
    sectors = coalesce.count_sectors(row, lines)
    _count_load(st, ins, space, sectors)
    waves = coalesce.shared_wavefronts(row, mask, ins["bytes"] + 0)
    conflict = (waves - coalesce.ideal_wavefronts(mask, ins["bytes"] + 0)) * p["shared_conflict"]
    wait = _load_stage(m, s, waves, lines, now)
    extra = ins["latency"] - p["accept_base"] + conflict
    prt = _new_prt(m, s, warp, pc, extra)
    bypass = ins["flags"] & F_BYPASS_L1 != 0
    hits = 0
    pending = 0
    misses = 0
    for i in range(lines):
        line = row[i]
        wanted = row[coalesce.SECTORS_AT + i]
        if bypass:
            m.prt[s, prt]["waiting"] += 1
            send(m, s, now + wait, line * l1.LINE_BYTES, REQ_READ, wanted, prt, 0, 0, 1)
            misses += popcount(wanted)
        else:
            outcome = l1.read(m, s, line, wanted, prt, now + wait)
            hits += popcount(outcome & 0xFF)
            pending += popcount((outcome >> 8) & 0xFF)
            misses += popcount(outcome >> 16)
    if ins["kind"] == KIND_LOAD and space != SPACE_LOCAL:
        st["load_sector_hits"] += hits
        st["load_sector_pending"] += pending
        st["load_sector_misses"] += misses
    if m.prt[s, prt]["waiting"] == 0:
        m.prt[s, prt]["waiting"] = 1
        complete_one(m, s, prt, now + wait)


@jit
def _count_load(st, ins, space, sectors):
    st["load_requests"] += 1
    if ins["kind"] == KIND_LDGSTS:
        st["ldgsts"] += 1
        st["ldgsts_sectors"] += sectors
    elif space == SPACE_LOCAL:
        st["local_loads"] += 1
        st["local_load_sectors"] += sectors
    else:
        st["global_loads"] += 1
        st["load_sectors"] += sectors


@jit
def _store(m, s, k, ins, pc, warp, mask, space, now):
    """Write-through store: every line goes to L2 with its sectors."""
    p = m.par[0]
    st = m.stats[s]
    row = m.scratch[s]
    lines = _global_lines(m, s, ins, warp, mask, space)
    sectors = coalesce.count_sectors(row, lines)
    st["store_requests"] += 1
    if space == SPACE_LOCAL:
        st["local_stores"] += 1
        st["local_store_sectors"] += sectors
    else:
        st["global_stores"] += 1
        st["store_sectors"] += sectors
    wait = _cache_stage(m, s, lines, sectors, now)
    for i in range(lines):
        touched = row[coalesce.SECTORS_AT + i]
        full = coalesce.full_sectors(row, i)
        kept = touched if space == SPACE_LOCAL else full  # a thread reads only words of local memory that it wrote
        st["store_sector_hits"] += popcount(l1.write(m, s, row[i], touched, kept))
        m.wp[s * p["num_warps"] + warp]["stores"] += p["acks"]
        payload = 32 * popcount(touched)
        if full == touched:
            payload -= p["request_bytes"]  # no byte mask: a whole line takes 4 cycles of the port (measured, H100)
        send(m, s, now + wait, row[i] * l1.LINE_BYTES, REQ_WRITE, touched, warp, payload, 0, 0)
    _finish(m, s, k, ins, pc, warp, now + 1)


@jit
def _atomic(m, s, k, ins, pc, warp, mask, now):
    """Atomic (waits for its result) or reduction: carried out at L2."""
    p = m.par[0]
    st = m.stats[s]
    row = m.scratch[s]
    lines = coalesce.lines_and_sectors(row, mask, ins["bytes"] + 0, 4)
    sectors = coalesce.count_sectors(row, lines)
    st["atomic_sectors"] += sectors
    returns = ins["kind"] == KIND_ATOMIC
    if returns:
        st["atomics"] += 1
    else:
        st["reductions"] += 1
    wait = _cache_stage(m, s, lines, sectors, now)
    prt = 0
    if returns:
        prt = _new_prt(m, s, warp, pc, ins["latency"] - p["accept_base"])
        m.prt[s, prt]["waiting"] = lines
    for i in range(lines):
        l1.invalidate(m, s, row[i])
        lanes = row[coalesce.LANE_COUNT_AT + i]
        touched = row[coalesce.SECTORS_AT + i]
        packets = popcount(touched)
        if lanes > packets:
            packets = coalesce.atomic_packets(row, mask, i)
        if returns:
            send_atomic(m, s, now + wait, row[i] * l1.LINE_BYTES, REQ_ATOMIC, touched, prt, ins, packets)
        else:
            m.wp[s * p["num_warps"] + warp]["stores"] += p["acks"]
            send_atomic(m, s, now + wait, row[i] * l1.LINE_BYTES, REQ_REDUCTION, touched, warp, ins, packets)
    if not returns:
        _finish(m, s, k, ins, pc, warp, now + 1)
