"""Study files: axes, constraints, sampling; everything wrong is found before the first run, with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from archsim.config.yaml_marks import read
from archsim.engine.sweep import load_study, make_plan, parse_study, study_from_options
from archsim.engine.sweep.axes import parse_axis, parse_axis_option
from archsim.engine.sweep.expressions import parse_expression
from archsim.engine.sweep.plan import Plan
from archsim.errors import ArchsimError, ConfigError

GOOD = """\
base: rtx_a6000
traces: [saxpy_sm86]
axes:
  sm.prefetcher.size: [1, 4]
  sm.num_warps: {from: 16, to: 48, step: 16}
constraints:
  - sm.num_warps * sm.prefetcher.size <= 128
"""


def plan_of(tmp_path: Path, text: str) -> Plan:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return make_plan(load_study(path))


def labels(tmp_path: Path, axes: str, **keys: str) -> list[tuple[Any, ...]]:
    more = "".join(f"{key}: {value}\n" for key, value in keys.items())
    plan = plan_of(tmp_path, f"base: rtx_a6000\ntraces: [saxpy_sm86]\naxes:\n  {axes}\n{more}")
    return [tuple(point.labels.values()) for point in plan.points]


def test_a_grid_keeps_the_points_that_meet_the_constraints(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GOOD)
    sizes = [(p.labels["sm.prefetcher.size"], p.labels["sm.num_warps"]) for p in plan.points]
    assert sizes == [(1, 16), (1, 32), (1, 48), (4, 16), (4, 32)]
    assert plan.excluded == 1
    assert [p.config.sm.num_warps for p in plan.points] == [w for _, w in sizes]
    assert [p.config.sm.prefetcher.size for p in plan.points] == [s for s, _ in sizes]


@pytest.mark.parametrize(
    ("axis", "values"),
    [
        ("sm.num_warps: [16, 48]", [16, 48]),
        ("sm.num_warps: 16", [16]),
        ("sm.num_warps: {values: [16]}", [16]),
        ("sm.prefetcher.size: {from: 1, to: 4}", [1, 2, 3, 4]),
        ("sm.prefetcher.size: {from: 1, to: 40, factor: 2}", [1, 2, 4, 8, 16, 32]),
        ("sm.prefetcher.size: {from: 1, to: 100, points: 3, scale: log}", [1, 10, 100]),
        ("clock_mhz: {from: 1000.0, to: 2000.0, step: 500.0}", [1000.0, 1500.0, 2000.0]),
        ("clock_mhz: {from: 1000.0, to: 4000.0, points: 3}", [1000.0, 2500.0, 4000.0]),
        ('sm.rfc.kind: ["on", "off"]', ["on", "off"]),
    ],
)
def test_axis_forms(tmp_path: Path, axis: str, values: list[Any]) -> None:
    assert labels(tmp_path, axis) == [(v,) for v in values]


def test_variants_and_config_axes(tmp_path: Path) -> None:
    text = "traces: [saxpy_sm86]\naxes:\n  config: [rtx_a6000, rtx_3080]\n  caches:\n    variants:\n"
    text += "      small: {l2.bytes: 3145728, l2.ways: 8}\n      large: {l2.bytes: 12582912}\n"
    plan = plan_of(tmp_path, text.replace("rtx_3080", "rtx_3090"))
    found = [(p.config.name, p.labels["caches"], p.config.l2.bytes >> 20) for p in plan.points if p.index < 2]
    assert [p.labels["config"] for p in plan.points] == ["rtx_a6000"] * 2 + ["rtx_3090"] * 2
    assert found == [("rtx_a6000", "small", 3), ("rtx_a6000", "large", 12)]


def test_points_are_taken_as_listed(tmp_path: Path) -> None:
    text = (
        "base: rtx_a6000\ntraces: [saxpy_sm86]\npoints:\n  - {sm.num_warps: 16, l2.ways: 8}\n  - {sm.num_warps: 32}\n"
    )
    plan = plan_of(tmp_path, text)
    assert [(p.config.sm.num_warps, p.config.l2.ways) for p in plan.points] == [(16, 8), (32, 16)]


def test_samples_are_reproducible_distinct_and_within_bounds(tmp_path: Path) -> None:
    axes = "sm.prefetcher.size: {from: 1, to: 64, factor: 2}\n  clock_mhz: {from: 500.0, to: 2000.0, points: 2}"
    one = labels(tmp_path, axes, sample="{points: 40, seed: 3}")
    assert one == labels(tmp_path, axes, sample="{points: 40, seed: 3}")
    assert one != labels(tmp_path, axes, sample="{points: 40, seed: 4}")
    assert len(set(one)) == 40
    assert all(1 <= size <= 64 and 500 <= clock <= 2000 for size, clock in one)
    assert len({clock for _, clock in one}) == 40  # a range, not its grid
    assert sum(size <= 8 for size, _ in one) in range(12, 29)  # logarithmic: half of it lies below 8


def test_equal_configurations_share_a_run(tmp_path: Path) -> None:
    text = "base: rtx_a6000\ntraces: [saxpy_sm86]\npoints:\n  - {sm.num_warps: 48}\n  - {name: other}\n"
    plan = plan_of(tmp_path, text)
    assert (len(plan.rows), len(plan.tasks)) == (2, 1)


def test_identity_covers_trace_configuration_and_options(tmp_path: Path) -> None:
    def keys(text: str) -> set[str]:
        return set(plan_of(tmp_path, text).tasks)

    base = "base: rtx_a6000\ntraces: [saxpy_sm86]\naxes: {sm.num_warps: [16]}\n"
    variants = [base, base.replace("16]", "32]"), base.replace("saxpy", "softmax"), base + "max_cycles: 100\n"]
    found = [keys(text) for text in variants]
    assert len(set.union(*found)) == len(variants)
    assert keys(base) == found[0]


BAD = [
    (
        "unknown axis",
        GOOD.replace("sm.prefetcher.size", "sm.prefetcher.sise"),
        r":4: unknown key.*sm\.prefetcher\.size",
    ),
    ("unknown key", GOOD + "axis: 3\n", r":8: unknown key 'axis'; did you mean 'axes'"),
    ("empty axis", GOOD.replace("[1, 4]", "[]"), r":4: axis 'sm.prefetcher.size': has no values"),
    ("empty range", GOOD.replace("from: 16", "from: 64"), r":5: axis 'sm.num_warps': has no values"),
    ("no axes", "base: rtx_a6000\ntraces: [saxpy_sm86]\n", r":1: an empty grid"),
    ("empty axes", "base: rtx_a6000\ntraces: [saxpy_sm86]\naxes: {}\n", r":1: an empty grid"),
    ("wrong type", GOOD.replace("[1, 4]", "[1, many]"), r":4: sm.prefetcher.size:.*'many'"),
    ("out of range", GOOD.replace("[1, 4]", "[1, 4000]"), r":4: sm.prefetcher.size: should be less than or equal"),
    ("impossible machine", GOOD.replace("from: 16", "from: 15"), r":5: impossible machine: sm.num_warps.*at the point"),
    ("contradiction", GOOD.replace("<= 128", "<= 8"), r":7: the constraints leave none of 6 points"),
    (
        "contradicting pair",
        GOOD.replace("<= 128", "<= 32") + "  - sm.num_warps > 32\n",
        r":7: the constraints leave none of 6 points: .*:7: .* takes away 4; .*:8: .*takes away 2",
    ),
    ("sampled contradiction", GOOD.replace("<= 128", "<= 8") + "sample: 3\n", r":7: the constraints leave none"),
    ("constraint name", GOOD.replace("sm.num_warps *", "sm.num_warp *"), r":7: constraint.*sm\.num_warps'"),
    ("constraint form", GOOD.replace("<= 128", "<="), r":7: constraint.*not an expression"),
    ("constraint call", GOOD.replace("<= 128", "<= open('x')"), r":7: constraint.*is not allowed"),
    ("constraint arithmetic", GOOD.replace("<= 128", "/ (l2.ways - 16)"), r":7: constraint.*division by zero"),
    ("constraint types", GOOD.replace("<= 128", "<= sm.rfc"), r":7: constraint.*not supported between"),
    ("missing trace", GOOD.replace("[saxpy_sm86]", "\n  - saxpy_sm86\n  - saxpi_sm86"), r":4: traces: .*saxpy_sm86"),
    ("empty glob", GOOD.replace("[saxpy_sm86]", "['no_such*']"), r":2: traces: nothing matches 'no_such\*'"),
    ("no traces", GOOD.replace("traces: [saxpy_sm86]", "kernel: saxpy"), r":1: the study has neither traces"),
    ("no kernel", GOOD + "kernel: nothing\n", r"no launch is chosen"),
    ("unknown base", GOOD.replace("rtx_a6000", "rtx_a600"), r":1: no configuration 'rtx_a600'.*rtx_a6000"),
    ("unknown set", GOOD + "set:\n  sm.warps: 3\n", r":9: unknown key 'sm.warps'"),
    ("missing plug-in", GOOD + "plugins: [none.py]\n", r":8: plugins: .*none.py: no such plug-in file"),
    ("listed twice", GOOD.replace("[1, 4]", "[1, 1]"), r":4: axis 'sm.prefetcher.size': 1 is listed twice"),
    ("axis twice", GOOD.replace("sm.num_warps: {", "sm.prefetcher.size: {"), r":5: .*set twice"),
    ("step and factor", GOOD.replace("step: 16", "step: 1, factor: 2"), r":5: .*exclude each other"),
    ("sample", GOOD + "sample: 0\n", r":8: sample: points: expected at least 1"),
    ("sample too large", GOOD + "sample: 7000000\n", r":8: sample: 7000000 points asked"),
    ("not YAML", GOOD + "  x: [1\n", r":9: not valid YAML|:8: not valid YAML"),
    ("a list", "- 1\n", r":1: a study is a mapping"),
    ("mixed kinds", GOOD.replace("[saxpy_sm86]", "[saxpy_sm86, requests.txt]"), r":2: traces: requests.txt is a dram"),
    (
        "too many points",
        GOOD.replace("[1, 4]", "{from: 1, to: 200}").replace("axes:", "axes:\n  clock_mhz: {from: 1000, to: 3016}"),
        r":1: 1210200 points are more than",
    ),
]


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_studies_are_refused_before_the_first_run(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "requests.txt").write_text("0x100 R\n")
    with pytest.raises(ArchsimError) as caught:
        plan_of(tmp_path, text)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "study.yaml" in str(caught.value) or "no launch" in str(caught.value)


def test_impossible_machines_can_be_skipped(tmp_path: Path) -> None:
    assert labels(tmp_path, "sm.num_warps: {from: 14, to: 17}", impossible="skip") == [(16,)]
    with pytest.raises(ConfigError, match="all 1 are impossible machines"):
        labels(tmp_path, "sm.num_warps: [15]", impossible="skip")


def test_axis_options_of_the_command_line() -> None:
    name, node = parse_axis_option("sm.prefetcher.size=1:32:*2")
    assert [v.label for v in parse_axis(name, node).values] == [1, 2, 4, 8, 16, 32]
    name, node = parse_axis_option("l2.bytes=64k,6M")
    assert [v.label for v in parse_axis(name, node).values] == [65536, 6 << 20]
    name, node = parse_axis_option("sm.num_warps=16:48:16")
    assert [v.label for v in parse_axis(name, node).values] == [16, 32, 48]
    for text in ("sm.num_warps", "=3", "sm.num_warps=", "sm.num_warps=5:1:1", "a=1:x:1"):
        with pytest.raises(ConfigError, match=r"--axis"):
            parse_axis(*parse_axis_option(text))


def test_options_override_a_study_file(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD)
    changes = study_from_options(axes=["sm.prefetcher.size=2"], overrides=["l2.ways=8"], constraints=["l2.ways==8"])
    plan = make_plan(load_study(path, changes))
    assert {(p.labels["sm.prefetcher.size"], p.config.l2.ways) for p in plan.points} == {(2, 8)}
    assert len(plan.points) == 3


def test_memory_traces_take_memory_configurations(tmp_path: Path) -> None:
    (tmp_path / "requests.txt").write_text("0x100 R\n0x200 W\n")
    text = "traces: [requests.txt]\naxes:\n  config: [ddr4, 'hbm3:HBM3_5600']\n  channels: [1, 2]\n"
    plan = plan_of(tmp_path, text + "constraints: [channels * organization.bankgroup >= 4]\n")
    assert [(p.config.preset, p.config.channels) for p in plan.points] == [
        ("DDR4_3200AA", 1),
        ("DDR4_3200AA", 2),
        ("HBM3_5600", 1),
        ("HBM3_5600", 2),
    ]
    with pytest.raises(ConfigError, match=r"study.yaml:4: .*'chanels'; did you mean 'channels'"):
        plan_of(tmp_path, text.replace("channels", "chanels"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b + 2 * c", 7),
        ("a.b ** 2 - -c", 11),
        ("not (a.b < c) and 'x' in ['x']", True),
        ("a.b < c < 9 or c == 2", True),
        ("min(a.b, c) if a.b > 5 else max(a.b, c)", 3),
        ("log2(8) + a.b // 2 + 7 % 4", 7),
        ("`odd name` + 1", 101),
    ],
)
def test_expressions(text: str, value: Any) -> None:
    names = {"a.b": 3, "c": 2, "odd name": 100}
    expression = parse_expression(text)
    assert expression(names.__getitem__) == value
    assert set(expression.names) <= set(names)


def test_expressions_cannot_reach_python() -> None:
    for text in ("__import__('os')", "(1).real.bit_length()", "[x for x in y]", "lambda: 1", "a[0]", "f'{a}'", "1 if"):
        with pytest.raises(ConfigError):
            parse_expression(text)
    with pytest.raises(ConfigError, match="exponent"):
        parse_expression("9 ** 9 ** 9")(lambda name: 0)


def test_a_study_remembers_lines_of_list_items(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(GOOD.replace("[saxpy_sm86]", "\n  - saxpy_sm86\n  - softmax_sm86"))
    study = parse_study(read(path, items=True), "x", tmp_path)
    assert [origin.line for _, origin in study.traces] == [3, 4]


@pytest.mark.parametrize("name", ["prefetcher_size", "register_file", "l2_size", "dram_standard", "pim_gpt_memory"])
def test_shipped_studies_plan_from_any_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archsim.view.study_plots import specs_of

    monkeypatch.chdir(tmp_path)
    study = load_study(name)
    plan = make_plan(study)
    assert study.name == name
    assert len(plan.points) >= 5
    assert len(specs_of(study.plots)) >= 2


def test_request_streams_of_the_dram_study_are_what_their_script_makes() -> None:
    import runpy

    from archsim.engine.sweep.study import find_study

    folder = find_study("dram_standard").parent
    script = Path(__file__).parents[2] / "configs" / "sweep" / "make.py"  # in the checkout, not installed
    for name, lines in runpy.run_path(str(script))["lines"]().items():
        assert (folder / f"{name}.txt").read_text().splitlines()[1:] == lines


def test_models_run_on_accelerators(tmp_path: Path) -> None:
    text = "models: [gpt2-small]\ntokens: 4\naxes:\n  memory.channels: [8, 16]\n  mode: [paper, overlap]\n"
    plan = plan_of(tmp_path, text)
    assert [(p.config.memory.channels, p.config.mode) for p in plan.points[1:3]] == [(8, "overlap"), (16, "paper")]
    assert len(plan.tasks) == 4
    for wrong, match in (
        (text.replace("memory.channels", "memory.chanels"), r":4: unknown key 'memory.chanels'"),
        (text.replace("gpt2-small", "gpt2-tiny"), r":1: models: .*gpt2-tiny"),
        (text.replace("tokens: 4", "tokens: 0"), r":2: tokens: at least 1"),
        (text.replace("[8, 16]", "[8, 0]"), r":4: memory.channels"),
        (text + "traces: [saxpy_sm86]\n", r":1: models: run on accelerators"),
        (text.replace("models", "traces").replace("gpt2-small", "saxpy_sm86"), r":2: tokens: belongs to models"),
    ):
        with pytest.raises(ArchsimError, match=match):
            plan_of(tmp_path, wrong)


def test_a_changed_energy_table_or_dram_standard_is_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine names them; what they hold belongs to the identity of a run."""
    from dataclasses import replace

    import archsim
    from archsim.energy import load_table
    from archsim.engine.sweep.targets import target

    config = archsim.load_config("h100_sxm")
    before = target("gpu").hash(config)
    assert target("gpu").hash(config) == before
    table = load_table("h100")
    other = replace(table, events=table.events[1:])
    monkeypatch.setattr("archsim.energy.model.load_table", lambda name: other)
    assert target("gpu").hash(config) != before
    full = [archsim.load_config("rtx_a6000", overrides=["memory.backend=full", *more]) for more in ([], ["name=other"])]
    assert len({target("gpu").hash(one) for one in (*full, archsim.load_config("rtx_a6000"))}) == 2
