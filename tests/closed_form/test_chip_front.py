"""Coalescer, first access and refresh phases of the full backend (h100_sxm; CALIBRATION.md names the measurements)."""

from __future__ import annotations

import numpy as np
import pytest

import archsim
from archsim.model.memory import fresh_dram
from archsim.testing import KernelBuilder

BASE = 0x1000_0000


def read_sectors(line_of: dict[int, int], overrides: tuple[str, ...] = ()) -> int:
    """L2 read sectors of 132 CTAs that read a line each: their own, or that of another CTA."""
    k = KernelBuilder(90)
    k.add("LDG.E R8, [R2.64]", write=0, stall=2, address=lambda cta, warp, i: (BASE + line_of.get(cta, cta) * 128, 4))
    k.add("NOP", wait=(0,))
    config = archsim.load_config("h100_sxm", overrides=["memory.backend=full", *overrides])
    return archsim.run(k.build(grid=132, block=32), config).kernels[0].counters["l2_read_sectors"]


def test_reads_of_one_gpc_are_answered_together() -> None:
    """shared_reads SM0_and_1, SM0_and_16: half of the sectors reach L2."""
    assert read_sectors({1: 0}) == 131 * 4


def test_reads_of_two_gpcs_are_not() -> None:
    """shared_reads SM0_and_2: all reach L2."""
    assert read_sectors({131: 0}) == 132 * 4


def test_at_most_four_reads_are_answered_together() -> None:
    """shared_reads first_132_skew0: 0.734 merged of 16.5 SMs a GPC."""
    together = dict.fromkeys(range(1, 16), 0)
    assert read_sectors(together) == (132 - 16 + 16 // 4) * 4


def test_reads_apart_in_time_are_not() -> None:
    """shared_reads SM0_and_1_skew128: all reach L2."""
    assert read_sectors({1: 0}, ("noc.coalescer_window_cycles=0",)) == 132 * 4


def test_first_access_of_an_sm_comes_late() -> None:
    """first_burst_kept 1warps_1lines: 217 cycles above an L2 hit, once."""
    cycles = {}
    for late in (0, 217):
        for loads in (1, 3):
            k = KernelBuilder(90)
            for i in range(loads):
                k.add(
                    "LDG.E R2, [R2.64]",
                    write=0,
                    stall=2,
                    mask=1,
                    address=lambda cta, warp, n, i=i: (BASE + i * 1024, 0),
                )
                k.add("NOP", wait=(0,))
            config = archsim.load_config(
                "h100_sxm", overrides=["memory.backend=full", f"noc.first_access_cycles={late}"]
            )
            cycles[late, loads] = archsim.run(k.build(grid=1, block=32), config).kernels[0].active_cycles_max
    assert cycles[217, 1] - cycles[0, 1] == 217
    assert cycles[217, 3] - cycles[0, 3] == pytest.approx(217, abs=40)  # later accesses find DRAM at another moment


def test_channels_refresh_in_turn() -> None:
    state = fresh_dram(archsim.load_config("h100_sxm"))
    due = np.sort(state.scope["due"].ravel())
    interval = int(state.par["refresh_interval"][0])
    assert due[0] >= 1 and due[-1] <= interval + 1
    assert np.diff(due).max() < 3 * interval / due.size  # spread over the whole interval
    assert (state.channel["next_refresh"] == state.scope["due"].min(axis=1)).all()


def test_scattered_reductions_wait_for_the_units_of_their_slices() -> None:
    """RED_few_u32 1024 words: they once filled the chip's request pool and stopped the run."""
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1024, (132 * 8 * 16, 32))
    k = KernelBuilder(90)
    with k.loop(16):
        k.add(
            "RED.E.ADD.STRONG.GPU [R2.64], R3",
            read=0,
            stall=2,
            address=lambda cta, warp, i: [BASE + 4 * int(x) for x in words[(cta * 8 + warp) * 16 + i % 16]],
        )
        k.add("NOP", wait=(0,))
    k.add("MEMBAR.SC.GPU", stall=2, write=1)
    k.add("NOP", wait=(1,))
    config = archsim.load_config("h100_sxm", overrides=["memory.backend=full"])
    kernel = archsim.run(k.build(grid=132, block=256), config).kernels[0]
    rate = 132 * 256 * 16 / kernel.active_cycles_max
    assert (
        4.5 < rate < 8.5
    )  # card: 6.24 lane operations a cycle; the model 13 % faster (H100-2), with the kernel's ends less
