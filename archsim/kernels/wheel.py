"""Event queue of one SM: a calendar wheel of WHEEL_SLOTS cycles with a list for later events.

Events of one cycle are handled in the order in which they were scheduled. A bitmap tells which slots hold events, so
that the next event is found without visiting empty cycles.
"""

from archsim.kernels.bits import ctz
from archsim.kernels.layout import ERR_EVENTS, NEVER, WHEEL_SLOTS, WHEEL_WORDS, jit


@jit
def schedule(m, s, time, kind, arg, value):
    """Add an event at ``time``, at the earliest in the next cycle."""
    sm = m.sm[s]
    i = sm["event_free"]
    if i < 0:
        sm["error"] = ERR_EVENTS
        return
    e = m.events[s, i]
    sm["event_free"] = e["next"]
    now = sm["now"]
    if time <= now:
        time = now + 1
    e["time"] = time
    e["kind"] = kind
    e["arg"] = arg
    e["value"] = value
    if time - now < WHEEL_SLOTS:
        _append(m, s, i, time)
    else:
        e["next"] = sm["far_head"]
        sm["far_head"] = i


@jit
def _append(m, s, i, time):
    slot = time & (WHEEL_SLOTS - 1)
    ends = m.wheel[s, slot]
    m.events[s, i]["next"] = -1
    if ends[0] < 0:
        ends[0] = i
        m.wheel_bits[s, slot >> 5] |= 1 << (slot & 31)
    else:
        m.events[s, ends[1]]["next"] = i
    ends[1] = i


@jit
def pop(m, s, now):
    """Take the oldest event of cycle ``now``; returns its index or -1. The caller gives it back with `release`."""
    slot = now & (WHEEL_SLOTS - 1)
    ends = m.wheel[s, slot]
    i = ends[0]
    if i < 0:
        return i
    following = m.events[s, i]["next"]
    ends[0] = following
    if following < 0:
        m.wheel_bits[s, slot >> 5] &= ~(1 << (slot & 31))
    return i


@jit
def release(m, s, i):
    sm = m.sm[s]
    m.events[s, i]["next"] = sm["event_free"]
    sm["event_free"] = i


@jit
def migrate(m, s, now):
    """Move far events that came within the wheel's reach; needed once in at most WHEEL_SLOTS / 2 cycles."""
    sm = m.sm[s]
    sm["far_check"] = now + WHEEL_SLOTS // 2
    i = sm["far_head"]
    # The list is newest first; reverse it so that equal times keep their scheduling order.
    back = -1
    while i >= 0:
        following = m.events[s, i]["next"]
        m.events[s, i]["next"] = back
        back = i
        i = following
    sm["far_head"] = -1
    i = back
    while i >= 0:
        e = m.events[s, i]
        following = e["next"]
        if e["time"] - now < WHEEL_SLOTS:
            _append(m, s, i, e["time"])
        else:
            e["next"] = sm["far_head"]
            sm["far_head"] = i
        i = following


@jit
def next_event(m, s, now):
    """Time of the earliest event after ``now`` (NEVER if there is none)."""
    first = (now + 1) & (WHEEL_SLOTS - 1)
    word = first >> 5
    bits = m.wheel_bits[s, word] & (-1 << (first & 31))
    for _ in range(WHEEL_WORDS + 1):
        if bits != 0:
            slot = (word << 5) + ctz(bits)
            return now + 1 + ((slot - first) & (WHEEL_SLOTS - 1))
        word = (word + 1) & (WHEEL_WORDS - 1)
        bits = m.wheel_bits[s, word]
    earliest = NEVER
    i = m.sm[s]["far_head"]
    while i >= 0:
        e = m.events[s, i]
        if e["time"] < earliest:
            earliest = e["time"]
        i = e["next"]
    return earliest
