"""The emulated GPU: memory, modules, launches. This is the emulator's public interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.emulator.faults import describe
from archsim.emulator.launch import Arena, Dim, Geometry, Turns, build_context, check_geometry
from archsim.emulator.memory import DeviceMemory
from archsim.emulator.module import EmuKernel, Module, load_module
from archsim.emulator.records import (
    LOCAL_WINDOW,
    Q_BATCH_LANES,
    Q_BATCH_MEMS,
    Q_BATCH_RUNS,
    Q_BATCH_WARPS,
    Q_DONE_CTAS,
    Q_EXECUTED,
    Q_WARP,
    Q_YIELD_AT,
    R_DONE,
    R_FAULT,
    R_FLUSH,
    R_LIMIT,
    R_PROGRESS,
    R_SYSCALL,
    SHARED_WINDOW,
    Ctx,
)
from archsim.emulator.syscalls import handle_syscall
from archsim.errors import EmulationError
from archsim.isa.tables import Unit, op_info
from archsim.trace.layout import MEM_DT, RUN_DT, Batch, LaunchInfo

ARCHITECTURES = (75, 80, 86, 89, 90)
PROGRESS_INSTRUCTIONS = 1 << 20  # warp-instructions between two visits to Python


@dataclass(frozen=True)
class LaunchResult:
    """Counters of one launch.

    ``thread_instructions``: sum of active lanes, predicated-off ones included; ``thread_instructions_on``: without
    them. ``executions``: i8[n] times each static instruction was issued.
    """

    warp_instructions: int
    thread_instructions: int
    thread_instructions_on: int
    executions: NDArray[np.int64]
    geometry: Geometry
    by_unit: dict[str, int] = field(default_factory=dict)


class Machine:
    """A GPU of compute capability ``arch`` (75, 80, 86, 89, 90) that executes cubins functionally.

    ``memory_bytes``: heap size. ``stack_bytes``: cudaLimitStackSize, per thread, for kernels that call functions.
    ``print_function`` receives the text of device printf.
    """

    def __init__(
        self,
        arch: int,
        num_sms: int = 132,
        memory_bytes: int = 8 << 30,
        *,
        memory: DeviceMemory | None = None,
        stack_bytes: int = 1024,
        print_function: Callable[[str], None] | None = None,
    ) -> None:
        if arch not in ARCHITECTURES:
            raise EmulationError(f"emulator: sm_{arch} is not supported (supported: {ARCHITECTURES})")
        self.arch, self.num_sms, self.stack_bytes = arch, num_sms, stack_bytes
        self.memory = memory if memory is not None else DeviceMemory(memory_bytes)
        self.print_function = print_function or (lambda text: print(text, end=""))
        self._arena = Arena()
        self._launches = 0

    def load_module(self, cubin: bytes) -> Module:
        """Load a cubin: ``.kernels[name]``, ``.globals[name] -> (address, bytes)``."""
        return load_module(cubin, self.arch, self.memory)

    def launch_info(
        self, kernel: EmuKernel, grid: Dim, block: Dim, dynamic_shared_bytes: int = 0, cluster: Dim = (1, 1, 1),
        *, launch_id: int = 0, stream_id: int = 0, sample_every: int = 1, turns: Turns | None = None,
    ) -> LaunchInfo:  # fmt: skip
        """What the trace store wants to know before :meth:`launch` records into it."""
        g = check_geometry(
            kernel, grid, block, dynamic_shared_bytes, cluster, self.stack_bytes, self.num_sms, self.memory, turns
        )
        return LaunchInfo(
            name=kernel.name, grid=grid, block=block, cluster=cluster, registers=kernel.info.registers,
            shared_bytes=g.shared_bytes, local_bytes=g.local_bytes, shared_base=SHARED_WINDOW,
            local_base=LOCAL_WINDOW, launch_id=launch_id, stream_id=stream_id, sample_every=sample_every,
            turn_instructions=turns.instructions if turns else 0,
        )  # fmt: skip

    def launch(
        self,
        kernel: EmuKernel,
        grid: Dim,
        block: Dim,
        params: bytes = b"",
        dynamic_shared_bytes: int = 0,
        cluster: Dim = (1, 1, 1),
        recorder: Any = None,
        max_instructions: int = 0,
        sample_every: int = 1,
        progress: Callable[[int, int], None] | None = None,
        cooperative: bool = False,
        turns: Turns | None = None,
    ) -> LaunchResult:
        """Run one kernel to its end.

        ``params``: parameter bytes from the kernel's parameter base. ``recorder``: a trace KernelWriter (its ``add``
        receives batches; every ``sample_every``-th CTA is recorded). ``max_instructions``: warp-instructions, 0 = no
        limit. ``progress(done CTAs, warp-instructions)``. ``cooperative``: gives the grid the workspace of its barrier
        (grid.sync). ``turns``: the concurrent order; None: one CTA after another. A fault raises EmulationError.
        """
        g = check_geometry(
            kernel, grid, block, dynamic_shared_bytes, cluster, self.stack_bytes, self.num_sms, self.memory, turns
        )
        self._launches += 1
        workspace = self._grid_workspace() if cooperative else 0
        try:
            ctx = build_context(
                kernel, g, params, self._arena, self.memory, arch=self.arch, num_sms=self.num_sms,
                launch_id=self._launches, tracing=recorder is not None, sample_every=sample_every,
                max_instructions=max_instructions, grid_workspace=workspace, turns=turns,
            )  # fmt: skip
            self._run(kernel, g, ctx, recorder, max_instructions, progress)
        finally:
            if workspace:
                self.memory.free(workspace)
        counts = ctx.counts.sum(axis=0)
        return LaunchResult(
            int(counts[0]), int(counts[1]), int(counts[2]), ctx.counts[:, 0].copy(), g, unit_counts(kernel, ctx.counts)
        )

    def _grid_workspace(self) -> int:
        """Zeroed words for the barrier of a cooperative grid (its counter is at byte 4)."""
        address = self.memory.alloc(256)
        self.memory.fill(address, 0, 256)
        return address

    def _run(
        self, kernel: EmuKernel, g: Geometry, ctx: Ctx, recorder: Any, limit: int, progress: Any
    ) -> None:  # fmt: skip
        from archsim.emulator.compiled import run_grid

        run = run_grid()
        while True:
            ctx.scal[Q_YIELD_AT] = ctx.scal[Q_EXECUTED] + PROGRESS_INSTRUCTIONS
            reason = run(ctx)
            if reason == R_DONE:
                break
            if reason == R_FLUSH:
                flush(ctx, recorder)
            elif reason == R_SYSCALL:
                handle_syscall(self, kernel, ctx)
            elif reason in (R_FAULT, R_LIMIT):
                raise EmulationError(fault_text(kernel, g, ctx, limit))
            elif reason == R_PROGRESS and progress is not None:
                progress(int(ctx.scal[Q_DONE_CTAS]), int(ctx.scal[Q_EXECUTED]))
        if recorder is not None:
            flush(ctx, recorder)
        if progress is not None:
            progress(int(ctx.scal[Q_DONE_CTAS]), int(ctx.scal[Q_EXECUTED]))


def flush(ctx: Ctx, recorder: Any) -> None:
    """Hand the batch to the trace writer and empty it."""
    q = ctx.scal
    nw, nr, nm, nl = (int(q[i]) for i in (Q_BATCH_WARPS, Q_BATCH_RUNS, Q_BATCH_MEMS, Q_BATCH_LANES))
    if nw:
        recorder.add(
            Batch(
                ctx.bwarps[:nw].copy(),
                ctx.bruns[:nr].copy().view(RUN_DT).reshape(-1),
                ctx.bmems[:nm].copy().view(MEM_DT).reshape(-1),
                ctx.blanes[:nl].copy(),
            )
        )
    q[Q_BATCH_WARPS] = q[Q_BATCH_RUNS] = q[Q_BATCH_MEMS] = q[Q_BATCH_LANES] = 0


def unit_counts(kernel: EmuKernel, counts: NDArray[np.int64]) -> dict[str, int]:
    """Warp-instructions by execution unit."""
    totals: dict[str, int] = {}
    for instruction, n in zip(kernel.program.instructions, counts[:, 0].tolist(), strict=True):
        if n:
            unit = Unit(op_info(instruction, kernel.program.arch).unit).name
            totals[unit] = totals.get(unit, 0) + n
    return totals


def fault_text(kernel: EmuKernel, g: Geometry, ctx: Ctx, limit: int) -> str:
    """One line that says where and what."""
    f = ctx.fault[0]
    w = int(ctx.scal[Q_WARP])
    cta = ctx.ctas[ctx.warps[w]["cta_slot"]]
    pc = int(f["pc"])
    instructions = kernel.program.instructions
    instruction = instructions[pc] if 0 <= pc < len(instructions) else None
    where = f"pc 0x{instruction.address:x}: {instruction.text}" if instruction else f"pc index {pc}"
    if instruction is not None and instruction.line:
        where += f" ({instruction.file}:{instruction.line})"
    lane = f"lane {int(f['lane'])}" if f["lane"] >= 0 else f"lanes 0x{int(f['mask']):08x}"
    what = describe(int(f["code"]), int(f["address"]), instruction, kernel.decoded.reasons.get(pc, ""), limit)
    place = f"CTA ({int(cta['x'])},{int(cta['y'])},{int(cta['z'])}), warp {int(ctx.warps[w]['index'])}, {lane}"
    return f"kernel {kernel.name}: {place}, {where}: {what}"
