"""Threads that share the SMs of a window.

Inside a window no SM touches what another one reads, so it does not matter which thread runs it: counters are the same
for any number of threads, and the split may follow the load. Every member has a block of neighbouring SMs, whose state
stays in its core's cache, and takes what is left of the others' when its own is done. Only the leader opens a window,
and it needs nobody's presence: with the helpers asleep it runs all SMs itself.

`Chip.team` is i8[TEAM_CLAIMS + members, TEAM_WORDS], the words of `atomic` by row.
"""

from archsim.kernels.atomic import add, give_way, load, store
from archsim.kernels.layout import jit

TEAM_CALL, TEAM_DONE, TEAM_END, TEAM_CLAIMS = range(4)
DISMISSED = -1  # call number that sends helpers home
SPINS = 4000  # looks at a word before a waiting thread offers its core to others: some microseconds
FEW_SMS = 2  # with fewer SMs awake, a window is not worth the helpers' attention


@jit
def members(team):
    """Threads of the team."""
    return team.shape[0] - TEAM_CLAIMS


@jit
def call_team(m, team, end):
    """Open the window that ends at ``end``; True if the leader is to run it alone."""
    threads = members(team)
    sms = m.par[0]["num_sms"]
    team[TEAM_END, 0] = end
    if threads == 1 or not _worth_it(m, end):
        return True
    store(team, TEAM_DONE, 0)
    for block in range(threads):  # from here on SMs are taken
        store(team, TEAM_CLAIMS + block, block * sms // threads)
    add(team, TEAM_CALL, 1)
    return False


@jit
def _worth_it(m, end):
    awake = 0
    for s in range(m.par[0]["num_sms"]):
        if m.sm[s]["next"] < end:
            awake += 1
            if awake == FEW_SMS:
                return True
    return False


@jit
def take(m, team, who, block, alone, last):
    """The next SM for member ``who`` in the ``block``-th block after its own; -1 if that has no more."""
    sms = m.par[0]["num_sms"]
    if alone:
        return last + 1 if last + 1 < sms else -1
    threads = members(team)
    owner = (who + block) % threads
    s = add(team, TEAM_CLAIMS + owner, 1)
    return s if s < (owner + 1) * sms // threads else -1


@jit
def report(team, done):
    """Count SMs that have been run; hands their state to the leader."""
    if done > 0:
        add(team, TEAM_DONE, done)


@jit
def await_team(m, team):
    """Until every SM of the window has been run."""
    spins = 0
    while load(team, TEAM_DONE) < m.par[0]["num_sms"]:
        spins += 1
        if spins > SPINS:
            give_way()


@jit
def next_call(team, seen):
    """A helper waits for a call other than ``seen``; returns it."""
    spins = 0
    call = load(team, TEAM_CALL)
    while call == seen:
        spins += 1
        if spins > SPINS:
            give_way()
        call = load(team, TEAM_CALL)
    return call


@jit
def dismiss(team):
    """The leader goes: so do the helpers, now or when they come."""
    store(team, TEAM_CALL, DISMISSED)
