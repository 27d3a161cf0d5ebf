"""Front end of a sub-core: fetch, L0 instruction cache, prefetch buffer, L1 instruction cache.

gpu-core sheet, section C. One fetch a cycle; the warp that issued last goes first, then the youngest with a free
instruction-buffer entry. A hit requested in cycle t can issue in t + 3. An L0 miss that hits L1 returns after the
request path, one L1 cycle and the reply path; an L1 miss asks the chip for the whole aligned block of ``l1i_fill``
lines around it (H100: 1 KB, CALIBRATION.md). A launch may bring the first ``launch_lines`` lines of a kernel into L1 by
itself, as the launch descriptor of compute capability 8.0 and up can (PROGRAM_PREFETCH_* in NVIDIA's class headers).
"""

from archsim.kernels import small_cache
from archsim.kernels.bits import ctz
from archsim.kernels.hooks import advance, observe, perfect
from archsim.kernels.layout import (
    CONST_SPACE,
    EV_FETCH,
    EV_TURN,
    INSTRUCTION_SPACE,
    MAX_IBUFFER,
    REQ_INST,
    jit,
)
from archsim.kernels.ports import send
from archsim.kernels.wheel import schedule

# States of an entry of Machine.pending (prefetch FIFO first, then demand misses).
FREE, WAITING, ARRIVED = range(3)


@jit
def fetch(m, s, k, now):
    """One fetch of sub-core ``k``; returns True if anything is left to do next cycle."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    want = sc["want_fetch"]
    if want != 0:
        slot = sc["greedy"]
        if (want >> slot) & 1 == 0:
            slot = _youngest(m.age[sub], want)
        _fetch_warp(m, s, k, slot, now)
    if sc["pf_active"] != 0:
        _prefetch(m, s, k, now)
    return sc["want_fetch"] != 0 or sc["pf_active"] != 0


@jit
def _youngest(age, mask):
    best = ctz(mask)
    mask &= mask - 1
    while mask != 0:
        slot = ctz(mask)
        mask &= mask - 1
        if age[slot] > age[best]:
            best = slot
    return best


@jit
def _fetch_warp(m, s, k, slot, now):
    p = m.par[0]
    nsub = p["num_subcores"]
    sub = s * nsub + k
    sc = m.sc[sub]
    w = m.wp[s * p["num_warps"] + slot * nsub + k]
    pc = w["fetch_pc"]
    if pc >= m.ins.shape[0]:  # sequential fetch past the code: the warp leaves by a branch or EXIT before it gets there
        sc["want_fetch"] &= ~(1 << slot)
        return
    m.stats[s]["fetches"] += 1
    if _line_ready(m, s, k, pc // p["line_insts"], now):
        n = w["buffered"]
        at = now + p["fetch_to_issue"]  # request, latch, decode
        w["avail"][n] = at
        w["buffered"] = n + 1
        w["fetch_pc"] = pc + 1
        if n == 0 and w["try_at"] > at:
            w["try_at"] = at
        if n + 1 >= p["ibuffer"]:
            sc["want_fetch"] &= ~(1 << slot)
    else:
        w["fetch_blocked"] = 1
        sc["want_fetch"] &= ~(1 << slot)


@jit
def _line_ready(m, s, k, line, now):
    """True on a hit; otherwise makes sure that the line is on its way."""
    p = m.par[0]
    sm = m.sm[s]
    st = m.stats[s]
    sub = s * p["num_subcores"] + k
    policy = m.plugins.prefetcher
    if p["perfect_icache"] != 0 or perfect(policy):
        st["l0_hits"] += 1
        return True
    sm["lru"] += 1
    row = m.caches[s]
    base = small_cache.l0_base(p, k)
    if small_cache.lookup(row, base, p["l0_sets"], p["l0_ways"], line, sm["lru"]):
        st["l0_hits"] += 1
        _start(m, sub, observe(policy, sub, line, 0, now))
        return True
    position = _find_prefetched(m, sub, line)
    if position >= 0:
        st["prefetch_hits"] += 1
        if _take(m, s, k, line, position):
            _start(m, sub, observe(policy, sub, line, 1, now))
            return True
        return False
    if not _already_missing(m, sub, line):
        st["l0_misses"] += 1
        _request_line(m, s, k, line, _note_miss(m, sub, line), now)
        _start(m, sub, observe(policy, sub, line, 2, now))
    return False


@jit
def _start(m, sub, line):
    """Begin a new prefetch stream at ``line`` (nothing if negative or if the stream already points there)."""
    sc = m.sc[sub]
    if line < 0 or (sc["pf_active"] != 0 and sc["pf_count"] == 0 and sc["pf_last"] == line - 1):
        return
    sc["pf_active"] = 1
    sc["pf_count"] = 0
    sc["pf_head"] = 0
    sc["pf_last"] = line - 1


@jit
def _prefetch(m, s, k, now):
    """Ask for the stream's next line if the buffer has room; pause at a line that is already here or on its way."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    size = p["prefetch_lines"]
    if sc["pf_count"] >= size:
        sc["pf_active"] = 0
        return
    line = advance(m.plugins.prefetcher, sub, sc["pf_last"], now)
    here = line < 0 or line * p["line_insts"] >= m.ins.shape[0] or _already_missing(m, sub, line)
    if not here:
        here = small_cache.lookup(
            m.caches[s], small_cache.l0_base(p, k), p["l0_sets"], p["l0_ways"], line, m.sm[s]["lru"]
        )
    if here:
        sc["pf_active"] = 0
        return
    position = (sc["pf_head"] + sc["pf_count"]) % size
    m.pending[sub, position, 0] = line
    m.pending[sub, position, 1] = WAITING
    sc["pf_count"] += 1
    sc["pf_last"] = line
    m.stats[s]["prefetches"] += 1
    _request_line(m, s, k, line, position, now)


