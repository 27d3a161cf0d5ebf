"""One SM: its cycle, its events, and a window of cycles run on its own.

gpu-core sheet, B.3: within a cycle, the shared load/store unit goes first, then each sub-core in reverse pipeline
order: allocate, control, issue, fetch. A sub-core that cannot change state sleeps until its next event and is charged
the stall reason that put it to sleep.
"""

from archsim.kernels import l1, small_cache
from archsim.kernels.bits import ctz
from archsim.kernels.layout import (
    CONST_MERGED,
    CTA_DONE,
    EV_ACK,
    EV_BARRIER,
    EV_CONST,
    EV_DRAIN,
    EV_FETCH,
    EV_FL,
    EV_INST,
    EV_LDGSTS,
    EV_LOAD_DONE,
    EV_READERS,
    EV_REGISTERS,
    EV_REPLY_DIRECT,
    EV_REPLY_L1,
    EV_SB,
    EV_START,
    EV_TURN,
    EV_VL,
    F_LONG,
    F_VARIABLE,
    FLOW_LDGDEPBAR,
    FP64,
    IDS_PER_WORD,
    KIND_FENCE,
    LOG_ALLOCATE,
    LOG_CONTROL,
    LOG_CTA_END,
    LOG_SB,
    LOG_WRITEBACK,
    MAX_GROUPS,
    MEMORY,
    NEVER,
    NO_SB,
    REGISTER_WORDS,
    SFU,
    STALL_LG_THROTTLE,
    STALL_MIO_THROTTLE,
    STALL_NO_WARP,
    W_ACTIVE,
    W_BARRIER,
    W_DRAIN,
    W_EMPTY,
    jit,
)
from archsim.kernels.log import record
from archsim.kernels.per_pc import blame, charge
from archsim.kernels.sm_front import branch_decided, fetch, instruction_reply, launch_prefetch, line_arrived
from archsim.kernels.sm_issue import check_membar, issue, next_try, release_barrier
from archsim.kernels.sm_memory import (
    accept,
    complete_one,
    constant_line_in_l1,
    constant_miss,
    constant_word,
    enqueue,
    generate_addresses,
    request_constant,
    return_link,
)
from archsim.kernels.sm_operands import try_allocate
from archsim.kernels.wheel import migrate, next_event, pop, release, schedule


@jit
def _wake(m, s, local, now):
    """A warp's state changed: its sub-core looks at it in this cycle."""
    p = m.par[0]
    w = m.wp[s * p["num_warps"] + local]
    if w["state"] == W_ACTIVE:
        w["try_at"] = max(now, w["ready_at"])
    sc = m.sc[s * p["num_subcores"] + local % p["num_subcores"]]
    if sc["wake"] > now:
        sc["wake"] = now


@jit
def _lower(m, s, local, counter, now):
    """Decrement a dependence counter of a warp."""
    w = m.wp[s * m.par[0]["num_warps"] + local]
    w["sb"] -= 1 << (8 * counter)
    record(m, LOG_SB, now, s, local, -1, w["sb"])
    _wake(m, s, local, now)


@jit
def _result(m, s, local, pc, now):
    """A result reached its registers: release the write barrier (or the scoreboard) and wake the warp."""
    p = m.par[0]
    w = m.wp[s * p["num_warps"] + local]
    ins = m.ins[pc]
    record(m, LOG_WRITEBACK, now, s, local, pc, 0)
    if ins["wb"] != NO_SB:
        w["sb"] -= 1 << (8 * ins["wb"])
        record(m, LOG_SB, now, s, local, -1, w["sb"])
    if p["scoreboard"] != 0:
        for i in range(REGISTER_WORDS):
            w["busy"][i] &= ~ins["writes"][i]
            w["busy_long"][i] &= ~ins["writes"][i]
    _wake(m, s, local, now)


@jit
def _operation_done(m, s, local, pc, now):
    """A variable-latency instruction is complete."""
    w = m.wp[s * m.par[0]["num_warps"] + local]
    if m.ins[pc]["kind"] != KIND_FENCE:
        w["loads"] -= 1
    _result(m, s, local, pc, now)
    check_membar(m, s, local, now)
    _retire(m, s, local, now)


@jit
def _ldgsts_done(m, s, local, pc, now):
    """An asynchronous copy is complete; groups whose copies are all complete release their counters."""
    w = m.wp[s * m.par[0]["num_warps"] + local]
    w["ldgsts_done"] += 1
    _close_groups(m, s, local, w, now)
    _operation_done(m, s, local, pc, now)


