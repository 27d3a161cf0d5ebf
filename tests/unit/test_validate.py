"""Validation arithmetic against hand-computed values; ncu files in both forms; margins; pairing; bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from archsim.errors import ConfigError
from archsim.validate.comparison import Comparison, Kernel, Margin, judge, load_margins
from archsim.validate.explain import explain
from archsim.validate.hardware import _demangled
from archsim.validate.ncu_csv import HardwareDataError, base_name, read_ncu, scale_of
from archsim.validate.pictures import html_page, write_report
from archsim.validate.quantities import QUANTITIES, measured_stalls, mix_distance, simulated_stalls
from archsim.validate.results import replace_section
from archsim.validate.statistics import error_stats, percentile, share_within
from archsim.validate.suite import QUICK, load_measured, load_programs, validation_folder

LD = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld"


def test_error_statistics_by_hand() -> None:
    stats = error_stats([(110.0, 100.0), (150.0, 200.0), (300.0, 300.0), (5.0, 0.0)])
    assert stats is not None
    assert stats.n == 3  # the pair without a measured value is left out
    assert stats.mape == pytest.approx((0.10 + 0.25 + 0.0) / 3)
    assert stats.median == pytest.approx(0.10)
    assert stats.p90 == pytest.approx(0.10 + 0.8 * 0.15)  # rank 0.9 x 2 = 1.8 of 0, 0.10, 0.25
    assert stats.max == pytest.approx(0.25)
    assert stats.mean_signed == pytest.approx((0.10 - 0.25) / 3)
    # x = 110, 150, 300 (mean 186.67), y = 100, 200, 300: sum dxdy / sqrt(sum dx2 x sum dy2)
    assert stats.pearson_r == pytest.approx(19000 / (20066.6667 * 20000) ** 0.5)
    assert error_stats([(1.0, 0.0)]) is None
    assert percentile([4.0], 0.9) == 4.0
    assert share_within([0.05, -0.2, 0.1], 0.1) == pytest.approx(2 / 3)


def _kernel(name: str, half: str, simulated: float, measured: float, **more: float) -> Kernel:
    return Kernel(
        name,
        half,
        {"sm__cycles_active.max": simulated, "load_sectors": 96.0, "ldgsts_sectors": 4.0},
        {"sm__cycles_active.max": measured, f"{LD}.sum": 100.0, **more},
        {"issued": 50, "wait": 30, "long_scoreboard": 70},
        0.02,
    )


@pytest.fixture
def comparison() -> Comparison:
    stalled = {
        "smsp__average_warps_issue_stalled_wait_per_issue_active.ratio": 1.0,
        "smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio": 1.0,
        "smsp__average_warps_issue_stalled_selected_per_issue_active.ratio": 1.0,
    }
    kernels = [_kernel("a", "tune", 110, 100, **stalled), _kernel("b", "report", 80, 100)]
    return Comparison("title <x>", "m", kernels, ["how"])


def test_halves_are_kept_apart(comparison: Comparison) -> None:
    assert comparison.summary("cycles", "tune").value("mape") == pytest.approx(0.10)
    assert comparison.summary("cycles", "report").value("mean_signed") == pytest.approx(-0.20)
    assert comparison.summary("cycles").value("mape") == pytest.approx(0.15)
    assert comparison.halves() == ["tune", "report", "all"]
    assert [name for name, _ in comparison.worst()] == ["b", "a"]


def test_asynchronous_copies_count_as_loads(comparison: Comparison) -> None:
    assert comparison.kernels[0].error(QUANTITIES["L1 load sectors"]) == 0
    assert comparison.summary("L1 load sectors").within_limit == 1


def test_stall_mix(comparison: Comparison) -> None:
    kernel = comparison.kernels[0]
    ours, theirs = simulated_stalls(kernel.simulated_stalls), measured_stalls(kernel.measured)
    assert (ours["wait"], ours["long_scoreboard"]) == (0.3, 0.7)
    assert (theirs["wait"], theirs["long_scoreboard"]) == (0.5, 0.5)  # selected is not a stall
    assert mix_distance(ours, theirs) == pytest.approx(0.2)
    assert comparison.summary("stall mix").mean_points == pytest.approx(0.2)


def test_explain_names_the_largest_disagreement(comparison: Comparison) -> None:
    page = explain(comparison.kernels[0])
    assert "largest disagreement of a stall: " in page
    assert "+10.0 %" in page and "no counter is out of its tolerance" in page


def test_margins(comparison: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "margins.yaml"
    path.write_text(
        "x:\n- {quantity: cycles, half: tune, statistic: mape, at_most: 0.11, goal: 0.05}\n"
        "- {quantity: cycles, half: report, statistic: mape, at_most: 0.15}\n"
        "- {quantity: L1 load sectors, half: all, statistic: within_limit, at_least: 0.9, goal: 0.9}\n"
    )
    kept, broken, sectors = judge(comparison, load_margins(path, "x"))
    assert kept.holds and kept.margin.reaches_goal(kept.value) is False
    assert not broken.holds
    assert sectors.holds and sectors.margin.reaches_goal(sectors.value)
    assert not Margin("cycles", "tune", "mape", at_most=1.0).holds(None)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("y: []", "no list of margins named 'x'"),
        ("x:\n- {quantity: cycle, half: tune, statistic: mape, at_most: 1}", "'cycle' is none of"),
        ("x:\n- {quantity: cycles, half: both, statistic: mape, at_most: 1}", "half is one of"),
        ("x:\n- {quantity: cycles, half: tune, statistic: mape}", "at_most or at_least"),
        ("x:\n- {quantity: cycles, half: tune, statistic: mape, at_most: low}", "not a number"),
        ("x: [", "can't be read"),
    ],
)
def test_damaged_margins(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "margins.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word):
        load_margins(path, "x")


LONG = """==PROF== Connected
"ID","Kernel Name","Block Size","Grid Size","Section","Metric Name","Metric Unit","Metric Value"
"0","void ns::k<int, (bool)1>(int *)","(256, 1, 1)","(4, 1, 1)","C","sm__cycles_active.max","cycle","1,234"
"0","void ns::k<int, (bool)1>(int *)","(256, 1, 1)","(4, 1, 1)","C","dram__bytes_read.sum","Kbyte","2.5"
"0","void ns::k<int, (bool)1>(int *)","(256, 1, 1)","(4, 1, 1)","S","Duration","usecond","3"
"1","other(float)","(32, 1, 1)","(1, 1, 1)","C","gpu__time_duration.sum","usecond","1.5"
"""
WIDE = """"ID","Kernel Name","Grid Size","Block Size","sm__cycles_active.max","dram__bytes_read.sum","launch__name"
"","","","","cycle","Mbyte",""
"0","k(int)","(4, 1, 1)","(256, 1, 1)","1,234","2.5","name"
"1","k(int)","(4, 1, 1)","(256, 1, 1)","1300","n/a","name"
"""


def test_ncu_long_form(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(LONG)
    first, second = read_ncu(path)
    assert first.function == "ns::k"
    assert first.metrics == {"sm__cycles_active.max": 1234.0, "dram__bytes_read.sum": 2500.0}
    assert second.metrics == {"gpu__time_duration.sum": 1500.0}  # ns


def test_ncu_wide_form(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(WIDE)
    first, second = read_ncu(path)
    assert (first.function, first.grid) == ("k", "(4, 1, 1)")
    assert first.metrics == {"sm__cycles_active.max": 1234.0, "dram__bytes_read.sum": 2.5e6}
    assert second.metrics == {"sm__cycles_active.max": 1300.0}


def test_units() -> None:
    assert [scale_of(u) for u in ("Gbyte", "Kinst", "ms", "%", "cycle/nsecond")] == [1e9, 1e3, 1e6, 1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nothing here", "no table of Nsight Compute"),
        ('"ID","Name"\n"0","k"\n', "column 'Kernel Name' is missing"),
        ('"ID","Kernel Name"\n"0","k"\n', "no column is named like a metric"),
        ('"ID","Kernel Name","a__b.sum"\n"0","k"\n', ":2: 2 columns, the header has 3"),
        ('"ID","Kernel Name","Metric Name","Metric Value"\n', "column 'Metric Unit' is missing"),
        ('"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n"0","k","a__b","x","1x"\n', "not a number"),
    ],
)
def test_damaged_ncu_files(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(HardwareDataError, match=word):
        read_ncu(path)
    with pytest.raises(HardwareDataError, match="no such file"):
        read_ncu(tmp_path / "absent.csv")


def test_kernel_names() -> None:
    assert base_name("void (anonymous namespace)::f<A<int>>(A<int>*)") == "(anonymous namespace)::f"
    assert [_demangled(n) for n in ("_Z6vecaddPKfS0_", "_ZN2ns1kIiEEvPT_", "plain")] == ["vecadd", "ns::k", "plain"]


def test_page_is_self_contained(comparison: Comparison, tmp_path: Path) -> None:
    page = html_page(comparison, [])
    assert "title &lt;x&gt;" in page and page.count("<circle") == 2 and page.count("<rect") == 2
    assert "http" not in page and "<script" not in page
    written = write_report(comparison, [], tmp_path / "out")
    assert [p.name for p in written] == ["report.html", "correlation.png", "errors.png"]
    assert all(p.read_bytes()[:4] == b"\x89PNG" for p in written[1:])


def test_results_sections_are_replaced_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    replace_section(path, "h100_kept", "kept")
    replace_section(path, "h100_flushed", "old")
    replace_section(path, "h100_flushed", "new")
    text = path.read_text()
    assert "old" not in text and text.index("new") < text.index("kept")


def test_the_split_never_changes() -> None:
    programs = load_programs(validation_folder())
    halves = {p.name: p.split for p in programs}
    assert len(halves) == 74 and sorted(halves.values()).count("tune") == 40
    assert (halves["saxpy"], halves["gemm_tiled"]) == ("tune", "report")
    assert set(QUICK) <= halves.keys() and {halves[n] for n in QUICK} == {"tune", "report"}


def test_measurements_of_both_protocols() -> None:
    flushed, notes = load_measured(validation_folder(), "h100", "flushed")
    kept, _ = load_measured(validation_folder(), "h100", "kept")
    assert flushed.keys() == kept.keys() and len(flushed) == 74
    assert flushed["saxpy"].metrics["sm__cycles_active.max"] == 4872
    assert flushed["saxpy"].metrics["smsp__inst_executed.sum"] == 58080
    assert "smsp__inst_executed.sum" not in kept["saxpy"].metrics
    assert any("first dropped" in note for note in notes)


def test_committed_margins_are_readable() -> None:
    path = validation_folder() / "margins.yaml"
    for name in ("h100_flushed", "h100_kept", "h100_quick"):
        assert load_margins(path, name), name


def test_json_is_one_object(comparison: Comparison) -> None:
    from archsim.validate.results import json_object

    found = json.loads(json_object(comparison, []))
    assert found["kernels"][0]["quantities"]["cycles"] == {
        "simulated": 110,
        "measured": 100,
        "error": pytest.approx(0.1),
    }


@pytest.mark.parametrize(
    ("ours", "published", "word"),
    [
        (1.20, 1.19, "agrees: 1.1 times"),
        (2.44, 1.37, "larger: 3.9 times"),
        (0.99, 0.95, "smaller: 0.2 times"),
        (1.02, 0.98, "OPPOSITE"),
        (1.001, 0.974, "no effect here"),
        (1.001, 1.006, "hardly any effect"),
        (1.0, 1.0, "base"),
        (1.3, None, "not published"),
    ],
)
def test_judgement_of_an_ablation(ours: float, published: float | None, word: str) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("ablations", validation_folder() / "ablations.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablations"] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
        assert word in module.judgement(ours, published)
    finally:
        del sys.modules["ablations"]
