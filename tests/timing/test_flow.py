"""Branches, barriers, fences, the end of warps: gpu-core sheet C.3, B.4; Hopper sheet 10."""

from __future__ import annotations

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, run_probe

WARM = [WARM_ICACHE]


@pytest.mark.parametrize("stall", range(1, 8))
def test_taken_branch_refills_in_3_cycles(stall: int) -> None:
    """gpu-core C.3: the buffer is flushed at issue; a fetch in cycle t issues in t + 3; longer stalls hide it."""
    k = KernelBuilder(86)
    with k.loop(4, stall=stall):
        k.nops(3)
    p = run_probe(k, overrides=WARM)
    for i in range(3):
        assert p.issue(0, occurrence=i + 1) - p.issue(3, occurrence=i) == max(stall, 3)
    assert p.issue(4) - p.issue(3, occurrence=3) == stall  # not taken: the code goes on behind it
    assert p.counters["taken_branches"] == 3
    assert p.stalls["branch_resolve"] == 3 * max(0, 3 - stall)


@pytest.mark.parametrize("warps", [1, 2, 4, 8, 16, 32])
def test_barrier_takes_21_cycles_and_2_a_warp(warps: int) -> None:
    """Hopper sheet 10: __syncthreads on A100, 23 cycles with 1 warp to 85 with 32."""
    k = KernelBuilder(86)
    k.add("BAR.SYNC 0x0", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM, block=(32 * warps, 1, 1))
    arrivals = [p.issue(0, warp=w) for w in range(warps)]
    releases = [p.issue(1, warp=w) for w in range(warps)]
    assert min(releases) > max(arrivals)
    assert min(releases) - min(arrivals) == 21 + 2 * warps
    assert p.counters["barriers"] == warps


def test_named_barriers_are_independent() -> None:
    """PTX bar.sync a, b: only the warps that the count names wait for each other."""
    k = KernelBuilder(86)
    with k.warp(0, 1):
        k.add("BAR.SYNC 0x1, 0x40", stall=5)
    with k.warp(2, 3):
        k.nops(20)
        k.add("BAR.SYNC 0x2, 0x40", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM, block=(128, 1, 1))
    first = [p.issue(22, warp=w) - p.issue(0, warp=0) for w in (0, 1)]
    second = [p.issue(22, warp=w) - p.issue(21, warp=2) for w in (2, 3)]
    assert first == second == [21 + 2 * 2] * 2
    assert p.issue(22, warp=0) < p.issue(22, warp=2)


def test_arrive_does_not_wait() -> None:
    """PTX bar.arrive: the producer goes on; the consumer is released by it."""
    k = KernelBuilder(86)
    with k.warp(0):
        k.add("BAR.SYNC 0x1, 0x40", stall=5)
    with k.warp(1):
        k.nops(50)
        k.add("BAR.ARV 0x1, 0x40", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM, block=(64, 1, 1))
    assert p.issue(52, warp=1) - p.issue(51, warp=1) == 5
    assert p.issue(52, warp=0) - p.issue(51, warp=1) == 21 + 2  # warp 0's own arrival is long past


def test_exited_warps_do_not_hold_a_barrier() -> None:
    """CUDA: a barrier counts the warps that are still there."""
    k = KernelBuilder(86)
    with k.warp(0, 1, 2):
        k.add("BAR.SYNC 0x0", stall=5)
        k.add("NOP")
    p = run_probe(k, overrides=WARM, block=(128, 1, 1))
    exited = p.issue(2, warp=3) + 10
    assert all(p.issue(1, warp=w) > exited for w in range(3))


def test_exit_drains_the_pipeline() -> None:
    """gpu-core B.3: a result retires 10 cycles after issue; a load still under way keeps the warp until it returns."""
    p = run_probe(KernelBuilder(86).add("EXIT", stall=5), overrides=WARM)
    assert p.cycles - p.issue(0) == 10
    p = run_probe(
        KernelBuilder(86).add("LDG.E R8, [R2.64]", write=0, address=(0, 4)).add("EXIT", stall=5), overrides=WARM
    )
    assert p.cycles == p.writeback(0) > p.issue(1) + 10
    assert p.stalls["drain"] == p.cycles - p.issue(1) - 1