@jit
def _close_groups(m, s, local, w, now):
    while w["groups"] > 0 and w["ldgsts_done"] >= w["group_at"][0]:
        counter = w["group_sb"][0] + 0
        n = w["groups"] - 1
        for i in range(min(n, MAX_GROUPS - 1)):
            w["group_sb"][i] = w["group_sb"][i + 1]
            w["group_at"][i] = w["group_at"][i + 1]
        w["groups"] = n
        if counter < NO_SB:
            schedule(m, s, now + 1, EV_SB, local, counter)
        _wake(m, s, local, now)


@jit
def _retire(m, s, local, now):
    """Free a warp whose stream has ended once nothing of it is in flight; the last one ends its CTA."""
    p = m.par[0]
    sm = m.sm[s]
    w = m.wp[s * p["num_warps"] + local]
    if w["state"] != W_DRAIN or w["sleeping"] == 0 or w["loads"] > 0 or w["sb"] != 0:
        return
    cta = w["cta"] + 0
    w["state"] = W_EMPTY
    sm["live_warps"] -= 1
    m.stats[s]["warp_cycles"] += now
    c = m.cta[s, cta]
    c["warps_left"] -= 1
    if c["warps_left"] == 0:
        c["state"] = CTA_DONE
        c["done_at"] = now
        record(m, LOG_CTA_END, now, s, cta, -1, c["trace_cta"])
        sm["live_ctas"] -= 1
        sm["done_ctas"] += 1
        sm["last_done"] = now
        m.stats[s]["ctas"] += 1
        if sm["live_ctas"] == 0:
            m.stats[s]["active_cycles"] += now - sm["active_from"]
    else:
        for barrier in range(c["arrived"].shape[0]):
            release_barrier(m, s, cta, barrier)
    sc = m.sc[s * p["num_subcores"] + local % p["num_subcores"]]
    sc["wake"] = min(sc["wake"], now)


@jit
def _release_warps(m, s, cta, barrier, now):
    """All warps of a CTA that wait at a barrier go on."""
    p = m.par[0]
    for local in range(p["num_warps"]):
        w = m.wp[s * p["num_warps"] + local]
        if w["state"] == W_BARRIER and w["cta"] == cta and w["barrier"] == barrier:
            w["state"] = W_ACTIVE
            _wake(m, s, local, now)


@jit
def _start_cta(m, s, cta, now):
    """The warps of a launched CTA begin to fetch."""
    p = m.par[0]
    sm = m.sm[s]
    nsub = p["num_subcores"]
    if sm["live_ctas"] == 0:
        sm["active_from"] = now
    sm["live_ctas"] += 1
    for local in range(p["num_warps"]):
        w = m.wp[s * p["num_warps"] + local]
        if w["cta"] == cta and w["state"] == W_ACTIVE and w["ready_at"] == NEVER:
            w["ready_at"] = now
            sm["live_warps"] += 1
            m.stats[s]["warp_cycles"] -= now
            m.sc[s * nsub + local % nsub]["want_fetch"] |= 1 << (local // nsub)
            _wake(m, s, local, now)
            launch_prefetch(m, s, w["pc"], now)


@jit
def _fl_constant(m, s, k, line, now):
    """A fixed-latency constant miss reached L1: answer it, or ask the chip."""
    p = m.par[0]
    m.sm[s]["lru"] += 1
    if small_cache.lookup(
        m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], constant_line_in_l1(line), m.sm[s]["lru"]
    ):
        schedule(m, s, now + 1 + p["l0_l1_reply"], EV_FL, k + 64, line)
    else:
        request_constant(m, s, line, k, now)


