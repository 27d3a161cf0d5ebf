"""MUFU against a real H100: within the bounds that `archsim/emulator/mufu.py` and DEVIATIONS.md EMU-2 state.

The emulator's result is the correctly rounded one, and so is the reference of the measurement
(`validation/hw/h100/measure_mufu.cu`): the measured distance is the distance between emulator and card.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from emulator_harness import run  # noqa: E402

HW = Path(__file__).resolve().parents[2] / "validation" / "hw" / "h100"
FUNCTIONS = ("rcp", "rsq", "sqrt", "ex2", "lg2", "sin", "cos", "tanh")
#: Largest distance in units of the last place, by function; in the ranges below, the absolute error counts.
ULP = {"rcp": 1, "rsq": 2, "sqrt": 1, "ex2": 2, "lg2": 2}
ABSOLUTE = {"lg2": 2.4e-7, "sin": 3.6e-7, "cos": 3.6e-7, "tanh": 8.0e-6}


def table(name: str) -> list[dict[str, str]]:
    with (HW / f"{name}_2026-11-24.csv").open() as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def is_absolute(function: str, begin: float) -> bool:
    """sin, cos, tanh everywhere; lg2 from 0.5 to 2, where the result passes zero."""
    return function not in ULP or (function == "lg2" and 0.5 <= begin < 2)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_measured_distance_is_the_stated_bound(function: str) -> None:
    """No binade is beyond the bound, and one reaches it (else the bound would be stale)."""
    ulps, errors = [], []
    for row in table("mufu"):
        begin = float.fromhex(row["begin"])
        if row["function"] != function or (function == "ex2" and begin == -64):  # -126 and below: denormal results
            continue
        if is_absolute(function, begin):
            errors.append(float(row["worst_absolute"]))
        else:
            ulps.append(max(-int(row["min_ulp"]), int(row["max_ulp"])))
    assert len(ulps) + len(errors) >= 20
    if ulps:
        assert max(ulps) == ULP[function]
    if errors:
        assert 0.9 * ABSOLUTE[function] < max(errors) <= ABSOLUTE[function]


def in_turns(x: np.float32) -> np.float32:
    """What sin.approx and cos.approx give to MUFU: x / (2 pi), rounded toward zero."""
    with np.errstate(invalid="ignore"):
        exact = float(x) * float(np.float32(0.15915493667125702))
        y = np.float32(exact)
        return np.nextafter(y, np.float32(0)) if abs(float(y)) > abs(exact) else y


@pytest.mark.parametrize("function", FUNCTIONS)
def test_special_values_and_ends_of_ranges(function: str) -> None:
    """Zeros, denormals, infinities and NaNs bit for bit; other values within the bound."""
    rows = [row for row in table("mufu_edges") if row["function"] == function]
    assert len(rows) == 32
    inputs = np.array([int(row["input"], 16) for row in rows], np.uint32)
    given = inputs
    if function in ("sin", "cos"):
        given = np.array([in_turns(x) for x in inputs.view(np.float32)], np.float32).view(np.uint32)
    results = run([f"MUFU.{function.upper()} R4, R8"], given)[4]
    for row, ours in zip(rows, results, strict=True):
        card = np.uint32(int(row["output"], 16))
        theirs = float(card.view(np.float32))
        if ours == card:
            continue
        assert math.isfinite(theirs), (row, hex(ours))
        if is_absolute(function, abs(float(np.uint32(int(row["input"], 16)).view(np.float32)))):
            assert abs(float(ours.view(np.float32)) - theirs) <= ABSOLUTE[function], (row, hex(ours))
        else:
            assert theirs != 0, (row, hex(ours))
            assert abs(int(ours) - int(card)) <= ULP[function], (row, hex(ours))
