"""Issue stage of a sub-core: readiness of a warp, choice of a warp, what issuing does.

gpu-core sheet, sections A and B. With control bits the hardware's rules hold: stall counter, yield, dependence counters
with wait mask, DEPBAR; it has no other check of data hazards. In scoreboard mode registers that wait for a result block
their readers and writers, and registers with pending readers block their writers.
"""

from archsim.kernels import small_cache
from archsim.kernels.bits import ctz
from archsim.kernels.hooks import choose, sticks
from archsim.kernels.layout import (
    BRANCH,
    ERR_SEGMENT,
    EV_BARRIER,
    EV_DRAIN,
    EV_FL,
    F_ARRIVE_ONLY,
    F_IMAD_WIDE,
    F_SECOND_PIPE,
    F_VARIABLE,
    FLOW_BARRIER,
    FLOW_DEPBAR,
    FLOW_LDGDEPBAR,
    FLOW_SLEEP,
    FP32_SECOND,
    IDS_PER_WORD,
    INT,
    KIND_FENCE,
    KIND_LDGSTS,
    LOG_ISSUE,
    MAX_GROUPS,
    MEMORY,
    NEVER,
    NUM_SB,
    REGISTER_WORDS,
    STALL_BARRIER,
    STALL_BRANCH_RESOLVE,
    STALL_DISPATCH,
    STALL_DRAIN,
    STALL_IMC_MISS,
    STALL_LG_THROTTLE,
    STALL_LONG_SCOREBOARD,
    STALL_MATH_PIPE,
    STALL_MEMBAR,
    STALL_MIO_THROTTLE,
    STALL_NO_INSTRUCTION,
    STALL_NO_WARP,
    STALL_SHORT_SCOREBOARD,
    STALL_SLEEPING,
    STALL_WAIT,
    TURN_DIRECT,
    TURN_INDIRECT,
    TURN_SYNC,
    W_ACTIVE,
    W_BARRIER,
    W_DRAIN,
    W_EMPTY,
    W_MEMBAR,
    jit,
)
from archsim.kernels.log import record
from archsim.kernels.sm_front import consume, redirect
from archsim.kernels.wheel import schedule

EXIT_DRAIN = 10  # cycles from the issue of the last instruction until the pipeline is empty (gpu-core B.3)


@jit
def counters_of(mask):
    """Bits of the packed dependence counters that a wait mask selects."""
    bits = 0
    for k in range(NUM_SB):
        if (mask >> k) & 1 != 0:
            bits |= 0xFF << (8 * k)
    return bits


@jit
def _counter_reason(w, mask):
    """Short or long scoreboard: long if any selected nonzero counter was raised by a long-latency producer."""
    for k in range(NUM_SB):
        if (mask >> k) & 1 != 0 and (w["sb"] >> (8 * k)) & 0xFF != 0 and (w["sb_long"] >> k) & 1 != 0:
            return STALL_LONG_SCOREBOARD
    return STALL_SHORT_SCOREBOARD


@jit
def _depbar_holds(m, w):
    """Reason that an armed DEPBAR still holds the warp, 0 if it is satisfied."""
    bar = m.ins[w["depbar_pc"]]
    k = bar["arg0"] + 0
    if m.par[0]["scoreboard"] != 0:
        return STALL_LONG_SCOREBOARD if w["groups"] > bar["arg1"] else 0
    if (w["sb"] >> (8 * k)) & 0xFF > bar["arg1"] or w["sb"] & counters_of(bar["arg2"]) != 0:
        return _counter_reason(w, (1 << k) | bar["arg2"])
    return 0


@jit
def _hazard(m, warp, w, ins):
    """Scoreboard mode: reason of a data hazard, 0 if none."""
    limit = m.par[0]["war_consumers"]
    for i in range(REGISTER_WORDS):
        uses = ins["reads"][i] | ins["writes"][i]
        if w["busy"][i] & uses != 0:
            return STALL_LONG_SCOREBOARD if w["busy_long"][i] & uses != 0 else STALL_SHORT_SCOREBOARD
    for i in range(REGISTER_WORDS):
        bits = ins["writes"][i]
        while bits != 0:
            b = ctz(bits)
            bits &= bits - 1
            if m.readers[warp, i * IDS_PER_WORD + b] != 0:
                return STALL_SHORT_SCOREBOARD
        if limit > 0:
            bits = ins["reads"][i]
            while bits != 0:
                b = ctz(bits)
                bits &= bits - 1
                if m.readers[warp, i * IDS_PER_WORD + b] >= limit:
                    return STALL_SHORT_SCOREBOARD
    return 0