@jit
def _fl_arrived(m, s, k, line, now):
    """A constant line reached the fixed-latency cache of a sub-core."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    m.sm[s]["lru"] += 1
    small_cache.insert(m.caches[s], small_cache.fl_base(p, k), p["fl_sets"], p["fl_ways"], line, m.sm[s]["lru"])
    for i in range(p["prefetch_slots"], m.pending.shape[1]):
        if m.pending[sub, i, 0] == -2 - line:
            m.pending[sub, i, 1] = 0
    for slot in range(m.age.shape[1]):
        _wake(m, s, slot * p["num_subcores"] + k, now)


@jit
def _constant_reply(m, s, tag, address, sectors, now):
    """A constant line came from the chip: for one miss, or for all that wait for it."""
    p = m.par[0]
    sm = m.sm[s]
    sm["lru"] += 1
    small_cache.insert(m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], address >> 7, sm["lru"])
    first = (address - (1 << 51)) >> 6
    if tag != CONST_MERGED:
        _constant_for(m, s, tag, first | (1 if sectors & 3 == 0 else 0), now)
        return
    kept = 0
    for i in range(sm["const_waiting"]):
        line = sm["const_line"][i] + 0
        waiting = sm["const_tag"][i] + 0
        if line >> 1 == first >> 1:
            _constant_for(m, s, waiting, line, now)
        else:
            sm["const_line"][kept] = line
            sm["const_tag"][kept] = waiting
            kept += 1
    sm["const_waiting"] = kept


@jit
def _constant_for(m, s, tag, line, now):
    """A constant line reached L1 for a sub-core's operand or an LDC."""
    p = m.par[0]
    if tag >= 64:
        small_cache.insert(m.caches[s], small_cache.vl_base(p), p["vl_sets"], p["vl_ways"], line, m.sm[s]["lru"])
        complete_one(m, s, tag - 64, now)
    else:
        schedule(m, s, now + p["l0_l1_reply"], EV_FL, tag + 64, line)


@jit
def _reply_l1(m, s, request, now):
    """Sectors of an L1D miss arrived."""
    node = l1.fill(m, s, request)
    while node >= 0:
        complete_one(m, s, m.mshr[s, node]["prt"] + 0, now)
        node = l1.next_waiter(m, s, node)


@jit
def _handle(m, s, kind, arg, value, now):
    """Carry out one event of an SM."""
    if kind == EV_SB:
        _lower(m, s, arg, value, now)
        _retire(m, s, arg, now)
    elif kind == EV_LOAD_DONE:
        transfer = value & 0xFF
        pc = value >> 8
        if transfer > 0:  # the value goes over the return link first
            at = return_link(m, s, arg, pc, transfer, now)
            schedule(m, s, at, EV_LOAD_DONE, arg, pc << 8)
        else:
            _operation_done(m, s, arg, pc, now)
    elif kind == EV_REGISTERS:
        _result(m, s, arg, value, now)
        _retire(m, s, arg, now)
    elif kind == EV_READERS:
        _free_readers(m, s, arg, value)
        _wake(m, s, arg, now)
    elif kind == EV_FETCH:
        line_arrived(m, s, arg, value, now)
    elif kind == EV_REPLY_L1:
        _reply_l1(m, s, arg, now)
    elif kind == EV_REPLY_DIRECT:
        complete_one(m, s, arg, now)
    else:
        _handle_rare(m, s, kind, arg, value, now)


@jit
def _handle_rare(m, s, kind, arg, value, now):
    p = m.par[0]
    if kind == EV_ACK:
        m.wp[s * p["num_warps"] + arg]["stores"] -= 1
        check_membar(m, s, arg, now)
    elif kind == EV_LDGSTS:
        _ldgsts_done(m, s, arg, value, now)
    elif kind == EV_BARRIER:
        _release_warps(m, s, arg, value, now)
    elif kind == EV_FL:
        if arg >= 64:
            _fl_arrived(m, s, arg - 64, value, now)
        else:
            _fl_constant(m, s, arg, value, now)
    elif kind == EV_VL and arg < 0:
        constant_word(m, s, -1 - arg, value, now)
    elif kind == EV_VL and m.sm[s]["prt_free_count"] < 1:
        schedule(m, s, now + 1, EV_VL, arg, value)
    elif kind == EV_VL:
        constant_miss(m, s, arg, value >> 24, value & 0xFFFFFF, now)
    elif kind == EV_INST:
        instruction_reply(m, s, value, now)
    elif kind == EV_CONST:
        _constant_reply(m, s, arg, value >> 4, value & 15, now)
    elif kind == EV_START:
        _start_cta(m, s, arg, now)
    elif kind == EV_TURN:
        branch_decided(m, s, arg, now)
    elif kind == EV_DRAIN:
        m.wp[s * p["num_warps"] + arg]["sleeping"] = 1  # the pipeline has drained
        _retire(m, s, arg, now)


@jit
def _free_readers(m, s, local, pc):
    """Scoreboard mode: an instruction has read its sources."""
    ins = m.ins[pc]
    warp = s * m.par[0]["num_warps"] + local
    for i in range(REGISTER_WORDS):
        bits = ins["reads"][i] + 0
        while bits != 0:
            b = ctz(bits)
            bits &= bits - 1
            m.readers[warp, i * IDS_PER_WORD + b] -= 1


