"""Issue stage against the published micro-tests: gpu-core sheet, sections A, B and H (Huerta et al., MICRO 2025)."""

from __future__ import annotations

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, Probe, run_probe

CLOCK = "CS2R.32 R{}, SR_CLOCKLO"


def straight(*lines: str | tuple[str, dict], **launch: object) -> Probe:
    """One warp, warm instruction cache; every line is SASS or (SASS, control bits); default stall 1."""
    k = KernelBuilder(86)
    for line in lines:
        text, control = (line, {}) if isinstance(line, str) else line
        k.add(text, **control)
    return run_probe(k, overrides=[WARM_ICACHE], **launch)


def distance(stall: int, yield_: bool) -> int:
    """Cycles from an instruction with these control bits to the warp's next one."""
    p = straight(("NOP", {"stall": stall, "yield_": yield_}), "NOP")
    return p.issue(1) - p.issue(0)


# --- H.1 register ports, listing 1 -----------------------------------------------------------------------------


@pytest.mark.parametrize(("rx", "ry", "elapsed"), [(19, 21, 5), (18, 21, 6), (18, 20, 7)])
def test_port_conflicts_listing_1(rx: int, ry: int, elapsed: int) -> None:
    """gpu-core H.1: CLOCK; NOP; FFMA; FFMA with RX, RY; NOP; CLOCK."""
    p = straight(
        CLOCK.format(30), "NOP", "FFMA R11, R10, R12, R14", f"FFMA R13, R16, R{rx}, R{ry}", "NOP", CLOCK.format(31)
    )
    assert p.control(5) - p.control(0) == elapsed


def test_port_conflicts_do_not_reach_issue_two_places_behind() -> None:
    """gpu-core H.1: without the second NOP the conflicts do not delay the second CLOCK: issue does not see ports."""
    elapsed = set()
    for rx, ry in ((19, 21), (18, 21), (18, 20)):
        p = straight(
            CLOCK.format(30), "NOP", "FFMA R11, R10, R12, R14", f"FFMA R13, R16, R{rx}, R{ry}", CLOCK.format(31)
        )
        assert p.issue(3) - p.issue(0) == 3
        elapsed.add(p.issue(4) - p.issue(0))
    assert elapsed == {5}  # 4, and one cycle in which CS2R's INT pipe still holds the second FFMA (DEVIATIONS SM-4)


# --- H.2 stall counter, listing 2 ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 7))
def test_stall_counter_listing_2(n: int) -> None:
    """gpu-core H.2: elapsed = 4 + n (5 for n = 1 and 8 for n = 4 measured)."""
    p = straight(
        "FADD R1, RZ, 1",
        "FADD R2, RZ, 1",
        ("FADD R3, RZ, 1", {"stall": 2}),
        CLOCK.format(14),
        "NOP",
        ("FADD R1, R2, R3", {"stall": n}),
        "FFMA R5, R1, R1, R1",
        "NOP",
        CLOCK.format(24),
    )
    assert p.control(8) - p.control(3) == 4 + n


# --- H.4 stall special cases -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stall", range(12))
def test_stall_counts_down(stall: int) -> None:
    """gpu-core A.2, H.15: S means S cycles, 0 as 1."""
    assert distance(stall, False) == max(stall, 1)


@pytest.mark.parametrize("stall", range(12, 16))
def test_stall_over_11_without_yield_is_1_or_2_cycles(stall: int) -> None:
    """gpu-core H.4 (a)."""
    assert distance(stall, False) in (1, 2)


@pytest.mark.parametrize("stall", range(2, 16))
def test_stall_with_yield(stall: int) -> None:
    """gpu-core A.2: yield is redundant when stall > 1."""
    assert distance(stall, True) == stall


def test_stall_0_with_yield_is_45_cycles() -> None:
    """gpu-core H.4 (b)."""
    assert distance(0, True) == 45


def test_yield_alone_is_one_bubble() -> None:
    """gpu-core H.4 (c): a single warp, nothing else to issue."""
    assert distance(1, True) == 2