@jit
def _why_not(m, s, k, slot, now):
    """0 if the warp in ``slot`` can issue now; else the reason. Sets ``try_at``: when to ask again without an event."""
    p = m.par[0]
    nsub = p["num_subcores"]
    warp = s * p["num_warps"] + slot * nsub + k
    w = m.wp[warp]
    state = w["state"]
    w["try_at"] = NEVER
    if state != W_ACTIVE:
        if state == W_BARRIER:
            return STALL_BARRIER
        if state == W_MEMBAR:
            return STALL_MEMBAR
        return STALL_DRAIN if state == W_DRAIN else STALL_NO_WARP
    if w["ready_at"] > now:
        w["try_at"] = w["ready_at"]
        if w["ready_at"] == NEVER:  # its CTA has not started yet
            return STALL_NO_WARP
        return STALL_SLEEPING if w["sleeping"] != 0 else STALL_WAIT
    if w["buffered"] == 0:
        return STALL_BRANCH_RESOLVE if w["redirected"] != 0 and w["fetch_blocked"] == 0 else STALL_NO_INSTRUCTION
    if w["avail"][0] > now:
        w["try_at"] = w["avail"][0]
        return STALL_BRANCH_RESOLVE if w["redirected"] != 0 else STALL_NO_INSTRUCTION
    ins = m.ins[w["pc"]]
    if w["depbar_from"] <= now:
        reason = _depbar_holds(m, w)
        if reason != 0:
            return reason
        w["depbar_from"] = NEVER
    if ins["wait"] != 0 and w["sb"] & counters_of(ins["wait"]) != 0:
        return _counter_reason(w, ins["wait"] + 0)
    if w["groups"] >= MAX_GROUPS and ins["flow"] == FLOW_LDGDEPBAR:
        return STALL_LONG_SCOREBOARD  # no room for another group of asynchronous copies
    if p["scoreboard"] != 0:
        reason = _hazard(m, warp, w, ins)
        if reason != 0:
            return reason
    if ins["const_line"] >= 0 and ins["unit"] != MEMORY and not _constant_ready(m, s, k, ins["const_line"] + 0, now):
        return STALL_IMC_MISS
    w["try_at"] = now
    if ins["flags"] & F_VARIABLE == 0 and _unit_for(m, s * nsub + k, ins, now) < 0:
        w["try_at"] = _unit_free_at(m, s * nsub + k, ins)
        return STALL_MATH_PIPE
    return 0


@jit
def _unit_for(m, sub, ins, now):
    """Datapath that takes a fixed-latency instruction now, -1 if its input latch is taken."""
    unit = ins["unit"] + 0
    if m.unit_free[sub, unit] <= now:
        return unit
    if ins["flags"] & F_SECOND_PIPE != 0:
        second = INT if m.par[0]["second_pipe"] == 1 else FP32_SECOND
        if m.unit_free[sub, second] <= now:
            return second
    return -1


@jit
def _unit_free_at(m, sub, ins):
    at = m.unit_free[sub, ins["unit"]]
    if ins["flags"] & F_SECOND_PIPE != 0:
        second = INT if m.par[0]["second_pipe"] == 1 else FP32_SECOND
        at = min(at, m.unit_free[sub, second])
    return at


@jit
def _constant_ready(m, s, k, line, now):
    """Tag look-up of the fixed-latency constant cache; a miss is sent for once."""
    p = m.par[0]
    sm = m.sm[s]
    sub = s * p["num_subcores"] + k
    sm["lru"] += 1
    base = small_cache.fl_base(p, k)
    if small_cache.lookup(m.caches[s], base, p["fl_sets"], p["fl_ways"], line, sm["lru"]):
        return True
    key = -2 - line  # constant lines share the list of outstanding misses with instruction lines
    for i in range(p["prefetch_slots"], m.pending.shape[1]):
        if m.pending[sub, i, 1] != 0 and m.pending[sub, i, 0] == key:
            return False
    for i in range(p["prefetch_slots"], m.pending.shape[1]):
        if m.pending[sub, i, 1] == 0:
            m.pending[sub, i, 0] = key
            m.pending[sub, i, 1] = 1
            m.stats[s]["fl_misses"] += 1
            schedule(m, s, now + p["l0_l1_request"], EV_FL, k, line)
            return False
    return False


