"""Run a trace on a machine: kernel by kernel, window by window."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from archsim.config import MachineConfig
from archsim.engine.feed import Feed
from archsim.engine.team import Team, usable_threads
from archsim.engine.timeline import Sampler, Timeline
from archsim.engine.watchdog import QUIET_CYCLES, describe_deadlock
from archsim.errors import ArchsimError, DeadlockError, RunError
from archsim.isa.control import format_control
from archsim.isa.tables import MemKind, Unit
from archsim.kernels import layout as lay
from archsim.model.compile import entry
from archsim.model.machine import Residency, build_chip, build_machine, keep_code, parameters, residency
from archsim.model.program import static_records
from archsim.trace.layout import LaunchInfo

LINE_BYTES = 128
PARAMETER_LINES = (lay.CONST_SPACE >> 7, 64)  # constant bank 0, 8 KB: geometry and parameters
CALL_SECONDS = 0.2  # time that one call into compiled code is to take: progress and Ctrl-C react at this pace
FIRST_WINDOWS = 16
FAR_FUTURE = 1 << 58

STALL_NAMES = lay.REASON_NAMES
STOPPED = {"max_cycles": "stopped by --max-cycles", "interrupted": "interrupted"}
ERRORS = {
    lay.ERR_EVENTS: "an SM has more events in flight than its event pool holds",
    lay.ERR_REQUESTS: "an SM sent more requests in one window than its outbox holds",
    lay.ERR_SEGMENT: "a warp reached a part of the trace that was not loaded in time",
}


class ListingLine(NamedTuple):
    """One instruction of a program as shown to people. ``function`` is empty where it is not known."""

    address: int
    control: str  # control bits, as `archsim.isa.control.format_control` writes them
    text: str
    function: str


@dataclass
class KernelResult:
    """Counters of one kernel. ``stalls``: issue slots by reason (``issued`` included), they sum to ``issue_slots``.

    ``counters``: sums over the SMs (names of `kernels.layout.COUNTERS`); ``per_sm``: STATS[num_sms];
    ``stalls_per_subcore``: i8[sub-cores, reasons]; ``unit_instructions``: by execution unit.
    """

    name: str
    launch: LaunchInfo
    residency: Residency
    dependence: str  # control_bits or scoreboard
    cycles: int  # from cycle 0 (launch) until the last CTA ended
    active_cycles_max: int  # sm__cycles_active.max
    elapsed_cycles: int  # gpc__cycles_elapsed.max
    issue_slots: int
    stalls: dict[str, int]
    counters: dict[str, int]
    per_sm: Any
    stalls_per_subcore: Any
    unit_instructions: dict[str, int]
    wall_seconds: float  # simulation, without compiling or loading compiled code
    complete: bool
    stop_reason: str  # done, max_cycles, interrupted
    sample_every: int = 1
    memory_bytes: int = 0
    log: Any = None  # LOG records, if asked for
    compile_seconds: float = 0.0  # compiling, or loading compiled code
    index: int = 0  # position of the kernel in its trace
    timeline: Timeline | None = None  # windowed counters, if asked for
    per_pc: Any = (
        None  # i8[static instructions + 1, reasons] issue slots by instruction (last row: no warp), if asked for
    )
    listing: list[ListingLine] | None = None  # the program, with per_pc

    @property
    def warp_instructions(self) -> int:
        """Warp-instructions issued."""
        return self.counters["warp_instructions"]

    @property
    def ipc(self) -> float:
        """Warp-instructions per cycle of one SM, over the cycles that it was active."""
        active = self.counters["active_cycles"]
        return self.warp_instructions / active if active else 0.0


@dataclass
class RunResult:
    """All kernels of a run."""

    config: MachineConfig
    trace_sha256: str
    trace_source: str
    arch: int
    kernels: list[KernelResult] = field(default_factory=list)
    wall_seconds: float = 0.0
    complete: bool = True
    notes: list[str] = field(default_factory=list)
    stop_reason: str = "done"  # done, max_cycles, interrupted, error

    def stop(self, note: str, reason: str) -> None:
        """Mark the result as partial."""
        self.complete = False
        self.stop_reason = reason
        self.notes.append(f"partial result: {note}")

    @property
    def cycles(self) -> int:
        """Elapsed cycles, all kernels."""
        return sum(k.elapsed_cycles for k in self.kernels)

    @property
    def warp_instructions(self) -> int:
        """Warp-instructions issued, all kernels."""
        return sum(k.warp_instructions for k in self.kernels)

    @property
    def simulation_seconds(self) -> float:
        """Wall time of the simulation, without reading the configuration or compiling."""
        return sum(k.wall_seconds for k in self.kernels)

    @property
    def kilo_warp_instructions_per_second(self) -> float:
        """Speed of the simulation."""
        seconds = self.simulation_seconds
        return self.warp_instructions / seconds / 1e3 if seconds else 0.0


Progress = Callable[[int, int, int, int], None]  # kernel index, kernels, instructions done, instructions of the kernel


class Runner:
    """Runs kernels one after the other on one chip; L2 keeps its contents unless the configuration flushes it."""

    def __init__(
        self,
        config: MachineConfig,
        *,
        log_entries: int = 0,
        log_from: int = 0,
        timeline_samples: int = 0,
        per_pc: bool = False,
        threads: int = 1,
    ) -> None:
        self.config = config
        self._threads = usable_threads(threads) if log_entries == 0 else 1  # the event log has one writer
        self.notes: list[str] = []
        self._log_entries, self._log_from = log_entries, log_from
        self._timeline_samples = timeline_samples
        self._per_pc = per_pc
        self._l2: Any = None
        self._memory: Any = None  # state of the full backend
        self._pending_copies: list[tuple[int, int]] = []
        self._programs: dict[int, Any] = {}
        self._code: tuple[Any, Any] | None = None  # program of the last kernel, L1 instruction caches that it left

    def run_kernel(
        self, kernel: Any, *, max_cycles: int = 0, progress: Callable[[int], None] | None = None
    ) -> KernelResult:
        """Simulate one launch. ``kernel``: a KernelTrace. RunError if it cannot run on this machine."""
        launch = kernel.launch
        fit = residency(self.config, launch)
        scoreboard = self._scoreboard(kernel)
        ins = self._static(kernel)
        acks = bool(np.any(ins["kind"] == MemKind.FENCE))
        par = parameters(self.config, launch, scoreboard, fit.shared_carveout_bytes, acks)
        machine = build_machine(self.config, par, ins, self._log_entries, self._per_pc, self._log_from)
        if self._code is not None and self._code[0] is kernel.program:
            keep_code(machine, self._code[1])
        chip = self._chip(par, fit)
        if chip.memory is not None:
            ahead = self.config.sm.front_end.launch_prefetch_bytes
            code = min(ahead, kernel.program.instruction_bytes * len(kernel.program.instructions))
            machine.stats[0]["dram_read_bytes"] += self._fill_l2(chip, -(-code // LINE_BYTES))
        feed = Feed(kernel, fit.ctas_per_sm * self.config.num_sms)
        compiling = time.perf_counter()
        feed.fill_queue(chip)
        entry("gpu", "settle_all")(machine, 0)  # these two compile, or load compiled code; no simulated time passes
        entry("gpu", "run_chip")(machine, chip, feed.trace, max_cycles or FAR_FUTURE, 0, 0)
        started = time.perf_counter()
        sampler = Sampler(self._timeline_samples) if self._timeline_samples else None
        with Team(self._threads) as team:
            stop = self._loop(machine, chip, feed, team, max_cycles, progress, sampler)
        result = self._collect(kernel, fit, scoreboard, machine, chip, stop)
        if sampler is not None:
            result.timeline = sampler.timeline(machine, result.cycles)
        result.wall_seconds = time.perf_counter() - started
        result.compile_seconds = started - compiling
        result.memory_bytes = feed.nbytes
        self._l2 = chip.l2
        self._memory = chip.memory
        front = self.config.sm.front_end
        if front.l1i_kept_between_kernels and not self.config.memory.flush_between_kernels:
            self._code = kernel.program, machine.caches
        return result

    def copy_to_device(self, address: int, size_bytes: int) -> None:
        """A host copy between kernels leaves its lines in L2 (`memory.memcpy_fills_l2`); the full backend only."""
        if self.config.memory.backend == "full" and self.config.memory.memcpy_fills_l2 and size_bytes > 0:
            size_bytes = min(size_bytes, self.config.l2.bytes)  # of a larger copy, the end stays
            self._pending_copies.append((address >> 7, ((address + size_bytes - 1) >> 7) - (address >> 7) + 1))

    def _scoreboard(self, kernel: Any) -> bool:
        if self.config.sm.issue.dependence == "scoreboard":
            return True
        if kernel.program.has_control_bits:
            return False
        note = f"{kernel.launch.name}: the trace has no control bits, dependences are kept by scoreboards"
        if note not in self.notes:
            self.notes.append(note)
        return True

    def _static(self, kernel: Any) -> Any:
        key = id(kernel.program)
        if key not in self._programs:
            self._programs = {key: (kernel.program, static_records(kernel.program, kernel.mem_records, self.config))}
        return self._programs[key][1]

    def _full_memory(self) -> Any:
        """State of the full backend at the start of a kernel, or None."""
        if self.config.memory.backend != "full":
            return None
        from archsim.model.memory import build_memory, flush, fresh_dram, start_kernel

        if self._memory is None:
            return build_memory(self.config)
        if self.config.memory.flush_between_kernels:
            flush(self._memory)
        return start_kernel(self._memory, fresh_dram(self.config))

    def _fill_l2(self, chip: lay.Chip, code_lines: int) -> int:
        """What is in L2 when the first CTA starts: host copies, the launch's constants, the code that it prefetches.

        Returns the bytes of code that came from DRAM.
        """
        copies = [] if self.config.memory.flush_between_kernels else self._pending_copies
        self._pending_copies = []
        copy_lines = entry("full_backend", "copy_lines")
        for first, count in [*copies, PARAMETER_LINES]:
            copy_lines(chip, first, count)
        return LINE_BYTES * int(copy_lines(chip, lay.INSTRUCTION_SPACE >> 7, code_lines))

    def _chip(self, par: Any, fit: Residency) -> lay.Chip:
        chip = build_chip(self.config, par, self._full_memory(), self._threads)
        if chip.memory is None and self._l2 is not None and not self.config.memory.flush_between_kernels:
            chip = chip._replace(l2=self._l2)
            chip.l2["ready"] = 0
            chip.state["stamp"] = int(chip.l2["stamp"].max()) + 1
        chip.state["first_start"] = 0
        chip.state["ctas_per_sm"] = fit.ctas_per_sm
        chip.state["low_water"] = self.config.num_sms
        return chip

    def _loop(
        self,
        machine: lay.Machine,
        chip: lay.Chip,
        feed: Feed,
        team: Team,
        max_cycles: int,
        progress: Callable[[int], None] | None,
        sampler: Sampler | None,
    ) -> int:
        window = int(machine.par[0]["window_cycles"])
        windows = FIRST_WINDOWS
        limit = max_cycles or FAR_FUTURE
        last_done = last_issue = 0
        while True:
            before = time.perf_counter()
            try:
                stop = _advance(team, machine, chip, feed.trace, limit, windows, sampler)
                spent = time.perf_counter() - before
                if stop == lay.STOP_TIME:
                    windows = int(min(max(windows * min(CALL_SECONDS / max(spent, 1e-6), 4.0), 1), 1 << 20))
                elif stop == lay.STOP_QUEUE:
                    feed.fill_queue(chip)
                elif stop == lay.STOP_SEGMENTS:
                    feed.load_segments(machine, 2 * window)
                elif stop in (lay.STOP_DONE, lay.STOP_LIMIT):
                    return stop
                elif stop == lay.STOP_ERROR:
                    code = int(machine.sm["error"].max())
                    raise RunError(f"{feed.kernel.launch.name}: {ERRORS.get(code, f'internal error {code}')}")
                done = int(machine.stats["warp_instructions"].sum())
                now = int(chip.state[0]["now"])
                if done != last_done:
                    last_done, last_issue = done, now
                if stop == lay.STOP_DEADLOCK or now - last_issue > QUIET_CYCLES:
                    raise DeadlockError(describe_deadlock(machine, feed.kernel.program, feed.kernel.launch.name))
                if progress is not None:
                    progress(done)
            except KeyboardInterrupt:
                return int(lay.STOP_TIME)

    def _collect(
        self, kernel: Any, fit: Residency, scoreboard: bool, machine: lay.Machine, chip: lay.Chip, stop: int
    ) -> KernelResult:
        done = stop == lay.STOP_DONE
        cycles = int(chip.state[0]["last_done"] if done else chip.state[0]["now"])
        entry("gpu", "settle_all")(machine, cycles)
        if not done:
            running = machine.sm["live_ctas"] > 0
            machine.stats["active_cycles"][running] += cycles - machine.sm["active_from"][running]
        stalls = machine.stalls.sum(axis=0)
        counters = {name: int(machine.stats[name].sum()) for name in lay.COUNTERS}
        reason = {lay.STOP_DONE: "done", lay.STOP_LIMIT: "max_cycles"}.get(stop, "interrupted")
        log = None
        if machine.log is not None:
            log = machine.log[1 : int(machine.log[0]["value"]) + 1]
        units = machine.stats["unit"].sum(axis=0)
        names = [unit.name.lower() for unit in Unit]
        return KernelResult(
            name=kernel.launch.name,
            launch=kernel.launch,
            residency=fit,
            dependence="scoreboard" if scoreboard else "control_bits",
            cycles=cycles,
            active_cycles_max=int(machine.stats["active_cycles"].max()),
            elapsed_cycles=cycles + self.config.launch.overhead_cycles,
            issue_slots=cycles * machine.stalls.shape[0],
            stalls={name: int(n) for name, n in zip(STALL_NAMES, stalls, strict=True)},
            counters=counters,
            per_sm=machine.stats,
            stalls_per_subcore=machine.stalls,
            unit_instructions={name: int(n) for name, n in zip(names, units, strict=False)},
            wall_seconds=0.0,
            complete=done,
            stop_reason=reason,
            sample_every=kernel.launch.sample_every,
            log=log,
            per_pc=None if machine.per_pc is None else machine.per_pc.sum(axis=0),
            listing=None if machine.per_pc is None else _listing(kernel.program),
        )


def _advance(team: Team, machine: Any, chip: Any, trace: Any, limit: int, windows: int, sampler: Sampler | None) -> int:
    """Up to ``windows`` windows, in the sampler's steps where there is one; returns a STOP_* code."""
    run_chip = entry("gpu", "run_chip")
    if sampler is None:
        return team.run(run_chip, machine, chip, trace, limit, windows)
    stop: int = lay.STOP_TIME
    while windows > 0 and stop == lay.STOP_TIME:
        step = min(windows, sampler.windows)
        windows -= step
        stop = team.run(run_chip, machine, chip, trace, limit, step)
        sampler.sample(machine, int(chip.state[0]["now"]))
    return stop


