"""DRAM configurations, expressions, mappings and energy: values, and errors that say where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archsim.config.memory import DramSpec
from archsim.dram import load_dram, load_dram_for_gpu
from archsim.dram.energy import dram_energy, energy_table
from archsim.dram.expressions import evaluate, resolve
from archsim.dram.mapping import make_mapping
from archsim.errors import ConfigError

STANDARDS = ["ddr4", "ddr5", "gddr6", "gddr6x", "gddr7", "hbm2e", "hbm3", "hbm3e", "lpddr5"]


def test_expressions():
    names = {"nCL": 10, "nBL": 4}
    assert evaluate("nCL + nBL + 2 - 1", names, "x") == 15
    assert evaluate("max(4, ns(5))", names, "x", 1250) == 4
    assert evaluate("ns(13.75)", names, "x", 1250) == 11, "an exact multiple is not rounded up"
    assert resolve({"a": "b + 1", "b": "2 * c", "c": 3}, {}, "x", 1000) == {"a": 7, "b": 6, "c": 3}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("nXX + 1", "nXX, which has no value"),
        ("1 +", "not an expression"),
        ("__import__('os')", "only"),
        ("1 / 0", "division"),
    ],
)
def test_bad_expressions_are_named(expression, text):
    with pytest.raises(ConfigError, match="^here.*" + text):
        evaluate(expression, {}, "here")


def test_parameters_in_a_circle_are_named():
    with pytest.raises(ConfigError, match="circle: a, b"):
        resolve({"a": "b", "b": "a"}, {}, "x", 1000)


@pytest.mark.parametrize(
    ("standard", "gbps"),
    [
        ("ddr4", 25.6),
        ("ddr5", 19.2),
        ("lpddr5", 12.8),
        ("gddr6", 32),
        ("gddr6x", 39),
        ("gddr7", 28),
        ("hbm2e", 51.2),
        ("hbm3", 41.6),
        ("hbm3e", 50),
    ],
)
def test_peak_bandwidth_is_pins_times_rate(standard, gbps):
    assert load_dram(standard).peak_bytes_per_ns == pytest.approx(gbps, rel=0.002)


def test_presets_and_overrides():
    config = load_dram("hbm3:HBM3_6400", ["channels=4", "timing.nCL=30", "controller.page=closed"])
    assert (config.preset, config.channels, config.timing["nCL"], config.controller.page) == (
        "HBM3_6400",
        4,
        30,
        "closed",
    )


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"chanels": 2}, "unknown key 'chanels'; did you mean 'channels'"),
        ({"timing.nRCDX": 2}, "unknown key 'nRCDX'"),
        ({"preset": "HBM3_1"}, "no preset 'HBM3_1'; known: HBM3"),
        ({"controller.refresh": "sometimes"}, "none, all_bank or per_bank"),
        ({"controller.read_queue": "many"}, "expected int"),
        ({"organization.rank": 0}, "at least 1"),
        ({"channels": -1}, "at least 1"),
    ],
)
def test_bad_overrides_are_named(overrides, text):
    with pytest.raises(ConfigError, match=text):
        load_dram("hbm3", overrides)


def test_bad_files_are_named(tmp_path):
    for body, text in [
        ("extends: hbm3\nconstraints: [[bank, ACT, FOO, nRC]]", "unknown key 'FOO'"),
        ("extends: hbm3\nconstraints: [[blank, ACT, ACT, nRC]]", "'blank' is not a level"),
        ("extends: hbm3\nconstraints: [[bank, ACT, ACT, nRC, windows 4]]", "unknown option"),
        ("extends: hbm9", "no configuration 'hbm9'|hbm9"),
        ("- 1", "mapping at the top"),
        ("a: [", "not valid YAML"),
    ]:
        path = tmp_path / "x.yaml"
        path.write_text(body)
        with pytest.raises(ConfigError, match=text):
            load_dram(path)


def test_a_variant_adds_a_command_with_its_constraints(tmp_path):
    from archsim.dram import compile_dram

    path = tmp_path / "pim.yaml"
    path.write_text(
        "extends: gddr6\nname: pim\ncommands: {MACAB: {scope: channel}}\ntiming: {nMAC: 7}\n"
        "constraints: [[channel, MACAB, MACAB, nMAC], [bank, ACT, MACAB, nRCDRD]]\n"
    )
    dram = compile_dram(load_dram(path))
    assert dram.names[-1] == "MACAB" and dram.number("MACAB") == 9
    from tests.timing.test_dram_probes import probe

    assert probe(dram, [("MACAB", 0, 100)], "MACAB", 0, 100) == 107


@pytest.mark.parametrize("standard", STANDARDS)
@given(seed=st.integers(0, 2**32 - 1))
def test_mapping_is_one_to_one(standard, seed):
    config = load_dram(standard, {"channels": 3})
    mapping = make_mapping(config)
    rng = np.random.default_rng(seed)
    address = rng.integers(0, mapping.capacity_bytes // config.burst_bytes, 64) * config.burst_bytes
    fields = mapping.decode(address)
    assert (mapping.encode(fields) == address).all()
    assert all((fields[name] >= 0).all() and (fields[name] < size).all() for name, size in mapping.sizes.items())


def test_bit_strings_and_split_fields():
    bits = load_dram("gddr6", {"mapping": "RRRRRRRRRRRRRR.GGBB.CCCCCC.SSSSS"})
    parts = make_mapping(bits).decode(np.array([0b11_01_10_000011_00000]))
    assert [int(parts[n][0]) for n in ("row", "bankgroup", "bank", "column")] == [3, 1, 2, 3]
    split = make_mapping(load_dram("gddr6", {"mapping": "RoBaCoBgCo2Ch"})).decode(np.arange(8) * 32)
    assert split["column"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert split["bankgroup"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    hashed = make_mapping(load_dram("gddr6", {"xor": [["bank", "row", 0]]}))
    assert (hashed.encode(hashed.decode(np.arange(0, 1 << 22, 4096))) == np.arange(0, 1 << 22, 4096)).all()


@pytest.mark.parametrize(
    ("mapping", "text"),
    [("RoBaXx", "expected fields"), ("RoBaCoCh", "bankgroup"), ("RoBaBgCo9Ch", "column"), ("RRSS", "bytes of S")],
)
def test_bad_mappings_are_named(mapping, text):
    with pytest.raises(ConfigError, match=text):
        make_mapping(load_dram("gddr6", {"mapping": mapping}))


def test_gpu_boards():
    h100 = load_dram_for_gpu(
        DramSpec(standard="HBM3", channels=80, channel_width_bits=64, burst_length=8, data_rate_mtps=5238.0)
    )
    assert h100.peak_bytes_per_ns == pytest.approx(3352, rel=0.001)
    assert h100.timing["nRCDRD"] * h100.clock_ns == pytest.approx(15.6, abs=h100.clock_ns)
    with pytest.raises(ConfigError, match="64 data pins, not 32"):
        load_dram_for_gpu(DramSpec(standard="HBM3", channel_width_bits=32))


def test_energy_follows_the_formulae():
    config = load_dram("ddr4")
    table, t = energy_table(config), config.timing
    pj = 1.2 * 0.625 * 8
    assert table["activate_pj"].value == pytest.approx(pj * (57 * 74 - 52 * 52 - 37 * 22))
    assert table["read_pj"].value == pytest.approx(pj * (168 - 52) * t["nBL"])
    states = dict.fromkeys(("active_standby", "precharge_standby", "active_power_down", "precharge_power_down"), 0.0)
    one = dram_energy(config, {"ACT": 1, "RD": 2}, {**states, "active_standby": 10.0})
    assert one.components["activate"] == table["activate_pj"].value
    assert one.components["active_standby"] == pytest.approx(10 * 1.2 * 52 * 8)
    assert one.components["io"] == 2 * 512 * 5.0
    assert 0 < one.guessed_share < 1


@pytest.mark.parametrize("standard", STANDARDS)
def test_every_energy_row_names_its_source(standard):
    table = energy_table(load_dram(standard))
    assert len(table) >= 8
    assert all(row.source and row.value > 0 for row in table.values())
