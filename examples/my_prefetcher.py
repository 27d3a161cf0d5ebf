"""A prefetcher in a file of its own: after a miss, the next two lines. See docs/plugins.md.

archsim run saxpy_sm86 --config rtx_a6000 --plugin examples/my_prefetcher.py --set sm.prefetcher=mine
"""

from typing import Any, NamedTuple

import numpy as np

from archsim.kernels.slots import plugin


@plugin("prefetcher", "mine")
class Mine(NamedTuple):
    """After a miss, the next ``sm.prefetcher.options.ahead`` lines (2 unless told otherwise)."""

    until: np.ndarray  # i8[sub-cores]: the last line that may be asked for
    ahead: np.ndarray  # i8[1]: lines

    @classmethod
    def create(cls, spec: Any, count: int) -> "Mine":
        """Make the state. ``spec``: the machine's ``sm`` section; ``count``: sub-cores of the whole chip."""
        ahead = int(spec.prefetcher.options.get("ahead", 2))
        return cls(np.full(count, -1, np.int64), np.array([ahead], np.int64))

    @staticmethod
    def observe(policy, sub, line, where, now):
        """A fetch touched ``line``; ``where``: 0 in L0, 1 in the prefetch buffer, 2 nowhere. Begin a stream, or -1."""
        if where != 2:
            return -1
        policy.until[sub] = line + policy.ahead[0]
        return line + 1

    @staticmethod
    def advance(policy, sub, last, now):
        """The line to ask for after ``last``, or -1 to stop here."""
        return last + 1 if last < policy.until[sub] else -1

    @staticmethod
    def perfect(policy):
        """No: fetches may miss."""
        return False
