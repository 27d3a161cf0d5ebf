"""Search, sensitivity and their pictures."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsim.engine.optimize import SearchResult, goal_of, optimize, pareto
from archsim.engine.sensitivity import elementary_effects, screening_of, sensitivity, statistics_of, trajectory
from archsim.engine.sweep import load_study, load_table
from archsim.engine.sweep.plan import Task
from archsim.engine.sweep.table import SweepTable
from archsim.errors import ArchsimError, ConfigError, RunError
from archsim.view.study_plots import PlotSpec, curves, draw, grid_of, specs_of

STUDY = """\
name: search
base: rtx_a6000
traces: [saxpy_sm86, softmax_sm86]
axes:
  sm.prefetcher.size: {from: 1, to: 32, factor: 2}
  sm.num_warps: {from: 16, to: 48, step: 4}
  clock_mhz: {from: 1000.0, to: 2000.0, points: 3}
constraints:
  - sm.num_warps != 32
"""


class Formula:
    """In place of the simulator: cycles by a formula of the configuration, so that the best point is known."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.runs = 0
        self._stop = stop_after

    def __enter__(self) -> Formula:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def imap(self, tasks: Any) -> Iterator[dict[str, Any]]:
        for task in tasks:
            if self.runs == self._stop:
                raise KeyboardInterrupt
            self.runs += 1
            yield self.record(task)

    def record(self, task: Task) -> dict[str, Any]:
        sm = task.config.sm
        scale = 2 if "softmax" in task.trace else 1
        cycles = scale * (1000 + 10 * sm.num_warps + 320 / sm.prefetcher.size)
        stats = {"cycles": cycles, "area": float(sm.prefetcher.size), "speed": task.config.clock_mhz / cycles}
        return {"key": task.key, "status": "ok", "error": "", "stats": stats, "seconds": 0.0, "worker": ""}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARCHSIM_RESULT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "study.yaml"
    file.write_text(STUDY)
    return file


def search(path: Path, folder: Path, executor: Any = None, **goal: Any) -> SearchResult:
    study = load_study(path)
    goal = {"objectives": [{"minimize": "cycles"}, {"minimize": "area"}], "trials": 60} | goal
    return optimize(study, goal_of(study, goal), folder, executor or Formula())


def test_the_front_of_a_search_is_not_beaten_and_nears_the_best(path: Path, tmp_path: Path) -> None:
    result = search(path, tmp_path / "out")
    front = result.front
    assert len(result.trials) == 60
    assert all(t.labels["sm.num_warps"] != 32 for t in result.trials)
    for trial in front:
        for other in result.trials:
            assert not all(b <= a for a, b in zip(trial.values, other.values, strict=True)) or (
                other.values == trial.values
            )
    sizes = {t.labels["sm.prefetcher.size"]: t.values[0] for t in front}
    best = {size: math.sqrt(2) * (1000 + 160 + 320 / size) for size in sizes}
    assert len(front) >= 3
    assert all(sizes[size] <= 1.15 * best[size] for size in sizes)
    table = load_table(tmp_path / "out/trials.parquet")
    assert sum(table.columns["pareto"]) == len(front)
    assert len(load_table(tmp_path / "out")) == 120


def test_one_objective_is_minimised_or_maximised(path: Path, tmp_path: Path) -> None:
    least = search(path, tmp_path / "a", objectives=[{"minimize": "cycles"}]).front[0]
    assert least.values[0] <= 1.05 * math.sqrt(2) * (1000 + 160 + 10)
    most = search(path, tmp_path / "b", objectives=[{"maximize": "speed * 2"}], combine="max").front[0]
    assert most.values[0] >= 0.93 * 2 * 2000 / 1170


def test_limits_keep_trials_off_the_front(path: Path, tmp_path: Path) -> None:
    result = search(path, tmp_path / "out", limits=["area >= 4", "clock_mhz < 1900"])
    assert {t.feasible for t in result.trials} == {True, False}
    assert all(t.labels["sm.prefetcher.size"] >= 4 and t.labels["clock_mhz"] < 1900 for t in result.front)


def test_a_search_goes_on_after_an_interruption(path: Path, tmp_path: Path) -> None:
    stopped = Formula(stop_after=41)
    with pytest.raises(KeyboardInterrupt):
        search(path, tmp_path / "out", stopped)
    rest = Formula()
    result = search(path, tmp_path / "out", rest)
    assert len(result.trials) == 60
    assert rest.runs <= 120 - 32  # two batches of eight trials on two traces were finished
    nothing = Formula()
    again = search(path, tmp_path / "out", nothing)
    assert nothing.runs == 0
    assert [t.values for t in again.front] == [t.values for t in result.front]
    more = search(path, tmp_path / "out", trials=64)
    assert len(more.trials) == 64


