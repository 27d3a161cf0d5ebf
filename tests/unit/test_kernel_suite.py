"""The kernel suite's manifest, build commands and the reading of ncu's output (nothing here needs nvcc or a GPU)."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "validation" / "kernels"
sys.path[:0] = [str(KERNELS), str(ROOT / "validation" / "hw" / "h100")]

import build  # noqa: E402
import manifest  # noqa: E402
import measure_suite  # noqa: E402

PROGRAMS = manifest.load()


def test_manifest_and_sources_agree() -> None:
    assert sorted(p.file for p in PROGRAMS) == sorted(path.name for path in KERNELS.glob("*.cu"))
    assert len({p.name for p in PROGRAMS}) == len(PROGRAMS) >= 44


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_program_entry(program: manifest.Program) -> None:
    source = (KERNELS / program.file).read_text(encoding="utf-8")
    kernels = re.findall(r"__global__ void\s+(?:__launch_bounds__\(\w+\)\s*)?(\w+)\(", source)
    assert [name for name in kernels if re.fullmatch(program.kernel, name)], "no kernel of that name"
    assert program.exact == (program.inexact_reason is None)
    assert f'"{program.name}"' in source, "the report line does not carry the program's name"
    # One launch of the measured kernel for each repeat: what the profiling protocol counts on.
    launched = re.findall(r"suite::launch\(\s*(\w+)", source)
    assert len([name for name in launched if re.fullmatch(program.kernel, name)]) == 1


def test_manifest_is_yaml() -> None:
    rows = yaml.safe_load(manifest.SUITE.read_text(encoding="utf-8"))
    for row, program in zip(rows, PROGRAMS, strict=True):
        for key, value in row.items():
            assert getattr(program, key) == (tuple(value) if isinstance(value, list) else value)


def test_split_is_the_hash_rule() -> None:
    for program in PROGRAMS:
        even = hashlib.sha256(program.name.encode()).digest()[0] % 2 == 0
        assert program.split == ("tune" if even else "report")
    assert {p.split for p in PROGRAMS} == {"tune", "report"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('- name: "a"\n  file', r"suite.yaml:2: expected 'key: value'"),
        ("- name: a", r"suite.yaml:1: field 'name': not a JSON value"),
        ('- name: "a"', r"program 'a': missing or unknown field: archs"),
        ('name: "a"', r"suite.yaml:1: expected"),
    ],
)
def test_malformed_manifest(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(manifest.ManifestError, match=complaint):
        manifest.load(path)


def test_unknown_program() -> None:
    with pytest.raises(manifest.ManifestError, match="no program named 'nonesuch'"):
        build.build(["nonesuch"])


def test_nvcc_command(tmp_path: Path) -> None:
    (spills,) = manifest.select(["spills"])
    command = build.nvcc_command(spills, "sm_86", tmp_path)
    assert "arch=compute_86,code=sm_86" in command and "-maxrregcount=32" in command
    assert command[command.index("-cudart") + 1] == "shared"
    assert command[command.index("-o") + 1] == str(tmp_path / "spills.sm_86")


NCU_LOG = """==PROF== Connected to process 7 (vecadd.sm_90)
==PROF== Profiling "vecadd_kernel" - 0: 0%....50%....100% - 1 pass
"ID","Process ID","Kernel Name","Block Size","Grid Size","sm__cycles_active.max","gpc__cycles_elapsed.max"
"","","","","","cycle","cycle"
"0","7","vecadd_kernel","(256, 1, 1)","(264, 1, 1)","5,000","9,000"
"1","7","vecadd_kernel","(256, 1, 1)","(264, 1, 1)","4,100","7,000"
"2","7","vecadd_kernel","(256, 1, 1)","(264, 1, 1)","4,000","7,100"
"3","7","vecadd_kernel","(256, 1, 1)","(264, 1, 1)","4,200","n/a"
==PROF== Disconnected from process 7
"""


def test_ncu_rows_drop_the_first_launch() -> None:
    rows = measure_suite.parse_ncu(NCU_LOG)
    assert len(rows) == 4
    row = measure_suite.cycles_row(manifest.select(["vecadd"])[0], "small", "flushed", rows)
    assert (row["sm_active_max_median_cycles"], row["sm_active_max_min_cycles"]) == (4100, 4000)
    assert row["launches"] == 3 and row["sm_active_max_spread"] == round(200 / 4100, 4)
    assert row["sm_active_max_all_cycles"] == "5000 4100 4000 4200"
    assert row["gpc_elapsed_max_median_cycles"] == 7050
    assert row["grid"] == "(264, 1, 1)"


def test_ncu_log_without_results() -> None:
    assert measure_suite.parse_ncu("==ERROR== No kernels were profiled.\n") == []
