"""The shipped machines: each loads, says what the board's data sheet says, and comes back from its resolved form."""

from __future__ import annotations

import pytest

from archsim.config import diff, load_config, to_yaml
from archsim.resources import find_config, list_configs

NAMES = list_configs()
# Board specifications: architecture, SMs, L2 in MB, memory in GB/s, resident warps, largest shared memory in KB.
BOARDS = {
    "rtx_a6000": (86, 84, 6, 768, 48, 100),
    "rtx_3070": (86, 46, 4, 448, 48, 100),
    "rtx_3080": (86, 68, 5, 760, 48, 100),
    "rtx_3090": (86, 82, 6, 936, 48, 100),
    "rtx_2080_ti": (75, 68, 5.5, 616, 32, 64),
    "t4": (75, 40, 4, 320, 32, 64),
    "rtx_4090": (89, 128, 72, 1008, 48, 100),
    "rtx_5070_ti": (120, 70, 48, 896, 48, 100),
    "a100_80gb": (80, 108, 40, 2039, 64, 164),
    "h100_sxm": (90, 132, 50, 3352, 64, 228),
    "h200_sxm": (90, 132, 50, 4800, 64, 228),
}


def test_the_table_above_is_the_shipped_list():
    assert set(NAMES) == set(BOARDS)


@pytest.mark.parametrize("name", NAMES)
def test_board_facts(name):
    machine = load_config(name)
    facts = (
        machine.arch,
        machine.num_sms,
        machine.l2.bytes / 2**20,
        round(machine.dram.bandwidth_gbps),
        machine.sm.num_warps,
        machine.sm.shared.max_bytes // 1024,
    )
    assert facts == BOARDS[name]
    assert machine.name == name


@pytest.mark.parametrize("name", NAMES)
def test_resolved_form_is_the_same_machine(name, tmp_path):
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(load_config(name)))
    assert load_config(path) == load_config(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_changed_value_has_its_source_in_a_comment(name):
    lines = find_config(name).read_text().splitlines()
    for number, line in enumerate(lines):
        code, _, comment = line.partition("#")
        key, _, value = code.strip().partition(":")
        if not value.strip() or key in ("extends", "name", "description"):
            continue
        explained = comment.strip() or lines[number - 1].lstrip().startswith("#")
        assert explained, f"{name}: {line.strip()} has no source"


def test_h200_differs_from_h100_in_memory_only():
    changed = {path for path, *_ in diff(load_config("h100_sxm"), load_config("h200_sxm"))} - {"name", "description"}
    assert changed
    assert all(path.startswith(("dram.", "memory.")) for path in changed)


def test_l1_and_shared_share_the_unified_array():
    for name in NAMES:
        machine = load_config(name)
        assert machine.sm.shared.max_bytes < machine.sm.unified_l1_bytes