@jit
def _find_prefetched(m, sub, line):
    """Place of ``line`` in the prefetch FIFO (0 = head), or -1."""
    sc = m.sc[sub]
    size = m.par[0]["prefetch_lines"]
    for i in range(sc["pf_count"]):
        if m.pending[sub, (sc["pf_head"] + i) % size, 0] == line:
            return i
    return -1


@jit
def _take(m, s, k, line, position):
    """Use a prefetched line: if it has arrived, move it into L0 and return True. Lines before it go to L0 as well."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    size = p["prefetch_lines"]
    for i in range(position):
        entry = (sc["pf_head"] + i) % size
        if m.pending[sub, entry, 1] == ARRIVED:
            _into_l0(m, s, k, m.pending[sub, entry, 0])
    sc["pf_head"] = (sc["pf_head"] + position) % size
    sc["pf_count"] -= position
    if position > 0:
        sc["pf_active"] = 1
    if m.pending[sub, sc["pf_head"], 1] != ARRIVED:
        return False
    sc["pf_head"] = (sc["pf_head"] + 1) % size
    sc["pf_count"] -= 1
    sc["pf_active"] = 1
    _into_l0(m, s, k, line)
    return True


@jit
def _into_l0(m, s, k, line):
    p = m.par[0]
    sm = m.sm[s]
    sm["lru"] += 1
    small_cache.insert(m.caches[s], small_cache.l0_base(p, k), p["l0_sets"], p["l0_ways"], line, sm["lru"])


@jit
def _already_missing(m, sub, line):
    first = m.par[0]["prefetch_slots"]
    for i in range(first, m.pending.shape[1]):
        if m.pending[sub, i, 1] == WAITING and m.pending[sub, i, 0] == line:
            return True
    return False


@jit
def _note_miss(m, sub, line):
    """Remember a demand miss; returns its entry, or -1 if there is no room.

    Warps that left by a branch still hold theirs. Without an entry, whoever waits for the line asks again when it
    comes.
    """
    for i in range(m.par[0]["prefetch_slots"], m.pending.shape[1]):
        if m.pending[sub, i, 1] == FREE:
            m.pending[sub, i, 0] = line
            m.pending[sub, i, 1] = WAITING
            return i
    return -1


@jit
def _request_line(m, s, k, line, entry, now):
    """L0 miss or prefetch, in ``entry`` of the pending ones: through the L1 instruction cache (one lookup a cycle)."""
    p = m.par[0]
    sm = m.sm[s]
    at = now + p["l0_l1_request"]
    if at < sm["l1i_free"]:
        at = sm["l1i_free"]
    sm["l1i_free"] = at + 1
    if entry >= 0:
        m.pending[s * p["num_subcores"] + k, entry, 2] = at
    sm["lru"] += 1
    if small_cache.lookup(m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], line, sm["lru"]):
        m.stats[s]["l1i_hits"] += 1
        schedule(m, s, at + 1 + p["l0_l1_reply"], EV_FETCH, k, line)
    else:
        m.stats[s]["l1i_misses"] += 1
        _fill_block(m, s, line, at + 1)


@jit
def _fill_block(m, s, line, at):
    """L1 miss: ask the chip for ``line``, then for what else its block lacks."""
    p = m.par[0]
    row = m.caches[s]
    base = small_cache.outstanding_base(p)
    state = small_cache.note_outstanding(row, base, p["l1i_mshrs"], line, True)
    if state == small_cache.ON_ITS_WAY:
        return  # asked for by another sub-core, with a block or at launch: the reply goes to all
    _ask_chip(m, s, line, state, at)
    size = p["l1i_fill"]
    first = line - line % size
    for other in range(first, min(first + size, m.ins.shape[0] // p["line_insts"] + 1)):
        if other != line:
            _ask_ahead(m, s, other, at)


@jit
def _ask_ahead(m, s, line, at):
    """Ask the chip for a line that no sub-core has asked for yet, unless it is here or on its way."""
    p = m.par[0]
    row = m.caches[s]
    if small_cache.contains(row, small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], line):
        return
    state = small_cache.note_outstanding(row, small_cache.outstanding_base(p), p["l1i_mshrs"], line, False)
    if state == small_cache.NOTED:
        _ask_chip(m, s, line, state, at)


@jit
def _ask_chip(m, s, line, state, at):
    p = m.par[0]
    if state == small_cache.NOTED:
        m.sm[s]["l1i_missing"] += 1
    bytes_per_line = 16 * p["line_insts"]
    sectors = (1 << (bytes_per_line // 32)) - 1
    send(m, s, at, INSTRUCTION_SPACE + line * bytes_per_line, REQ_INST, sectors, 0, 0, 0, 0)


@jit
def launch_prefetch(m, s, pc, now):
    """The first CTA of a launch starts on this SM: code begins to come into L1, as far as the launch asks for it."""
    p = m.par[0]
    sm = m.sm[s]
    if sm["launched"] == 0:
        sm["launched"] = 1
        for i in range(p["launch_constants"]):
            sm["lru"] += 1
            small_cache.insert(
                m.caches[s], small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], (CONST_SPACE >> 7) + i, sm["lru"]
            )
    if p["launch_lines"] == 0 or sm["code_end"] != 0:
        return
    sm["code_next"] = pc // p["line_insts"]
    sm["code_end"] = min(sm["code_next"] + p["launch_lines"], (m.ins.shape[0] - 1) // p["line_insts"] + 1)
    _continue_launch_prefetch(m, s, now)


@jit
def _continue_launch_prefetch(m, s, now):
    """Keep the L1's outstanding lines busy, less a block that stays free for misses."""
    p = m.par[0]
    sm = m.sm[s]
    while sm["code_next"] < sm["code_end"] and sm["l1i_missing"] + p["l1i_fill"] < p["l1i_mshrs"]:
        _ask_ahead(m, s, sm["code_next"] + 0, now)
        sm["code_next"] += 1


