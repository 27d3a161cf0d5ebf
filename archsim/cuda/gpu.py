"""The emulated GPU behind a capture: the emulator's Machine, a device description and a recorder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from archsim.cuda.device import Device
from archsim.cuda.recording import Recorder
from archsim.cuda.server import Gpu, LaunchOutcome, LaunchRequest
from archsim.trace.layout import LaunchInfo

# Copies that a trace records: kind of the runtime's call -> event name. Host-to-host copies don't concern the GPU.
_EVENTS = {"memcpy_h2d": True, "memcpy_d2h": False, "memcpy_d2d": True, "memset": True}


class EmulatedGpu(Gpu):
    """Runs launches in an ``archsim.emulator.Machine``.

    Emulated time: warp-instructions executed so far, at the chip's peak issue rate (one instruction per sub-core and
    cycle). It is a lower bound on the time of a GPU and says nothing about memory; timing is the simulator's work.
    """

    def __init__(
        self,
        machine: Any,
        device: Device,
        recorder: Recorder,
        max_instructions: int = 0,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.machine = machine
        self.device = device
        self.memory = machine.memory
        self.recorder = recorder
        self.max_instructions = max_instructions
        self.progress = progress
        self.launches = 0
        self.warp_instructions = 0
        self.thread_instructions = 0

    def load(self, cubin: bytes) -> Any:
        """A module of the emulator."""
        return self.machine.load_module(cubin)

    def time_ns(self) -> int:
        """Emulated time since the start."""
        config = self.device.config
        per_us = config.num_sms * config.sm.num_subcores * config.clock_mhz
        return round(self.warp_instructions / per_us * 1000)

    def launch(self, request: LaunchRequest) -> LaunchOutcome:
        """Run a kernel; recorded when selected. Raises EmulationError."""
        info = request.kernel.info
        index = self.launches
        self.launches += 1
        described = LaunchInfo(
            name=request.name,
            grid=request.grid,
            block=request.block,
            cluster=request.cluster,
            registers=info.registers,
            shared_bytes=info.static_shared_bytes + request.dynamic_shared_bytes,
            local_bytes=info.local_bytes,
            launch_id=index,
            stream_id=request.stream_id,
            sample_every=self.recorder.selection.sample_every,
        )
        writer = self.recorder.begin(index, request.kernel.program, described)
        result = self.machine.launch(
            request.kernel,
            request.grid,
            request.block,
            request.params,
            dynamic_shared_bytes=request.dynamic_shared_bytes,
            cluster=request.cluster,
            recorder=writer,
            max_instructions=self.max_instructions,
            sample_every=described.sample_every if writer is not None else 1,
            progress=self._progress_of(request.name),
        )
        if writer is not None:
            writer.end(replace(writer.launch, thread_instructions=result.thread_instructions))
            self.recorder.instructions += result.warp_instructions
        self.warp_instructions += result.warp_instructions
        self.thread_instructions += result.thread_instructions
        return LaunchOutcome(self.time_ns(), result.printed)

    def _progress_of(self, name: str) -> Callable[[int, int], None] | None:
        report = self.progress
        return None if report is None else lambda done, total: report(name, done, total)

    def event(self, kind: str, stream_id: int, dst: int, src: int, nbytes: int) -> None:
        """A copy or fill, noted in the trace: (kind, device address, bytes)."""
        if kind in _EVENTS:
            self.recorder.event(kind, dst if _EVENTS[kind] else src, nbytes)