def test_yield_hands_over_to_the_youngest_other_warp() -> None:
    """gpu-core A.2: the scheduler takes the youngest other ready warp for the cycle."""
    k = KernelBuilder(86)
    k.add("BAR.SYNC 0x0", stall=5)
    for _ in range(4):
        k.add("FADD R1, R2, R5", yield_=True)
    p = run_probe(k, overrides=[WARM_ICACHE], block=(32 * 5, 1, 1))  # warps 0 and 4 share sub-core 0
    order = [warp for _, warp, pc in p.issue_order(0) if 1 <= pc <= 4]
    assert order in ([0, 4] * 4, [4, 0] * 4)
    cycles = [cycle for cycle, _, pc in p.issue_order(0) if 1 <= pc <= 4]
    assert cycles == list(range(cycles[0], cycles[0] + 8))  # no bubble


# --- H.5 visibility of dependence counters ----------------------------------------------------------------------


@pytest.mark.parametrize(("stall", "yield_", "protected"), [(1, False, False), (2, False, True), (1, True, True)])
def test_counter_is_visible_two_cycles_after_issue(stall: int, yield_: bool, protected: bool) -> None:
    """gpu-core H.5: the next instruction is protected only with stall >= 2 or yield. MUFU: 19 cycles (H.15)."""
    p = straight(
        ("MUFU.RCP R1, R2", {"write": 0, "stall": stall, "yield_": yield_}), ("FADD R3, R1, R1", {"wait": (0,)})
    )
    assert p.issue(1) - p.issue(0) == (19 if protected else 1)


@pytest.mark.parametrize(("stall", "holds"), [(1, False), (2, False), (3, False), (4, True), (5, True)])
def test_depbar_needs_a_stall_of_4(stall: int, holds: bool) -> None:
    """gpu-core H.5, A.2: DEPBAR with an own stall below 4 does not hold the next instruction."""
    p = straight(("MUFU.RCP R1, R2", {"write": 0, "stall": 2}), ("DEPBAR.LE SB0, 0x0", {"stall": stall}), "NOP", "NOP")
    assert p.issue(1) - p.issue(0) == 2  # the DEPBAR itself issues at once (figure 2)
    assert p.issue(2) - p.issue(0) == (19 if holds else 2 + stall)
    assert p.issue(3) - p.issue(0) >= (19 if stall > 2 else 4)


def test_one_counter_for_several_producers() -> None:
    """gpu-core A.2: the consumer waits for all of them."""
    p = straight(
        ("MUFU.RCP R1, R2", {"write": 0}),
        ("MUFU.RCP R3, R4", {"write": 0, "stall": 2}),
        ("FADD R5, R1, R3", {"wait": (0,)}),
    )
    assert p.counter_changes(0)[1][1] == 2
    assert p.issue(2) == p.writeback(1) == p.issue(1) + 19 + 7  # the second enters the unit 8 cycles after the first


# --- H.8 dependence counters end to end, figure 2 ----------------------------------------------------------------


def figure_2() -> tuple[Probe, int, int]:
    """The program of figure 2 after a warm-up load: (probe, index of 0x30, cycle before its issue)."""
    k = KernelBuilder(86)
    hit = {"address": (0x10000, 0)}
    k.add("LD R40, [R12]", write=5, stall=2, **hit)
    k.add("NOP", wait=(5,), stall=15, yield_=True)
    k.add("NOP", stall=15, yield_=True)
    k.add("LD R5, [R12]", write=3, **hit)
    k.add("LD R7, [R2]", write=3, read=0, **hit)
    k.add("LD R15, [R6+0x80]", write=4, read=0, stall=2, **hit)
    k.add("IADD3 R18, R18, R18, R18")
    k.add("DEPBAR.LE SB0, 0x1", stall=4)
    k.add("IADD3 R2, R21, R23, R24")
    k.add("IADD3 R6, R5, R7, R1", wait=(0, 3))
    p = run_probe(k, overrides=[WARM_ICACHE])
    return p, 3, p.issue(3) - 1


def test_figure_2_issue_and_control() -> None:
    """gpu-core H.8: issue of 0x30..0x90; Control one cycle later."""
    p, first, zero = figure_2()
    issued = [p.issue(first + i) - zero for i in range(7)]
    assert issued == [1, 2, 3, 5, 6, 15, 36]
    assert [p.control(first + i) - zero for i in range(7)] == [t + 1 for t in issued]


