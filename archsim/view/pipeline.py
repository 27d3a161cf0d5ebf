"""From the event log of a launch to instructions with the cycles of their stages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archsim.config import MachineConfig
from archsim.engine.run import KernelResult
from archsim.kernels import layout as lay
from archsim.model.program import static_records

EVENTS_PER_ISSUE = 8  # issue, control, allocate or read, accept, write-back, dependence counters up and down
TAIL_CYCLES = 2000  # after the window: loads issued in it come back
LEAD_CYCLES = 2000  # before it: what was issued then is told apart from what is issued in the window
MAX_ENTRIES = 1 << 23  # of the log, 32 bytes each
READ_CYCLES = 3  # operand-read window after Allocate (gpu-core D.2)
UNKNOWN = -1
_STAGES = {
    lay.LOG_CONTROL: "control",
    lay.LOG_ALLOCATE: "allocate",
    lay.LOG_READ: "read",
    lay.LOG_ACCEPT: "accept",
    lay.LOG_WRITEBACK: "writeback",
}


def log_entries(config: MachineConfig, window: tuple[int, int]) -> int:
    """Entries that the event log needs for the cycles of ``window``: at most one issue a sub-core and cycle."""
    subcores = config.num_sms * config.sm.num_subcores
    return min((window[1] + TAIL_CYCLES - log_from(window)) * subcores * EVENTS_PER_ISSUE, MAX_ENTRIES)


def log_from(window: tuple[int, int]) -> int:
    """Cycle at which the event log has to begin for ``window``."""
    return max(0, window[0] - LEAD_CYCLES)


@dataclass(slots=True)
class Executed:
    """One execution of an instruction by a warp. Cycles from launch, UNKNOWN (-1) for stages without an event.

    ``warp``: warp slot of SM ``sm``; ``control``: first cycle in Control; ``allocate``: cycle in which it left
    Allocate (fixed latency); ``read``: start of address generation, ``accept``: taken by the shared load/store unit
    (memory); ``writeback``: result written (for a fixed latency, computed from ``allocate``); ``end``: gone.
    """

    sm: int
    warp: int
    pc: int
    mask: int
    issue: int
    control: int = UNKNOWN
    allocate: int = UNKNOWN
    read: int = UNKNOWN
    accept: int = UNKNOWN
    writeback: int = UNKNOWN
    end: int = UNKNOWN

    def stages(self) -> list[tuple[str, int]]:
        """(short name, first cycle) in order of time. Is issue, Ct control, Al allocate, Rd operand read, Ex execute;
        Mq queue of the memory unit, Ag address generation, Me memory; Wb write-back."""
        found = [("Is", self.issue)]
        if self.control != UNKNOWN:
            found.append(("Ct", self.control))
        if self.allocate != UNKNOWN:
            if self.allocate > self.control + 1:
                found.append(("Al", self.control + 1))
            found += [("Rd", self.allocate + 1), ("Ex", self.allocate + 1 + READ_CYCLES)]
        elif self.read != UNKNOWN:
            found += [("Mq", self.control + 1)] if self.read > self.control + 1 else []
            found.append(("Ag", self.read))
            found += [("Me", self.accept)] if self.accept != UNKNOWN else []
        elif self.control != UNKNOWN:
            found.append(("Ex", self.control + 1))
        if self.writeback != UNKNOWN:
            found.append(("Wb", self.writeback))
        return [stage for stage in found if stage[1] < self.end]


@dataclass
class Pipeline:
    """What was executed in a window of cycles, in order of issue.

    ``warps``: (SM, warp slot, first issue, end) of each warp that was seen, ``ctas``: (SM, CTA slot, number in the
    launch, start, end) of each thread block; both as far as the log reaches beyond the window.
    """

    name: str
    instructions: list[Executed]
    texts: list[str]  # disassembly by pc
    config: MachineConfig
    window: tuple[int, int]
    warps: list[tuple[int, int, int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ctas: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    @classmethod
    def from_result(cls, result: KernelResult, kernel: Any, config: MachineConfig, window: tuple[int, int]) -> Pipeline:
        """Of a result with an event log. ``kernel``: the KernelTrace that was run; ``window``: [first, last) cycles."""
        static = static_records(kernel.program, kernel.mem_records, config)
        texts = [ins.text or ins.opcode for ins in kernel.program.instructions]
        log = result.log[np.lexsort((result.log["cycle"], result.log["sm"]))]
        executed = _executed(log, static)
        instructions = [e for e in executed if window[0] <= e.issue < window[1]]
        instructions.sort(key=lambda e: (e.issue, e.sm, e.warp))
        notes = []
        if len(log) >= log_entries(config, window):
            full = int(log["cycle"].max())
            notes.append(f"the event log was full at cycle {full}: the views end there; choose an earlier window")
        if not instructions:
            notes.append(f"nothing was issued in cycles {window[0]} to {window[1]}: the views are empty")
        exits = {i for i, ins in enumerate(kernel.program.instructions) if ins.base == "EXIT"}
        warps = [w for w in _warps(executed, exits) if w[2] < window[1] and w[3] > window[0]]
        ctas = [c for c in _ctas(log) if c[3] < window[1] and c[4] > window[0]]
        return cls(result.name, instructions, texts, config, window, warps, notes, ctas)


def _executed(log: Any, static: Any) -> list[Executed]:
    """Every issue of the log with its stages. Results of one instruction of a warp are taken to return in order."""
    found: list[Executed] = []
    waiting: dict[tuple[int, int, int, int], deque[Executed]] = {}
    for cycle, what, sm, warp, pc, value in log.tolist():
        if what == lay.LOG_ISSUE:
            one = Executed(sm, warp, pc, value & 0xFFFFFFFF, cycle)
            found.append(one)
            for stage in _STAGES:
                waiting.setdefault((stage, sm, warp, pc), deque()).append(one)
        elif what in _STAGES:
            queue = waiting.get((what, sm, warp, pc))
            if queue:
                setattr(queue.popleft(), _STAGES[what], cycle)
    for one in found:
        _finish(one, static[one.pc])
    return found


def _finish(one: Executed, row: Any) -> None:
    """Fill in what has no event of its own: the write-back of a fixed latency, and the end."""
    if one.writeback == UNKNOWN and one.allocate != UNKNOWN and row["dst"] >= 0:
        one.writeback = one.allocate + 4 + int(row["latency"])  # issue + 10 at latency 4 (gpu-core B.3)
    last = max(one.issue, one.control, one.read, one.accept, one.writeback)
    if one.allocate != UNKNOWN:
        last = max(last, one.allocate + READ_CYCLES)
    one.end = last + 1


def _warps(executed: list[Executed], exits: set[int]) -> list[tuple[int, int, int, int]]:
    """Lifetimes of the warps in each slot: a warp ends with an EXIT, the next one starts at instruction 0."""
    spans: dict[tuple[int, int], list[list[int]]] = {}
    before: dict[tuple[int, int], int] = {}
    for one in executed:
        own = spans.setdefault((one.sm, one.warp), [])
        if not own or (one.pc == 0 and before[one.sm, one.warp] in exits):
            own.append([one.issue, one.end])
        own[-1][1] = max(own[-1][1], one.end)
        before[one.sm, one.warp] = one.pc
    return sorted((sm, warp, first, last) for (sm, warp), own in spans.items() for first, last in own)


def _ctas(log: Any) -> list[tuple[int, int, int, int, int]]:
    """(SM, slot, CTA, start, end); one that begins before the log or ends after it is cut there."""
    events = log[(log["what"] == lay.LOG_CTA_BEGIN) | (log["what"] == lay.LOG_CTA_END)]
    if not len(log):
        return []
    first, last = int(log["cycle"].min()), int(log["cycle"].max())
    running: dict[tuple[int, int, int], int] = {}
    found = []
    for cycle, what, sm, slot, _, cta in events.tolist():
        if what == lay.LOG_CTA_BEGIN:
            running[sm, slot, cta] = cycle
        else:
            found.append((sm, slot, cta, running.pop((sm, slot, cta), first), cycle))
    return sorted(found + [(*key, begin, last) for key, begin in running.items()])
