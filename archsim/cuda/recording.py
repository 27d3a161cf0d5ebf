"""Which launches of a program leave a trace, and where it goes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from archsim.errors import RunError
from archsim.trace.layout import MEM_DT, RUN_DT, WARP_DT, Batch

if TYPE_CHECKING:
    from archsim.isa.program import Program
    from archsim.trace import TraceWriter
    from archsim.trace.layout import LaunchInfo

Progress = Callable[[int, int], None]  # CTAs done, CTAs in all


@dataclass(frozen=True)
class Selection:
    """Launches to record: index (from 0, in program order) in [first, end), and the kernel's name matches.

    ``kernel``: regular expression, searched in the mangled and in the plain name. ``end`` -1: no end.
    """

    kernel: re.Pattern[str] | None = None
    first: int = 0
    end: int = -1
    sample_every: int = 1

    @classmethod
    def parse(cls, kernel: str | None, launches: str | None, sample_every: int = 1) -> Selection:
        """From the command line: a regular expression, and ``A:B``, ``A:``, ``:B`` or ``A``. Raises RunError."""
        try:
            pattern = re.compile(kernel) if kernel else None
        except re.error as error:
            raise RunError(f"--kernel {kernel!r} is not a regular expression: {error}") from None
        first, end = 0, -1
        if launches:
            match = re.fullmatch(r"(\d*)(:?)(\d*)", launches)
            if not match or launches == ":" or (not match[2] and match[3]):
                raise RunError(f"--launches {launches!r}: expected A:B, A:, :B or A (launch numbers from 0)")
            first = int(match[1] or 0)
            end = (int(match[3]) if match[3] else -1) if match[2] else first + 1
            if 0 <= end <= first:
                raise RunError(f"--launches {launches!r}: the range is empty")
        if sample_every < 1:
            raise RunError(f"--sample {sample_every}: must be 1 or more")
        return cls(pattern, first, end, sample_every)

    def takes(self, index: int, name: str) -> bool:
        """Whether launch ``index`` of the kernel ``name`` (mangled) is recorded."""
        if index < self.first or (self.end >= 0 and index >= self.end):
            return False
        return self.kernel is None or bool(self.kernel.search(name) or self.kernel.search(plain_name(name)))


def plain_name(mangled: str) -> str:
    """The function's own name in an Itanium-mangled one, namespaces joined by "::"; other names come back as they are.

    Enough for choosing kernels by name; template arguments and parameter types are left out.
    """
    if not mangled.startswith("_Z"):
        return mangled
    at = 3 if mangled[2:3] == "N" else 2
    parts = []
    while match := re.match(r"(?:L|St)?(\d+)", mangled[at:]):
        start = at + match.end()
        at = start + int(match[1])
        name = mangled[start:at]
        parts.append("(anonymous)" if name.startswith("_GLOBAL__N_") else name)
        if mangled[2:3] != "N":
            break
    return "::".join(parts) or mangled


class Recorder:
    """Gives the emulator a place to write each selected launch, and notes copies between launches."""

    def __init__(self, writer: TraceWriter | None, selection: Selection | None = None) -> None:
        self.writer = writer
        self.selection = selection or Selection()
        self.recorded = 0
        self.instructions = 0  # warp-instructions recorded
        self._programs: dict[int, tuple[int, Program]] = {}  # by identity; holding them keeps the identity valid

    def begin(self, index: int, program: Program, launch: LaunchInfo) -> Any | None:
        """A KernelWriter, or None when this launch is not recorded."""
        if self.writer is None or not self.selection.takes(index, program.name):
            return None
        self.recorded += 1
        if id(program) not in self._programs:
            self._programs[id(program)] = (self.writer.add_program(program, memory_records(program)), program)
        return self.writer.begin_kernel(self._programs[id(program)][0], launch)

    def event(self, kind: str, *values: int) -> None:
        """A copy or fill, in program order with the launches."""
        if self.writer is not None:
            self.writer.event(kind, *values)


class MemoryWriter:
    """Collects one launch in memory, with the interface of a trace file's KernelWriter."""

    def __init__(self, launch: LaunchInfo) -> None:
        self.launch = launch
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Append whole warp segments; the arrays are copied, so that the emulator may use its buffers again."""
        self._batches.append(Batch(*(np.array(part) for part in batch)))

    def end(self, launch: LaunchInfo | None = None) -> None:
        """Finish; ``launch`` replaces what the writer was made with."""
        self.launch = launch or self.launch

    def batch(self) -> Batch:
        """Everything, as one batch."""
        warps = [part.warps for part in self._batches]
        runs = mems = lanes = 0
        for part in self._batches:
            part.warps["run_begin"] += runs
            part.warps["mem_begin"] += mems
            part.mems["lane_begin"][part.mems["lane_begin"] >= 0] += lanes
            runs, mems, lanes = runs + len(part.runs), mems + len(part.mems), lanes + len(part.lanes)
        self._batches = [
            Batch(
                np.concatenate([*warps, np.zeros(0, WARP_DT)]),
                np.concatenate([*(part.runs for part in self._batches), np.zeros(0, RUN_DT)]),
                np.concatenate([*(part.mems for part in self._batches), np.zeros(0, MEM_DT)]),
                np.concatenate([*(part.lanes for part in self._batches), np.zeros(0, np.uint64)]),
            )
        ]
        return self._batches[0]


def memory_records(program: Program) -> Any:
    """u1[n_static]: address records that one execution of each instruction leaves in a trace."""
    from archsim.isa.tables import op_info

    return np.array([op_info(i, program.arch).mem_records for i in program.instructions], np.uint8)


def default_output(program: str) -> Path:
    """``<program name>.h5`` in the current folder."""
    return Path(f"{Path(program).name}.h5")