def test_figure_2_memory_stages() -> None:
    """gpu-core H.8: queue, register read and write-back of the three loads."""
    p, first, zero = figure_2()
    enters = [p.issue(first + i) + 2 - zero for i in range(3)]
    leaves = [p.accept(first + i) - zero for i in range(3)]
    held = {t: [i for i in range(3) if enters[i] <= t < leaves[i]] for t in (3, 4, 5, 6, 7)}
    assert held == {3: [0], 4: [0, 1], 5: [0, 1, 2], 6: [0, 1, 2], 7: [0, 1, 2]}
    # Registers are read when address generation (4 cycles) ends; the log has its start.
    assert [p.address_start(first + i) + 4 - zero for i in range(3)] == [7, 11, 15]
    # Write-back in the cycle before the waiting consumer can issue.
    assert [p.writeback(first + i) - 1 - zero for i in range(2)] == [31, 35]


def test_figure_2_counters() -> None:
    """gpu-core H.8: values of SB0, SB3 and SB4."""
    p, _, zero = figure_2()

    def seen(counter: int) -> list[tuple[int, int]]:
        return [(cycle - zero, value) for cycle, value in p.counter_changes(counter) if cycle > zero]

    assert seen(0) == [(4, 1), (5, 2), (15, 1), (19, 0)]
    assert seen(3) == [(3, 1), (4, 2), (32, 1), (36, 0)]
    assert seen(4)[0] == (5, 1)


# --- H.9 scheduler, figure 4 --------------------------------------------------------------------------------------


def figure_4(case: str, *, aligned: bool = True) -> list[tuple[str, int, int]]:
    """Issue intervals [start, end) of W0 (oldest)..W3 of one sub-core, 32 instructions each (the last is EXIT).

    ``aligned``: instruction buffers full and W3 the last issuer, by a barrier at which W3 arrives last.
    """
    k = KernelBuilder(86)
    first = 0
    if aligned:
        k.add("NOP", stall=4)
        with k.warp(12):
            k.nops(3, stall=11)
        k.add("BAR.SYNC 0x0", stall=5)
        first = 5
    with k.warp(0, 4, 8, 12):
        for i in range(31):
            second = i == 1
            stall = 0 if case == "a" else 4 if case == "b" and second else 1
            k.add("FADD R1, R2, R5", stall=stall, yield_=case == "c" and second)
    p = run_probe(k, overrides=[WARM_ICACHE] if aligned else [], block=(32 * 13, 1, 1))
    issues = [(cycle, warp) for cycle, warp, pc in p.issue_order(0) if pc >= first]
    zero = issues[0][0]
    runs: list[tuple[str, int, int]] = []
    for cycle, warp in issues:
        name, at = f"W{warp // 4}", cycle - zero
        if runs and runs[-1][0] == name and runs[-1][2] == at:
            runs[-1] = (name, runs[-1][1], at + 1)
        else:
            runs.append((name, at, at + 1))
    return runs


def test_figure_4_a_greedy_then_youngest() -> None:
    """gpu-core H.9 (a) with a warm cache: one warp after the other, youngest first, no bubble."""
    assert figure_4("a") == [("W3", 0, 32), ("W2", 32, 64), ("W1", 64, 96), ("W0", 96, 128)]


def test_figure_4_a_cold() -> None:
    """gpu-core H.9 (a), cold cache: no early miss of W3, and hand-overs of 2 bubbles (DEVIATIONS SM-3)."""
    assert figure_4("a", aligned=False) == [("W3", 0, 32), ("W2", 34, 66), ("W1", 68, 100), ("W0", 102, 134)]


def test_figure_4_b_stall() -> None:
    """gpu-core H.9 (b): the second instruction of each warp has stall 4. W0 resumes at 101, not 102 (SM-2)."""
    assert figure_4("b") == [
        ("W3", 0, 2),
        ("W2", 2, 4),
        ("W1", 4, 6),
        ("W3", 6, 36),
        ("W2", 36, 66),
        ("W1", 66, 96),
        ("W0", 96, 98),
        ("W0", 101, 131),
    ]


def test_figure_4_c_yield() -> None:
    """gpu-core H.9 (c): the second instruction of each warp yields."""
    assert figure_4("c") == [
        ("W3", 0, 2),
        ("W2", 2, 4),
        ("W3", 4, 34),
        ("W2", 34, 64),
        ("W1", 64, 66),
        ("W0", 66, 68),
        ("W1", 68, 98),
        ("W0", 98, 128),
    ]