@jit
def _blocked_by(m, s, k):
    """Why the Issue->Control latch is taken, as a stall reason."""
    sc = m.sc[s * m.par[0]["num_subcores"] + k]
    ins = m.ins[sc["ctl_pc"]]
    if ins["flags"] & F_VARIABLE == 0:
        return STALL_DISPATCH
    if ins["unit"] != MEMORY:
        return STALL_MATH_PIPE
    space = ins["space"]
    return STALL_LG_THROTTLE if space == 1 or space == 2 or space == 5 else STALL_MIO_THROTTLE


@jit
def issue(m, s, k, now, tr):
    """Issue at most one instruction of sub-core ``k``; returns ISSUED or the reason why not."""
    p = m.par[0]
    nsub = p["num_subcores"]
    sub = s * nsub + k
    sc = m.sc[sub]
    policy = m.plugins.scheduler
    greedy = sc["greedy"]
    blocked = sc["ctl_pc"] >= 0 or sc["port_block"] > now
    first = s * p["num_warps"] + k
    held = False  # a greedy warp that misses a constant keeps the slot for a few cycles
    if sticks(policy):
        w = m.wp[first + greedy * nsub]
        if w["try_at"] <= now:
            why = _why_not(m, s, k, greedy, now)
            w["why"] = why
            if why == 0 and not blocked:
                _issue_warp(m, s, k, greedy, now, tr)
                return 0
            if why == STALL_IMC_MISS:
                sc["fl_until"] = now + p["fl_switch"]
        held = w["state"] == W_ACTIVE and w["why"] == STALL_IMC_MISS and now < sc["fl_until"]
    ready = 0
    nearest = STALL_NO_WARP
    for slot in range(m.age.shape[1]):
        w = m.wp[first + slot * nsub]
        if w["state"] == W_EMPTY:
            continue
        if w["try_at"] <= now:
            w["why"] = _why_not(m, s, k, slot, now)
        if w["why"] == 0:
            ready |= 1 << slot
        elif w["why"] < nearest:
            nearest = w["why"] + 0
    if ready == 0:
        return nearest
    if blocked:
        return _blocked_by(m, s, k) if sc["ctl_pc"] >= 0 else STALL_DISPATCH
    if held:
        return STALL_IMC_MISS
    _issue_warp(m, s, k, choose(policy, sub, ready, greedy, m.age), now, tr)
    return 0


@jit
def next_try(m, s, k):
    """Earliest cycle at which some warp of the sub-core may issue without an event."""
    p = m.par[0]
    nsub = p["num_subcores"]
    soonest = NEVER
    for slot in range(m.age.shape[1]):
        w = m.wp[s * p["num_warps"] + slot * nsub + k]
        if w["state"] != W_EMPTY and w["try_at"] < soonest:
            soonest = w["try_at"]
    return soonest


@jit
def _stall(p, ins, now):
    """Cycle from which the warp may issue again: stall counter and yield (gpu-core A.2, H.4)."""
    stall = ins["stall"] + 0
    if ins["yields"] != 0:
        if stall == 0:
            return now + p["stall0_yield"]
        return now + max(stall, 2)
    if stall > 11:
        return now + p["stall_no_yield"]
    return now + max(stall, 1)


@jit
def _issue_warp(m, s, k, slot, now, tr):
    p = m.par[0]
    nsub = p["num_subcores"]
    sub = s * nsub + k
    sc = m.sc[sub]
    local = slot * nsub + k
    warp = s * p["num_warps"] + local
    w = m.wp[warp]
    pc = w["pc"] + 0
    ins = m.ins[pc]
    mask = w["mask"] + 0
    record(m, LOG_ISSUE, now, s, local, pc, mask)
    _count(m, s, ins, mask)
    sc["ctl_pc"] = pc
    sc["ctl_warp"] = local
    sc["ctl_mask"] = mask
    sc["ctl_mem"] = w["mem"]
    sc["ctl_at"] = now
    sc["ctl_seen"] = 0
    sc["greedy"] = slot
    w["ready_at"] = _stall(p, ins, now)
    w["try_at"] = w["ready_at"]
    w["why"] = STALL_WAIT
    w["sleeping"] = 0
    if ins["flags"] & F_VARIABLE == 0:
        m.unit_free[sub, _unit_for(m, sub, ins, now)] = now + ins["ii"]
        if ins["const_line"] >= 0:
            m.stats[s]["fl_hits"] += 1
        if ins["flags"] & F_IMAD_WIDE != 0:
            sc["port_block"] = now + 1 + p["imad_wide_port"]
    else:
        if ins["kind"] != KIND_FENCE:
            w["loads"] += 1
        if ins["kind"] == KIND_LDGSTS and mask != 0:
            w["ldgsts_issued"] += 1
    if ins["mem_records"] != 0 and mask != 0:
        w["mem"] += ins["mem_records"]
    if p["scoreboard"] != 0:
        _mark_registers(m, warp, w, ins)
    consume(m, s, k, slot)
    _advance(m, s, k, slot, w, ins, mask, now, tr)
    if ins["flow"] != 0 or ins["kind"] == KIND_FENCE:
        _flow(m, s, k, slot, w, ins, pc, now)


