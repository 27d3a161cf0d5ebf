"""Hooks of the DRAM engine's plug-ins. archsim/plugins/dram.py has the built-in ones."""

from archsim.kernels.slots import slot


@slot("dram_scheduler")
def write_mode(policy, channel, writing, reads, writes, capacity):
    """1 to serve writes, 0 to serve reads. Asked after every change of the queues.

    ``writing``: the present mode; ``reads``, ``writes``: queued requests; ``capacity``: places for writes.
    """


@slot("dram_scheduler")
def rank(policy, channel, bank, is_column, sequence):
    """Order among commands that can go out in the same tick: the smallest goes first (0 <= rank < 2**58).

    ``sequence``: order of arrival of the request that the command serves.
    """


@slot("dram_scheduler")
def may_close(policy, channel, bank, hit, miss, streak):
    """True if the row may be closed for request ``miss`` while requests to the open row wait.

    ``hit``: arrival order of the oldest of them; ``miss``: the same of the oldest request to another row;
    ``streak``: column commands since the row was opened. Not asked when no request to the open row waits.
    """


@slot("dram_page")
def closes_after(page, channel, bank, more):
    """True if a column command is to close its row at once (auto-precharge). ``more``: requests to it still waiting."""


@slot("dram_page")
def idle_ticks(page, channel, bank):
    """Ticks after the last use of an open row without requests at which it is closed; NEVER to leave it open."""


@slot("dram_page")
def has_timeout(page):
    """True if `idle_ticks` can return anything but NEVER (the engine then looks for idle rows)."""