def test_a_search_is_reproducible_and_other_searches_do_not_mix(path: Path, tmp_path: Path) -> None:
    one, two = search(path, tmp_path / "a", trials=20), search(path, tmp_path / "b", trials=20)
    assert [t.labels for t in one.trials] == [t.labels for t in two.trials]
    other = search(path, tmp_path / "a", trials=20, objectives=[{"minimize": "area"}])
    assert {len(t.values) for t in other.trials} == {1}


@pytest.mark.parametrize("sampler", ["nsga2", "random"])
def test_other_samplers(path: Path, tmp_path: Path, sampler: str) -> None:
    assert len(search(path, tmp_path / "out", sampler=sampler, trials=20).trials) == 20


def test_bad_searches(path: Path, tmp_path: Path) -> None:
    def fails(match: str, text: str = STUDY, **goal: Any) -> None:
        path.write_text(text)
        with pytest.raises(ArchsimError, match=match):
            search(path, tmp_path / "out", **goal)

    fails("no objective", objectives=[])
    fails(r"an objective is minimize", objectives=[{"best": "cycles"}])
    fails(r"'cycle' is neither a statistic of this run nor a parameter", objectives=[{"minimize": "cycle"}])
    fails(r"not an expression", objectives=[{"minimize": "cycles +"}])
    fails(r"sampler: tpe, nsga2, random, not 'cmaes'", sampler="cmaes")
    fails(r"study.yaml:12: optimize: unknown key 'trails'", STUDY + "optimize:\n  trials: 5\n  trails: 5\n")
    fails(r"300 proposals in a row", STUDY + "  - sm.num_warps > 48\n", trials=3)
    fails(r"no axes", STUDY.split("axes:")[0])


def test_pareto_by_hand() -> None:
    points = [(1, 5), (2, 3), (2, 4), (4, 1), (4, 1), (5, 5), (1, 5)]
    assert pareto(points) == [True, True, False, True, True, False, True]


def test_walks_move_every_coordinate_once_within_the_grid() -> None:
    rng = random.Random(1)
    for parameters, levels in ((1, 2), (5, 4), (7, 6)):
        walk, order = trajectory(parameters, levels, rng)
        assert sorted(order) == list(range(parameters))
        assert all(0 <= k < levels for step in walk for k in step)
        for before, after, index in zip(walk, walk[1:], order, strict=False):
            moved = [i for i in range(parameters) if before[i] != after[i]]
            assert moved == [index]
            assert abs(before[index] - after[index]) == levels // 2


def test_elementary_effects_of_a_linear_function_are_its_slopes() -> None:
    """mu = slope, mu* = |slope|, sigma = 0; a product has a spread: its slope depends on the other factor."""
    rng = random.Random(5)
    slopes = [3.0, -2.0, 0.0]
    found: list[list[float]] = [[], [], []]
    product: list[float] = []
    for _ in range(20):
        walk, order = trajectory(3, 4, rng)
        unit = [[k / 3 for k in step] for step in walk]
        values = [sum(s * u for s, u in zip(slopes, point, strict=True)) for point in unit]
        for index, effect in elementary_effects(walk, order, values, 4).items():
            found[index].append(effect)
        product.append(elementary_effects(walk, order, [p[0] * p[1] for p in unit], 4)[0])
    for slope, effects in zip(slopes, found, strict=True):
        row = statistics_of(effects, 10.0)
        assert row["mu"] == pytest.approx(slope)
        assert row["mu_star"] == pytest.approx(abs(slope))
        assert row["sigma"] == pytest.approx(0, abs=1e-12)
        assert row["effect_relative"] == pytest.approx(abs(slope) / 10)
    assert statistics_of(product, None)["sigma"] > 0.2


