"""The chip: CTA dispatch and the loop over windows (docs: how a run advances).

SMs see each other only through requests that take at least one window (``window_cycles``) to come back, so every SM
runs a whole window alone; then the requests of all are served in one fixed order. CTA launch happens between windows.
"""

from archsim.kernels.backend import sort_by_time
from archsim.kernels.beyond import next_arrival, serve
from archsim.kernels.layout import (
    CTA_DONE,
    CTA_EMPTY,
    CTA_RUNNING,
    EV_START,
    LOG_CTA_BEGIN,
    MAX_BARRIERS,
    NEVER,
    REGISTER_WORDS,
    STALL_NO_WARP,
    STOP_DEADLOCK,
    STOP_DONE,
    STOP_ERROR,
    STOP_LIMIT,
    STOP_QUEUE,
    STOP_SEGMENTS,
    STOP_TIME,
    W_ACTIVE,
    W_EMPTY,
    jit,
)
from archsim.kernels.log import record
from archsim.kernels.ref import ref
from archsim.kernels.sm import run_window, settle
from archsim.kernels.team import (
    DISMISSED,
    TEAM_END,
    await_team,
    call_team,
    dismiss,
    members,
    next_call,
    report,
    take,
)
from archsim.kernels.wheel import schedule

GO_ON = -1


@jit
def _free_slot(m, s, preferred):
    """Warp slot for a new warp: in the sub-core with the fewest warps, ties in order from ``preferred``."""
    p = m.par[0]
    nsub = p["num_subcores"]
    best = -1
    fewest = NEVER
    for i in range(nsub):
        k = (preferred + i) % nsub
        live = 0
        free = -1
        for slot in range(m.age.shape[1] - 1, -1, -1):
            local = slot * nsub + k
            if local < p["num_warps"]:
                if m.wp[s * p["num_warps"] + local]["state"] == W_EMPTY:
                    free = local
                else:
                    live += 1
        if free >= 0 and live < fewest:
            fewest = live
            best = free
    return best


@jit
def _clear_warp(w):
    w["why"] = STALL_NO_WARP
    w["buffered"] = 0
    w["fetch_blocked"] = 0
    w["sb_long"] = 0
    w["redirected"] = 0
    w["next_ready"] = 0
    w["sleeping"] = 0
    w["groups"] = 0
    w["ldgsts_issued"] = 0
    w["ldgsts_done"] = 0
    w["loads"] = 0
    w["stores"] = 0
    w["sb"] = 0
    w["depbar_from"] = NEVER
    w["run_off"] = 0
    w["segment"] = 0
    w["ready_at"] = NEVER
    w["try_at"] = NEVER
    for i in range(REGISTER_WORDS):
        w["busy"][i] = 0
        w["busy_long"][i] = 0


@jit
def _place(m, chip, s, tr, start):
    """Give the next CTA of the queue to SM ``s``; its warps start at cycle ``start``."""
    c = chip.state[0]
    q = tr.queue[c["queue_head"] % tr.queue.shape[0]]
    c["queue_head"] += 1
    c["running"] += 1
    slot = 0
    while m.cta[s, slot]["state"] != CTA_EMPTY:
        slot += 1
    x = m.cta[s, slot]
    x["state"] = CTA_RUNNING
    x["trace_cta"] = q["trace_cta"]
    x["batch"] = q["batch"]
    x["warps"] = q["warps"]
    x["warps_left"] = 0
    for i in range(MAX_BARRIERS):
        x["arrived"][i] = 0
        x["expected"][i] = 0
    for i in range(q["warps"]):
        row = tr.rows[q["row"] + i]
        if row["left"] > 0:
            x["warps_left"] += 1
            _place_warp(m, s, slot, row, i, q["trace_cta"], tr)
    if x["warps_left"] == 0:
        x["state"] = CTA_DONE
        x["done_at"] = start
        m.sm[s]["done_ctas"] += 1
    else:
        schedule(m, s, start, EV_START, slot, 0)
        m.sm[s]["next"] = min(m.sm[s]["next"], start)
        record(m, LOG_CTA_BEGIN, start, s, slot, -1, x["trace_cta"])


