"""The order of divergent threads against a real H100: executed instructions of 131 launches, to the unit.

The programs, the card's counts and what they show: `validation/hw/h100/divergence/README.md`.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archsim.cuda.capture import CaptureOptions, capture_program
from archsim.emulator.machine import Machine

FOLDER = Path(__file__).resolve().parents[2] / "validation" / "hw" / "h100" / "divergence"
METRICS = (
    "smsp__inst_executed.sum",
    "smsp__thread_inst_executed.sum",
    "smsp__thread_inst_executed_pred_on.sum",
)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_executed_counts_are_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warp instructions, thread instructions and those predicated on, of every launch."""
    program = tmp_path / "divergence"
    flags = ["-arch=sm_90", "-cudart", "shared", "-std=c++17", "--jump-table-density", "50"]
    subprocess.run(["nvcc", *flags, "-o", str(program), str(FOLDER / "divergence.cu")], check=True)
    ours: list[tuple[str, tuple[int, int, int]]] = []
    launch = Machine.launch

    def counted(self: Machine, kernel: Any, *args: Any, **options: Any) -> Any:
        r = launch(self, kernel, *args, **options)
        ours.append((kernel.name, (r.warp_instructions, r.thread_instructions, r.thread_instructions_on)))
        return r

    monkeypatch.setattr(Machine, "launch", counted)
    assert capture_program([str(program), "count"], CaptureOptions(arch=90)).complete
    with (FOLDER / "counts_2026-11-24.csv").open() as file:
        card = [(row["kernel"], tuple(int(row[m]) for m in METRICS)) for row in csv.DictReader(file)]
    assert len(card) == 131
    assert ours == card
