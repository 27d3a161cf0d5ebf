"""Timing probes: send one PIM command, ask for the earliest tick of the next. Clocks written out by hand.

gddr6_aim: aim_simulator 0f28a07, GDDR6_AiM_timing (pim-gpt sheet B): BL 2, CL 50, CWL 6, RCD 36 / 28 (read / write),
to MAC 56, to AF 86, to EWMUL 25, to copy 66 / 48, RP 32, RAS 54, WR 33, RTP 12, CCD 2, RRD 5 / 6, WTR 9 / 11, mode
change 32.
pim_gpt: the paper's recalled RCD 12, RP 12, CCD 1, WR 12, RFC 455.
hbm_pim: PIMSimulator's HBM2 (sheet B): BL 2, CL 20, CWL 8, RCD 14 / 10, RP 14, RAS 33, RC 47, WR 16, RTP 5, CCD 2 / 4,
WTR 6 / 8, RFC 350 (one bank 160); read to write CL + BL + 2 - CWL = 16. Commands to all banks go by CCD_L.
hbm3_pim: attacc_simulator's HBM3_5.2Gbps (sheet B): BL 2, CL 19, CWL 6, RCD 19, RP 19, RAS 45, RC 63, WR 21, RTP_L 8,
CCD 2 / 4, all-bank and same-bank MAC 6, WTR 8 / 11; refresh 350 ns of 0.7692 ns = 456 clocks.
"""

from __future__ import annotations

import numpy as np
import pytest

from archsim.dram.pim import PimMachine
from archsim.model.compile import entry

SAME, GROUP, OTHER = 5, 6, 9  # banks of a second command after one to bank 5: itself, its group, another group
RANK, PSEUDO = 21, 37  # of hbm3_pim: the same place in the other rank, in the other pseudo-channel

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

