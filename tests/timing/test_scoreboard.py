"""Scoreboard mode: gpu-core sheet I.4 (one table for RAW and WAW, one that counts pending readers for WAR)."""

from __future__ import annotations

from typing import Any

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, Probe, run_probe


def scoreboard(*lines: str | tuple[str, dict[str, Any]], consumers: int = 63) -> Probe:
    """One warp under scoreboards; control bits are there (stall 1) and ignored but for the stall."""
    k = KernelBuilder(86)
    for line in lines:
        text, more = (line, {}) if isinstance(line, str) else line
        k.add(text, **more)
    overrides = [
        WARM_ICACHE,
        "sm.issue.dependence=scoreboard",
        f"sm.issue.scoreboard.war_consumers={consumers}",
    ]
    return run_probe(k, overrides=overrides)


def distance(*lines: str | tuple[str, dict[str, Any]]) -> int:
    """Cycles from the first to the second instruction."""
    p = scoreboard(*lines)
    return p.issue(1) - p.issue(0)


@pytest.mark.parametrize(
    ("producer", "consumer", "cycles"),
    [
        ("FADD R1, R2, R3", "FADD R4, R1, R5", 4),  # F.3: 4
        ("HADD2 R1, R2, R3", "FADD R4, R1, R5", 5),  # D.2: 5
        ("IMAD.WIDE R2, R4, R5, R6", "FADD R8, R3, R5", 5),  # F.3: 5; the upper register of the pair
        ("ISETP.GE.AND P0, PT, R2, R3, PT", "@P0 FADD R4, R6, R5", 13),  # A.3: 13
        ("UIADD3 UR4, UR5, UR6, URZ", "IADD3 R8, R3, UR4, RZ", 4),
        ("MUFU.RCP R1, R2", "FADD R4, R1, R5", 19),  # H.15: 19
    ],
)
def test_read_after_write(producer: str, consumer: str, cycles: int) -> None:
    """The consumer waits for the producer's latency."""
    assert distance(producer, consumer) == cycles


def test_write_after_write() -> None:
    """A shorter producer of the same register does not overtake."""
    assert distance("HADD2 R1, R2, R3", "FADD R1, R6, R5") == 5


def test_write_after_read() -> None:
    """A writer waits until earlier readers have read: in the read stage; loads, at the end of address generation."""
    assert distance("FADD R1, R2, R3", "FADD R2, R6, R5") == 4
    assert distance(("LDG.E R1, [R2.64]", {"address": (0x1000, 0)}), "FADD R3, R6, R5") == 11  # E.2: WAR 11


def test_independent_instructions_do_not_wait() -> None:
    """No false dependences; RZ and PT are nobody's result."""
    assert distance("FADD R1, R2, R3", "FADD R4, R5, R6") == 1
    assert distance("FADD RZ, R2, R3", "FADD R4, RZ, R6") == 1
    assert distance("ISETP.GE.AND PT, PT, R2, R3, PT", "@PT FADD R4, R6, R5") == 1


@pytest.mark.parametrize(
    ("consumers", "issues"),
    [
        (1, [0, 4, 8, 12, 16, 20]),
        (2, [0, 1, 4, 5, 8, 9]),
        (3, [0, 1, 2, 4, 5, 6]),
        (63, [0, 1, 2, 3, 4, 5]),
        (0, [0, 1, 2, 3, 4, 5]),  # unlimited
    ],
)
def test_readers_that_a_register_can_track(consumers: int, issues: list[int]) -> None:
    """gpu-core I.4: a further reader of a register waits; 63 consumers behave as unlimited. Reads take 4 cycles."""
    p = scoreboard(*(f"FADD R{20 + i}, R2, R3" for i in range(6)), consumers=consumers)
    assert [p.issue(i) - p.issue(0) for i in range(6)] == issues


def test_direction_of_the_published_sweep() -> None:
    """gpu-core I.4: fewer consumers are slower, 63 are as good as any number."""
    lines = [f"FADD R{20 + i % 8}, R2, R3" for i in range(64)]
    cycles = [scoreboard(*lines, consumers=n).cycles for n in (1, 3, 63, 0)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[1] > cycles[2] == cycles[3]


def test_no_control_bits_means_scoreboards() -> None:
    """A trace without control bits is simulated by scoreboards, on any machine."""
    k = KernelBuilder(86)
    k.add("FADD R1, R2, R3", control=False)
    k.add("FADD R4, R1, R5", control=False)
    k.add("EXIT", control=False)
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.result.dependence == "scoreboard"
    assert p.issue(1) - p.issue(0) == 4


def test_copy_groups_under_scoreboards() -> None:
    """DEPBAR.LE SB0, n keeps its meaning for asynchronous copies: at most n groups are still open."""
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", control=False, address=(0x10000, 0))
    k.add("FADD R9, R8, R8", control=False)
    for _ in range(2):
        k.add("LDGSTS.E [R10], [R12.64]", control=False, address=(0x10000, 0), shared_address=(0, 4))
        k.add("LDGDEPBAR", control=False)
    k.add("DEPBAR.LE SB0, 0x1", control=False)
    k.add("NOP", control=False)
    k.add("DEPBAR.LE SB0, 0x0", control=False)
    k.add("NOP", control=False)
    k.add("EXIT", control=False)
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.issue(7) == p.writeback(2)
    assert p.issue(9) == p.writeback(4)