@jit
def _place_warp(m, s, cta, row, index, trace_cta, tr):
    p = m.par[0]
    nsub = p["num_subcores"]
    sm = m.sm[s]
    local = _free_slot(m, s, index % nsub)
    w = m.wp[s * p["num_warps"] + local]
    _clear_warp(w)
    w["state"] = W_ACTIVE
    w["cta"] = cta
    w["trace_cta"] = trace_cta
    w["warp_in_cta"] = row["warp"]
    w["run"] = row["run"]
    w["run_end"] = row["run_end"]
    w["mem"] = row["mem"]
    w["left"] = row["left"]
    w["last"] = row["last"]
    w["pc"] = tr.runs[row["run"]]["start"]
    w["fetch_pc"] = w["pc"]
    w["mask"] = tr.runs[row["run"]]["mask"]
    m.age[s * nsub + local % nsub, local // nsub] = sm["launches"]
    sm["launches"] += 1
    if sm["live_ctas"] == 0:  # greedy issue starts with the youngest warp (gpu-core B.2)
        m.sc[s * nsub + local % nsub]["greedy"] = local // nsub


@jit
def _first_wave(m, chip, tr):
    """Breadth-first: one CTA on every SM, then the next round."""
    p = m.par[0]
    c = chip.state[0]
    c["started"] = 1
    for level in range(c["ctas_per_sm"]):
        for s in range(p["num_sms"]):
            if c["queue_head"] < c["queue_tail"]:
                _place(m, chip, s, tr, c["first_start"] + level * p["first_wave_interval"])


@jit
def _replace_finished(m, chip, tr, end):
    """Free CTAs that ended in this window; the next CTAs of the queue take their places in order of completion."""
    p = m.par[0]
    c = chip.state[0]
    count = 0
    for s in range(p["num_sms"]):
        if m.sm[s]["done_ctas"] == 0:
            continue
        m.sm[s]["done_ctas"] = 0
        for slot in range(p["num_ctas"]):
            x = m.cta[s, slot]
            if x["state"] == CTA_DONE:
                x["state"] = CTA_EMPTY
                chip.batch_left[x["batch"]] -= 1
                c["running"] -= 1
                c["last_done"] = max(c["last_done"], x["done_at"])
                chip.order[count, 0] = x["done_at"]
                chip.order[count, 1] = s
                count += 1
    sort_by_time(chip.order, count)
    for i in range(count):
        if c["queue_head"] < c["queue_tail"]:
            start = max(end, chip.order[i, 0] + p["cta_launch_latency"])
            c["dispatch_milli"] = max(c["dispatch_milli"], start * 1000) + p["cta_milli"]
            start = max(start, c["dispatch_milli"] // 1000)
            _place(m, chip, chip.order[i, 1], tr, start)


@jit
def _soonest(m, chip):
    """Earliest cycle at which an SM or the memory beyond has something to do."""
    soonest = next_arrival(chip)
    for s in range(m.par[0]["num_sms"]):
        soonest = min(soonest, m.sm[s]["next"])
    return soonest


@jit
def _wants(m):
    """True if a warp of any SM needs its next segment; clears the marks."""
    wanted = False
    for s in range(m.par[0]["num_sms"]):
        if m.sm[s]["refill"] != 0:
            m.sm[s]["refill"] = 0
            wanted = True
    return wanted


@jit
def _error(m):
    for s in range(m.par[0]["num_sms"]):
        if m.sm[s]["error"] != 0:
            return True
    return False


def run_chip(m, chip, tr, max_cycle, max_windows, who):
    """Advance the chip until something needs the caller; returns a STOP_* code.

    Entry point: compiled by `archsim.model.compile`. ``max_windows`` bounds one call, so that the caller can show
    progress and react to Ctrl-C. Each thread of a team (`team`) calls it with its number ``who``: 0 leads, the others
    help with the SMs until the leader returns.
    """
    stop = _run(ref(m), ref(chip), ref(tr), max_cycle, max_windows, who)
    if who == 0:
        dismiss(chip.team)
    return stop


@jit
def _run(m, chip, tr, max_cycle, max_windows, who):
    p = m.par[0]
    c = chip.state[0]
    team = chip.team
    if who == 0 and c["started"] == 0:
        _first_wave(m, chip, tr)
    window = 0
    seen = 0
    while who > 0 or window < max_windows:
        window += 1
        alone = True
        end = 0
        if who == 0:
            begin = max(c["now"], min(_soonest(m, chip), max_cycle))
            end = min(begin + p["window_cycles"], max_cycle)
            alone = call_team(m, team, end)
        else:
            seen = next_call(team, seen)
            if seen == DISMISSED:
                return STOP_DONE
            alone = False
        for block in range(1 if alone else members(team)):
            done = 0
            s = take(m, team, who, block, alone, -1)
            while s >= 0:
                run_window(m, s, team[TEAM_END, 0], tr)
                done += 1
                s = take(m, team, who, block, alone, s)
            report(team, done)
        if who > 0:
            continue
        if not alone:
            await_team(m, team)
        serve(m, chip, end)
        _replace_finished(m, chip, tr, end)
        c["now"] = end
        stop = _must_stop(m, chip, end, max_cycle)
        if stop != GO_ON:
            return stop
    return STOP_TIME


@jit
def _must_stop(m, chip, end, max_cycle):
    """STOP_* code if the caller is needed after the window that ended at ``end``, else GO_ON."""
    c = chip.state[0]
    if _error(m):
        return STOP_ERROR
    if c["running"] == 0 and c["queue_head"] == c["queue_tail"] and c["ctas_left"] == 0:
        if next_arrival(chip) == NEVER:
            return STOP_DONE
        return GO_ON  # stores are still on their way to L2
    if end >= max_cycle:
        return STOP_LIMIT
    if c["ctas_left"] > 0 and c["queue_tail"] - c["queue_head"] < c["low_water"]:
        return STOP_QUEUE
    if _wants(m):
        return STOP_SEGMENTS
    if _soonest(m, chip) == NEVER:
        return STOP_DEADLOCK
    return GO_ON


def settle_all(m, end):
    """Charge all issue slots up to cycle ``end``. Entry point."""
    r = ref(m)
    for s in range(m.par[0]["num_sms"]):
        settle(r, s, end)