@jit
def _count(m, s, ins, mask):
    st = m.stats[s]
    st["warp_instructions"] += 1
    st["unit"][ins["unit"]] += 1
    lanes = mask
    lanes = (lanes & 0x55555555) + ((lanes >> 1) & 0x55555555)
    lanes = (lanes & 0x33333333) + ((lanes >> 2) & 0x33333333)
    lanes = (lanes & 0x0F0F0F0F) + ((lanes >> 4) & 0x0F0F0F0F)
    st["thread_instructions"] += ((lanes * 0x01010101) & 0xFFFFFFFF) >> 24


@jit
def _mark_registers(m, warp, w, ins):
    """Scoreboard mode: results to come and readers to come."""
    for i in range(REGISTER_WORDS):
        w["busy"][i] |= ins["writes"][i]
        if ins["unit"] == MEMORY:
            w["busy_long"][i] |= ins["writes"][i]
        bits = ins["reads"][i]
        while bits != 0:
            b = ctz(bits)
            bits &= bits - 1
            m.readers[warp, i * IDS_PER_WORD + b] += 1


@jit
def _advance(m, s, k, slot, w, ins, mask, now, tr):
    """Move the warp's trace cursor to its next instruction; redirect fetch if it does not follow in the code."""
    w["left"] -= 1
    expected = w["pc"] + 1
    if w["left"] == 0:
        if w["last"] != 0:
            _end_stream(m, s, k, slot, w, now)
            return
        _next_segment(m, s, w)
        w["mask"] = tr.runs[w["run"]]["mask"]
    else:
        if w["left"] == 2 * m.par[0]["window_cycles"] and w["last"] == 0:
            m.sm[s]["refill"] = 1
        w["run_off"] += 1
        if w["run_off"] == tr.runs[w["run"]]["count"]:
            w["run"] += 1
            w["run_off"] = 0
            w["mask"] = tr.runs[w["run"]]["mask"]
    pc = tr.runs[w["run"]]["start"] + w["run_off"]
    w["pc"] = pc
    jumps = pc != expected
    decided = now + _turn_cycles(m.par[0], ins["turn"], jumps, mask, w["mask"])
    if decided > w["ready_at"]:
        w["ready_at"] = decided
        w["try_at"] = decided
        w["why"] = STALL_BRANCH_RESOLVE
    if jumps:
        m.stats[s]["taken_branches"] += 1
        redirect(m, s, k, slot, pc, now, decided)


@jit
def _turn_cycles(p, turn, jumps, taken, following):
    """Issue of an instruction to the issue of the next, as far as it is control flow that decides which that is.

    ``taken``: lanes that the branch sends off; ``following``: lanes of the next instruction. Measured on an H100
    (validation/hw/h100/micro/branch.cu): a direct branch costs this only where it is taken or divides the warp,
    convergence always; an indirect one is quicker while it leaves lanes with other targets behind.
    """
    if turn == TURN_SYNC:
        return p["turn_sync"]
    if turn == TURN_INDIRECT:
        return p["turn_indirect"] if following == taken else p["turn_divergent"]
    if jumps or (turn == TURN_DIRECT and taken != 0):
        return p["turn_direct"]
    return 0


@jit
def _end_stream(m, s, k, slot, w, now):
    """The warp issued its last instruction: it leaves when the pipeline and its memory accesses are done."""
    nsub = m.par[0]["num_subcores"]
    w["state"] = W_DRAIN
    w["why"] = STALL_DRAIN
    w["try_at"] = NEVER
    w["fetch_blocked"] = 0
    w["buffered"] = 0
    m.sc[s * nsub + k]["want_fetch"] &= ~(1 << slot)
    schedule(m, s, now + EXIT_DRAIN, EV_DRAIN, slot * nsub + k, 0)


