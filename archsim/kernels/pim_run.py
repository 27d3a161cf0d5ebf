"""Entry points of the PIM executor: programs, single commands, timing probes.

The functions are plain Python; `archsim.model.compile.entry("pim_run", name)` compiles them. Other kernels (the PIM-GPT
accelerator) call `step` themselves.

The front end takes one record every ``decode`` ticks, in program order, and hands its commands to the channels of its
mask. A channel holds ``queue`` commands; the front end waits until the last one of a record has found a place. A record
with flag WAIT also holds it until its commands are complete, and a BARRIER until all channels have nothing left to do.
"""

from archsim.kernels.layout import jit
from archsim.kernels.pim import burst, earliest_at, execute, first_bank, send
from archsim.kernels.pim_layout import BARRIER, FENCE, NOTHING, WAIT
from archsim.kernels.pim_plain import is_plain, run_plain
from archsim.kernels.ref import ref


def run_program(p, program, outcome):
    """Run all records of ``program`` (RECORD_DT) and fill ``outcome`` (OUTCOME_DT); returns the tick of the end."""
    r = ref(p)
    i = 0
    while i < program.size:
        j = i
        while j < program.size and is_plain(r, program[j]):
            j += 1
        if j > i + 1:
            run_plain(r, program, outcome, i, j)
            i = j
        else:
            step(r, program[i], outcome[i])
            i += 1
    return p.front[0]["end"]


@jit
def step(p, r, o):
    """Run record ``r`` after all earlier ones and fill its outcome ``o``."""
    front = p.front[0]
    now = max(front["time"], r["not_before"])
    o["taken"] = now
    o["first"] = now
    o["last"] = now
    o["done"] = now
    sent = now
    if r["kind"] == BARRIER:
        for c in range(p.channel.shape[0]):
            sent = max(sent, _drained(p, c, now))
        o["done"] = sent
    elif r["kind"] == FENCE:
        for c in range(p.channel.shape[0]):
            if r["mask"] >> c & 1:
                p.channel[c]["fence"] = max(now, p.channel[c]["latest"] + 1)
    elif r["kind"] != NOTHING:
        begin = -1
        for c in range(p.channel.shape[0]):
            if r["mask"] >> c & 1 == 0:
                continue
            t, last, done = execute(p, c, r, now)
            if begin < 0 or t < begin:
                begin = t
            o["last"] = max(o["last"], last)
            o["done"] = max(o["done"], done)
            sent = max(sent, _accepted(p, c, front["queue"], now))
        o["first"] = begin
        if r["flags"] & WAIT:
            sent = max(sent, o["done"])
    front["time"] = sent + front["decode"]
    front["end"] = max(front["end"], o["done"])


@jit
def _drained(p, c, now):
    """Tick at which channel ``c`` reports that it has finished: a tick after its last command and posted completion."""
    ch = p.channel[c]
    t = now
    if ch["elements"] > 0:
        t = max(t, ch["latest"] + 1)
    return max(t, ch["posted_done"]) + 1


@jit
def _accepted(p, c, queue, now):
    """Tick at which the newest command found a place: when the one ``queue`` places before it had left."""
    ch = p.channel[c]
    number = ch["elements"] - queue
    if number < 1 or queue == 0:
        return now
    at = ch["ring"]
    places = p.burst.shape[1]
    for _ in range(places):
        previous = at - 1 if at > 0 else places - 1
        if p.burst[c, previous]["end"] < number or p.burst[c, previous]["end"] > p.burst[c, at]["end"]:
            break
        at = previous
    b = p.burst[c, at]
    return max(now, b["first"] + (number - 1) * b["period"] + 1)


def finish(p, end):
    """Close the accounts of all channels at tick ``end``: times in which rows were open."""
    for c in range(p.channel.shape[0]):
        ch = p.channel[c]
        if ch["open_banks"] > 0:
            ch["active_ticks"] += end - ch["since"]
            ch["since"] = end
        for b in range(p.bank.shape[1]):
            bank = p.bank[c, b]
            if bank["row"] >= 0:
                bank["open_ticks"] += end - bank["opened"]
                bank["opened"] = end


def probe_earliest(p, c, command, bank, now):
    """First tick from ``now`` on at which ``command`` may go to ``bank`` (or the banks around it), states aside."""
    r = ref(p)
    return earliest_at(r, c, command, first_bank(p.info[command], bank), now)


def probe_issue(p, c, command, bank, now, count, period):
    """Issue ``command`` ``count`` times from tick ``now`` on, whether or not that is legal; no state changes."""
    r = ref(p)
    send(r, c, command, first_bank(p.info[command], bank), now, count, period)


def run_burst(p, c, command, bank, row, count, now):
    """`burst` on one channel: ticks of the first and last issue."""
    r = ref(p)
    return burst(r, c, command, first_bank(p.info[command], bank), row, count, now)
