"""``archsim trace``."""

from __future__ import annotations

import json

import pytest

from archsim.cli import main
from archsim.testing import KernelBuilder


@pytest.fixture()
def trace(tmp_path):
    k = KernelBuilder(86, name="demo")
    k.add("LDG.E R2, [R4.64]", stall=2, write=0, address=(0x1000, 4))
    with k.loop(2000):
        k.add("FADD R5, R2, R5", stall=4, wait=(0,))
        k.add("LDS R6, [R7]", address=lambda c, w, i: [i * lane for lane in range(32)], write=1)
    path = tmp_path / "demo.h5"
    k.build(grid=2, block=64).save(path)
    return path


def test_info_json(trace, capsys):
    assert main(["trace", "info", str(trace), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["warp_instructions"] == 4 * 6002
    assert found["kernels"][0]["name"] == "demo" and found["kernels"][0]["control_bits"] is True
    assert found["kernels"][0]["warp_instructions"] == 4 * 6002


def test_info_says_bytes_per_instruction(trace, capsys):
    assert main(["trace", "info", str(trace)]) == 0
    out = capsys.readouterr().out
    assert "a warp-instruction" in out and "24,008 warp-instructions" in out and "sm_86" in out


def test_dump_stream_and_program(trace, capsys):
    assert main(["trace", "dump", str(trace), "--warp", "1", "--limit", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# CTA 0 warp 1"
    assert lines[1] == "000000  ffffffff  LDG.E R2, [R4.64]  @ 0x1000+4*lane"
    assert len(lines) == 5 and "more" in lines[4]
    assert main(["trace", "dump", str(trace), "--static"]) == 0
    assert "B0-----:R-:W-:-:S04" in capsys.readouterr().out.splitlines()[1]


def test_dump_crosses_segments(trace, capsys):
    assert main(["trace", "dump", str(trace), "--cta", "1", "--warp", "0", "--limit", "100000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6003 and lines[-1].endswith("EXIT")


def test_export_import_validate(trace, tmp_path, capsys):
    assert main(["trace", "export", str(trace), "-o", str(tmp_path / "text")]) == 0
    assert main(["trace", "import", str(tmp_path / "text/kernelslist.g"), "-o", str(tmp_path / "back.h5")]) == 0
    assert main(["trace", "validate", str(tmp_path / "back.h5"), str(trace)]) == 0
    assert capsys.readouterr().out.count("good (24,008 warp-instructions)") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "none.h5"],
        ["dump", "{trace}", "--kernel", "5"],
        ["dump", "{trace}", "--cta", "7"],
        ["dump", "{trace}", "--warp", "9"],
        ["import", "none.g", "-o", "x.h5"],
        ["import", "none.g", "-o", "x.h5", "--arch", "turing"],
        ["validate", "none.h5"],
    ],
)
def test_mistakes_are_one_line(trace, arguments, capsys):
    assert main(["trace", *(a.format(trace=trace) for a in arguments)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("archsim: error: ") and err.count("\n") == 1
