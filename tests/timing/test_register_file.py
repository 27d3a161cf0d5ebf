"""Register ports, register-file cache, unit rates, result latencies: gpu-core sheet, D, F, H.6, H.7, H.15."""

from __future__ import annotations

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, Probe, run_probe

ARCH = {"rtx_a6000": 86, "rtx_3080": 86, "rtx_2080_ti": 75, "a100_80gb": 80}


def stream_interval(config: str, *lines: str, count: int = 96) -> float:
    """Cycles per instruction of one warp that issues ``lines`` over and over, once its pipelines are full."""
    k = KernelBuilder(ARCH[config])
    for i in range(count):
        k.add(lines[i % len(lines)])
    p = run_probe(k, config, overrides=[WARM_ICACHE])
    return (p.issue(count - 1) - p.issue(count - 1 - 48)) / 48


# --- H.6 register-file cache, listing 4 ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "hits_second", "hits_third"),
    [
        ("FFMA R5, R2, R7, R8", True, False),
        ("FFMA R5, R2.reuse, R7, R8", True, True),
        ("FFMA R5, R7, R2, R8", False, True),
        ("FFMA R5, R4, R7, R8", False, False),
    ],
)
def test_reuse_listing_4(second: str, hits_second: bool, hits_third: bool) -> None:
    """gpu-core H.6: hit or miss of R2 in the second and third instruction."""

    def hits(*lines: str) -> int:
        k = KernelBuilder(86)
        for line in ("IADD3 R1, R2.reuse, R3, R4", *lines):
            k.add(line, stall=6)
        return run_probe(k, overrides=[WARM_ICACHE]).counters["rfc_hits"]

    after_second = hits(second)
    assert after_second == int(hits_second)
    assert hits(second, "IADD3 R10, R2, R12, R13") - after_second == int(hits_third)


def test_reuse_cache_belongs_to_one_warp() -> None:
    """gpu-core D.4: a hit needs the same warp."""
    k = KernelBuilder(86)
    k.add("BAR.SYNC 0x0", stall=5)
    k.add("FADD R1, R2.reuse, R5", stall=1, yield_=True)
    k.add("FADD R1, R2, R5", stall=1)
    one = run_probe(k, overrides=[WARM_ICACHE])
    two = run_probe(k, overrides=[WARM_ICACHE], block=(32 * 5, 1, 1))  # warps 0 and 4 alternate in sub-core 0
    assert one.counters["rfc_hits"] == 1
    order = [(warp, pc) for _, warp, pc in two.issue_order(0) if pc in (1, 2)]
    assert [pc for _, pc in order] == [1, 1, 2, 2]
    # The four sub-cores hold 2 + 1 + 1 + 1 warps; in sub-core 0 the second warp's read replaced the first's value.
    assert two.counters["rfc_hits"] == 3 + (1 if order[1][0] == order[2][0] else 0)


def test_reuse_removes_port_conflicts() -> None:
    """gpu-core D.4: three sources in one bank at full rate when all come from the cache."""
    assert stream_interval("rtx_a6000", "FFMA R1, R2.reuse, R4.reuse, R6.reuse") == 1


# --- H.7 port rates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "cycles"),
    [
        ("FMUL R1, R2, R4", 2),
        ("FMUL R1, R2, R5", 1),
        ("FFMA R1, R2, R4, R6", 3),
        ("FFMA R1, R2, R4, R7", 2),
        ("FFMA R1, R2, R5, R2", 1),  # a register named twice is read once (D.3)
    ],
)
def test_port_rates(line: str, cycles: int) -> None:
    """gpu-core H.7, D.2: bubbles of operands in one bank."""
    assert stream_interval("rtx_a6000", line) == cycles