@jit
def instruction_reply(m, s, address, now):
    """A line came from the chip: into L1, then over the reply paths to whichever sub-cores wait for it."""
    p = m.par[0]
    sm = m.sm[s]
    line = (address - INSTRUCTION_SPACE) // (16 * p["line_insts"])
    sm["lru"] += 1
    row = m.caches[s]
    state = small_cache.forget_outstanding(row, small_cache.outstanding_base(p), p["l1i_mshrs"], line)
    if state != small_cache.NOT_NOTED:
        sm["l1i_missing"] -= 1
    small_cache.insert(row, small_cache.l1i_base(p), p["l1i_sets"], p["l1i_ways"], line, sm["lru"])
    if state != small_cache.NOTED:
        for k in range(p["num_subcores"]):
            at = max(now, _asked_at(m, s * p["num_subcores"] + k, line) + 1)
            schedule(m, s, at + p["l0_l1_reply"], EV_FETCH, k, line)
    _continue_launch_prefetch(m, s, now)


@jit
def _asked_at(m, sub, line):
    """When a sub-core's request for a line reaches L1; 0 if it waits for none."""
    for i in range(m.pending.shape[1]):
        if m.pending[sub, i, 1] == WAITING and m.pending[sub, i, 0] == line:
            return m.pending[sub, i, 2]
    return 0


