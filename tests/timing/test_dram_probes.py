"""Issue a command, ask the earliest legal tick of the next: every pair of commands, every relation and standard."""

from __future__ import annotations

import pytest

from archsim.dram import compile_dram, load_dram, make_state
from archsim.model.compile import entry
from tests.timing.dram_rules import ALL, SHEETS, gap_ticks

SCOPED = ("PREA", "REFAB")


def probe(dram, commands, then, bank, now):
    """Issue (command, bank, tick) in turn; earliest tick of ``then`` at ``bank`` from ``now`` on."""
    state = make_state(dram, channels=1, arrivals=1, completions=1)
    per_scope = int(dram.par[0]["banks_per_scope"])
    issue, earliest = entry("dram_run", "probe_issue"), entry("dram_run", "probe_earliest")
    for name, b, t in commands:
        scoped = name in SCOPED
        issue(state, 0, b // per_scope if scoped else b, dram.number(name), scoped, t)
    scoped = then in SCOPED
    return earliest(state, 0, bank // per_scope if scoped else bank, dram.number(then), scoped, now)


def relations(dram, sheet):
    """(name, first bank, second bank, relations that hold)."""
    o = dram.config.organization
    per_scope = int(dram.par[0]["banks_per_scope"])
    cases = [("same bank", 0, 0, {"bank", "bankgroup", "unit"})]
    if sheet.bank_groups:
        cases.append(("same group", 0, 1, {"bankgroup", "unit", "other_bank"}))
        cases.append(("other group", 0, o["bank"], {"unit", "other_bank"}))
    else:
        cases.append(("other bank", 0, 1, {"unit", "other_bank"}))
    if per_scope < dram.config.banks:
        cases.append(("other pseudo-channel", 0, per_scope, set()))
    return cases


@pytest.mark.parametrize("standard", sorted(SHEETS))
def test_every_pair_of_commands_keeps_its_datasheet_distance(standard):
    config, sheet = load_dram(standard), SHEETS[standard]
    dram, ticks = compile_dram(config), config.ticks_per_clock
    start = 1000 * ticks
    commands = [c for c in ALL.split() if c != "REFPB" or sheet.per_bank_refresh]
    wrong = []
    for first in commands:
        for then in commands:
            for name, b1, b2, where in relations(dram, sheet):
                if where and (first in SCOPED or then in SCOPED):
                    where = {"bank", "bankgroup", "unit"}
                expected = start + gap_ticks(sheet, config.timing, ticks, first, then, where)
                if ticks == 2 and then in ("RD", "RDA", "WR", "WRA"):
                    expected += expected % 2  # column commands start on the rising edge
                got = probe(dram, [(first, b1, start)], then, b2, start)
                if got != expected:
                    wrong.append(f"{first} -> {then} ({name}): {got - start} ticks instead of {expected - start}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("standard", [s for s in sorted(SHEETS) if SHEETS[s].bank_groups])
def test_a_fifth_activate_waits_for_the_four_activate_window(standard):
    config = load_dram(standard, {"timing.nFAW": 500})
    dram, ticks = compile_dram(config), config.ticks_per_clock
    step = 40 * ticks
    acts = [("ACT", k * config.organization["bank"], 1000 + k * step) for k in range(4)]
    last = acts[-1][2]
    assert probe(dram, acts[:3], "ACT", 1, last) == last, "a fourth ACT is free"
    assert probe(dram, acts, "ACT", 1, last) == 1000 + 500 * ticks
    later = [*acts, ("ACT", 1, 1000 + 500 * ticks)]
    assert probe(dram, later, "ACT", 2, last) == 1000 + step + 500 * ticks, "the window slides"


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ("RD", "RD", "nBL + nCS"),
        ("WR", "WR", "nBL + nCS"),
        ("RD", "WR", "nCL+nBL+nCS-nCWL"),
        ("WR", "RD", "nCWL+nBL+nCS-nCL"),
    ],
)
@pytest.mark.parametrize("standard", ["ddr4", "ddr5", "lpddr5"])
def test_the_bus_changes_hands_between_ranks(standard, first, then, expected):
    config = load_dram(standard, {"organization.rank": 2})
    dram = compile_dram(config)
    other = int(dram.par[0]["banks_per_scope"])
    gap = eval(expected, {}, dict(config.timing))  # noqa: S307 - our own expression
    bus = int(SHEETS[standard].clocks.get(first, 1))
    assert probe(dram, [(first, 0, 1000)], then, other, 1000) == 1000 + max(gap, bus)


def test_a_rank_does_not_hold_up_the_other_one():
    dram = compile_dram(load_dram("ddr4", {"organization.rank": 2}))
    other = int(dram.par[0]["banks_per_scope"])
    assert probe(dram, [("REFAB", 0, 1000)], "ACT", other, 1000) == 1001
    assert probe(dram, [("ACT", 0, 1000)], "ACT", other, 1000) == 1001
