"""What lies beyond the SMs: the parametric backend, or the full one where the chip has its state (``Chip.memory``)."""

from numba import types
from numba.extending import overload

from archsim.kernels.backend import serve_window
from archsim.kernels.full_backend import next_reply_cycle, serve_full
from archsim.kernels.layout import NEVER


def serve(m, chip, end):
    """Carry out what the SMs asked for in the window that ends at ``end``."""
    if chip.memory is None:
        serve_window(m, chip)
    else:
        serve_full(m, chip, end)


@overload(serve)
def _serve(m, chip, end):
    if isinstance(chip.field_type("memory"), types.NoneType):
        return lambda m, chip, end: serve_window(m, chip)
    return lambda m, chip, end: serve_full(m, chip, end)


def next_arrival(chip):
    """Earliest cycle at which the memory has something to do by itself (NEVER: it waits for requests)."""
    if chip.memory is None:
        return NEVER
    return next_reply_cycle(chip)


@overload(next_arrival)
def _next_arrival(chip):
    if isinstance(chip.field_type("memory"), types.NoneType):
        return lambda chip: NEVER
    return lambda chip: next_reply_cycle(chip)
