"""Energy against hand-computed values: a small table on made-up counters, AccelWattch's rows, the fit, bad tables."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from archsim.energy import fit_nonnegative, kernel_energy, load_table, nnls
from archsim.energy.model import energy_rows, static_watts
from archsim.energy.table import UNITS
from archsim.errors import ConfigError
from archsim.resources import list_configs

CONFIG = SimpleNamespace(clock_mhz=1000.0, num_sms=4)  # 1 ns a cycle

TABLE = """
name: small
description: for a test
conditions: {temperature_c: 40}
events:
  issue: {component: front end, class: all, count: {warp_instructions: 1}, pj: 10, source: s, confidence: fitted}
  fp32: {component: execute, class: fp32, count: {units.fp32: 1}, lanes: true, pj: 100, source: s, confidence: fitted}
  read: {component: DRAM, class: memory, count: {dram_read_bytes: 2, dram_write_bytes: -1}, pj: 5, source: s,
         confidence: guessed}
  held: {component: front end, class: misc, count: {stalls.wait: 1}, pj: 1, source: s, confidence: scaled}
power:
  idle: {watts: 2, per: chip, source: s, confidence: measured}
  SM: {watts: 3, per: active_sm, source: s, confidence: fitted}
  rest: {watts: 1, per: idle_sm, source: s, confidence: fitted}
