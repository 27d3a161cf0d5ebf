"""Every program of the kernel suite, captured for every architecture, passes its own host check."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from archsim.cuda.capture import CaptureOptions, capture_program
from archsim.isa.tools import have_tool
from archsim.trace import open_trace

KERNELS = Path(__file__).resolve().parents[2] / "validation" / "kernels"
sys.path.insert(0, str(KERNELS))
import build  # noqa: E402
import manifest  # noqa: E402

sys.path.remove(str(KERNELS))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
    pytest.mark.skipif(not have_tool("nvcc"), reason="needs nvcc"),
]

CASES = [(program, arch) for program in manifest.load() for arch in program.archs]


@pytest.mark.parametrize(("program", "arch"), CASES, ids=[f"{program.name}-{arch}" for program, arch in CASES])
def test_program(program, arch, tmp_path, capfd):
    binary = build.build([program.name], [arch])[program.name, arch]
    path = tmp_path / "trace.h5"
    result = capture_program([str(binary), *program.args_small], CaptureOptions(output=path))
    out = capfd.readouterr().out
    assert result.complete, (result.faults, out)
    assert "PASS" in out
    assert not result.unsupported
    with open_trace(path) as trace:
        assert sum(kernel.warp_instructions for kernel in trace.kernels) == result.warp_instructions > 0
