"""Timing probes: send one PIM command, ask for the earliest tick of the next. Clocks written out by hand.

gddr6_aim: aim_simulator 0f28a07, GDDR6_AiM_timing (pim-gpt sheet B): BL 2, CL 50, CWL 6, RCD 36 / 28 (read / write),
to MAC 56, to AF 86, to EWMUL 25, to copy 66 / 48, RP 32, RAS 54, WR 33, RTP 12, CCD 2, RRD 5 / 6, WTR 9 / 11, mode
change 32.
pim_gpt: the paper's recalled RCD 12, RP 12, CCD 1, WR 12, RFC 455.
"""

from __future__ import annotations

import numpy as np
import pytest

from archsim.dram.pim import PimMachine
from archsim.model.compile import entry

SAME, GROUP, OTHER = 5, 6, 9  # banks of a second command after one to bank 5: itself, its group, another group

# first, second, {bank of the second: clocks}; -1: a command to all banks
AIM = [
    # open -> use
    ("ACT16", "MAC16", {-1: 56}), ("ACT16", "MAC", {SAME: 56, OTHER: 56}), ("ACT16", "AF16", {-1: 86}),
    ("ACT16", "EWMUL16", {-1: 25}), ("ACT16", "RDCP", {SAME: 66}), ("ACT16", "WRCP", {SAME: 48}),
    ("ACT16", "RD", {SAME: 36}), ("ACT16", "WR", {SAME: 28}), ("ACT16", "WRA16", {-1: 28}),
    ("ACT", "MAC", {SAME: 56, GROUP: 1, OTHER: 1}), ("ACT", "MAC16", {-1: 56}), ("ACT", "RDCP", {SAME: 66, GROUP: 1}),
    ("ACT", "WRCP", {SAME: 48, GROUP: 1}), ("ACT", "AF16", {-1: 86}), ("ACT", "EWMUL16", {-1: 25}),
    ("ACT4", "MAC", {SAME: 56, GROUP: 56, OTHER: 1}), ("ACT4", "MAC16", {-1: 56}),
    ("ACT4", "RDCP", {GROUP: 66, OTHER: 1}),
    # open -> open, close, refresh
    ("ACT16", "ACT16", {-1: 6}), ("ACT16", "ACT", {SAME: 6, OTHER: 6}), ("ACT", "ACT16", {-1: 6}),
    ("ACT", "ACT", {GROUP: 6, OTHER: 5, SAME: 86}), ("ACT4", "ACT4", {GROUP: 6, OTHER: 5}),
    ("ACT16", "PREA", {-1: 54}), ("ACT16", "PRE", {SAME: 54, OTHER: 54}), ("ACT16", "PRE4", {SAME: 54, OTHER: 54}),
    ("ACT4", "PRE4", {GROUP: 54, OTHER: 1}), ("ACT4", "PRE", {GROUP: 54, OTHER: 1}), ("ACT", "PREA", {-1: 54}),
    ("ACT16", "REFAB", {-1: 86}), ("ACT4", "REFAB", {-1: 86}),
    # multiply-accumulate, multiply, activation function
    ("MAC16", "MAC16", {-1: 2}), ("MAC16", "RDMAC16", {-1: 2}), ("MAC16", "PREA", {-1: 12}),
    ("MAC16", "PRE", {SAME: 12}), ("MAC16", "RD", {SAME: 2}), ("MAC16", "WRGB", {-1: 1}),
    ("MAC16", "WRMAC16", {-1: 1}), ("MAC16", "AF16", {-1: 1}), ("MAC", "MAC", {SAME: 2, GROUP: 2, OTHER: 2}),
    ("MAC", "PRE", {SAME: 12, GROUP: 1, OTHER: 1}), ("MAC", "PRE4", {GROUP: 12, OTHER: 1}), ("MAC", "PREA", {-1: 12}),
    ("MAC", "RDMAC16", {-1: 2}), ("EWMUL16", "EWMUL16", {-1: 2}), ("EWMUL16", "PREA", {-1: 6 + 33}),
    ("EWMUL16", "PRE4", {SAME: 6 + 33}), ("EWMUL16", "MAC16", {-1: 2}), ("EWMUL16", "WRMAC16", {-1: 2}),
    ("AF16", "PREA", {-1: 12}), ("AF16", "RDAF16", {-1: 1}), ("AF16", "AF16", {-1: 1}),
    # copies between banks and the global buffer
    ("RDCP", "RDCP", {SAME: 2, OTHER: 2}), ("RDCP", "PRE", {SAME: 12, GROUP: 1}), ("RDCP", "PREA", {-1: 12}),
    ("WRCP", "WRCP", {SAME: 2, OTHER: 2}), ("WRCP", "PRE", {SAME: 6 + 2 + 33, GROUP: 1}), ("WRCP", "PREA", {-1: 41}),
    # registers and buffer over the pins, turnaround
    ("WRGB", "WRGB", {-1: 2}), ("WRGB", "WRMAC16", {-1: 2}), ("WRGB", "WR", {SAME: 2}), ("WRGB", "MAC16", {-1: 1}),
    ("WRGB", "RDMAC16", {-1: 1 + 2 + 9}), ("WRGB", "RDAF16", {-1: 12}), ("WRGB", "RD", {SAME: 12}),
    ("WRMAC16", "RDMAC16", {-1: 1 + 2 + 11}), ("WRMAC16", "RD", {SAME: 14}), ("WRMAC16", "WRMAC16", {-1: 2}),
    ("RDMAC16", "RDMAC16", {-1: 2}), ("RDMAC16", "MAC16", {-1: 2}), ("RDMAC16", "WRGB", {-1: 0 + 2 + 3 - 1 + 1}),
    ("RDMAC16", "WRMAC16", {-1: 5}), ("RDMAC16", "WR", {SAME: 1}), ("RDAF16", "WRGB", {-1: 5}),
    ("RDAF16", "RDAF16", {-1: 2}), ("RD", "WRGB", {-1: 50 + 2 + 3 - 1 + 1}), ("RD", "RDMAC16", {-1: 2}),
    ("RD", "WR", {OTHER: 50 + 2 + 3 - 6 + 1}), ("WR", "RDMAC16", {-1: 6 + 2 + 11}), ("WR", "WRGB", {-1: 2}),
    ("WR", "RD", {GROUP: 19, OTHER: 17}),
    # write all banks and close
    ("WRA16", "ACT16", {-1: 6 + 2 + 33 + 32}), ("WRA16", "ACT", {SAME: 73}), ("WRA16", "REFAB", {-1: 73}),
    ("WRA16", "RDMAC16", {-1: 19}), ("WRA16", "WRGB", {-1: 2}), ("RDMAC16", "WRA16", {-1: 1}),
    ("RD", "WRA16", {-1: 50}),
    # close -> open; refresh; mode change
    ("PREA", "ACT16", {-1: 32}), ("PREA", "ACT", {SAME: 32}), ("PRE", "ACT16", {-1: 32}), ("PRE4", "ACT16", {-1: 32}),
    ("PRE4", "ACT4", {GROUP: 32, OTHER: 1}), ("PRE4", "ACT", {GROUP: 32, OTHER: 1}),
    ("PRE", "ACT", {SAME: 32, GROUP: 1}), ("REFAB", "ACT16", {-1: 240}), ("REFAB", "ACT4", {SAME: 240}),
    ("REFPB", "ACT16", {-1: 120}), ("TMOD", "MAC16", {-1: 32}), ("TMOD", "WRGB", {-1: 32}),
    ("TMOD", "ACT16", {-1: 32}), ("TMOD", "PREA", {-1: 32}), ("TMOD", "RDMAC16", {-1: 32}),
    ("TMOD", "WRMAC16", {-1: 32}), ("TMOD", "MAC", {SAME: 32}), ("TMOD", "RDCP", {SAME: 32}),
    ("TMOD", "WRCP", {OTHER: 32}), ("TMOD", "EWMUL16", {-1: 32}), ("TMOD", "AF16", {-1: 32}),
    ("TMOD", "RDAF16", {-1: 32}), ("TMOD", "ACT4", {SAME: 32}), ("TMOD", "PRE4", {SAME: 32}),
    ("TMOD", "WRA16", {-1: 32}), ("TMOD", "RD", {SAME: 32}),
]  # fmt: skip
GPT = [
    ("ACT16", "MAC16", {-1: 12}), ("ACT16", "PREA", {-1: 12}), ("ACT16", "WR", {SAME: 12}),
    ("ACT16", "MAC", {SAME: 12}), ("ACT", "MAC", {SAME: 12, OTHER: 1}), ("ACT", "WR", {SAME: 12}),
    ("ACT", "MAC16", {-1: 12}), ("ACT", "PREA", {-1: 12}), ("MAC16", "MAC16", {-1: 1}), ("MAC", "MAC", {SAME: 1}),
    ("MAC16", "PREA", {-1: 1}), ("MAC16", "RDMAC16", {-1: 1}), ("MAC16", "REFAB", {-1: 1}),
    ("PREA", "ACT16", {-1: 12}), ("PREA", "REFAB", {-1: 12}), ("PRE", "ACT16", {-1: 12}), ("WRGB", "WRGB", {-1: 1}),
    ("WRGB", "MAC16", {-1: 2}), ("WRGB", "MAC", {SAME: 2}), ("WRGB", "RDMAC16", {-1: 2}),
    ("RDMAC16", "RDMAC16", {-1: 1}), ("RDMAC16", "WRGB", {-1: 4}), ("RDMAC16", "WR", {SAME: 4}),
    ("WR", "RDMAC16", {-1: 7}), ("WR", "PRE", {SAME: 6 + 1 + 12, OTHER: 1}), ("WR", "PREA", {-1: 19}),
    ("WR", "WRGB", {-1: 1}), ("RD", "WRGB", {-1: 4}), ("REFAB", "ACT16", {-1: 455}), ("REFAB", "ACT", {SAME: 455}),
    ("REFPB", "ACT16", {-1: 228}), ("REFPB", "ACT", {SAME: 228, OTHER: 8}), ("ACT16", "ACT16", {-1: 24}),
    ("ACT16", "WRV16", {-1: 12}), ("ACT", "WRV16", {-1: 12}), ("WRV16", "PREA", {-1: 6 + 1 + 12}),
    ("WRV16", "RDMAC16", {-1: 7}), ("WRV16", "WRV16", {-1: 1}), ("WRV16", "MAC16", {-1: 1}),
    ("ACT", "ACT", {SAME: 24, OTHER: 1}), ("WRA", "ACT16", {-1: 6 + 1 + 12 + 12}), ("RDA", "ACT16", {-1: 13}),
]  # fmt: skip