"""


def kernel(units: dict[str, int] | None = None, **counters: int) -> Any:
    filled: dict[str, int] = defaultdict(int, {"warp_instructions": 100, "thread_instructions": 1600, **counters})
    return SimpleNamespace(
        counters=filled,
        unit_instructions={**dict.fromkeys(UNITS, 0), **(units or {"fp32": 60, "int": 40})},
        stalls={"wait": 7},
        elapsed_cycles=1000,
    )


def write(folder: Path, text: str) -> Path:
    path = folder / "table.yaml"
    path.write_text(text)
    return path


def test_every_part_by_hand(tmp_path: Path) -> None:
    found = kernel_energy(
        kernel(dram_read_bytes=64, dram_write_bytes=28, active_cycles=2500), CONFIG, load_table(write(tmp_path, TABLE))
    )
    assert found.components == pytest.approx(
        {
            "front end": 100 * 10 + 7 * 1,
            "execute": 60 * 100 * 0.5,  # 16 of 32 lanes
            "DRAM": 5 * (2 * 64 - 28),
            "idle power": 2 * 1e-6 * 1e12,  # 1000 cycles of 1 ns
            "SM power": 3 * 2.5e-6 * 1e12,
            "rest power": 1 * 1.5e-6 * 1e12,  # 4 SMs x 1 us less 2.5 us
        }
    )
    assert found.classes == pytest.approx({"fp32": 600 + 3000, "int": 400, "memory": 500, "misc": 7})
    assert found.dynamic_pj == pytest.approx(4507)
    assert found.total_pj == pytest.approx(4507 + 2e6 + 7.5e6 + 1.5e6)
    assert found.watts == pytest.approx(found.total_pj * 1e-12 / 1e-6)
    assert sum(found.by_confidence.values()) == pytest.approx(1)
    assert found.by_confidence["guessed"] == pytest.approx(500 / found.total_pj)
    rows = {name: value for name, value, _, _ in energy_rows(found)}
    assert rows["energy.component::front_end"] == 1007 and rows["energy.total"] == found.total_pj


def test_time_may_be_given(tmp_path: Path) -> None:
    table = load_table(write(tmp_path, TABLE))
    found = kernel_energy(kernel(active_cycles=0), CONFIG, table, seconds=1e-3)
    assert found.components["idle power"] == pytest.approx(2 * 1e-3 * 1e12)
    assert found.components["rest power"] == pytest.approx(4 * 1e-3 * 1e12)


def test_accelwattch_by_hand() -> None:
    table = load_table("volta_accelwattch")
    k = kernel({"int": 0, "fp32": 100}, dram_read_bytes=3200, active_cycles=2000, thread_instructions=3200)
    found = kernel_energy(k, CONFIG, table)
    # decode 5.8784, scheduler 17.3106, pipeline 125.1 / 4; FP32 32 lanes x 9.9862; a register written by 32 lanes
    assert found.components["front end"] == pytest.approx(100 * (5.8784 + 17.3106 + 125.1 / 4))
    assert found.components["execute"] == pytest.approx(100 * 32 * 9.9862)
    assert found.components["register file"] == pytest.approx(100 * 32 * 2.1367)
    assert found.components["DRAM"] == pytest.approx(100 * 2062.1733)
    assert found.components["constant power"] == pytest.approx(32.325 * 1e6)
    # FP only uses the INT + FP row: 18.618 + 31 x .64523 W of the chip, half of its SM time active (2 of 4 us)
    assert static_watts(k, table) == pytest.approx(18.618 + 31 * 0.64523)
    assert found.components["static power"] == pytest.approx((18.618 + 31 * 0.64523) * 0.5 * 1e6)
    mixed = kernel({"int": 1, "fp32": 1, "sfu": 1, "tensor": 1})
    assert static_watts(mixed, table) == pytest.approx(17.2175 + 15 * 0.65063)


def test_shipped_tables_cost_nothing_without_events() -> None:
    assert {"h100", "volta_accelwattch"} <= set(list_configs("energy"))
    for name in list_configs("energy"):
        idle = kernel(dict.fromkeys(UNITS, 0), warp_instructions=0, thread_instructions=0)
        found = kernel_energy(idle, CONFIG, load_table(name))
        assert found.dynamic_pj == 0 and found.total_pj > 0


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("pj: 10,", "pj: -1,", ":6: events.issue.pj: must be a number of at least 0"),
        ("pj: 10,", "pj: much,", ":6: events.issue.pj: a number is needed"),
        ("warp_instructions: 1", "warps: 1", ":6: events.issue.count.warps: no counter"),
        ("class: fp32", "class: fp8", ":7: events.fp32.class: 'fp8' is none of"),
        ("lanes: true", "lanes: 32", ":7: events.fp32.lanes: true or false"),
        ("confidence: guessed", "confidence: sure", "events.read.confidence: 'sure' is none of"),
        ("per: chip", "per: board", "power.idle.per: 'board' is none of"),
        ("watts: 2, ", "", "power.idle.watts: a number is needed"),
        ("power:", "powers:", "powers: unknown field"),
        ("name: small", "name: [a", "not valid YAML"),
        ("name: small", "names: small", "unknown field"),
    ],
)
def test_bad_tables(tmp_path: Path, old: str, new: str, word: str) -> None:
    assert old in TABLE
    with pytest.raises(ConfigError) as caught:
        load_table(write(tmp_path, TABLE.replace(old, new, 1)))
    assert word in str(caught.value) and "table.yaml" in str(caught.value)


def test_nnls_by_hand() -> None:
    assert nnls(np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([3.0, 4.0])) == pytest.approx([3, 2])
    # Without the bound x = (2, -1); with it the second is 0 and the first the mean of 2 and 1
    assert nnls(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([2.0, 1.0])) == pytest.approx([1.5, 0])
    assert nnls(np.array([[1.0], [1.0]]), np.array([-1.0, -2.0])) == pytest.approx([0])
    with pytest.raises(ValueError, match="do not fit"):
        nnls(np.ones((2, 2)), np.ones(3))


def test_nnls_is_optimal_on_random_problems() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        matrix, target = rng.normal(size=(12, 6)), rng.normal(size=12)
        x = nnls(matrix, target)
        gradient = matrix.T @ (matrix @ x - target)
        assert (x >= 0).all() and (gradient > -1e-9).all() and abs(x @ gradient) < 1e-9  # Karush, Kuhn, Tucker


def test_the_fit_finds_what_made_the_data() -> None:
    matrix = np.array([[1e9, 0, 1], [0, 2e9, 1], [1e9, 1e9, 1], [0, 0, 1.0]])
    target = 100 + matrix @ np.array([2e-8, 1e-8, 5.0])
    found = fit_nonnegative(["a", "b", "c", "d"], ["x", "y", "z"], matrix, target, offset=100.0)
    assert found.values == pytest.approx({"x": 2e-8, "y": 1e-8, "z": 5.0})
    assert found.mape == pytest.approx(0, abs=1e-9)
