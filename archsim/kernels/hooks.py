"""Hooks of the GPU model's plug-ins. docs/plugins.md shows a user's own plug-in."""

from archsim.kernels.slots import slot


@slot("scheduler")
def sticks(policy):
    """True if the warp that issued last keeps the issue slot while it is ready (greedy policies)."""


@slot("scheduler")
def choose(policy, sub, ready, greedy, age):
    """Pick a warp slot of sub-core ``sub`` from the bit mask ``ready`` (not 0).

    ``greedy``: slot that issued last; ``age[sub, slot]``: launch order of the slot's warp, larger is younger.
    """


@slot("prefetcher")
def observe(policy, sub, line, where, now):
    """A demand fetch touched instruction ``line``; ``where``: 0 in L0, 1 in the prefetch buffer, 2 nowhere.

    Returns the first line of a new stream to prefetch (the buffer is flushed), or -1 to go on as before.
    """


@slot("prefetcher")
def advance(policy, sub, last, now):
    """The line to prefetch after ``last`` (asked once a cycle while there is room), or -1 to pause the stream."""


@slot("prefetcher")
def perfect(policy):
    """True if every fetch is to hit L0 (the published upper bound)."""


@slot("rfc")
def lookup(cache, sub, warp, slot, bank, register):
    """True if the register-file cache of ``sub`` supplies ``register`` of ``warp`` for operand ``slot``."""


@slot("rfc")
def update(cache, sub, warp, slot, bank, register, reuse):
    """An operand was read: forget what (slot, bank) held; keep the new value if ``reuse`` is set."""
