"""Entry points of the DRAM engine: whole request streams, windows of them, and single commands for timing probes.

The functions are plain Python: `archsim.engine.dram` compiles them once all plug-ins are known.
"""

from archsim.kernels.dram import advance
from archsim.kernels.dram_layout import NEVER
from archsim.kernels.dram_queue import push
from archsim.kernels.dram_refresh import settle
from archsim.kernels.dram_timing import earliest, earliest_scope, issue, issue_scope
from archsim.kernels.layout import jit
from archsim.kernels.ref import ref


def run_stream(dram, c, time, bank, row, column, write, first, done_time, admit_time):
    """Run requests ``0..n-1`` of channel ``c`` (sorted by ``time``, ticks) to the end.

    Request i has tag ``first[i]``; its completion and admission ticks go to ``done_time[tag]``, ``admit_time[tag]``.
    """
    d = ref(dram)
    n = time.size
    i = 0
    while True:
        while i < n and push(d, c, time[i], bank[i], row[i], column[i], write[i], first[i]):
            i += 1
        advance(d, c, NEVER, 0 if i < n else -1)
        if not _collect(d, c, done_time, admit_time) and i >= n and d.channel[c]["arrivals"] == 0:
            break
    for s in range(d.par[0]["scopes"]):
        settle(d, c, s, max(d.channel[c]["last_time"], d.scope[c, s]["since"]))


@jit
def _collect(d, c, done_time, admit_time):
    """Empty the completion queue into the two arrays; True if there was anything in it."""
    ch = d.channel[c]
    n = ch["done"]
    at = ch["done_head"]
    for _ in range(n):
        r = d.done[c, at]
        done_time[r["tag"]] = r["time"]
        admit_time[r["tag"]] = r["admitted"]
        at += 1
        if at == d.done.shape[1]:
            at = 0
    ch["done_head"] = at
    ch["done"] = 0
    return n > 0


def run_window(dram, c, until, time, bank, row, column, write, first, done_time, admit_time):
    """Push requests that arrive before ``until`` and run channel ``c`` up to it; returns how many were pushed.

    Fewer than all means that the arrival queue was full: collect, and call again with the rest.
    """
    d = ref(dram)
    i = 0
    while i < time.size and push(d, c, time[i], bank[i], row[i], column[i], write[i], first[i]):
        i += 1
    advance(d, c, until if i == time.size else NEVER, -1 if i == time.size else 0)
    while _collect(d, c, done_time, admit_time) and i == time.size:
        advance(d, c, until, -1)
    return i


def probe_earliest(dram, c, b, command, scoped, now):
    """First tick from ``now`` on at which ``command`` may go to bank ``b`` (``scoped``: to the banks of scope b)."""
    d = ref(dram)
    if scoped:
        return earliest_scope(d, c, b, command, now)
    return earliest(d, c, b, command, now)


def probe_issue(dram, c, b, command, scoped, now):
    """Send ``command`` at tick ``now`` whether or not it is legal there."""
    d = ref(dram)
    if scoped:
        issue_scope(d, c, b, command, now)
    else:
        issue(d, c, b, command, now)