@pytest.mark.parametrize(
    ("config", "line", "cycles"),
    [
        ("rtx_a6000", "FADD R1, R2, R5", 1),  # two FP32 pipes (F.1)
        ("rtx_2080_ti", "FADD R1, R2, R5", 2),  # one, half a warp wide: H.7
        ("a100_80gb", "FADD R1, R2, R5", 2),
        ("rtx_a6000", "IADD3 R1, R2, R5, RZ", 2),
        ("rtx_2080_ti", "IADD3 R1, R2, R5, RZ", 2),
        ("rtx_a6000", "IMAD R1, R2, R5, RZ", 2),  # IMAD never takes the second FP32 pipe (B.4)
        ("rtx_a6000", "MUFU.RCP R1, R2", 8),
        ("rtx_a6000", "DADD R2, R4, R6", 16),
        ("rtx_a6000", "NOP", 1),
        ("rtx_a6000", "S2R R1, SR_TID.X", 2.5),  # 2 in the released model: DEVIATIONS SM-5
        ("rtx_a6000", "SHFL.IDX PT, R1, R2, R3, R4", 2.5),
        ("rtx_a6000", "HMMA.16816.F32 R0, R4, R8, R12", 16),
        ("rtx_a6000", "HMMA.1688.F32 R0, R4, R8, R12", 8),
        ("rtx_3080", "HMMA.16816.F32 R0, R4, R8, R12", 32),  # FP32 accumulation at half rate (F.2)
    ],
)
def test_unit_rates(config: str, line: str, cycles: float) -> None:
    """gpu-core F.1, H.15 (issue_interval): one warp's stream of independent instructions."""
    assert stream_interval(config, line) == cycles


def test_int_and_fp32_alternate_without_bubbles() -> None:
    """gpu-core F.1: the INT pipe is free every second cycle for an FP32 neighbour's sake."""
    assert stream_interval("rtx_a6000", "IADD3 R1, R2, R5, RZ", "FADD R6, R2, R5") == 1


# --- H.15: issue to the first cycle in which a masked consumer issues ------------------------------------------------


@pytest.mark.parametrize(
    ("line", "cycles"),
    [
        ("FADD R8, R2, R5", 11),
        ("IADD3 R8, R2, R5, RZ", 11),
        ("UIADD3 UR4, UR5, UR6, URZ", 11),
        ("ISETP.GE.AND P0, PT, R2, R5, PT", 20),
        ("MUFU.RCP R8, R2", 19),
        ("I2F R8, R2", 19),
        ("DADD R8, R2, R4", 48),
        ("DFMA R8, R2, R4, R6", 52),
        ("S2R R8, SR_TID.X", 16),
    ],
)
def test_release_of_write_barrier(line: str, cycles: int) -> None:
    """gpu-core H.15 (sb_release)."""
    k = KernelBuilder(86)
    k.add(line, write=0, stall=2)
    k.add("NOP", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.issue(1) - p.issue(0) == cycles


def load_among_results(result_line: str, phase: int) -> Probe:
    """A load that hits, then INT results in every second cycle; ``phase`` shifts them by a cycle."""
    k = KernelBuilder(86)
    k.add("LDG.E R10, [R2.64]", write=5, stall=2, address=(0x10000, 0))
    k.add("NOP", wait=(5,), stall=10)
    k.add("LDG.E R10, [R2.64]", write=0, stall=2, address=(0x10000, 0))
    k.nops(1 + phase)
    for _ in range(20):
        k.add(result_line, stall=2)
    k.add("NOP", wait=(0,))
    return run_probe(k, overrides=[WARM_ICACHE])


@pytest.mark.parametrize(
    ("result_line", "delays"), [("IADD3 R11, R3, R6, RZ", [0, 0]), ("IADD3 R12, R3, R6, RZ", [0, 1])]
)
def test_write_port_collision_delays_the_load_by_a_cycle(result_line: str, delays: list[int]) -> None:
    """gpu-core D.2: a load waits one cycle for the write port of its bank when a fixed-latency result takes it.

    R10 is in the even bank: results to R11 never collide, results to R12 in one of the two phases.
    """
    probes = [load_among_results(result_line, phase) for phase in (0, 1)]
    found = [p.writeback(2) - p.issue(2) - 32 for p in probes]
    assert sorted(found) == delays
    assert [p.counters["write_port_delays"] for p in probes] == found
