"""DRAM throughput and latency against sums of the timing table."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.dram import compile_dram, load_dram
from archsim.engine.dram import decode, requests_from_fields, run_decoded
from tests.timing.dram_rules import SHEETS

STANDARDS = sorted(SHEETS)


@pytest.mark.parametrize("is_write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize("standard", STANDARDS)
def test_streaming_reaches_the_peak_that_refresh_leaves(standard, is_write):
    config = load_dram(standard)
    n = 40_000
    result = run_decoded(
        decode(config, np.zeros(n, int), np.arange(n) * config.burst_bytes, np.full(n, is_write)), config
    )
    peak = 1 - config.timing["nRFCab"] / config.timing["nREFI"]
    assert 0.95 * peak <= result.efficiency <= 1.0
    assert result.row_hit_rate > 0.9


@pytest.mark.parametrize("standard", STANDARDS)
def test_row_conflicts_in_one_bank_cost_a_row_cycle_each(standard):
    config = load_dram(standard, {"controller.refresh": "none"})
    n, t = 2_000, config.timing
    rows = np.random.default_rng(0).permutation(config.organization["rows"])[:n]
    result = run_decoded(requests_from_fields(config, 0, np.zeros(n, bool), row=rows), config)
    rcd = t.get("nRCDRD", t.get("nRCD"))
    per_row = max(t["nRC"], rcd + t["nRTP"] + t["nRP"], t["nRAS"] + t["nRP"])
    assert result.cycles == pytest.approx(n * per_row, rel=0.02)
    assert result.row_conflicts == n - 1


@pytest.mark.parametrize("standard", STANDARDS)
def test_row_conflicts_over_all_banks_are_bound_by_activates(standard):
    """New rows in rotating banks: one per max(tRRD, tFAW / 4, tRC / banks, command pins), in each pseudo-channel."""
    config = load_dram(standard, {"controller.refresh": "none"})
    o, t, sheet = config.organization, config.timing, SHEETS[standard]
    n = 6_000
    k = np.arange(n)
    units = o["pseudochannel"]
    group, bank = k // units % o["bankgroup"], k // units // o["bankgroup"] % o["bank"]
    row = k // config.banks % o["rows"]
    requests = requests_from_fields(
        config, 0, np.zeros(n, bool), pseudochannel=k % units, bankgroup=group, bank=bank, row=row
    )
    result = run_decoded(requests, config)
    one_bus = len(sheet.buses) == 1
    row_pins = sheet.clocks.get("ACT", 1) + sheet.clocks.get("PRE", 1) + (sheet.clocks.get("RD", 1) if one_bus else 0)
    banks = o["bankgroup"] * o["bank"]
    row_cycle = max(t["nRC"], t["nRAS"] + t["nRP"], t.get("nRCDRD", t.get("nRCD")) + t["nRTP"] + t["nRP"])
    bound = max(t["nRRDS"], t.get("nFAW", 0) / 4, row_cycle / banks, row_pins * units, t["nCCDS"])
    # On a shared command bus a column command due in the same cycle may delay one activate of four by a cycle.
    # Where the row cycle is the bound, PRE and ACT also wait for each other on the row pins: two cycles a bank.
    slack = 0.25 if one_bus else 2 / banks if bound == row_cycle / banks else 0.0
    assert 0.98 * bound <= result.cycles * units / n <= 1.02 * (bound + slack)


@pytest.mark.parametrize("standard", STANDARDS)
def test_an_idle_read_takes_activate_plus_column_latency(standard):
    config = load_dram(standard, {"controller.refresh": "none"})
    t, clocks = config.timing, SHEETS[standard].clocks
    result = run_decoded(requests_from_fields(config, [0, 4000, 8000], [False] * 3, row=[5, 5, 6]), config)
    column = t["nCL"] + t["nBL"] + clocks.get("RD", 1) - 1 + (standard == "gddr7")  # GDDR7: one clock of its own
    rcd = t.get("nRCDRD", t.get("nRCD")) + clocks.get("ACT", 1) - clocks.get("RD", 1)
    rcd = float(np.ceil(rcd))  # HBM3: the read waits for the rising edge
    assert result.latency_cycles[0] == rcd + column
    assert result.latency_cycles[1] == column
    pre = t["nRP"] - clocks.get("ACT", 1) + clocks.get("PRE", 1)
    assert result.latency_cycles[2] == pytest.approx(
        pre + t.get("nRCDRD", t.get("nRCD")) + clocks.get("ACT", 1) - clocks.get("RD", 1) + column, abs=1
    )


def test_refresh_costs_its_share_of_the_time():
    off = load_dram("hbm3", {"controller.refresh": "none"})
    n = 40_000
    stream = decode(off, np.zeros(n, int), np.arange(n) * off.burst_bytes, np.zeros(n, bool))
    without, with_refresh = run_decoded(stream, off), run_decoded(stream, load_dram("hbm3"))
    share = off.timing["nRFCab"] / off.timing["nREFI"]
    assert without.cycles / with_refresh.cycles == pytest.approx(1 - share, abs=0.02)
    assert with_refresh.counts["REFAB"] == 2 * int(with_refresh.last_column_cycle // off.timing["nREFI"])


@pytest.mark.parametrize("standard", STANDARDS)
def test_the_first_command_after_power_down_waits_for_its_exit(standard):
    """Both to a closed bank (precharge power-down) and to the row that was left open (active power-down)."""
    config = load_dram(
        standard, {"controller.power_down": True, "controller.power_down_idle": 500, "controller.refresh": "none"}
    )
    start = 20_000
    for bank, command in ((1, "ACT"), (0, "RD")):
        requests = requests_from_fields(config, [0, start], np.zeros(2, bool), bank=[0, bank])
        result = run_decoded(requests, config, log=10)
        names = compile_dram(config).names
        first = next(row for row in result.log[0] if row["time"] >= start * config.ticks_per_clock)
        assert names[first["command"]] == command
        wait = first["time"] / config.ticks_per_clock - start
        assert config.timing["nXP"] <= wait <= config.timing["nXP"] + 1
