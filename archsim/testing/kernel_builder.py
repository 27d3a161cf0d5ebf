"""Hand-written kernels for timing probes: SASS lines with explicit control bits, turned into a trace.

    k = KernelBuilder(arch=86)
    k.add("LDG.E R2, [R4.64]", stall=1, write=0, address=(0x1000, 4))
    with k.loop(100):
        k.add("FFMA R5, R2, R3, R5", stall=4, wait=(0,))
    trace = k.build(grid=(1, 1, 1), block=(32, 1, 1))

The result has the reading interface of a trace file and can be saved as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from archsim.errors import TraceError
from archsim.isa.program import ControlBits, Instruction, Program
from archsim.trace.layout import (
    MEM_DT,
    RUN_DT,
    SEGMENT_INSTRUCTIONS,
    WARP_THREADS,
    Array,
    LaunchInfo,
)
from archsim.trace.memory import MemoryKernel, MemoryTrace, batch_of

FULL_MASK = 0xFFFFFFFF
Addresses = tuple[int, int] | Sequence[int]
AddressSpec = Addresses | Callable[[int, int, int], Addresses]
MaskSpec = int | Callable[[int, int, int], int]
CountSpec = int | Callable[[int, int], int]


@dataclass
class _Step:
    """One static instruction and how its executions look."""

    text: str
    control: ControlBits | None
    mask: MaskSpec = FULL_MASK
    addresses: list[AddressSpec] = field(default_factory=list)


@dataclass
class _Loop:
    count: CountSpec
    body: list[_Node]
    branch: int  # index of the closing branch


@dataclass
class _Only:
    warps: frozenset[int]
    body: list[_Node]


_Node = int | _Loop | _Only


class KernelBuilder:
    """Collects instructions in program order; ``build`` runs them for every warp of a launch.

    ``arch``: compute capability as an integer (86). ``name``: kernel name. Masks are the effective ones (active and
    predicate): 0 means issued but predicated off.
    """

    def __init__(self, arch: int = 86, name: str = "probe") -> None:
        self.arch = arch
        self.name = name
        self._steps: list[_Step] = []
        self._open: list[list[_Node]] = [[]]
        self._bytes = 16 if arch >= 70 else 8

    def add(
        self,
        text: str,
        *,
        stall: int = 1,
        yield_: bool = False,
        write: int | None = None,
        read: int | None = None,
        wait: Iterable[int] = (),
        reuse: int = 0,
        control: bool = True,
        mask: MaskSpec = FULL_MASK,
        address: AddressSpec | None = None,
        shared_address: AddressSpec | None = None,
    ) -> KernelBuilder:
        """Append one instruction; returns the builder.

        ``stall``: 0-15 cycles; ``write``/``read``: barrier 0-5 that the result/the operand read releases; ``wait``:
        barriers waited for; ``control=False`` leaves the control bits unknown (scoreboard mode). ``mask``: effective
        mask, or a function of (cta, warp, iteration), iteration = earlier executions by the same warp. ``address``:
        (base, stride) giving base + stride * lane; a list of one address per active lane (of any length but 2, or
        as a numpy array) or of all 32 lanes; or a function of (cta, warp, iteration) returning either.
        ``shared_address``: the second address of an LDGSTS. Memory instructions without ``address`` get (0, 4).
        """
        if not 0 <= stall <= 15:
            raise TraceError(f"{self.name}: {text!r}: stall {stall} is not 0..15")
        bits = None
        if control:
            waits = sum(1 << barrier for barrier in set(wait))
            released, read_out = (7 if b is None else b for b in (write, read))
            bits = ControlBits(stall, yield_, released, read_out, waits, reuse)
            if not (waits < 64 and all(b in (0, 1, 2, 3, 4, 5, 7) for b in (bits.write_barrier, bits.read_barrier))):
                raise TraceError(f"{self.name}: {text!r}: barriers are 0..5")
        addresses = [a for a in (address, shared_address) if a is not None]
        self._open[-1].append(len(self._steps))
        self._steps.append(_Step(text, bits, mask, addresses))
        return self

    def nops(self, count: int, *, stall: int = 1) -> KernelBuilder:
        """Append ``count`` NOPs."""
        for _ in range(count):
            self.add("NOP", stall=stall)
        return self

    @contextmanager
    def loop(self, count: CountSpec, *, guard: str = "@P0", **control: object) -> Iterator[None]:
        """Repeat the body ``count`` (>= 1) times: closed by a backward branch, taken count - 1 times, then not.

        ``count`` may be a function of (cta, warp). The last, not-taken execution has mask 0 (predicated off).
        Keyword arguments are those of :meth:`add` for the branch.
        """
        start = len(self._steps)
        body: list[_Node] = []
        self._open.append(body)
        yield
        self._open.pop()
        control.setdefault("stall", 5)
        target = start * self._bytes
        holder: list[_Node] = []
        self._open.append(holder)
        self.add(f"{guard} BRA 0x{target:x}", **control)  # type: ignore[arg-type]
        self._open.pop()
        self._open[-1].append(_Loop(count, body, len(self._steps) - 1))

    @contextmanager
    def warp(self, *warps: int) -> Iterator[None]:
        """The body is executed by these warps (indices in the CTA) only; the others skip it."""
        body: list[_Node] = []
        self._open.append(body)
        yield
        self._open.pop()
        self._open[-1].append(_Only(frozenset(warps), body))

    def program(self, registers: int = 32, shared_bytes: int = 0) -> Program:
        """The static code, with EXIT appended unless the last instruction is one."""
        from archsim.isa import parse_instruction

        if len(self._open) != 1:
            raise TraceError(f"{self.name}: build inside a loop or warp block")
        if not self._steps or not self._ends_in_exit():
            self.add("EXIT", stall=5)
        code: list[Instruction] = []
        for index, step in enumerate(self._steps):
            one = parse_instruction(step.text, self.arch, address=index * self._bytes, control=step.control)
            code.append(_placed(one, index, self.name))
        return Program(
            self.arch,
            self.name,
            tuple(code),
            {self.name: 0},
            registers=registers,
            static_shared_bytes=shared_bytes,
            instruction_bytes=self._bytes,
        )

    def build(
        self,
        grid: tuple[int, int, int] | int = (1, 1, 1),
        block: tuple[int, int, int] | int = (32, 1, 1),
        *,
        shared_bytes: int = 0,
        registers: int = 32,
        cluster: tuple[int, int, int] = (1, 1, 1),
    ) -> MemoryTrace:
        """A trace of one launch of this kernel; TraceError when an instruction or an address makes no sense."""
        grid3 = (grid, 1, 1) if isinstance(grid, int) else grid
        block3 = (block, 1, 1) if isinstance(block, int) else block
        program = self.program(registers, shared_bytes)
        records = self._records(program)
        launch = LaunchInfo(self.name, grid3, block3, cluster, registers, shared_bytes, launch_id=1)
        lanes: list[int] = []
        rows = []
        threads = 0
        for cta in range(launch.num_ctas):
            for warp in range(launch.warps_per_cta):
                left = launch.threads_per_cta - warp * WARP_THREADS
                exists = FULL_MASK >> max(0, WARP_THREADS - left)
                play = _Play(self, records, cta, warp, exists, lanes)
                play.run(self._open[0])
                threads += play.threads
                rows += play.segments()
        batch = batch_of(rows, np.array(lanes, np.uint64))
        launch = LaunchInfo(**{**launch.__dict__, "thread_instructions": threads})
        return MemoryTrace(self.arch, [MemoryKernel(launch, program, records, batch)])

    def save(self, path: str | Path, **launch: object) -> None:
        """``build(**launch)`` and write the trace file."""
        self.build(**launch).save(path)  # type: ignore[arg-type]

    def _ends_in_exit(self) -> bool:
        last = self._open[0][-1]
        return isinstance(last, int) and self._steps[last].text.strip().rstrip(";").strip() == "EXIT"

    def _records(self, program: Program) -> Array:
        from archsim.isa.tables import op_info

        records = np.zeros(len(program.instructions), np.uint8)
        for step, instruction in zip(self._steps, program.instructions, strict=True):
            wanted = op_info(instruction, self.arch).mem_records
            records[instruction.index] = wanted
            if len(step.addresses) > wanted:
                raise TraceError(f"{self.name}: {step.text!r} takes {wanted} addresses, {len(step.addresses)} given")
            step.addresses += [(0, 4)] * (wanted - len(step.addresses))
        return records


def _placed(instruction: Instruction, index: int, function: str) -> Instruction:
    from dataclasses import replace

    return replace(instruction, index=index, function=function)


class _Play:
    """Executes the collected nodes for one warp."""

    def __init__(
        self, builder: KernelBuilder, records: Array, cta: int, warp: int, exists: int, lanes: list[int]
    ) -> None:
        self.builder, self.records, self.cta, self.warp, self.exists, self.lanes = (
            builder,
            records,
            cta,
            warp,
            exists,
            lanes,
        )
        self.executed: Counter[int] = Counter()
        self.flow: list[tuple[int, int]] = []  # (instruction, mask)
        self.mems: list[tuple[int, int, int]] = []
        self.mem_ends: list[int] = []  # records after each instruction
        self.threads = 0

    def run(self, nodes: list[_Node]) -> None:
        for node in nodes:
            if isinstance(node, int):
                self.step(node)
            elif isinstance(node, _Only):
                if self.warp in node.warps:
                    self.run(node.body)
            else:
                count = node.count(self.cta, self.warp) if callable(node.count) else node.count
                if count < 1:
                    raise TraceError(f"{self.builder.name}: a loop of {count} iterations; at least 1")
                for iteration in range(count):
                    self.run(node.body)
                    self.step(node.branch, taken=iteration + 1 < count)

    def step(self, index: int, taken: bool = True) -> None:
        step = self.builder._steps[index]
        iteration = self.executed[index]
        self.executed[index] += 1
        mask = step.mask(self.cta, self.warp, iteration) if callable(step.mask) else step.mask
        mask = mask & self.exists if taken else 0
        self.flow.append((index, mask))
        self.threads += mask.bit_count()
        if mask:
            for address in step.addresses:
                if callable(address):
                    address = address(self.cta, self.warp, iteration)
                self.mems.append(self.record(step.text, address, mask))
        self.mem_ends.append(len(self.mems))

    def record(self, text: str, address: Addresses, mask: int) -> tuple[int, int, int]:
        if isinstance(address, tuple) and len(address) == 2:
            return int(address[0]) % 2**64, int(address[1]), -1
        values = [int(a) % 2**64 for a in address]
        if len(values) == WARP_THREADS:
            values = [a for lane, a in enumerate(values) if mask >> lane & 1]
        if len(values) != mask.bit_count():
            raise TraceError(
                f"{self.builder.name}: {text!r}: {len(values)} addresses for {mask.bit_count()} active lanes"
            )
        self.lanes += values
        return values[0], 0, len(self.lanes) - len(values)

    def segments(self) -> list[tuple[int, int, int, int, Array, Array]]:
        rows = []
        starts = range(0, max(len(self.flow), 1), SEGMENT_INSTRUCTIONS)
        for number, start in enumerate(starts):
            part = self.flow[start : start + SEGMENT_INSTRUCTIONS]
            end = start + len(part)
            low = self.mem_ends[start - 1] if start else 0
            high = self.mem_ends[end - 1] if part else 0
            mems = np.array(self.mems[low:high], MEM_DT)
            last = int(end == len(self.flow))
            rows.append((self.cta, self.warp, number, last, _runs(part), mems))
        return rows


def _runs(flow: list[tuple[int, int]]) -> Array:
    runs: list[list[int]] = []
    for index, mask in flow:
        if runs and runs[-1][2] == mask and runs[-1][0] + runs[-1][1] == index:
            runs[-1][1] += 1
        else:
            runs.append([index, 1, mask])
    return np.array([tuple(r) for r in runs], RUN_DT)
