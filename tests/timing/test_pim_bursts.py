"""The closed-form burst of the PIM executor against the same commands issued one by one, and against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.dram.config import load_dram
from archsim.dram.pim import BARRIER, WAIT, PimMachine
from archsim.engine.dram import requests_from_fields, run_decoded

NO_REFRESH = ["controller.refresh=none"]
SETTINGS = [
    ("gddr6_aim", NO_REFRESH),
    ("gddr6_aim", []),
    ("gddr6_aim", ["controller.refresh=per_bank"]),
    ("gddr6_aim", ["pim.each_bank=true", "timing.nFAW=42"]),
    ("pim_gpt", []),
    ("pim_gpt", ["controller.refresh_postpone=8"]),
    ("pim_gpt", ["preset=gddr6_1250mv", "controller.refresh=per_bank"]),
]


def _random_program(machine: PimMachine, seed: int, records: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    commands = [i for i, k in enumerate(machine.state.info) if k["macs"] or k["bytes_in"] or k["bytes_out"]]
    command = rng.choice(commands, records)
    column = rng.integers(0, 32, records)
    return machine.records(
        command=command,
        bank=rng.integers(0, machine.config.banks, records),
        row=rng.integers(0, 3, records),
        column=column,
        count=rng.integers(1, 25, records),
        rows=rng.integers(1, 3, records),
        flags=np.where(rng.random(records) < 0.2, WAIT, 0),
    )


def _one_by_one(machine: PimMachine, program: np.ndarray) -> np.ndarray:
    """The same program with one record a command: every burst has length 1."""
    rows = []
    for r in program:
        for row in range(r["rows"]):
            for column in range(r["count"]):
                single = r.copy()
                single["row"], single["column"] = r["row"] + row, r["column"] + column
                single["count"] = single["rows"] = 1
                last = row == r["rows"] - 1 and column == r["count"] - 1
                single["flags"] = r["flags"] if last else 0
                rows.append(single)
    return np.array(rows, program.dtype)


@pytest.mark.parametrize(("name", "overrides"), SETTINGS, ids=[f"{n}-{'-'.join(o)}" for n, o in SETTINGS])
def test_a_burst_is_the_same_as_single_commands(name, overrides):
    fast = PimMachine(name, [*overrides, "pim.decode_cycles=0", "pim.queue=100000"], channels=1, log=200_000)
    slow = PimMachine(name, [*overrides, "pim.decode_cycles=0", "pim.queue=100000"], channels=1, log=200_000)
    slow.state.info["period"] = 0
    for machine in (fast, slow):  # plain commands in program order too
        machine.state.info["plain"] = 0
    program = _random_program(fast, 7, 150)
    fast.run(program)
    slow.run(_one_by_one(slow, program))
    n, m = fast.state.logged[0], slow.state.logged[0]
    assert n == m > 1500
    for field in ("time", "command", "bank", "row"):
        np.testing.assert_array_equal(fast.state.log[0, :n][field], slow.state.log[0, :n][field], err_msg=field)
    np.testing.assert_array_equal(fast.state.ready, slow.state.ready)
    assert fast.counts() == slow.counts()
    for field in ("row_hits", "row_misses", "row_conflicts", "bytes_in", "bytes_out", "macs", "refreshes", "now"):
        assert fast.channel[field] == slow.channel[field], field
    if "controller.refresh=none" not in overrides:
        assert fast.channel["refreshes"][0] > 0


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 32, 48, 64])
def test_gddr6_aim_row_of_n_columns(n):
    """crosscheck/dram/README: 56 + 2(n-1) + 12 + 32 per row; 256 rows take that 256 times, less 41."""
    machine = PimMachine("gddr6_aim", NO_REFRESH, channels=1)
    program = machine.records(command=machine.number("MAC16"), row=np.arange(256), count=n)
    outcome = machine.run(np.concatenate([program, machine.records(kind=BARRIER)]))
    per_row = 56 + 2 * (n - 1) + 12 + 32
    assert (np.diff(outcome["first"][:-1]) == per_row).all()
    assert outcome["done"][-1] + 1 == 256 * per_row - 41


def test_pim_gpt_row_costs_its_columns_and_24_ns():
    """pim-gpt sheet H: a row of 64 columns takes 64 ns and tRP + tRCD = 24 ns, and nothing overlaps."""
    machine = PimMachine("pim_gpt", NO_REFRESH, channels=1)
    outcome = machine.run(machine.records(command=machine.number("MAC16"), row=np.arange(100), count=64))
    assert (np.diff(outcome["first"]) == 88).all()


def test_pim_gpt_refresh_takes_its_share():
    """All-bank refresh every 6825 ns takes 455 ns and the closing and reopening of the rows around it."""
    machine = PimMachine("pim_gpt", channels=1)
    outcome = machine.run(machine.records(command=machine.number("MAC16"), row=0, rows=16000, count=64))
    busy = 16000 * 88
    interval = 6825
    # Each interval loses the refresh itself, and on average less than a row's opening to the cut-up row.
    low = busy * interval / (interval - 455)
    high = busy * interval / (interval - 455 - 2 * 88)
    assert low < outcome["last"][0] < high


def test_a_record_of_many_rows_is_the_same_as_many_records():
    one = PimMachine("pim_gpt", channels=1)
    many = PimMachine("pim_gpt", channels=1)
    mac = one.number("MAC16")
    a = one.run(one.records(command=mac, row=5, rows=200, count=64))
    b = many.run(many.records(command=mac, row=5 + np.arange(200), count=64))
    assert a["last"][0] == b["last"][-1]
    assert a["first"][0] == b["first"][0]


def test_identical_channels_take_the_time_of_one():
    """crosscheck/dram/README: eight channels cost the same as one (a02)."""
    one = PimMachine("gddr6_aim", NO_REFRESH, channels=1)
    eight = PimMachine("gddr6_aim", NO_REFRESH, channels=8)
    a = one.run(one.records(command=one.number("MAC16"), row=np.arange(64), count=64))
    b = eight.run(eight.records(command=one.number("MAC16"), row=np.arange(64), count=64, mask=0xFF))
    np.testing.assert_array_equal(a, b)
    assert eight.counts()["MAC16"] == 8 * one.counts()["MAC16"]


def test_plain_reads_and_writes_overlap_over_the_banks():
    """Sixteen reads in sixteen banks take a row's opening once, in one bank they take it each time."""
    machine = PimMachine("gddr6_aim", NO_REFRESH, channels=1)
    read = machine.number("RD")
    apart = machine.run(machine.records(command=read, bank=np.arange(16), row=np.arange(16)))
    # Activates go around the bank groups, 5 clocks apart; the last read comes 36 clocks after the last of them.
    assert apart["last"].max() == 15 * 5 + 36
    start = int(apart["done"].max())
    same = machine.run(machine.records(command=read, bank=0, row=20 + np.arange(16), not_before=start))
    assert (np.diff(same["first"]) == 54 + 32).all()  # tRAS + tRP


@pytest.mark.parametrize(("write_share", "slower"), [(0.0, 1.25), (1.0, 1.25), (0.33, 1.7)])
def test_plain_traffic_is_near_the_controller_of_plain_memory(write_share, slower):
    """Against FR-FCFS (kernels/dram.py) on the same table, which also picks row hits within a bank (docs/pim.md)."""
    config = load_dram("gddr6_aim", ["channels=1", *NO_REFRESH])
    rng = np.random.default_rng(3)
    n = 1000
    bank, row, column = (rng.integers(0, high, n) for high in (16, 100, 64))
    write = rng.random(n) < write_share
    fields = {"bankgroup": bank // 4, "bank": bank % 4, "row": row, "column": column}
    plain = run_decoded(requests_from_fields(config, 0, write, **fields), config)
    machine = PimMachine(config, channels=1)
    machine.state.front["decode"] = 0
    command = np.where(write, machine.number("WR"), machine.number("RD"))
    outcome = machine.run(machine.records(command=command, bank=bank, row=row, column=column))
    assert 0.98 < outcome["done"].max() / plain.cycles < slower