@jit
def _allocate(m, s, k, now):
    """Allocate stage: leaves when the operand reads fit; its completion is then known."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    pc = sc["alc_pc"] + 0
    if pc < 0:
        return
    ins = m.ins[pc]
    local = sc["alc_warp"] + 0
    if not try_allocate(m, s, k, ins, local, now):
        m.stats[s]["port_stall_cycles"] += 1
        m.unit_free[sub, ins["unit"]] += 1
        return
    sc["alc_pc"] = -1
    record(m, LOG_ALLOCATE, now, s, local, pc, 0)
    if ins["rb"] != NO_SB:
        schedule(m, s, now + 4, EV_SB, local, ins["rb"])
    if ins["flow"] == FLOW_LDGDEPBAR:  # its write barrier is released when its copies are done
        _close_groups(m, s, local, m.wp[s * p["num_warps"] + local], now)
    elif ins["wb"] != NO_SB:
        schedule(m, s, now + 5 + ins["latency"], EV_REGISTERS, local, pc)
    elif p["scoreboard"] != 0:
        schedule(m, s, now - 2 + ins["latency"], EV_REGISTERS, local, pc)
    if p["scoreboard"] != 0:
        schedule(m, s, now + 2, EV_READERS, local, pc)


@jit
def _control(m, s, k, now):
    """Control stage: raises dependence counters; hands fixed-latency instructions to Allocate, others to their unit.

    Returns True if the instruction moved on.
    """
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    pc = sc["ctl_pc"] + 0
    if pc < 0:
        return False
    ins = m.ins[pc]
    local = sc["ctl_warp"] + 0
    if sc["ctl_seen"] == 0:
        sc["ctl_seen"] = 1
        record(m, LOG_CONTROL, now, s, local, pc, 0)
        _raise_counters(sc, ins, local)
    if ins["flags"] & F_VARIABLE == 0:
        if sc["alc_pc"] < 0:
            sc["alc_pc"] = pc
            sc["alc_warp"] = local
            sc["alc_at"] = sc["ctl_at"]
            sc["ctl_pc"] = -1
            return True
        m.unit_free[sub, ins["unit"]] += 1
        return False
    if _dispatch(m, s, k, ins, pc, local, now):
        sc["ctl_pc"] = -1
        return True
    return False


@jit
def _raise_counters(sc, ins, local):
    """Note the increments that become visible after this cycle (gpu-core A.2)."""
    delta = 0
    long = 0
    if ins["wb"] != NO_SB:
        delta += 1 << (8 * ins["wb"])
        if ins["flags"] & F_LONG != 0:
            long |= 1 << ins["wb"]
    if ins["rb"] != NO_SB:
        delta += 1 << (8 * ins["rb"])
    sc["pend_warp"] = local
    sc["pend_delta"] = delta
    sc["pend_long"] = long


@jit
def _dispatch(m, s, k, ins, pc, local, now):
    """Hand a variable-latency instruction to its unit; False if the unit has no room."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    unit = ins["unit"]
    if unit == MEMORY:
        return enqueue(m, s, k, pc, local, sc["ctl_mask"] + 0, sc["ctl_mem"], sc["ctl_at"], now)
    if unit == SFU:
        if sc["sfu_free"] > now:
            return False
        sc["sfu_free"] = now + ins["ii"]
    elif unit == FP64:
        if sc["fp64_free"] > now:
            return False
        start = max(now, m.sm[s]["fp64_free"])
        m.sm[s]["fp64_free"] = start + ins["ii"]
        sc["fp64_free"] = start + 1
        _schedule_variable(m, s, ins, pc, local, start)
        return True
    else:
        if sc["misc_free"] > now:
            return False
        sc["misc_free"] = now + ins["ii"]
    _schedule_variable(m, s, ins, pc, local, now)
    return True


@jit
def _schedule_variable(m, s, ins, pc, local, start):
    """Times of an instruction that its unit took at ``start`` (one cycle after issue when nothing was in the way)."""
    if ins["rb"] != NO_SB:
        schedule(m, s, start - 1 + ins["war"], EV_SB, local, ins["rb"])
    if m.par[0]["scoreboard"] != 0:
        schedule(m, s, start - 1 + ins["war"], EV_READERS, local, pc)
    schedule(m, s, start - 1 + ins["latency"], EV_LOAD_DONE, local, pc << 8)