@pytest.mark.parametrize(("scope", "cycles"), [("CTA", 53), ("GPU", 186), ("SYS", 2900)])
def test_memory_barrier_cost(scope: str, cycles: int) -> None:
    """gpu-core B.4: the issue block after a membar completes; it completes when the warp's accesses have."""
    k = KernelBuilder(86)
    k.add(f"MEMBAR.SC.{scope}", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM)
    assert p.issue(1) - p.issue(0) == cycles
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", write=0, address=(0, 4))
    k.add(f"MEMBAR.SC.{scope}", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM)
    assert p.issue(2) == p.writeback(0) + cycles
    assert p.stalls["membar"] >= cycles


def test_store_is_acknowledged_before_a_fence_completes() -> None:
    """A store's write travels to L2 and back before MEMBAR lets the warp go on."""
    k = KernelBuilder(86)
    k.add("STG.E [R2.64], R8", address=(0, 4))
    k.add("MEMBAR.SC.GPU", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM)
    trip = p.issue(2) - p.issue(1) - 186
    assert trip > 2 * p.config.noc.latency_cycles


def test_nanosleep_sleeps() -> None:
    """sm.issue.nanosleep_cycles, charged to sleeping."""
    k = KernelBuilder(86)
    k.add("NANOSLEEP 0x10", stall=5)
    k.add("NOP")
    p = run_probe(k, overrides=WARM)
    assert p.issue(1) - p.issue(0) == p.config.sm.issue.nanosleep_cycles
    assert p.stalls["sleeping"] == p.config.sm.issue.nanosleep_cycles - 1


def test_imad_wide_blocks_the_issue_port_for_a_cycle() -> None:
    """gpu-core B.4, L.2 row 3: only the WIDE form, and any warp."""

    def gap(line: str) -> int:
        k = KernelBuilder(86)
        k.add(line)
        k.add("NOP")
        p = run_probe(k, overrides=WARM)
        return p.issue(1) - p.issue(0)

    assert gap("IMAD.WIDE R2, R4, R5, R6") == 2
    assert gap("IMAD R2, R4, R5, R6") == 1


def test_result_is_the_same_every_time() -> None:
    """Two runs of a two-SM kernel with misses, barriers and shared memory: the same counters, stalls and log."""
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", write=0, address=lambda cta, warp, i: (0x10000 * cta + 512 * warp, 4))
    k.add("FADD R9, R8, R8", wait=(0,), stall=5)
    k.add("STS [R4], R9", read=1, address=lambda cta, warp, i: (128 * warp, 4))
    k.add("BAR.SYNC 0x0", stall=5, wait=(1,))
    k.add("LDS R10, [R5]", write=2, address=lambda cta, warp, i: (128 * (3 - warp), 4))
    k.add("STG.E [R6.64], R10", read=1, wait=(2,), address=lambda cta, warp, i: (0x800000 + 512 * cta, 16))
    first, second = (run_probe(k, grid=12, block=128, num_sms=2, shared_bytes=4096) for _ in range(2))
    assert first.counters["ctas"] == 12
    assert first.counters == second.counters
    assert first.stalls == second.stalls
    assert (first.result.log == second.result.log).all()


@pytest.mark.parametrize("passes", [1300, 4000])
def test_streams_longer_than_a_segment(passes: int) -> None:
    """Warps of several trace segments (4096 instructions each): nothing is lost or late between them."""
    k = KernelBuilder(86)
    with k.loop(passes, stall=1):
        k.add("FADD R1, R2, R5")
        k.add("LDS R8, [R2]", write=0, stall=2, address=lambda cta, warp, i: (4 * i % 1024, 4))
        k.add("FADD R9, R8, R8", wait=(0,))
    p = run_probe(k, overrides=WARM, block=64, shared_bytes=4096, log_entries=1 << 18)
    assert p.counters["shared_loads"] == 2 * passes
    assert p.counters["taken_branches"] == 2 * (passes - 1)
    period = p.issue(0, occurrence=1) - p.issue(0)
    assert p.issue(0, occurrence=passes - 1) - p.issue(0) == period * (passes - 1)
