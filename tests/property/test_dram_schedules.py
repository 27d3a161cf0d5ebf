"""No schedule breaks a datasheet rule, loses a request or starves refresh: checked by an independent replay."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from archsim.dram import compile_dram, load_dram, make_state
from archsim.engine.dram import Requests, decode, run_decoded
from archsim.model.compile import entry
from tests.timing.dram_rules import SHEETS, Checker

VARIANTS = {
    "default": {},
    "closed": {"controller.page": "closed", "controller.scheduler": "frfcfs"},
    "timeout": {"controller.page": "timeout", "controller.page_timeout": 60, "controller.scheduler": "fcfs"},
    "postponed": {"controller.refresh_postpone": 4},
    "power_down": {"controller.power_down": True, "controller.power_down_idle": 80},
}


def mixed(config, n, seed):
    """A third writes; bursts of sequential and random addresses, with gaps of all lengths."""
    rng = np.random.default_rng(seed)
    run = rng.integers(1, 24, n)
    starts = rng.integers(0, 1 << 26, n)
    base = np.repeat(starts, run)[:n]
    step = np.concatenate([np.arange(r) for r in run[: n // 4 + 24]])[:n]
    step = np.resize(step, n)
    address = (base + step) * config.burst_bytes
    gap = np.where(rng.random(n) < 0.02, rng.integers(0, 1500, n), rng.integers(0, 4, n))
    write = np.repeat(rng.random(n) < 1 / 3, 8)[:n]
    return decode(config, np.cumsum(gap), address, write)


def check(standard, config, result):
    sheet, o = SHEETS[standard], config.organization
    unit_groups = o["bankgroup"] if sheet.bank_groups else 1
    banks = o["bank"]
    units = config.banks // (banks * unit_groups)
    names = compile_dram(config).names
    for log in result.log:
        checker = Checker(sheet, config.timing, config.ticks_per_clock, unit_groups, banks, units)
        for row in log:
            checker.feed(int(row["time"]), names[row["command"]], int(row["bank"]), int(row["row"]))
        assert not checker.problems, checker.problems[:5]


def run_and_check(standard, overrides, n, seed):
    config = load_dram(standard, {"channels": 2, **overrides})
    requests = mixed(config, n, seed)
    result = run_decoded(requests, config, log=8 * n)
    check(standard, config, result)
    assert (result.done_cycle > requests.time_cycles).all(), "every request ends, after it came"
    served = sum(result.counts[c] for c in ("RD", "RDA", "WR", "WRA"))
    assert served + result.forwarded == n
    assert result.row_hits + result.row_misses + result.row_conflicts == served
    if config.controller.refresh == "all_bank":
        owed = result.cycles / config.timing["nREFI"]
        for log in result.log:
            scopes = config.organization["pseudochannel"]
            refreshes = int((log["command"] == compile_dram(config).number("REFAB")).sum()) / scopes
            reached = log["time"][-1] / config.ticks_per_clock / config.timing["nREFI"]
            assert refreshes >= min(owed, reached) - 2 - config.controller.refresh_postpone
    return result


@pytest.mark.parametrize("standard", sorted(SHEETS))
def test_default_schedules_are_legal(standard):
    run_and_check(standard, {}, 20_000, 1)


@pytest.mark.parametrize("variant", sorted(set(VARIANTS) - {"default"}))
@pytest.mark.parametrize("standard", ["ddr4", "gddr6", "gddr7", "hbm3"])
def test_other_policies_are_legal(standard, variant):
    run_and_check(standard, VARIANTS[variant], 4_000, 2)


@pytest.mark.parametrize("standard", [s for s in sorted(SHEETS) if SHEETS[s].per_bank_refresh])
def test_per_bank_refresh_is_legal_and_regular(standard):
    result = run_and_check(standard, {"controller.refresh": "per_bank"}, 4_000, 3)
    config = result.config
    names = compile_dram(config).names
    per_unit = config.banks // config.organization["pseudochannel"]
    for log in result.log:
        refreshes = log[log["command"] == names.index("REFPB")]
        first = refreshes[refreshes["bank"] < per_unit]["bank"]
        assert len(first) > per_unit, "long enough to come round"
        assert (np.diff(first) % per_unit == 1).all(), "banks take turns"


@pytest.mark.slow
@pytest.mark.parametrize("standard", sorted(SHEETS))
def test_a_million_requests_are_legal(standard):
    run_and_check(standard, {}, 1_000_000, 4)


def test_the_checker_sees_violations():
    """A checker that can't fail proves nothing: move commands of a legal log and expect complaints."""
    config = load_dram("gddr6")
    result = run_decoded(mixed(config, 500, 5), config, log=4000)
    names = compile_dram(config).names
    log = result.log[0].copy()
    caught = 0
    for k in range(20, 120):
        checker = Checker(SHEETS["gddr6"], config.timing, 1, 4, 4, 1)
        for i, row in enumerate(log[:200]):
            time = int(row["time"]) - (1 if i >= k else 0)  # everything from k on comes a cycle early
            checker.feed(time, names[row["command"]], int(row["bank"]), int(row["row"]))
        caught += bool(checker.problems)
    assert caught > 50


@pytest.mark.parametrize("standard", ["gddr6", "hbm3"])
def test_windows_of_any_length_give_the_same_result(standard):
    config = load_dram(standard, {"controller.read_queue": 8, "controller.write_queue": 8})
    requests = mixed(config, 3_000, 6)
    whole = run_decoded(requests, config)
    for window in (1, 7, 300):
        done = windowed(config, requests, window)
        assert (done == whole.done_cycle * config.ticks_per_clock).all(), window


def windowed(config, requests: Requests, window: int):
    """Completion ticks of a run in windows, arrivals pushed window by window."""
    state = make_state(compile_dram(config), channels=1, arrivals=4096)
    n = requests.time_cycles.size
    done, admit = np.zeros(n, np.int64), np.zeros(n, np.int64)
    run = entry("dram_run", "run_window")
    time = np.ascontiguousarray(requests.time_cycles * config.ticks_per_clock)
    arrays = [time, requests.bank, requests.row, requests.column, requests.is_write.astype(np.int64), np.arange(n)]
    arrays = [np.ascontiguousarray(a) for a in arrays]
    until, at = 0, 0
    while (done == 0).any():
        until += window
        to = int(np.searchsorted(time, until))
        assert run(state, 0, until, *[a[at:to].copy() for a in arrays], done, admit) == to - at
        at = to
    return done


def test_interpreted_and_compiled_runs_agree():
    code = (
        "import json, sys; from tests.property.test_dram_schedules import mixed; from archsim.dram import load_dram;"
        "from archsim.engine.dram import run_decoded; import numpy, numba, archsim.engine.dram as e, importlib;"
        "c = load_dram('hbm3', {'controller.page': 'timeout'}); r = run_decoded(mixed(c, 400, 7), c);"
        "print(json.dumps([r.summary(), r.done_cycle.tolist()]))"
    )
    outputs = []
    for off in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": off}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        outputs.append(json.loads(run.stdout))
    assert outputs[0] == outputs[1]