@jit
def _apply_increments(m, s, k):
    p = m.par[0]
    sc = m.sc[s * p["num_subcores"] + k]
    if sc["pend_delta"] != 0:
        w = m.wp[s * p["num_warps"] + sc["pend_warp"]]
        added = sc["pend_delta"]
        w["sb"] += added
        record(m, LOG_SB, m.sm[s]["now"] + 1, s, sc["pend_warp"], -1, w["sb"])
        w["sb_long"] = (w["sb_long"] & ~_touched(added)) | sc["pend_long"]
        sc["pend_delta"] = 0


@jit
def _touched(added):
    """Counters (as a bit mask) that an increment word raises."""
    bits = 0
    for k in range(6):
        if (added >> (8 * k)) & 0xFF != 0:
            bits |= 1 << k
    return bits


@jit
def _subcore_cycle(m, s, k, now, tr):
    """One cycle of a sub-core that is awake; sets when it must be looked at again."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    if sc["idle_from"] < now:
        m.stalls[sub, sc["idle_why"]] += now - sc["idle_from"]
        charge(m, s, sub, sc["idle_why"], now - sc["idle_from"])
    queue_at = NEVER
    if sc["mq_count"] > 0:
        queue_at = generate_addresses(m, s, k, now)
    _allocate(m, s, k, now)
    moved = _control(m, s, k, now)
    why = issue(m, s, k, now, tr)
    m.stalls[sub, why] += 1
    blame(m, s, k, why)
    charge(m, s, sub, why, 1)
    sc["idle_from"] = now + 1
    sc["idle_why"] = why
    more = fetch(m, s, k, now)
    _apply_increments(m, s, k)
    if why == 0 or more or moved or sc["alc_pc"] >= 0 or queue_at <= now + 1:
        sc["wake"] = now + 1
    elif sc["ctl_pc"] >= 0 and not _queue_is_full(m, sub, sc):
        sc["wake"] = now + 1
    elif sc["ctl_pc"] >= 0 and (why == STALL_MIO_THROTTLE or why == STALL_LG_THROTTLE):
        sc["wake"] = queue_at  # nothing issues before the shared unit takes an instruction, which wakes the sub-core
    else:
        sc["wake"] = max(now + 1, min(queue_at, next_try(m, s, k)))


@jit
def _queue_is_full(m, sub, sc):
    """True if the instruction in Control waits for room in the memory queue."""
    return m.ins[sc["ctl_pc"]]["unit"] == MEMORY and sc["mq_count"] >= m.par[0]["queue"]


@jit
def _events(m, s, now):
    i = pop(m, s, now)
    while i >= 0:
        e = m.events[s, i]
        kind = e["kind"] + 0
        arg = e["arg"] + 0
        value = e["value"]
        release(m, s, i)
        _handle(m, s, kind, arg, value, now)
        i = pop(m, s, now)


@jit
def run_window(m, s, end, tr):
    """Advance SM ``s`` to cycle ``end`` (exclusive)."""
    p = m.par[0]
    sm = m.sm[s]
    nsub = p["num_subcores"]
    now = sm["next"]
    while now < end:
        sm["now"] = now
        if now >= sm["far_check"]:
            migrate(m, s, now)
        _events(m, s, now)
        if now >= sm["lsu_next"]:
            sm["lsu_next"] = accept(m, s, now, tr)
        soonest = NEVER
        for k in range(nsub):
            sc = m.sc[s * nsub + k]
            if sc["wake"] <= now:
                _subcore_cycle(m, s, k, now, tr)
            soonest = min(soonest, sc["wake"])
        if soonest > now + 1:
            soonest = max(now + 1, min(soonest, min(sm["lsu_next"], next_event(m, s, now))))
        now = soonest
        if sm["error"] != 0:
            break
    sm["next"] = now
    sm["now"] = end - 1


@jit
def settle(m, s, end):
    """Charge the slots up to ``end`` that sleeping sub-cores have not been charged for."""
    nsub = m.par[0]["num_subcores"]
    m.stats[s]["warp_cycles"] += m.sm[s]["live_warps"] * end
    for k in range(nsub):
        sub = s * nsub + k
        sc = m.sc[sub]
        if sc["idle_from"] < end:
            why = sc["idle_why"]
            if m.sm[s]["live_ctas"] == 0:
                why = STALL_NO_WARP
            m.stalls[sub, why] += end - sc["idle_from"]
            charge(m, s, sub, why, end - sc["idle_from"])
        elif sc["idle_from"] > end:  # looked at after the last CTA ended: nothing but empty slots since then
            m.stalls[sub, STALL_NO_WARP] -= sc["idle_from"] - end
            charge(m, s, sub, STALL_NO_WARP, end - sc["idle_from"])
        sc["idle_from"] = end
