"""Run a hand-written kernel on one SM and read off when each instruction passed each stage.

    k = KernelBuilder(arch=86)
    k.add("FADD R1, R2, R3", stall=4)
    k.add("FADD R4, R1, R1", stall=1)
    probe = run_probe(k)
    assert probe.issue(1) - probe.issue(0) == 4

Times are SM cycles, counted from the launch of the kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from archsim.config import MachineConfig, load_config
from archsim.engine.run import KernelResult, Runner
from archsim.errors import RunError
from archsim.kernels import layout as lay
from archsim.testing.kernel_builder import KernelBuilder

WARM_ICACHE = "sm.front_end.perfect_icache=true"  # every fetch hits, as in a loop's second pass
LOG_ENTRIES = 1 << 16


@dataclass(frozen=True)
class Probe:
    """What happened in one run. ``warp`` is a warp slot of SM ``sm``: for one CTA on an empty SM, the warp's index.

    ``pc`` is the index of the instruction in the program, ``occurrence`` counts the executions of that instruction by
    that warp (0 = first). A stage that was never reached is a RunError.
    """

    result: KernelResult
    config: MachineConfig

    @cached_property
    def _events(self) -> dict[tuple[int, int, int, int], list[tuple[int, int]]]:
        """(stage, sm, warp, pc) -> list of (cycle, value) in order of time."""
        events: dict[tuple[int, int, int, int], list[tuple[int, int]]] = {}
        for e in self.result.log:
            key = (int(e["what"]), int(e["sm"]), int(e["warp"]), int(e["pc"]))
            events.setdefault(key, []).append((int(e["cycle"]), int(e["value"])))
        return events

    def _cycle(self, what: int, pc: int, warp: int, occurrence: int, sm: int) -> int:
        found = self._events.get((what, sm, warp, pc), [])
        if occurrence >= len(found):
            raise RunError(
                f"probe: instruction {pc} of warp {warp} on SM {sm}: {len(found)} times, not {occurrence + 1}"
            )
        return found[occurrence][0]

    def issue(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """Cycle of issue."""
        return self._cycle(lay.LOG_ISSUE, pc, warp, occurrence, sm)

    def control(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """Cycle in the Control stage, where a clock is read: one after issue unless the stage was held up."""
        return self._cycle(lay.LOG_CONTROL, pc, warp, occurrence, sm)

    def allocate(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """Cycle in which a fixed-latency instruction left Allocate: its operands are read in the cycles after."""
        return self._cycle(lay.LOG_ALLOCATE, pc, warp, occurrence, sm)

    def address_start(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """Cycle in which address generation of a memory instruction started in the sub-core's local unit."""
        return self._cycle(lay.LOG_READ, pc, warp, occurrence, sm)

    def accept(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """Cycle in which the shared load/store unit took a memory instruction."""
        return self._cycle(lay.LOG_ACCEPT, pc, warp, occurrence, sm)

    def writeback(self, pc: int, warp: int = 0, occurrence: int = 0, sm: int = 0) -> int:
        """First cycle in which a consumer that waits for this result can issue (its write barrier is released)."""
        return self._cycle(lay.LOG_WRITEBACK, pc, warp, occurrence, sm)

    def counter_changes(self, counter: int, warp: int = 0, sm: int = 0) -> list[tuple[int, int]]:
        """Dependence counter ``counter`` (0-5): (cycle from which the issue stage sees it, value) at each change."""
        changes: list[tuple[int, int]] = []
        last = 0
        for cycle, packed in self._events.get((lay.LOG_SB, sm, warp, -1), []):
            value = (packed >> (8 * counter)) & 0xFF
            if value != last:
                changes.append((cycle, value))
            last = value
        return changes

    def issue_order(self, sub_core: int = 0, sm: int = 0) -> list[tuple[int, int, int]]:
        """All issues of a sub-core in order of time: (cycle, warp, pc)."""
        log = self.result.log
        mine = (
            (log["what"] == lay.LOG_ISSUE) & (log["sm"] == sm) & (log["warp"] % self.config.sm.num_subcores == sub_core)
        )
        return sorted((int(e["cycle"]), int(e["warp"]), int(e["pc"])) for e in log[mine])

    def intervals(self, sub_core: int = 0, sm: int = 0) -> list[tuple[int, int, int]]:
        """Runs of issues by one warp: (warp, first cycle, cycle after the last), a new run when the warp changes."""
        runs: list[tuple[int, int, int]] = []
        for cycle, warp, _ in self.issue_order(sub_core, sm):
            if runs and runs[-1][0] == warp:
                runs[-1] = (warp, runs[-1][1], cycle + 1)
            else:
                runs.append((warp, cycle, cycle + 1))
        return runs

    @property
    def cycles(self) -> int:
        """Cycles of the kernel."""
        return self.result.cycles

    @property
    def counters(self) -> dict[str, int]:
        """Counters, summed over the SMs (names of `archsim.kernels.layout.COUNTERS`)."""
        return self.result.counters

    @property
    def stalls(self) -> dict[str, int]:
        """Issue slots by reason, ``issued`` included."""
        return self.result.stalls


def run_probe(
    what: Any,
    config: str | MachineConfig = "rtx_a6000",
    *,
    overrides: Sequence[str] = (),
    num_sms: int = 1,
    log_entries: int = LOG_ENTRIES,
    **launch: Any,
) -> Probe:
    """Simulate one kernel and log it.

    Args:
        what: a `KernelBuilder` (``launch`` goes to its ``build``) or a trace, whose first kernel is run.
        config: machine by name, or a ready one (then ``overrides`` and ``num_sms`` do not apply).
        overrides: ``component.param=value`` strings on top of ``config``.
        num_sms: SMs of the chip. Few of them keep a probe quick.
        log_entries: room in the log; a fuller run is a RunError.

    Raises:
        RunError: the kernel does not fit or does not end, the log is full, or issue slots and stall reasons disagree.
    """
    if not isinstance(config, MachineConfig):
        config = load_config(config, overrides=[f"num_sms={num_sms}", *overrides])
    trace = what.build(**launch) if isinstance(what, KernelBuilder) else what
    kernel = trace.kernels[0]
    result = Runner(config, log_entries=log_entries).run_kernel(kernel)
    if len(result.log) >= log_entries:
        raise RunError(f"{result.name}: more than {log_entries} log entries: raise log_entries")
    check_slots(result)
    if result.warp_instructions != kernel.warp_instructions:
        raise RunError(
            f"{result.name}: {kernel.warp_instructions} warp-instructions in the trace, "
            f"{result.warp_instructions} were issued"
        )
    return Probe(result, config)


def check_slots(result: KernelResult) -> None:
    """RunError unless every issue slot of every sub-core has exactly one fate (cycles x sub-cores in all)."""
    per_subcore = np.asarray(result.stalls_per_subcore).sum(axis=1)
    if np.any(per_subcore != result.cycles):
        raise RunError(f"{result.name}: {result.cycles} cycles, slots charged to the sub-cores: {per_subcore.tolist()}")
    if result.stalls["issued"] != result.warp_instructions:
        raise RunError(
            f"{result.name}: {result.warp_instructions} issued, {result.stalls['issued']} slots charged for it"
        )
