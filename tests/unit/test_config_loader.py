"""Files, layers, overrides: what they do, and what is said when they are wrong."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from archsim.config import MachineConfig, diff, flatten, load_config, to_yaml
from archsim.config.loader import parse_override
from archsim.config.spec import spec_class, walk
from archsim.errors import ArchsimError, ConfigError


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def message(*names, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_config(*names, overrides=overrides)
    return str(caught.value)


def test_no_argument_gives_the_default():
    assert load_config() == MachineConfig()


def test_an_empty_file_is_the_default(tmp_path):
    assert load_config(write(tmp_path, "empty.yaml", "")) == MachineConfig()


def test_a_file_changes_only_what_it_names(tmp_path):
    machine = load_config(write(tmp_path, "m.yaml", "sm:\n  num_warps: 32\n"))
    assert diff(MachineConfig(), machine) == [("sm.num_warps", 48, 32)]


def test_later_layers_win_and_overrides_come_last(tmp_path):
    one = write(tmp_path, "one.yaml", "num_sms: 10\nclock_mhz: 1000\nsm: {num_warps: 16}\n")
    two = write(tmp_path, "two.yaml", "num_sms: 20\nsm: {num_ctas: 8}\n")
    machine = load_config(one, two, overrides=["clock_mhz=500", "clock_mhz=600"])
    assert (machine.num_sms, machine.clock_mhz, machine.sm.num_warps, machine.sm.num_ctas) == (20, 600, 16, 8)


def test_extends_a_shipped_name_and_a_neighbour(tmp_path):
    write(tmp_path, "base.yaml", "extends: h100_sxm\nnum_sms: 100\n")
    machine = load_config(write(tmp_path, "top.yaml", "extends: base.yaml\nname: top\n"))
    assert (machine.name, machine.num_sms, machine.sm.num_warps) == ("top", 100, 64)


def test_extends_takes_a_list_later_on_top(tmp_path):
    write(tmp_path, "a.yaml", "num_sms: 10\nclock_mhz: 1000\n")
    write(tmp_path, "b.yaml", "num_sms: 20\n")
    machine = load_config(write(tmp_path, "c.yaml", "extends: [a.yaml, b.yaml]\n"))
    assert (machine.num_sms, machine.clock_mhz) == (20, 1000)


def test_extending_oneself_is_named(tmp_path):
    write(tmp_path, "a.yaml", "extends: b.yaml\n")
    write(tmp_path, "b.yaml", "extends: a.yaml\n")
    assert "a.yaml -> b.yaml -> a.yaml" in message(tmp_path / "a.yaml")


def test_extending_nothing_names_file_and_line(tmp_path):
    path = write(tmp_path, "a.yaml", "name: x\nextends: h100_smx\n")
    assert re.search(r"a\.yaml:2: extends: no configuration 'h100_smx'.*h100_sxm", message(path))


@pytest.mark.parametrize(
    ("override", "kind", "size"), [("sm.prefetcher=mine", "mine", 8), ("sm.prefetcher.size=16", "stream_buffer", 16)]
)
def test_prefetcher_shorthand(override, kind, size):
    prefetcher = load_config(overrides=[override]).sm.prefetcher
    assert (prefetcher.kind, prefetcher.size) == (kind, size)


def test_shorthand_and_long_form_mix():
    prefetcher = load_config(overrides=["sm.prefetcher.size=16", "sm.prefetcher=next_line"]).sm.prefetcher
    assert (prefetcher.kind, prefetcher.size) == ("next_line", 16)


def test_on_and_off_are_words(tmp_path):
    assert load_config(write(tmp_path, "m.yaml", "sm:\n  rfc: off\n")).sm.rfc.kind == "off"
    assert load_config(overrides=["sm.rfc=on"]).sm.rfc.kind == "on"


def test_plugin_options_are_free():
    options = load_config(overrides=["sm.prefetcher.options.degree=4", "sm.prefetcher=mine"]).sm.prefetcher.options
    assert options == {"degree": 4}


def test_tensor_rows_are_merged_row_by_row(tmp_path):
    base = write(tmp_path, "a.yaml", "sm: {units: {tensor: {table: {hmma_1688: {latency_cycles: 18}}}}}\n")
    rows = load_config(
        base, overrides=["sm.units.tensor.table.imma_16816.initiation_interval_cycles=4"]
    ).sm.units.tensor.table
    assert rows["hmma_1688"].latency_cycles == 18
    assert rows["imma_16816"].initiation_interval_cycles == 4


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000.0), ("1_000", 1000), ("0x10", 16), ("1.5", 1.5), ("2.", 2.0), (".5e3", 500.0)]
)
def test_numbers_in_overrides(text, value):
    assert load_config(overrides=[f"dram.data_rate_mtps={text}"] if value >= 100 else []) is not None
    tree = parse_override(f"clock_mhz={text}")
    assert tree.value["clock_mhz"].value == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sm.num_warp=3", r"--set sm\.num_warp=3: unknown key 'sm\.num_warp'; did you mean 'sm\.num_warps'\?"),
        ("num_warps=3", "did you mean 'sm.num_warps'"),
        ("sm.units.fp32.latncy=3", "did you mean 'sm.units.fp32.latency_cycles'"),
        ("sm.num_warps=many", "sm.num_warps: should be a valid integer, got 'many'"),
        ("sm.num_warps=true", "sm.num_warps: should be a valid integer, got True"),
        ("sm.num_warps=32.5", "sm.num_warps: should be a valid integer, got 32.5"),
        ("sm.num_warps='32'", "should be a valid integer, got '32'"),
        ("sm.num_warps=96", "should be less than or equal to 64 warps, got 96"),
        ("sm.num_warps=", "should be a valid integer, got None"),
        ("sm.num_warps={a: 1}", "'sm.num_warps' is a single parameter"),
        ("sm=3", "sm is a component with parameters of its own, not 3"),
        ("memory.backend=fast", "should be 'parametric' or 'full', got 'fast'"),
        ("sm.num_warps=[1", r"can't read the value '\[1'"),
        ("sm.num_warps", "expected component.param=value"),
        ("=3", "expected component.param=value"),
        ("sm..num_warps=3", "expected component.param=value"),
        ("sm.issue.scheduler=9lives", "should match pattern"),
        ("extends=h100_sxm", "unknown key 'extends'"),
        ("sm.memory_unit.latency.ldgsts_war=[1, 2]", r"ldgsts_war\.2: Field required"),
    ],
)
def test_bad_overrides(text, expected):
    assert re.search(expected, message(overrides=[text]))


LAUGHS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{level}: &a{level} {{{', '.join(f'k{n}: *a{level - 1}' for n in range(9))}}}\n" for level in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("num_sms: 4\nsm:\n  num_warp: 3\n", r"bad\.yaml:3: unknown key 'sm\.num_warp'; did you mean 'sm\.num_warps'"),
        ("num_sms: 4\nsm:\n  num_warps: x\n", r"bad\.yaml:3: sm\.num_warps: should be a valid integer, got 'x'"),
        ("num_sms: 4\nnum_sms: 5\n", r"bad\.yaml:2: 'num_sms' is set twice \(first at line 1\)"),
        ("sm:\n  num_warps: 46\n", r"bad\.yaml:2: impossible machine: sm\.num_warps: 46 warps"),
        ("sm: {num_warps: [\n", r"bad\.yaml:\d+: not valid YAML"),
        ("- 1\n- 2\n", r"bad\.yaml:1: a configuration is a mapping"),
        ("sm: &a\n  num_warps: *b\n", r"bad\.yaml:2: not valid YAML"),
        ("sm:\n", r"bad\.yaml:1: sm is a component with parameters of its own, not nothing"),
        ("extends: 3\n", r"bad\.yaml:1: extends: takes a configuration name or file, not 3"),
        ("sm: !!python/object:os.system {}\n", r"bad\.yaml:1: the tag .* has no meaning here"),
        ("sm: &a {num_warps: *a}\n", r"bad\.yaml"),
        (LAUGHS, r"bad\.yaml:\d+: more than 20000 keys"),
        ("\x00", r"bad\.yaml"),
    ],
)
def test_bad_files(tmp_path, text, expected):
    assert re.search(expected, message(write(tmp_path, "bad.yaml", text)))


def test_every_wrong_field_is_reported_with_its_own_line(tmp_path):
    text = message(write(tmp_path, "bad.yaml", "num_sms: 0\nsm:\n  num_warps: x\n"))
    assert re.search(r"bad\.yaml:1: num_sms", text)
    assert re.search(r"bad\.yaml:3: sm\.num_warps", text)


def test_missing_and_unreadable_files(tmp_path):
    assert "no such file" in message(tmp_path / "none.yaml")
    assert "is a folder" in message(f"{tmp_path}/")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    assert "can't be read" in message(tmp_path / "binary.yaml")
    assert "nearest: h100_sxm" in message("h100_sxn")


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ("arch=87", "arch"),
        ("num_sms=85", "num_sms"),
        ("launch.max_cluster_size=8", "launch.max_cluster_size"),
        ("l2.slices=47", "l2"),
        ("sm.num_warps=47", "sm.num_warps"),
        ("sm.shared.max_bytes=65536", "sm.shared.max_bytes"),
        ("sm.unified_l1_bytes=65536", "sm.shared.max_bytes"),
        ("sm.shared.carveouts_kb=[0, 64, 32, 100]", "sm.shared.carveouts_kb"),
        ("l1d.sets=7", "l1d.sets"),
        ("l2.sector_bytes=48", "l2.sector_bytes"),
        ("sm.front_end.l1i.line_bytes=64", "sm.front_end.l1i.line_bytes"),
        ("l2.bytes=6000000", "l2.bytes"),
        ("const.fl.bytes=500", "const.fl.bytes"),
        ("sm.front_end.l0i.ways=3", "sm.front_end.l0i.bytes"),
        ("memory.parametric.dram_latency_cycles=100", "memory.parametric.dram_latency_cycles"),
        ("noc.latency_cycles=200", "noc.latency_cycles"),
    ],
)
def test_impossible_machines_are_refused(override, path):
    text = message(overrides=[override])
    assert f"impossible machine: {path}" in text


def test_resolved_yaml_loads_back_to_the_same_machine(tmp_path):
    machine = load_config(
        "h100_sxm", overrides=["sm.prefetcher=none", "sm.units.tensor.table.hmma_884.latency_cycles=9"]
    )
    assert load_config(write(tmp_path, "resolved.yaml", to_yaml(machine))) == machine


INTS = [path for path, _, _, field in walk(MachineConfig) if field.annotation is int]


@given(path=st.sampled_from(INTS), value=st.integers())
def test_an_integer_override_sets_exactly_that_parameter_or_is_refused_by_name(path, value):
    try:
        machine = load_config(overrides=[f"{path}={value}"])
    except ConfigError as error:
        assert path.split(".")[0] in str(error)
        return
    assert flatten(machine)[path] == value
    assert {name for name, *_ in diff(MachineConfig(), machine)} <= {path}


@given(st.text(max_size=60))
def test_any_text_as_override_is_accepted_or_refused_cleanly(text):
    try:
        parse_override(text)
    except ArchsimError as error:
        assert "--set" in str(error)


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["sm", "l2", "num_warps", "issue", "bytes", "name", "extends", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@given(tree=TREES)
def test_any_yaml_tree_is_a_machine_or_one_clean_error(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("fuzz") / "m.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    try:
        assert isinstance(load_config(path), MachineConfig)
    except ConfigError as error:
        assert "m.yaml" in str(error)


def test_every_component_can_be_written_as_an_empty_mapping(tmp_path):
    names = [name for name, field in MachineConfig.model_fields.items() if spec_class(field)]
    assert load_config(write(tmp_path, "m.yaml", "".join(f"{name}: {{}}\n" for name in names))) == MachineConfig()
