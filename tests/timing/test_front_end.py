"""Instruction fetch beyond L0, and LDC with lanes that differ, on `h100_sxm`: against the card's micro-benchmarks.

Measured values: `validation/hw/h100/micro_2026-11-24.csv`; how the parameters follow: `validation/CALIBRATION.md`.
"""

from __future__ import annotations

import pytest

from archsim.config import load_config
from archsim.engine.run import Runner
from archsim.testing import WARM_ICACHE, KernelBuilder, Probe, run_probe

SMALL_CACHES = (  # the same machine with caches a tenth as large, so that code beyond L1 stays quick to simulate
    "sm.front_end.l0i.bytes=4096",
    "sm.front_end.l1i.bytes=16384",
)
LINE_INSTRUCTIONS = 8


def straight_loop(kilobytes: int, passes: int = 2) -> tuple[KernelBuilder, int, int]:
    """As `micro/icache.cu`: straight-line code between two clock reads, in a loop; the indices of the clock reads."""
    k = KernelBuilder(arch=90)
    with k.loop(passes):
        k.add("BAR.SYNC.DEFER_BLOCKING 0x0", stall=5)
        k.add("CS2R R20, SR_CLOCKLO")
        for i in range(64 * kilobytes):
            k.add(f"FADD R{i % 4}, R{i % 4}, R{11 - i % 2}")
        k.add("CS2R R22, SR_CLOCKLO")
    return k, 1, 2 + 64 * kilobytes


def cycles_per_instruction(kilobytes: int, warps: int, overrides: tuple[str, ...] = ()) -> float:
    """Of the slowest warp, in the second pass over the code."""
    k, first, last = straight_loop(kilobytes)
    p = run_probe(k, "h100_sxm", overrides=overrides, block=32 * warps)
    slowest = max(p.control(last, w, 1) - p.control(first, w, 1) for w in range(warps))
    return slowest / (64 * kilobytes)


@pytest.mark.parametrize("warps", [1, 4])
def test_code_in_l0(warps: int) -> None:
    """icache_straight_loop, 8KB: 1.002 and 1.006 cycles an instruction."""
    assert cycles_per_instruction(8, warps) == pytest.approx(1.002, rel=0.005)


@pytest.mark.parametrize("warps", [1, 4])
def test_code_in_l1(warps: int) -> None:
    """icache_straight_loop, 48KB to 120KB: 2.20 to 2.21 for one and for four warps: 4 lines in 70 cycles."""
    assert cycles_per_instruction(40, warps) == pytest.approx(2.207, rel=0.02)
    assert cycles_per_instruction(12, warps, SMALL_CACHES) == pytest.approx(70 / 4 / LINE_INSTRUCTIONS, rel=0.03)


def test_code_beyond_l1() -> None:
    """icache_straight_loop, 160KB to 512KB: 5.54; the model takes 6.1 (CALIBRATION.md), one line a miss would take 9.9.

    A block of 8 lines comes in one trip to L2, asked for 4 lines ahead: trip + 4 lines' time at the rate of L1."""
    found = cycles_per_instruction(24, 1, SMALL_CACHES)
    config = load_config("h100_sxm")
    trip = config.memory.parametric.l2_latency_cycles - config.sm.memory_unit.latency.load_global_regular_raw[0]
    assert found == pytest.approx((trip + 70 + 70) / 64, rel=0.02)
    assert found == pytest.approx(5.54, rel=0.11)
    assert cycles_per_instruction(24, 1, (*SMALL_CACHES, "sm.front_end.l1i_fill_lines=1")) > 1.5 * found


def cold(kilobytes: int, *overrides: str) -> Probe:
    """Straight-line code run once from cold caches, a warp in each sub-core."""
    k = KernelBuilder(arch=90)
    for i in range(64 * kilobytes):
        k.add(f"FADD R{i % 4}, R{i % 4}, R{11 - i % 2}")
    return run_probe(k, "h100_sxm", overrides=overrides, block=128)


def test_a_miss_brings_the_block() -> None:
    """16 KB of cold code: 128 lines come once each; blocks larger than the 4 lines asked for ahead are faster."""
    cycles = []
    for lines in (1, 4, 8, 16):
        p = cold(16, f"sm.front_end.l1i_fill_lines={lines}", "sm.front_end.launch_prefetch_bytes=0")
        assert 4 * 129 <= p.counters["l2_inst_sectors"] <= 4 * (129 + 2 * lines)
        cycles.append(p.cycles)
    assert cycles[0] == cycles[1] > 1.5 * cycles[2]
    assert cycles[2] > 1.5 * cycles[3]


