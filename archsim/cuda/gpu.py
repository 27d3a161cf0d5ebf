"""The emulated GPU behind a capture: the emulator's Machine, a device description and a recorder."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from archsim.cuda.device import Device
from archsim.cuda.recording import Recorder
from archsim.cuda.server import Gpu, LaunchOutcome, LaunchRequest, kernel_limits
from archsim.emulator import DeviceMemory, Machine
from archsim.emulator.launch import Turns
from archsim.errors import ArchsimError

# Copies that a trace records: kind of the runtime's call -> event name. Host-to-host copies don't concern the GPU.
_EVENTS = {"memcpy_h2d": True, "memcpy_d2h": False, "memcpy_d2d": True, "memset": True}


_WINDOW_BYTES = 4 << 30  # shared and local memory of the resident CTAs


def shared_memory(nbytes: int) -> tuple[int, DeviceMemory]:
    """Device memory in a memfd (sparse: pages exist once touched), and the descriptor to share it by."""
    fd = os.memfd_create("archsim-device-memory", os.MFD_CLOEXEC)
    total = nbytes + _WINDOW_BYTES
    os.ftruncate(fd, total)
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_NORESERVE", 0)
    pages = mmap.mmap(fd, total, flags=flags)
    return fd, DeviceMemory(nbytes, window_bytes=_WINDOW_BYTES, backing=np.frombuffer(pages, np.uint8))


class EmulatedGpu(Gpu):
    """Runs launches in an ``archsim.emulator.Machine``.

    Emulated time: warp-instructions executed so far, at the chip's peak issue rate (one instruction per sub-core and
    cycle). It is a lower bound on the time of a GPU and says nothing about memory; timing is the simulator's work.
    """

    def __init__(
        self,
        device: Device,
        recorder: Recorder,
        max_instructions: int = 0,
        progress: Callable[[str, int, int], None] | None = None,
        turn_instructions: int = 0,
    ) -> None:
        self.device = device
        self.memory_fd, self.memory = shared_memory(device.memory_bytes)
        self._printed: list[str] = []
        self.machine = Machine(device.arch, device.num_sms, memory=self.memory, print_function=self._printed.append)
        self.recorder = recorder
        self.max_instructions = max_instructions
        self.progress = progress
        self.turn_instructions = turn_instructions
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
        index = self.launches
        self.launches += 1
        sample = self.recorder.selection.sample_every
        shape = (request.kernel, request.grid, request.block)
        turns = self.turns(request)
        described = self.machine.launch_info(
            *shape,
            request.dynamic_shared_bytes,
            request.cluster,
            launch_id=index,
            stream_id=request.stream_id,
            sample_every=sample,
            turns=turns,
        )
        writer = self.recorder.begin(index, request.kernel.program, described)
        try:
            result = self.machine.launch(
                *shape,
                request.params,
                dynamic_shared_bytes=request.dynamic_shared_bytes,
                cluster=request.cluster,
                recorder=writer,
                max_instructions=self.max_instructions,
                sample_every=sample if writer is not None else 1,
                progress=self._progress_of(request.name, described.num_ctas),
                cooperative=request.cooperative,
                turns=turns,
            )
        except ArchsimError:
            print(self._take_printed().decode("utf-8", "replace"), end="", flush=True)  # a faulting kernel's last words
            raise
        printed = self._take_printed()
        if writer is not None:
            writer.end(replace(writer.launch, thread_instructions=result.thread_instructions))
            self.recorder.instructions += result.warp_instructions
        self.warp_instructions += result.warp_instructions
        self.thread_instructions += result.thread_instructions
        return LaunchOutcome(self.time_ns(), printed)

    def turns(self, request: LaunchRequest) -> Turns | None:
        """The concurrent order for one launch; None: one CTA after another."""
        if not self.turn_instructions:
            return None
        limits = kernel_limits(request.kernel.info, self.device)
        resident = self.device.resident_ctas(limits, request.block, request.dynamic_shared_bytes, request.cluster)
        return Turns(self.turn_instructions, resident)

    def _take_printed(self) -> bytes:
        text = "".join(self._printed).encode("utf-8", "surrogateescape")
        self._printed.clear()
        return text

    def _progress_of(self, name: str, ctas: int) -> Callable[[int, int], None] | None:
        report = self.progress
        return None if report is None else lambda done, _: report(name, done, ctas)

    def set_stack(self, nbytes: int) -> None:
        """Stack of each thread."""
        self.machine.stack_bytes = nbytes

    def event(self, kind: str, stream_id: int, dst: int, src: int, nbytes: int) -> None:
        """A copy or fill, noted in the trace: (kind, device address, bytes)."""
        if kind in _EVENTS:
            self.recorder.event(kind, dst if _EVENTS[kind] else src, nbytes)
