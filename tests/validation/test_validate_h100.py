"""`archsim validate h100 --quick` and `archsim compare`, as a user runs them, from committed traces and data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archsim.cli import main
from archsim.validate.hardware import CARDS
from archsim.validate.suite import QUICK


def test_quick_validation_keeps_its_margins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["validate", "h100", "--quick", "--json", "--jobs", "1", "-o", str(tmp_path / "out")])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, [m for m in found["margins"] if not m["kept"]]
    assert {k["name"] for k in found["kernels"]} == set(QUICK)
    exact = [s for s in found["summary"] if s["quantity"] == "instructions" and s["half"] == "all"]
    assert exact[0]["max"] == 0  # executed instructions, to the unit
    assert (tmp_path / "out" / "report.html").stat().st_size > 5000


def test_a_broken_margin_is_exit_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsim.cli import validate
    from archsim.validate.comparison import Margin

    strict = [Margin("cycles", "all", "mape", at_most=0.0)]
    monkeypatch.setattr("archsim.validate.load_margins", lambda path, name: strict)
    assert validate.HELP
    assert main(["validate", "h100", "--quick", "--jobs", "1", "--json"]) == 1


def test_explain_prints_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "h100", "--quick", "--explain", "saxpy", "--jobs", "1"]) == 0
    page = capsys.readouterr().out
    assert "long_scoreboard" in page and "4,872" in page and "largest disagreement" in page


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--suite", "nothing"], "no program of the suite"),
        (["--suite", "("], "not a regular expression"),
        (["--explain", "saxp"], "no program of the suite; it has: vecadd"),
        (["--jobs", "0"], "must be at least 1"),
    ],
)
def test_bad_arguments(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "h100", "--quick", *arguments]) == 2
    assert word in capsys.readouterr().err


def test_compare_with_a_users_own_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["run", "saxpy_sm90", "-c", "h100_sxm", "-q", "-o", str(run)]) == 0
    rows = "".join(f'"{i}","saxpy_kernel(float)","{c}"\n' for i, c in enumerate((9000, 4900, 5000, 5100)))
    hardware = tmp_path / "hw.csv"
    hardware.write_text('"ID","Kernel Name","sm__cycles_active.max"\n"","","cycle"\n' + rows)
    assert main(["compare", str(run), str(hardware), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kernels"][0]["quantities"]["cycles"]["measured"] == 5000  # median without the first launch
    assert "1 simulated launches, 4 measured" in found["notes"][0]
    hardware.write_text('"ID","Kernel Name","sm__cycles_active.max"\n"0","k","1"\n')
    assert main(["compare", str(run), str(hardware)]) == 2
    assert "none of its kernels (k) is in the runs (saxpy_kernel)" in capsys.readouterr().err


def test_a_card_without_measurements_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CARDS, "other", "h100_sxm")
    assert main(["validate", "other", "--quick", "--suite", "saxpy"]) == 2
    assert "no measurement named suite_cycles_small_DATE.csv" in capsys.readouterr().err