@jit
def line_arrived(m, s, k, line, now):
    """A line reached L0 (demand miss) or the prefetch buffer; warps that wait for it fetch again."""
    p = m.par[0]
    sub = s * p["num_subcores"] + k
    sc = m.sc[sub]
    demanded = False
    for i in range(p["prefetch_slots"], m.pending.shape[1]):
        if m.pending[sub, i, 1] == WAITING and m.pending[sub, i, 0] == line:
            m.pending[sub, i, 1] = FREE
            demanded = True
            _into_l0(m, s, k, line)
    if not demanded:
        position = _find_prefetched(m, sub, line)
        if position >= 0:
            m.pending[sub, (sc["pf_head"] + position) % p["prefetch_lines"], 1] = ARRIVED
        else:  # fetch has passed it, or its stream was dropped meanwhile
            _into_l0(m, s, k, line)
    unblock(m, s, k, line, now)


@jit
def unblock(m, s, k, line, now):
    """Let the warps of a sub-core whose fetch waits for ``line`` try again."""
    p = m.par[0]
    nsub = p["num_subcores"]
    sc = m.sc[s * nsub + k]
    for slot in range(m.age.shape[1]):
        w = m.wp[s * p["num_warps"] + slot * nsub + k]
        if w["fetch_blocked"] != 0 and w["fetch_pc"] // p["line_insts"] == line:
            w["fetch_blocked"] = 0
            sc["want_fetch"] |= 1 << slot
            sc["wake"] = now


@jit
def redirect(m, s, k, slot, target, now, decided):
    """Flush the instruction buffer of a warp; fetch from ``target`` so that it can issue in cycle ``decided``."""
    p = m.par[0]
    nsub = p["num_subcores"]
    sc = m.sc[s * nsub + k]
    w = m.wp[s * p["num_warps"] + slot * nsub + k]
    w["buffered"] = 0
    w["fetch_pc"] = target
    w["fetch_blocked"] = 0
    w["redirected"] = 1
    start = decided - p["fetch_to_issue"]
    if start <= now:
        sc["want_fetch"] |= 1 << slot
    else:
        sc["want_fetch"] &= ~(1 << slot)
        schedule(m, s, start, EV_TURN, slot * nsub + k, 0)


@jit
def branch_decided(m, s, local, now):
    """The branch of a warp is decided: fetch goes on at its target."""
    nsub = m.par[0]["num_subcores"]
    sc = m.sc[s * nsub + local % nsub]
    sc["want_fetch"] |= 1 << (local // nsub)
    sc["wake"] = now


@jit
def consume(m, s, k, slot):
    """Take the oldest instruction out of the buffer."""
    p = m.par[0]
    nsub = p["num_subcores"]
    w = m.wp[s * p["num_warps"] + slot * nsub + k]
    n = w["buffered"] - 1
    avail = w["avail"]
    for i in range(min(n, MAX_IBUFFER - 1)):
        avail[i] = avail[i + 1]
    w["buffered"] = n
    w["redirected"] = 0
    if w["fetch_blocked"] == 0:
        m.sc[s * nsub + k]["want_fetch"] |= 1 << slot