def screen(path: Path, folder: Path, executor: Any = None, **changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    study = load_study(path)
    result = sensitivity(study, screening_of(study, changes), folder, executor or Formula())
    assert load_table(folder / "sensitivity.parquet").rows() == result.rows
    return {(row["trace"], row["parameter"]): row for row in result.rows}


def test_one_at_a_time_finds_the_ranges(path: Path, tmp_path: Path) -> None:
    rows = screen(path, tmp_path / "out")
    row = rows["saxpy_sm86", "sm.num_warps"]  # base: 48 warps, 8 lines
    assert (row["base"], row["low"], row["high"]) == (1520, 1200, 1520)
    assert (row["low_at"], row["high_at"]) == ("16", "48")
    assert row["effect_relative"] == pytest.approx(320 / 1520)
    assert rows["softmax_sm86", "sm.prefetcher.size"]["effect"] == pytest.approx(2 * (320 - 10))
    assert rows["saxpy_sm86", "clock_mhz"]["effect"] == 0
    table = load_table(tmp_path / "out")
    assert 32 not in table.columns["sm.num_warps"]
    assert table.rows()[0]["sm.prefetcher.size"] == 8  # the base point shows the base's values


def test_morris_ranks_the_parameters(path: Path, tmp_path: Path) -> None:
    path.write_text(STUDY.replace("constraints:\n  - sm.num_warps != 32\n", ""))
    rows = screen(path, tmp_path / "free", method="morris", trajectories=20)
    warps, lines, clock = (
        rows["saxpy_sm86", p]["mu_star"] for p in ("sm.num_warps", "sm.prefetcher.size", "clock_mhz")
    )
    assert warps == pytest.approx(320, rel=0.15)  # linear over 16 to 48, in steps of 4
    assert lines > 50
    assert clock == 0
    assert rows["saxpy_sm86", "sm.num_warps"]["mu"] == pytest.approx(warps)
    assert rows["saxpy_sm86", "sm.prefetcher.size"]["mu"] < 0


def test_bad_screenings(path: Path, tmp_path: Path) -> None:
    for match, changes in (
        ("method: oat or morris", {"method": "sobol"}),
        ("levels: an even number", {"levels": 5}),
        ("trajectories: expected a whole number from 2", {"trajectories": 1}),
        ("neither a statistic", {"outputs": ["cycels"]}),
    ):
        with pytest.raises(ArchsimError, match=match):
            screen(path, tmp_path / "out", **changes)
    path.write_text(STUDY + "  - sm.num_warps > 30\n")
    with pytest.raises(RunError, match="walks break the constraints"):
        screen(path, tmp_path / "out", method="morris")
    path.write_text(STUDY.replace("!= 32", "!= 48"))
    with pytest.raises(RunError, match="the base machine breaks a constraint"):
        screen(path, tmp_path / "out")


def table_of(**columns: list[Any]) -> SweepTable:
    meta = {"name": "t", "axes": [{"name": "x", "values": [4, 1, 2]}, {"name": "y", "values": ["a", "b"]}]}
    return SweepTable(columns, meta, {})


TABLE = table_of(
    x=[1, 1, 2, 2, 4, 4], y=["a", "b"] * 3, trace=["t"] * 6, cycles=[100, 400, 50, 200, 25, None], ipc=[1.0] * 6
)


def test_curves_are_speedups_means_and_gaps() -> None:
    xs, lines = curves(TABLE, PlotSpec("lines", x="x", y="cycles", by="y", show="speedup"))
    assert xs == [1, 2, 4]
    assert lines == {"a": [1, 2, 4], "b": [1, 2, None], "geomean": [1, pytest.approx(2), None]}
    xs, lines = curves(TABLE, PlotSpec("lines", x="x", y="cycles / 2"))
    assert lines == {"t": [pytest.approx(100), pytest.approx(50), pytest.approx(12.5)]}


def test_heat_maps_show_what_ran() -> None:
    xs, ys, grid = grid_of(TABLE, PlotSpec("heatmap", x="x", y="y", value="cycles", show="relative"), None)
    assert (xs, ys) == ([1, 2, 4], ["a", "b"])
    assert grid[0] == [1, 0.5, 0.25]
    assert grid[1][:2] == [4, 2] and math.isnan(grid[1][2])


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_every_kind_is_drawn(tmp_path: Path, suffix: str, path: Path) -> None:
    magic = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[suffix]
    specs = [
        (TABLE, PlotSpec("lines", x="x", y="cycles", by="y")),
        (TABLE, PlotSpec("lines", x="y", y="cycles", by="trace", title="text on x")),
        (TABLE, PlotSpec("heatmap", x="x", y="y", value="cycles")),
        (TABLE, PlotSpec("pareto", x="cycles", y="ipc * 2")),
    ]
    search(path, tmp_path / "search", trials=12)
    screen(path, tmp_path / "screen")
    specs.append((load_table(tmp_path / "search/trials.parquet"), PlotSpec("pareto", x="cycles", y="area")))
    specs.append((load_table(tmp_path / "screen/sensitivity.parquet"), PlotSpec("sensitivity")))
    for number, (table, spec) in enumerate(specs):
        picture = draw(table, spec, tmp_path / f"{number}.{suffix}")
        assert picture.read_bytes().startswith(magic)
        assert picture.stat().st_size > 4000


def test_bad_plots(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no column 'cycels'; nearest: cycles"):
        draw(TABLE, PlotSpec("lines", x="x", y="cycels"), tmp_path / "a.png")
    with pytest.raises(ConfigError, match="a picture is one of"):
        draw(TABLE, PlotSpec("lines", x="x", y="cycles"), tmp_path / "a.gif")
    with pytest.raises(RunError, match="cannot be written"):
        draw(TABLE, PlotSpec("lines", x="x", y="cycles"), tmp_path / "none" / "a.png")
    with pytest.raises(ConfigError, match="needs value"):
        PlotSpec("heatmap", x="x", y="y")
    for text, match in (("{kind: pie}", r":11: plots: kind"), ("{kind: lines, X: a}", r":11: plots: X"), ("3", ":11:")):
        path.write_text(STUDY + f"plots:\n  - {text}\n")
        with pytest.raises(ConfigError, match=match):
            specs_of(load_study(path).plots)
