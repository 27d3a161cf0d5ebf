"""Small set-associative LRU caches: L0 instruction, L1 instruction/constant, FL and VL constant caches.

Each lives in one row of ``Machine.caches``: ``ways`` pairs (tag, stamp) per set, starting at ``base``. Tags are line
numbers + 1; 0 is an empty way.
"""

from archsim.kernels.layout import jit


@jit
def lookup(row, base, sets, ways, line, stamp):
    """True if ``line`` is present; refreshes its LRU stamp."""
    at = base + (line % sets) * ways * 2
    tag = line + 1
    for way in range(ways):
        if row[at + 2 * way] == tag:
            row[at + 2 * way + 1] = stamp
            return True
    return False


@jit
def contains(row, base, sets, ways, line):
    """True if ``line`` is present; leaves its LRU stamp alone."""
    at = base + (line % sets) * ways * 2
    for way in range(ways):
        if row[at + 2 * way] == line + 1:
            return True
    return False


@jit
def insert(row, base, sets, ways, line, stamp):
    """Put ``line`` in place of the least recently used way of its set (no change if it is there)."""
    at = base + (line % sets) * ways * 2
    tag = line + 1
    victim = at
    oldest = row[at + 1]
    for way in range(ways):
        p = at + 2 * way
        if row[p] == tag:
            row[p + 1] = stamp
            return
        if row[p] == 0:
            victim = p
            oldest = -1
        elif row[p + 1] < oldest:
            victim = p
            oldest = row[p + 1]
    row[victim] = tag
    row[victim + 1] = stamp


@jit
def size(sets, ways):
    """Words that one cache takes in the row."""
    return sets * ways * 2


# Where each cache starts in an SM's row: L0 I and FL of every sub-core, then VL, then L1 I.
@jit
def l0_base(p, k):
    return k * size(p["l0_sets"], p["l0_ways"])


@jit
def fl_base(p, k):
    return l0_base(p, p["num_subcores"]) + k * size(p["fl_sets"], p["fl_ways"])


@jit
def vl_base(p):
    return fl_base(p, p["num_subcores"])


@jit
def l1i_base(p):
    return vl_base(p) + size(p["vl_sets"], p["vl_ways"])


# What note_outstanding and forget_outstanding say about a line on its way from the chip.
NOT_NOTED, NOTED, ON_ITS_WAY = range(3)


@jit
def outstanding_base(p):
    """Where the list of L1 instruction lines on their way starts: words 2 * (line + 1) + (a sub-core waits), or 0."""
    return l1i_base(p) + size(p["l1i_sets"], p["l1i_ways"])


@jit
def note_outstanding(row, base, entries, line, wanted):
    """Note that a line is asked for: ON_ITS_WAY if it already was, NOTED if it is new, NOT_NOTED if the list is full.

    A line that is asked for without a note may be asked for twice. ``wanted``: a sub-core waits for it."""
    free = -1
    for i in range(base, base + entries):
        if row[i] >> 1 == line + 1:
            if wanted:
                row[i] |= 1
            return ON_ITS_WAY
        if row[i] == 0 and free < 0:
            free = i
    if free < 0:
        return NOT_NOTED
    row[free] = 2 * (line + 1) + (1 if wanted else 0)
    return NOTED


@jit
def forget_outstanding(row, base, entries, line):
    """The line has come: ON_ITS_WAY if a sub-core waits for it, NOTED if none does, NOT_NOTED if it isn't listed."""
    for i in range(base, base + entries):
        if row[i] >> 1 == line + 1:
            wanted = row[i] & 1
            row[i] = 0
            return ON_ITS_WAY if wanted != 0 else NOTED
    return NOT_NOTED
