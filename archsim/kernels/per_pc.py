"""Issue slots by instruction; compiled out when ``Machine.per_pc`` is None.

A slot that issued belongs to the instruction issued. An empty one belongs to the next instruction of the warp whose
reason it is charged with (`sm_issue.issue`): the first such warp slot of the sub-core. Slots without a warp are in the
last row. Every addition to ``Machine.stalls`` has its twin here, so the sum over the rows is ``stalls``.
"""

from numba import types
from numba.extending import overload

from archsim.kernels.layout import ISSUED, STALL_NO_WARP, W_EMPTY


def blame(m, s, k, why):
    """After issue: note in ``SUBCORE.idle_pc`` which instruction this slot and idle ones after it belong to."""
    if m.per_pc is not None:
        _blame(m, s, k, why)


def charge(m, s, sub, why, slots):
    """Charge slots of a sub-core to the instruction noted last."""
    if m.per_pc is not None:
        _charge(m, s, sub, why, slots)


def _blame(m, s, k, why):
    p = m.par[0]
    nsub = p["num_subcores"]
    sc = m.sc[s * nsub + k]
    if why == ISSUED:
        sc["idle_pc"] = sc["ctl_pc"]
        return
    ready = -1
    for slot in range(m.age.shape[1]):
        w = m.wp[s * p["num_warps"] + slot * nsub + k]
        if w["state"] == W_EMPTY:
            continue
        if w["why"] == why:
            sc["idle_pc"] = w["pc"]
            return
        if w["why"] == ISSUED and ready < 0:
            ready = w["pc"] + 0
    if ready >= 0:  # the latch to Control is taken: the warp that could have issued pays
        sc["idle_pc"] = ready


def _charge(m, s, sub, why, slots):
    row = m.per_pc.shape[1] - 1 if why == STALL_NO_WARP else m.sc[sub]["idle_pc"] + 0
    m.per_pc[s, row, why] += slots


@overload(blame)
def _blame_if_kept(m, s, k, why):
    if isinstance(m.field_type("per_pc"), types.NoneType):
        return lambda m, s, k, why: None
    return _blame


@overload(charge)
def _charge_if_kept(m, s, sub, why, slots):
    if isinstance(m.field_type("per_pc"), types.NoneType):
        return lambda m, s, sub, why, slots: None
    return _charge
