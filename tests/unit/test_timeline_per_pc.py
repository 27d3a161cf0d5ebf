"""Counters over time and by instruction: they add up to the totals, and keeping them changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import archsim
from archsim.engine.result_folder import load_run, save_run
from archsim.kernels import layout as lay
from archsim.testing import KernelBuilder

SMALL = ("num_sms=2",)
LOOPS = 6


def kernel(grid=8):
    """Blocks of 4 warps: loads, arithmetic that waits for them, special functions, a barrier, a store."""
    k = KernelBuilder(arch=86, name="mixed")
    k.add("LDG.E R2, [R4.64]", stall=1, write=1, address=lambda c, w, i: (0x1000_0000 + (c * 4 + w) * 128, 4))
    with k.loop(LOOPS):
        k.add("FFMA R5, R2, R3, R5", stall=4, wait=(1,))
        k.add("MUFU.EX2 R7, R5", stall=1, write=3)
        k.add("IADD3 R9, R7, R9, R9", stall=4, wait=(3,))
    k.add("BAR.SYNC 0x0", stall=5)
    k.add("STG.E [R4.64], R5", stall=1, read=0, wait=(1,), address=lambda c, w, i: (0x2000_0000 + (c * 4 + w) * 128, 4))
    return k.build(grid=grid, block=128)


def check_timeline(result, samples):
    timeline = result.timeline
    assert 1 <= len(timeline.cycles) <= samples
    assert (timeline.edges[0], timeline.edges[-1]) == (0, result.cycles)
    assert (timeline.cycles > 0).all()
    assert dict(zip(lay.REASON_NAMES, timeline.stalls.sum(axis=0).tolist(), strict=True)) == result.stalls
    assert dict(zip(lay.COUNTERS, timeline.counters.sum(axis=0).tolist(), strict=True)) == result.counters
    sub_cores = result.issue_slots // result.cycles
    assert (timeline.stalls.sum(axis=1) == timeline.cycles * sub_cores).all()  # each slot in its own interval
    assert (timeline.stalls >= 0).all()
    resident = timeline.counter("warp_cycles") / timeline.cycles
    assert (resident >= 0).all()
    assert (timeline.counter("active_cycles") <= timeline.cycles * len(result.per_sm)).all()


@pytest.mark.parametrize("samples", [2, 7, 64])
def test_intervals_add_up_and_sampling_changes_nothing(samples):
    config = archsim.load_config("rtx_a6000", overrides=SMALL)
    plain = archsim.run(kernel(), config).kernels[0]
    sampled = archsim.run(kernel(), config, timeline_samples=samples).kernels[0]
    assert (sampled.cycles, sampled.stalls, sampled.counters) == (plain.cycles, plain.stalls, plain.counters)
    assert plain.timeline is None
    check_timeline(sampled, samples + samples % 2 + 1)


def test_a_cut_run_has_a_timeline_that_adds_up():
    config = archsim.load_config("rtx_a6000", overrides=SMALL)
    result = archsim.run(kernel(), config, timeline_samples=16, max_cycles=700).kernels[0]
    assert result.cycles == 700
    check_timeline(result, 17)


def check_per_pc(result, warps):
    slots = result.per_pc
    assert slots.shape == (len(result.listing) + 1, lay.NUM_REASONS)
    assert (slots >= 0).all()
    assert dict(zip(lay.REASON_NAMES, slots.sum(axis=0).tolist(), strict=True)) == result.stalls
    assert (slots[:-1, lay.STALL_NO_WARP] == 0).all()
    assert (slots[-1, : lay.STALL_NO_WARP] == 0).all()
    times = {"FFMA": LOOPS, "MUFU": LOOPS, "IADD3": LOOPS, "LDG": 1, "BAR": 1, "STG": 1, "EXIT": 1}
    of_text = {line.text.split(" ")[0].split(".")[0].rstrip(";"): number for number, line in enumerate(result.listing)}
    assert {name: int(slots[of_text[name], lay.ISSUED]) for name in times} == {n: warps * k for n, k in times.items()}
    waits = slots[:-1, lay.STALL_LONG_SCOREBOARD]
    assert waits.sum() > 0
    assert waits.argmax() == of_text["FFMA"]  # the first user of the loaded value
    assert slots[of_text["STG"], lay.STALL_BARRIER] == slots[:, lay.STALL_BARRIER].sum()


def test_slots_by_instruction_add_up_interpreted(tmp_path):
    """In the interpreter: the compiled form is checked by the slow test, on a shipped trace too."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, __file__, str(tmp_path / "r")], env=environment, check=True)
    result = load_run(tmp_path / "r").kernels[0]
    check_per_pc(result, warps=2 * 4)
    check_timeline(result, 33)
    assert result.listing[0].control.startswith("B------:R-:W1:")


@pytest.mark.slow
def test_slots_by_instruction_add_up_compiled(tmp_path):
    config = archsim.load_config("rtx_a6000", overrides=SMALL)
    plain = archsim.run(kernel(), config).kernels[0]
    result = archsim.run(kernel(), config, per_pc=True)
    check_per_pc(result.kernels[0], warps=8 * 4)
    assert result.kernels[0].stalls == plain.stalls
    assert (load_run(save_run(result, tmp_path / "r")).kernels[0].per_pc == result.kernels[0].per_pc).all()
    with archsim.load_trace("saxpy_sm86") as trace:
        (shipped,) = archsim.run(trace, config, per_pc=True).kernels
        assert dict(zip(lay.REASON_NAMES, shipped.per_pc.sum(axis=0).tolist(), strict=True)) == shipped.stalls
        assert shipped.per_pc[:, lay.ISSUED].sum() == trace.kernels[0].warp_instructions


def test_folder_keeps_the_timeline(tmp_path):
    config = archsim.load_config("rtx_a6000", overrides=SMALL)
    result = archsim.run(kernel(), config, timeline_samples=8)
    before, after = result.kernels[0].timeline, load_run(save_run(result, tmp_path / "r")).kernels[0].timeline
    assert all(np.array_equal(getattr(before, n), getattr(after, n)) for n in ("edges", "stalls", "counters"))


if __name__ == "__main__":  # see above: interpreted, in a process of its own
    machine = archsim.load_config("rtx_a6000", overrides=["num_sms=1"])
    save_run(archsim.run(kernel(grid=2), machine, per_pc=True, timeline_samples=32), sys.argv[1])
