"""DEVIATIONS SM-11: why one kernel is faster with a scoreboard that counts a single reader of a register."""

from __future__ import annotations

import archsim
from archsim.engine.run import KernelResult
from archsim.resources import find_trace

SCOREBOARD = ("sm.issue.dependence=scoreboard",)


def gemm_tiled(*overrides: str) -> KernelResult:
    """The shipped trace on the machine of its architecture."""
    config = archsim.load_config("rtx_a6000", overrides=list(overrides))
    with archsim.load_trace(find_trace("gemm_tiled_sm86")) as trace:
        return archsim.run(trace, config, kernels=[0]).kernels[0]


def share(result: KernelResult, reason: str) -> float:
    """Part of the issue slots that were lost for a reason."""
    return result.stalls[reason] / sum(result.stalls.values())


def test_one_reader_keeps_the_memory_queue_from_stopping_the_sub_core() -> None:
    """The gain is in slots lost to the full queue."""
    one = "sm.issue.scoreboard.war_consumers=1"
    free, single = gemm_tiled(*SCOREBOARD), gemm_tiled(*SCOREBOARD, one)
    assert single.cycles < free.cycles
    assert share(free, "mio_throttle") - share(single, "mio_throttle") > 0.05
    assert share(single, "short_scoreboard") > share(free, "short_scoreboard")
    deep = "sm.memory_unit.queue_entries=64"
    free, bits = gemm_tiled(deep, *SCOREBOARD), gemm_tiled(deep)
    assert bits.cycles < free.cycles
    assert share(free, "mio_throttle") < 0.001