HBM = [
    ("ACTAB", "MACAB", {-1: 14}), ("ACTAB", "REGBK", {-1: 10}), ("ACTAB", "RD", {SAME: 14, OTHER: 14}),
    ("ACTAB", "WR", {SAME: 10}), ("ACTAB", "PREA", {-1: 33}), ("ACTAB", "PRE", {SAME: 33, OTHER: 33}),
    ("ACTAB", "ACTAB", {-1: 47}), ("ACTAB", "ACT", {OTHER: 47}), ("ACTAB", "REFAB", {-1: 47}),
    ("ACTAB", "REFPB", {SAME: 47}), ("ACT", "ACTAB", {-1: 47}), ("ACT", "MACAB", {-1: 14}), ("ACT", "REGBK", {-1: 10}),
    ("MACAB", "MACAB", {-1: 4}), ("MACAB", "RD", {SAME: 4, OTHER: 4}), ("MACAB", "WRREG", {-1: 16}),
    ("MACAB", "REGBK", {-1: 16}), ("MACAB", "WR", {SAME: 16}), ("MACAB", "PREA", {-1: 5}), ("MACAB", "PRE", {OTHER: 5}),
    ("RD", "MACAB", {-1: 4}), ("RD", "WRREG", {-1: 16}), ("RD", "REGBK", {-1: 16}), ("WRREG", "WRREG", {-1: 4}),
    ("WRREG", "REGBK", {-1: 4}), ("WRREG", "WR", {SAME: 4}), ("WRREG", "MACAB", {-1: 8 + 2 + 8}),
    ("WRREG", "RD", {SAME: 18}), ("REGBK", "REGBK", {-1: 4}), ("REGBK", "WRREG", {-1: 4}), ("REGBK", "MACAB", {-1: 18}),
    ("REGBK", "RD", {SAME: 18}), ("REGBK", "WR", {SAME: 4}), ("REGBK", "PREA", {-1: 8 + 2 + 16}),
    ("REGBK", "PRE", {SAME: 26}), ("WR", "WRREG", {-1: 4}), ("WR", "REGBK", {-1: 4}), ("WR", "MACAB", {-1: 18}),
    ("PREA", "ACTAB", {-1: 14}), ("PRE", "ACTAB", {-1: 14}), ("RDA", "ACTAB", {-1: 5 + 14}),
    ("WRA", "ACTAB", {-1: 8 + 2 + 16 + 14}), ("REFAB", "ACTAB", {-1: 350}), ("REFPB", "ACTAB", {-1: 160}),
]  # fmt: skip
HBM3 = [
    # units at the banks
    ("ACTAB", "MACAB", {-1: 19}), ("ACTAB", "ACTAB", {-1: 63}), ("ACTAB", "PREA", {-1: 45}),
    ("MACAB", "MACAB", {-1: 6}), ("MACAB", "PREA", {-1: 8}), ("PREA", "ACTAB", {-1: 19}), ("ACTAB", "REFAB", {-1: 63}),
    ("REFAB", "ACTAB", {-1: 456}),
    # at the bank groups: the same bank of every group, rank and pseudo-channel
    ("ACTSB", "MACSB", {SAME: 19, OTHER: 19, PSEUDO: 19, GROUP: 0}),
    ("ACTSB", "ACTSB", {SAME: 63, OTHER: 63, GROUP: 2}),
    ("ACTSB", "PRESB", {SAME: 45, GROUP: 0}), ("ACTSB", "PREA", {-1: 45}), ("ACTSB", "REFAB", {-1: 63}),
    ("MACSB", "MACSB", {SAME: 6, GROUP: 6}), ("MACSB", "PRESB", {SAME: 8, GROUP: 0}), ("MACSB", "PREA", {-1: 8}),
    ("PRESB", "ACTSB", {SAME: 19, OTHER: 19, GROUP: 1}), ("PRESB", "REFAB", {-1: 19}), ("PREA", "ACTSB", {SAME: 19}),
    ("REFAB", "ACTSB", {SAME: 456}),
    # on the buffer die: the same bank of both pseudo-channels
    ("ACTPB", "MACPB", {SAME: 19, PSEUDO: 19, GROUP: 0, RANK: 0}), ("ACTPB", "ACTPB", {SAME: 63, PSEUDO: 63, GROUP: 2}),
    ("ACTPB", "PREPB", {SAME: 45, GROUP: 0}), ("ACTPB", "PREA", {-1: 45}), ("ACTPB", "REFAB", {-1: 63}),
    ("MACPB", "MACPB", {SAME: 4, GROUP: 4, OTHER: 2, RANK: 2}), ("MACPB", "PREPB", {SAME: 8, OTHER: 0}),
    ("MACPB", "PREA", {-1: 8}), ("PREPB", "ACTPB", {SAME: 19, PSEUDO: 19, OTHER: 1}), ("PREPB", "REFAB", {-1: 19}),
    ("PREA", "ACTPB", {SAME: 19}), ("REFAB", "ACTPB", {SAME: 456}),
    # data movement and plain columns share the pins of a pseudo-channel, and one column bus
    ("WRGB", "WRGB", {SAME: 4, GROUP: 4, OTHER: 2, RANK: 2, PSEUDO: 1}), ("WRGB", "MVSB", {GROUP: 4, OTHER: 2}),
    ("MVSB", "MVSB", {GROUP: 4, OTHER: 2, RANK: 2, PSEUDO: 1}), ("MVSB", "MVGB", {GROUP: 4, OTHER: 2}),
    ("MVGB", "MVGB", {GROUP: 4, OTHER: 2, RANK: 2, PSEUDO: 1}), ("MVGB", "WRGB", {GROUP: 4, OTHER: 2}),
    ("WRGB", "RD", {SAME: 4}), ("RD", "MVSB", {SAME: 4}), ("WR", "MVGB", {SAME: 4}), ("MVGB", "SFM", {-1: 4}),
    ("SFM", "WRGB", {SAME: 4, PSEUDO: 4}), ("SFM", "SFM", {-1: 4}), ("MVSB", "SFM", {-1: 4}),
    ("SFM", "MVGB", {OTHER: 4}),
    ("REFAB", "WRGB", {SAME: 456}), ("REFAB", "MVSB", {SAME: 456}), ("REFAB", "MVGB", {SAME: 456}),
    ("REFAB", "SFM", {-1: 456}), ("WRGB", "MACAB", {-1: 0}), ("MACAB", "MVSB", {SAME: 0}),
]  # fmt: skip
TABLES = [("gddr6_aim", AIM), ("pim_gpt", GPT), ("hbm_pim", HBM), ("hbm3_pim", HBM3)]


def _clocks(machine: PimMachine, first: str, second: str, bank: int) -> float:
    """Least distance between the last clocks of two commands; 0 if the second may go out at once."""
    for array in (machine.state.ready, machine.state.count):
        array[:] = 0
    ticks = machine.config.ticks_per_clock
    entry("pim_run", "probe_issue")(machine.state, 0, machine.number(first), SAME, 1000, 1, 0)
    t = entry("pim_run", "probe_earliest")(machine.state, 0, machine.number(second), max(bank, 0), 1000)
    late = {command.name: command.clocks - 1 for command in machine.config.commands}  # HBM's ACT takes two clocks
    return max((t - 1000) / ticks + late[second] - late[first], 0)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_distances_of_pairs(name, table):
    machine = PimMachine(name, ["controller.refresh=none"], channels=1)
    wrong = []
    for first, second, expected in table:
        for bank, clocks in expected.items():
            got = _clocks(machine, first, second, bank)
            if got != clocks:
                wrong.append(f"{first} -> {second} (bank {bank}): {got} clocks instead of {clocks}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("name", "table"), TABLES)
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