def test_launch_brings_code() -> None:
    """Code that the launch asks for comes as fast as L1 may ask for lines; what lies behind it is fetched as always."""
    without = cold(16, "sm.front_end.launch_prefetch_bytes=0")
    half = cold(16, "sm.front_end.launch_prefetch_bytes=8192")
    whole = cold(16)
    assert whole.config.sm.front_end.launch_prefetch_bytes > 16 * 1024
    front = whole.config.sm.front_end
    at_once = front.l1i.mshrs - front.l1i_fill_lines
    trips = 129 / at_once
    memory = whole.config.memory.parametric.dram_latency_cycles
    # The launch itself reads that code into L2 before the first CTA starts (CALIBRATION.md): no trip to DRAM.
    assert 2 * 1024 < whole.cycles < (trips + 1) * memory < without.cycles / 2
    assert whole.cycles < half.cycles < without.cycles
    assert whole.counters["l2_inst_sectors"] <= 4 * 130


def test_code_still_on_its_way_when_a_kernel_ends() -> None:
    """The next launch asks again for lines that the last one asked for and did not wait for."""
    k = KernelBuilder(arch=90)
    k.add("EXIT", stall=5)
    for _ in range(64 * 16):
        k.add("NOP")
    kernel = k.build().kernels[0]
    runner = Runner(load_config("h100_sxm", overrides=["num_sms=1"]))
    cold_run, warm_run = runner.run_kernel(kernel), runner.run_kernel(kernel)
    assert warm_run.cycles <= cold_run.cycles
    long, *_ = straight_loop(16, passes=1)
    fresh = Runner(load_config("h100_sxm", overrides=["num_sms=1"])).run_kernel(long.build().kernels[0])
    after = runner.run_kernel(long.build().kernels[0])
    assert after.warp_instructions == fresh.warp_instructions


def ldc(addresses: tuple[int, int] | list[int], *, warm: bool) -> int:
    """Cycles from the issue of an LDC to its result, its lines in VL (``warm``) or one level up."""
    k = KernelBuilder(arch=90)
    for offset in range(0, 2048 if warm else 8192, 64):  # VL holds 2 KB: the first lines are then in L1 only
        k.add("LDC R8, c[0x3][R2]", write=0, stall=2, address=(offset, 0))
        k.add("NOP", wait=(0,))
    at = 2 * (32 if warm else 128)
    k.add("LDC R8, c[0x3][R2]", write=0, stall=2, address=addresses)
    k.add("NOP", wait=(0,))
    p = run_probe(k, "h100_sxm", overrides=[WARM_ICACHE])
    return p.writeback(at) - p.issue(at)


def test_ldc_of_one_word() -> None:
    """chase_LDC_stride64: 28.05 cycles in 2 KB, 98.05 beyond."""
    assert ldc((64, 0), warm=True) == 28
    assert ldc((64, 0), warm=False) == 28 + 70


@pytest.mark.parametrize("words", [2, 5, 32])
def test_ldc_of_several_words(words: int) -> None:
    """Words are served one after the other (const_lookup: idc__requests = distinct words, to the unit)."""
    in_vl = [4 * (lane % words) for lane in range(32)]
    assert ldc(in_vl, warm=True) == 28 * words
    beyond = [64 * (lane % words) for lane in range(32)]
    assert ldc(beyond, warm=False) == (28 + 70) * words
    lines = 1 if words <= 16 else 2
    assert ldc(in_vl, warm=False) == 28 * words + 70 * lines


def test_ldc_words_are_counted() -> None:
    """Every word is a look-up; words of a line that comes for another word of the same load hit."""
    k = KernelBuilder(arch=90)
    k.add("LDC R8, c[0x3][R2]", write=0, stall=2, address=[16 * (lane % 8) for lane in range(32)])
    k.add("NOP", wait=(0,))
    p = run_probe(k, "h100_sxm", overrides=[WARM_ICACHE])
    assert (p.counters["vl_misses"], p.counters["vl_hits"]) == (2, 6)
    assert p.counters["constants"] == 1
