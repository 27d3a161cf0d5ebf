"""The specs themselves: every parameter is documented, the tree is consistent, values are frozen."""

from __future__ import annotations

import pydantic
import pytest

from archsim.config import MachineConfig, content_hash, flatten
from archsim.config.describe import components, describe
from archsim.config.machine import get
from archsim.config.spec import source_of, spec_class, unit_of, walk
from archsim.errors import ConfigError

PARAMETERS = [(path, field) for path, _, _, field in walk(MachineConfig) if spec_class(field) is None]
UNIT_OF_SUFFIX = {  # the longest suffix that fits counts
    "_quarter_cycles": "cycles / 4",
    "_cycles": "cycles",
    "_bytes": "bytes",
    "bytes_per_cycle": "bytes/cycle",
    "_kb": "KB",
    "_mhz": "MHz",
    "_mtps": "MT/s",
    "_bits": "bits",
}


@pytest.mark.parametrize(("path", "field"), PARAMETERS, ids=[path for path, _ in PARAMETERS])
def test_every_parameter_has_a_doc_and_a_source(path, field):
    assert field.description and "\n" not in field.description
    assert source_of(field)
    assert not field.is_required()


@pytest.mark.parametrize(("path", "field"), PARAMETERS, ids=[path for path, _ in PARAMETERS])
def test_unit_in_the_name_agrees_with_the_declared_unit(path, field):
    suffix = max((suffix for suffix in UNIT_OF_SUFFIX if path.endswith(suffix)), key=len, default=None)
    if suffix is not None:
        assert unit_of(field) == UNIT_OF_SUFFIX[suffix]


@pytest.mark.parametrize(("path", "field"), PARAMETERS, ids=[path for path, _ in PARAMETERS])
def test_every_scalar_number_has_a_range(path, field):
    if field.annotation in (int, float):
        names = {type(item).__name__ for item in field.metadata}
        assert {"Ge", "Le"} <= names


def test_empty_config_is_the_default_machine():
    machine = MachineConfig()
    assert (machine.arch, machine.num_sms, machine.sm.num_warps) == (86, 84, 48)
    assert machine.dram.bandwidth_gbps == pytest.approx(768)


def test_specs_are_frozen():
    with pytest.raises(pydantic.ValidationError):
        MachineConfig().sm.num_warps = 3


def test_get_follows_a_dotted_path():
    assert get(MachineConfig(), "sm.issue.stall0_yield_cycles") == 45


def test_flatten_lists_every_parameter_once():
    assert {path for path, field in PARAMETERS if not isinstance(get(MachineConfig(), path), dict)} == set(
        flatten(MachineConfig())
    )


def test_content_hash_ignores_the_name_only():
    base = MachineConfig()
    assert content_hash(base) == content_hash(MachineConfig(name="other", description="x"))
    assert content_hash(base) != content_hash(MachineConfig(num_sms=83))


def test_describe_covers_every_component_and_parameter():
    for doc in components():
        assert describe(doc.path)
        for entry in doc.params:
            text = describe(entry.path)
            assert entry.doc in text
            assert entry.source in text


def test_describe_shows_the_value_of_the_given_machine():
    assert "= 45 cycles" in describe("sm.issue.stall0_yield_cycles")
    assert describe("num_sms", MachineConfig(num_sms=10)).startswith("num_sms = 10")


@pytest.mark.parametrize("path", ["sm.isue", "sm.issue.schedular", "nonsense", "sm.", "."])
def test_describe_unknown_path(path):
    with pytest.raises(ConfigError, match="no component or parameter"):
        describe(path)
