"""Sustained rates of loads that hit, against measured bandwidths (gpu-core F.4: RTX 4090)."""

from __future__ import annotations

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, run_probe

LOADS = 40
WARPS = 16


def bytes_per_cycle(text: str, size: int) -> float:
    """Bytes per cycle and SM of 16 warps that load 32 consecutive elements each, over and over, from L1 or shared."""
    k = KernelBuilder(86)
    where = {"address": lambda cta, warp, i: (512 * warp, size)}
    k.add(text.format(d=8), write=5, stall=2, **where)
    k.add("NOP", wait=(5,))
    k.add("BAR.SYNC 0x0", stall=5)
    for i in range(LOADS):
        k.add(text.format(d=8 + 4 * (i % 8)), write=0, **where)
    k.add("NOP", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE], block=32 * WARPS)
    first = min(p.issue(3, warp=w) for w in range(WARPS))
    last = max(p.issue(3 + LOADS, warp=w) for w in range(WARPS))
    return LOADS * WARPS * 32 * size / (last - first)


@pytest.mark.parametrize(
    ("text", "size", "measured"),
    [
        ("LDG.E R{d}, [R2.64]", 4, 62.96),
        ("LDG.E.128 R{d}, [R2.64]", 16, 117.8),
        ("LDS R{d}, [R2]", 4, 63.8),
        ("LDS.128 R{d}, [R2]", 16, 127.9),
    ],
)
def test_bandwidth_of_hits(text: str, size: int, measured: float) -> None:
    """Within 8 %: 32-bit loads are bound by one instruction in 2 cycles (E.1), 128-bit ones by 128 bytes a cycle."""
    assert bytes_per_cycle(text, size) == pytest.approx(measured, rel=0.08)


def test_turing_queue() -> None:
    """gpu-core-micro-golden.csv, table1_issue_1subcore, 2080Ti: the same queue as on Ampere."""
    k = KernelBuilder(75)
    k.add("LDG.E.SYS R8, [R2]", write=5, stall=2, address=(0x10000, 0))
    k.add("NOP", wait=(5,))
    for _ in range(12):
        k.add("NOP", stall=0, yield_=True)
    for _ in range(12):
        k.add("LDG.E.SYS R8, [R2]", write=0, address=(0x10000, 0))
    p = run_probe(k, "rtx_2080_ti", overrides=[WARM_ICACHE])
    times = [p.issue(14 + i) - p.issue(14) + 2 for i in range(12)]
    assert times == [2, 3, 4, 5, 6, 13, 17, 21, 25, 29, 33, 37]


def test_late_user_of_a_constant_line_waits_for_it() -> None:
    """LDCs of one cold line: none is served before the line is there; its 128-byte neighbour then comes from L1."""
    k = KernelBuilder(86)
    k.add("LDC R8, c[0x0][0x160]", write=0, stall=2)
    for _ in range(4):
        k.add("NOP", stall=0, yield_=True)
    k.add("LDC R9, c[0x0][0x164]", write=1, stall=2)
    k.add("NOP", wait=(0, 1))
    k.add("LDC R10, c[0x0][0x168]", write=2, stall=2)
    k.add("NOP", wait=(2,))
    k.add("LDC R10, c[0x0][0x120]", write=2, stall=2)
    k.add("NOP", wait=(2,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.writeback(0) - p.issue(0) > 200
    assert p.writeback(5) > p.writeback(0)
    assert p.writeback(7) - p.issue(7) == 26
    assert p.writeback(9) - p.issue(9) == 26 + p.config.const.miss_cycles


def test_widest_local_loads_of_many_warps() -> None:
    """LDL.128 of scattered offsets touches 128 lines; several at once must not exhaust the nodes of the miss lists."""
    k = KernelBuilder(86)
    for i in range(3):
        k.add("LDL.128 R8, [R2]", write=0, address=(4096 * i, 144))
    k.add("LDG.E.128 R8, [R2.64]", write=0, stall=2, address=(0x20000, 4096))
    k.add("NOP", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE], block=256)
    assert p.counters["local_load_sectors"] == 8 * 3 * 128
    assert p.counters["load_sectors"] == 8 * 32
