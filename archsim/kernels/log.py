"""Event log for pipeline views and tests; compiled out when ``Machine.log`` is None."""

from numba import types
from numba.extending import overload


def record(m, what, cycle, sm, warp, pc, value):
    """Append an entry if a log is kept; a full log drops the rest.

    Entry 0 is the head: ``value`` counts the entries, and what happened before its ``cycle`` is not logged.
    """
    if m.log is not None:
        _append(m, what, cycle, sm, warp, pc, value)


def _append(m, what, cycle, sm, warp, pc, value):
    log = m.log
    if cycle < log[0]["cycle"]:
        return
    n = log[0]["value"] + 1
    if n < log.size:
        log[0]["value"] = n
        e = log[n]
        e["cycle"] = cycle
        e["what"] = what
        e["sm"] = sm
        e["warp"] = warp
        e["pc"] = pc
        e["value"] = value


@overload(record)
def _record(m, what, cycle, sm, warp, pc, value):
    if isinstance(m.field_type("log"), types.NoneType):
        return lambda m, what, cycle, sm, warp, pc, value: None
    return _append