def _listing(program: Any) -> list[ListingLine]:
    return [
        ListingLine(i.address, format_control(i.control) if i.control else "", i.text or i.opcode, i.function)
        for i in program.instructions
    ]


def _copies_before_kernels(trace: Any) -> dict[int, list[tuple[int, int]]]:
    """Host-to-device copies (address, bytes) by the kernel that follows them."""
    copies: dict[int, list[tuple[int, int]]] = {}
    waiting: list[tuple[int, int]] = []
    for event in trace.events:
        if event[0] == "kernel":
            copies[int(event[1])] = waiting
            waiting = []
        elif event[0] == "memcpy_h2d":
            waiting.append((int(event[1]), int(event[2])))
    return copies


def run(
    trace: Any,
    config: MachineConfig,
    *,
    kernels: Iterable[int] | None = None,
    max_cycles: int = 0,
    progress: Progress | None = None,
    log_entries: int = 0,
    log_from: int = 0,
    timeline_samples: int = 0,
    per_pc: bool = False,
    threads: int = 1,
) -> RunResult:
    """Simulate a trace (all its kernels, or those whose indices are given) on a machine.

    ``max_cycles``: stop each kernel after so many cycles (0 = no limit); the result is then marked partial.
    ``log_entries``: room in the event log (0 = none), which begins at cycle ``log_from``.
    ``timeline_samples``: keep windowed counters in at most so many intervals a launch (0 = none). ``per_pc``: keep
    issue slots by instruction (compiles another form of the model once). ``threads``: that share the SMs; the result
    is the same for any number of them.
    """
    runner = Runner(
        config,
        log_entries=log_entries,
        log_from=log_from,
        timeline_samples=timeline_samples,
        per_pc=per_pc,
        threads=threads,
    )
    result = RunResult(config, trace.sha256, str(trace.source), trace.arch, notes=runner.notes)
    started = time.perf_counter()
    copies = _copies_before_kernels(trace)
    chosen = list(range(len(trace.kernels))) if kernels is None else list(kernels)
    for position, index in enumerate(chosen):
        kernel = trace.kernels[index]
        for address, size_bytes in copies.get(index, ()):
            runner.copy_to_device(address, size_bytes)
        total = kernel.warp_instructions
        if kernel.launch.sample_every > 1:
            name, every = kernel.launch.name, kernel.launch.sample_every
            result.notes.append(f"{name}: the trace holds one thread block in {every}; all counts are of those")

        def report(done: int, position: int = position, total: int = total) -> None:
            if progress is not None:
                progress(position, len(chosen), done, total)

        try:
            outcome = runner.run_kernel(kernel, max_cycles=max_cycles, progress=report)
        except KeyboardInterrupt:  # before the first cycle or while collecting: this kernel has no result
            result.stop(f"interrupted at {kernel.launch.name}, launch {index} of the trace", "interrupted")
            break
        except ArchsimError as error:
            result.stop(str(error), "error")
            result.wall_seconds = time.perf_counter() - started
            error.partial_result = result  # type: ignore[attr-defined]  # kernels that ended before are not lost
            raise
        outcome.index = index
        result.kernels.append(outcome)
        if not outcome.complete:
            result.stop(
                f"{outcome.name}: {STOPPED[outcome.stop_reason]} at cycle {outcome.cycles}", outcome.stop_reason
            )
            if outcome.stop_reason == "interrupted":
                break
    result.wall_seconds = time.perf_counter() - started
    return result
