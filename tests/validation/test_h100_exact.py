"""Capture against a real H100: the same results bit for bit, the same executed instructions and sectors to the unit.

The card's numbers were taken by `validation/hw/h100/measure_suite.sh` on 2026-11-24. Four programs by default, the
whole suite with `-m slow`.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
QUICK = ("saxpy", "reduce_shuffle", "hist_shared", "func_pointers")


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("compare_h100", ROOT / "validation" / "compare_h100.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_h100"] = module
    spec.loader.exec_module(module)
    return module


compare_h100 = _load()
PROGRAMS = {program.name: program for program in compare_h100.manifest.load()}


@pytest.fixture(scope="module")
def measured() -> Any:
    return compare_h100.load_measured()


def _check(name: str, measured: Any) -> None:
    program = PROGRAMS[name]
    binary = compare_h100.build.build([name], ["sm_90"], ROOT / "validation" / "kernels" / "build")[name, "sm_90"]
    row = compare_h100.compare(program, binary, measured)
    assert row.checksums, "the card's checksums are missing"
    if program.exact:
        assert row.same_results, row.checksums
    if program.varies is None:
        assert row.exact, "the card's counters are missing"
        for counter, (ours, card) in row.exact.items():
            allowed = compare_h100.KNOWN_DIFFERENCES.get((name, counter), 0.0)
            assert abs(ours - card) <= allowed * card, (counter, ours, card)


@pytest.mark.parametrize("name", QUICK)
def test_quick(name: str, measured: Any) -> None:
    """A handful in every run of the suite."""
    _check(name, measured)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PROGRAMS if n not in QUICK])
def test_all(name: str, measured: Any) -> None:
    """Every other program."""
    _check(name, measured)