def _clocks(machine: PimMachine, first: str, second: str, bank: int) -> int:
    for array in (machine.state.ready, machine.state.count):
        array[:] = 0
    ticks = machine.config.ticks_per_clock
    entry("pim_run", "probe_issue")(machine.state, 0, machine.number(first), SAME, 1000, 1, 0)
    t = entry("pim_run", "probe_earliest")(machine.state, 0, machine.number(second), max(bank, 0), 1000)
    return (t - 1000) / ticks


@pytest.mark.parametrize(("name", "table"), [("gddr6_aim", AIM), ("pim_gpt", GPT)])
def test_distances_of_pairs(name, table):
    machine = PimMachine(name, ["controller.refresh=none"], channels=1)
    wrong = []
    for first, second, expected in table:
        for bank, clocks in expected.items():
            got = _clocks(machine, first, second, bank)
            if got != clocks:
                wrong.append(f"{first} -> {second} (bank {bank}): {got} clocks instead of {clocks}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "table"), [("gddr6_aim", AIM), ("pim_gpt", GPT)])
def test_every_pim_command_is_probed_on_both_sides(name, table):
    own = set(PimMachine(name, channels=1).dram.names[9:])
    assert own <= {first for first, _, _ in table}
    assert own - {"TMOD"} <= {second for _, second, _ in table}


@pytest.mark.parametrize(
    ("overrides", "first", "second", "clocks"),
    [
        (["switches.turnaround=false"], "RDMAC16", "WRGB", 1),
        (["switches.turnaround=false"], "WRGB", "RDMAC16", 1),
        (["timing.nBL=4"], "WRGB", "WRGB", 4),
        (["timing.nBL=4", "switches.pin_traffic=false"], "WRGB", "WRGB", 2),
        (["timing.nBL=4", "switches.pin_traffic=false"], "RDMAC16", "RDMAC16", 2),
    ],
)
def test_switches(overrides, first, second, clocks):
    assert _clocks(PimMachine("gddr6_aim", overrides, channels=1), first, second, -1) == clocks


def test_the_mac_units_have_their_own_clock():
    slow = PimMachine("pim_gpt", ["timing.mac_clock_mhz=300"], channels=1)
    assert _clocks(slow, "MAC16", "MAC16", -1) == 4  # 3.33 ns on the 1 ns command clock
    assert _clocks(slow, "MAC16", "RD", SAME) == 1


def _opening(overrides: list[str]) -> list[int]:
    machine = PimMachine("gddr6_aim", ["controller.refresh=none", *overrides], channels=1, log=100)
    machine.run(machine.records(command=machine.number("MAC16"), row=1))
    log = machine.state.log[0, : machine.state.logged[0]]
    names = [machine.dram.names[x] for x in log["command"]]
    assert names == ["ACT16", "MAC16"] if len(names) == 2 else ["ACT"] * 16 + ["MAC16"]
    return log["time"].tolist()


def test_rows_of_all_banks_opened_at_once_or_one_by_one():
    assert _opening([]) == [0, 56]
    # Banks 0 to 3 are one group: tRRD_L 6 within, tRRD_S 5 between groups; the MAC waits for the last.
    staged = _opening(["pim.each_bank=true"])
    assert np.diff(staged[:16]).tolist() == [6, 6, 6, 5] * 3 + [6, 6, 6]
    assert staged[16] - staged[15] == 56
    # With the four-activate window of GDDR6 every fifth activate is 42 clocks after the first of its four.
    window = _opening(["pim.each_bank=true", "timing.nFAW=42"])
    assert all(b - a >= 42 for a, b in zip(window, window[4:16], strict=False))
    assert window[4] == 42


def test_a_mode_change_takes_the_place_of_the_command_that_needs_it():
    machine = PimMachine("gddr6_aim", ["controller.refresh=none"], channels=1, log=100)
    wr, mac, rd = (machine.number(name) for name in ("WRMAC16", "MAC16", "RDMAC16"))
    machine.run(machine.records(command=[wr, mac, rd], row=[0, 7, 0], flags=[0, 0, 1]))
    log = machine.state.log[0, : machine.state.logged[0]]
    names = [machine.dram.names[x] for x in log["command"]]
    assert names == ["TMOD", "WRMAC16", "TMOD", "ACT16", "MAC16", "TMOD", "RDMAC16"]
    assert log["time"].tolist() == [0, 32, 33, 65, 121, 123, 155]