@jit
def _next_segment(m, s, w):
    """Go on with the warp's next segment, which was loaded at least a window ago."""
    if w["next_ready"] == 0:
        m.sm[s]["error"] = ERR_SEGMENT
        return
    w["run"] = w["next_run"]
    w["run_off"] = 0
    w["mem"] = w["next_mem"]
    w["left"] = w["next_left"]
    w["last"] = w["next_last"]
    w["next_ready"] = 0
    w["segment"] += 1
    if (
        w["left"] <= 2 * m.par[0]["window_cycles"] and w["last"] == 0
    ):  # a short segment: the mark below is never reached
        m.sm[s]["refill"] = 1


@jit
def _flow(m, s, k, slot, w, ins, pc, now):
    p = m.par[0]
    flow = ins["flow"]
    local = slot * p["num_subcores"] + k
    if ins["unit"] == BRANCH:
        m.stats[s]["branches"] += 1
    if flow == FLOW_DEPBAR:
        w["depbar_pc"] = pc
        w["depbar_from"] = now + p["depbar_check"]
        if p["scoreboard"] != 0:
            w["depbar_from"] = now + 1
    elif flow == FLOW_LDGDEPBAR:  # a group of the copies issued so far
        n = w["groups"] + 0
        w["group_sb"][n] = ins["wb"]
        w["group_at"][n] = w["ldgsts_issued"]
        w["groups"] = n + 1
    elif flow == FLOW_SLEEP:
        w["ready_at"] = now + p["sleep_cycles"]
        w["try_at"] = w["ready_at"]
        w["why"] = STALL_SLEEPING
        w["sleeping"] = 1
    elif flow == FLOW_BARRIER and w["state"] == W_ACTIVE:
        arrive(m, s, w, ins["arg0"] + 0, ins["arg1"] + 0, ins["flags"] & F_ARRIVE_ONLY == 0, now)
    elif ins["kind"] == KIND_FENCE and ins["arg0"] > 0 and w["state"] == W_ACTIVE:
        w["state"] = W_MEMBAR
        w["why"] = STALL_MEMBAR
        w["try_at"] = NEVER
        w["barrier"] = ins["arg0"]
        check_membar(m, s, local, now)


@jit
def arrive(m, s, w, barrier, expected, wait, now):
    """A warp arrives at a barrier of its CTA; the last one releases all (gpu-core: about 21 + 2 cycles per warp)."""
    p = m.par[0]
    sm = m.sm[s]
    c = m.cta[s, w["cta"]]
    m.stats[s]["barriers"] += 1
    sm["barrier_free"] = max(now, sm["barrier_free"]) + p["barrier_interval"]
    c["arrived"][barrier] += 1
    c["expected"][barrier] = expected
    if wait:
        w["state"] = W_BARRIER
        w["why"] = STALL_BARRIER
        w["try_at"] = NEVER
        w["barrier"] = barrier
    release_barrier(m, s, w["cta"] + 0, barrier)


@jit
def release_barrier(m, s, cta, barrier):
    """Release a barrier if all expected warps (those alive, unless a count was given) have arrived."""
    c = m.cta[s, cta]
    expected = c["expected"][barrier]
    if expected == 0:
        expected = c["warps_left"] + 0
    if c["arrived"][barrier] > 0 and c["arrived"][barrier] >= expected:
        c["arrived"][barrier] = 0
        p = m.par[0]
        schedule(m, s, m.sm[s]["barrier_free"] + p["barrier_latency"], EV_BARRIER, cta, barrier)


@jit
def check_membar(m, s, local, now):
    """A memory barrier completes when the warp's accesses are done; then its fixed cost follows."""
    p = m.par[0]
    w = m.wp[s * p["num_warps"] + local]
    if w["state"] == W_MEMBAR and w["loads"] == 0 and w["stores"] == 0:
        w["state"] = W_ACTIVE
        w["ready_at"] = max(w["ready_at"], now + w["barrier"])
        w["try_at"] = w["ready_at"]
        w["why"] = STALL_MEMBAR
        m.sc[s * p["num_subcores"] + local % p["num_subcores"]]["wake"] = now
