"""Counters do not depend on how a run is executed: one thread or several, compiled or interpreted; and the watchdog."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import archsim
from archsim.cli import main
from archsim.engine import run as engine
from archsim.errors import DeadlockError, RunError
from archsim.kernels import atomic
from archsim.kernels.team import TEAM_CLAIMS, TEAM_DONE
from archsim.testing import KernelBuilder

BACKENDS = ("parametric", "full")
TINY = ("num_sms=2", "l2.bytes=786432", "memory.backend=full")  # two SMs that miss in L1 and L2


def everything(result):
    """All that a run counts, SM by SM."""
    return [
        (k.cycles, k.stalls, k.counters, k.unit_instructions, k.per_sm.tobytes(), k.stalls_per_subcore.tobytes())
        for k in result.kernels
    ]


def tiny_kernel():
    """Loads, stores and atomics of 4 blocks that meet in L2 and DRAM, a barrier, shared memory, special functions."""
    k = KernelBuilder(arch=86, name="tiny")
    k.add("LDG.E R2, [R4.64]", write=1, address=lambda c, w, i: (0x1000_0000 + (c * 2 + w) * 4096, 36))
    k.add("STS [R8], R2", read=0, wait=(1,), address=(0, 8))
    with k.loop(2):
        k.add("FFMA R5, R2, R3, R5", stall=4, wait=(1,))
        k.add("MUFU.EX2 R7, R5", write=3)
        k.add("LDG.E R2, [R4.64]", write=1, address=lambda c, w, i: (0x1000_0000 + i * 8192, 128))
    k.add("BAR.SYNC 0x0", stall=5, wait=(0, 3))
    k.add("RED.E.ADD.STRONG.GPU [R2.64], R4", address=lambda c, w, i: (0x1400_0000, 4))
    k.add("STG.E [R4.64], R5", wait=(1,), read=0, address=lambda c, w, i: (0x2000_0000 + c * 128, 4))
    k.add("MEMBAR.SC.GPU", stall=5)
    return k.build(grid=4, block=64, shared_bytes=1024)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "machine"),
    [("hist_shared_sm86", "rtx_a6000"), ("bfs_level_sm90", "h100_sxm"), ("softmax_sm90", "h100_sxm")],
)
def test_any_number_of_threads_counts_the_same(name, machine, backend):
    config = archsim.load_config(machine, overrides=[f"memory.backend={backend}"])
    with archsim.load_trace(name) as trace:
        one, two, three = (everything(archsim.run(trace, config, threads=n)) for n in (1, 2, 3))
    assert one == two == three


def test_threads_and_a_timeline():
    config = archsim.load_config("rtx_a6000")
    with archsim.load_trace("hist_shared_sm86") as trace:
        one, two = (archsim.run(trace, config, threads=n, timeline_samples=16).kernels[0] for n in (1, 2))
    assert np.array_equal(one.timeline.counters, two.timeline.counters)


@pytest.mark.parametrize("threads", [0, -1, 257])
def test_no_sensible_number_of_threads(threads, capsys):
    with pytest.raises(RunError, match=f"--threads {threads}: must be 1 to 256"), archsim.load_trace("saxpy_sm86") as t:
        archsim.run(t, archsim.load_config("rtx_a6000"), threads=threads)
    assert main(["run", "saxpy_sm86", "--threads", str(threads), "--no-output"]) == 2
    assert f"--threads {threads}" in capsys.readouterr().err


def test_atomic_words_count_from_many_threads():
    """The words that the team shares, hammered by more threads than cores: nothing is lost or handed out twice."""
    from concurrent.futures import ThreadPoolExecutor

    import numba

    @numba.njit(nogil=True)
    def hammer(team, n, taken):
        for _ in range(n):
            taken[atomic.add(team, TEAM_CLAIMS, 1)] += 1
            atomic.add(team, TEAM_DONE, 1)
        return atomic.load(team, TEAM_DONE)

    n, threads = 200_000, 4
    team = np.zeros((TEAM_CLAIMS + 1, atomic.TEAM_WORDS), np.int64)
    taken = np.zeros(n * threads, np.int64)
    hammer(team, 0, taken)
    with ThreadPoolExecutor(threads) as pool:
        seen = list(pool.map(lambda _: hammer(team, n, taken), range(threads)))
    assert max(seen) == team[TEAM_DONE, 0] == n * threads
    assert (taken == 1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_interpreted_counts_as_compiled(backend):
    """NUMBA_DISABLE_JIT=1 in a process of its own, this file as its program."""
    command = [sys.executable, __file__, backend]
    printed = subprocess.run(
        command, env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, check=True, capture_output=True, text=True
    ).stdout
    compiled = everything(archsim.run(tiny_kernel(), tiny_machine(backend)))
    assert printed.strip() == repr(compiled)
    counters = compiled[0][2]
    assert counters["l2_read_hits"] < counters["l2_read_sectors"] and counters["l2_atomic_sectors"] > 0


def tiny_machine(backend):
    return archsim.load_config("rtx_a6000", overrides=[*TINY, f"memory.backend={backend}"])


def stuck_kernel():
    """Two warps at a barrier that three are to reach; one of them has a load on its way meanwhile."""
    k = KernelBuilder(arch=86, name="stuck")
    with k.warp(1):
        k.add("LDG.E R2, [R4.64]", write=1, address=(0x1000_0000, 4))
    k.add("BAR.SYNC 0x3, 0x60", stall=5)
    k.add("FADD R2, R2, R2", stall=4, wait=(1,))
    return k


@pytest.mark.parametrize("backend", BACKENDS)
def test_watchdog_says_which_warp_waits_on_what(backend, tmp_path, capsys):
    stuck_kernel().build(grid=2, block=64).save(tmp_path / "stuck.h5")
    command = ["run", str(tmp_path / "stuck.h5"), "--config", "rtx_a6000", "--no-output", "--set", "num_sms=2"]
    assert main([*command, "--set", f"memory.backend={backend}", "--threads", "2"]) == 4
    message = capsys.readouterr().err
    assert "stuck: deadlock at cycle" in message and "4 warps cannot go on" in message
    for sm in (0, 1):
        for warp in (0, 1):
            place = f"SM {sm} warp {warp} (CTA {sm}, its warp {warp})"
            assert f"{place}, before FADD R2, R2, R2, waits at barrier 3: 2 of 3 warps have arrived" in message


def test_watchdog_counts_cycles_without_an_issue(monkeypatch):
    """Cycles in which something happens but nothing issues: here a load that arrives while its warp sleeps."""
    monkeypatch.setattr(engine, "QUIET_CYCLES", 200)
    monkeypatch.setattr(engine, "FIRST_WINDOWS", 1)
    monkeypatch.setattr(engine, "CALL_SECONDS", 0.0)  # it looks after each call, here of one window
    k = KernelBuilder(arch=86, name="asleep")
    k.add("LDG.E R2, [R4.64]", write=1, address=(0x1000_0000, 4))
    k.add("NANOSLEEP 0x64", stall=5)
    k.add("NOP")
    config = archsim.load_config("rtx_a6000", overrides=["num_sms=1", "sm.issue.nanosleep_cycles=20000"])
    with pytest.raises(DeadlockError, match=r"asleep: deadlock at cycle \d+: 1 warps .* waits for sleeping"):
        archsim.run(k.build(), config)


if __name__ == "__main__":
    print(repr(everything(archsim.run(tiny_kernel(), tiny_machine(sys.argv[1]), threads=2))))
