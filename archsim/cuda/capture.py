"""Runs a CUDA program on the emulated GPU and records a trace of its kernels."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.cuda.build import library_folder
from archsim.cuda.device import DEFAULT_MACHINES, Device
from archsim.cuda.probe import Executable, inspect
from archsim.cuda.recording import Recorder, Selection
from archsim.cuda.server import Gpu, Server
from archsim.errors import ArchsimError, RunError

if TYPE_CHECKING:
    from archsim.config import MachineConfig

DEFAULT_ARCH = 90
DEFAULT_MEMORY_BYTES = 16 << 30  # address space only: pages are allocated when touched
_SOCKET_VARIABLE = "ARCHSIM_CAPTURE_SOCKET"


@dataclass(frozen=True)
class CaptureOptions:
    """``arch`` 0: the newest code in the program that can be emulated. ``output`` None: run without a trace.

    ``config``: the machine that the program sees (properties, occupancy); None: the default of the architecture.
    ``max_instructions``: warp-instructions of one launch after which it counts as an infinite loop; 0: no limit.
    ``turn_instructions``: all CTAs that the machine holds run at once, each warp this many instructions at a time; 0:
    one CTA after another.
    """

    arch: int = 0
    output: Path | None = None
    selection: Selection = field(default_factory=Selection)
    config: MachineConfig | None = None
    memory_bytes: int = DEFAULT_MEMORY_BYTES
    max_instructions: int = 0
    turn_instructions: int = 0
    progress: Callable[[str, int, int], None] | None = None  # kernel, CTAs done, CTAs in all


@dataclass(frozen=True)
class CaptureResult:
    """``exit_code``: the program's own (128 + N when signal N ended it). ``faults``: what went wrong on the device."""

    exit_code: int
    arch: int
    output: Path | None  # None when nothing was written: functional run, failed program, or fault
    launches: int = 0
    recorded: int = 0
    warp_instructions: int = 0
    unsupported: Mapping[str, int] = field(default_factory=dict)
    faults: tuple[ArchsimError, ...] = ()
    connected: bool = True  # False: the program made no CUDA call

    @property
    def complete(self) -> bool:
        """True when the program ended well and no kernel faulted."""
        return self.exit_code == 0 and not self.faults


class _Incomplete(Exception):
    """Leaves the trace writer so that it drops its file."""


def check_program(command: Sequence[str]) -> tuple[Path, Executable]:
    """The file that a command line runs and what it is. Raises RunError when it cannot be captured."""
    name = command[0]
    found = shutil.which(name)
    if found is None:
        if Path(name).exists():
            raise RunError(f"{name}: is not an executable program (chmod +x?)")
        raise RunError(f"{name}: no such program")
    path = Path(found)
    program = inspect(path)
    if program.is_static_cuda:
        raise RunError(
            f"{name}: is linked with the static CUDA runtime, which cannot be replaced; relink it with the shared one: "
            "nvcc -cudart shared ... (CMake: set CMAKE_CUDA_RUNTIME_LIBRARY to Shared)"
        )
    return path, program


def choose_arch(program: Executable) -> int:
    """The newest architecture that the program has code for and the emulator knows."""
    cubins = [arch for arch in program.cubin_archs if arch in DEFAULT_MACHINES]
    if cubins:
        return max(cubins)
    ptx = [arch for arch in DEFAULT_MACHINES if any(p <= arch for p in program.ptx_archs)]
    if program.cubin_archs and not ptx:
        have = ", ".join(f"sm_{arch}" for arch in program.cubin_archs)
        known = ", ".join(f"sm_{arch}" for arch in DEFAULT_MACHINES)
        raise RunError(f"the program has code for {have} only; the emulator runs {known}")
    return DEFAULT_ARCH if not ptx or DEFAULT_ARCH in ptx else max(ptx)


def child_environment(program: Executable, socket_path: Path) -> dict[str, str]:
    """The environment in which the stand-in is found before any real CUDA library."""
    environment = dict(os.environ)
    folder = library_folder()
    paths = [str(folder), environment.get("LD_LIBRARY_PATH", "")]
    environment["LD_LIBRARY_PATH"] = ":".join(path for path in paths if path)
    if program.has_rpath and program.runtime_major:  # DT_RPATH is searched before LD_LIBRARY_PATH
        preload = [str(folder / f"libcudart.so.{program.runtime_major}"), environment.get("LD_PRELOAD", "")]
        environment["LD_PRELOAD"] = ":".join(path for path in preload if path)
    environment[_SOCKET_VARIABLE] = str(socket_path)
    return environment


def run_child(command: Sequence[str], program: Executable, gpu: Gpu) -> tuple[int, Server]:
    """Run a program against ``gpu``; returns its exit code and the (closed) server with what it noticed.

    A KeyboardInterrupt ends the program first.
    """
    with tempfile.TemporaryDirectory(prefix="archsim-") as folder:
        socket_path = Path(folder) / "gpu"
        with Server(gpu, socket_path) as server:
            try:
                child = subprocess.Popen(command, env=child_environment(program, socket_path))
            except OSError as error:
                raise RunError(f"{command[0]}: cannot be started ({error.strerror})") from None
            ended = os.pidfd_open(child.pid)
            try:
                server.serve_until(ended)
            finally:
                os.close(ended)
                if child.poll() is None:
                    child.kill()
                code = child.wait()
    return (code if code >= 0 else 128 - code), server


def capture_program(command: Sequence[str], options: CaptureOptions | None = None) -> CaptureResult:
    """Run ``command`` (program and arguments) on the emulated GPU.

    The trace at ``options.output`` exists afterwards only when the program exited with 0 and no kernel faulted.
    Raises RunError when the program cannot be captured at all (static runtime, no C compiler, unknown architecture).
    """
    options = options or CaptureOptions()
    _, program = check_program(command)
    arch = options.arch or (options.config.arch if options.config else choose_arch(program))
    device = _device(arch, options)
    if options.output is None:
        return _run(command, program, options, device, None)
    from archsim.trace.writer import TraceWriter

    try:
        with TraceWriter(options.output, arch=arch, source=f"archsim capture: {' '.join(command)}") as writer:
            result = _run(command, program, options, device, writer)
            if not result.complete:
                raise _Incomplete
    except _Incomplete:
        pass
    return result


def _device(arch: int, options: CaptureOptions) -> Device:
    if options.config is None:
        return Device.of_arch(arch, options.memory_bytes)
    if options.config.arch != arch:
        raise RunError(f"the machine {options.config.name} is sm_{options.config.arch}, asked for is sm_{arch}")
    return Device(options.config, options.memory_bytes)


def _run(
    command: Sequence[str], program: Executable, options: CaptureOptions, device: Device, writer: Any
) -> CaptureResult:
    from archsim.cuda.gpu import EmulatedGpu

    recorder = Recorder(writer, options.selection)
    gpu = EmulatedGpu(device, recorder, options.max_instructions, options.progress, options.turn_instructions)
    code, server = run_child(command, program, gpu)
    good = code == 0 and not server.faults
    return CaptureResult(
        exit_code=code,
        arch=device.arch,
        output=options.output if good else None,
        launches=gpu.launches,
        recorded=recorder.recorded,
        warp_instructions=gpu.warp_instructions,
        unsupported=dict(server.unsupported),
        faults=tuple(server.faults),
        connected=server.connections > 0,
    )


def describe_exit(code: int) -> str:
    """``exit code 3`` or ``killed by SIGSEGV``."""
    if code > 128:
        try:
            return f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            pass
    return f"exit code {code}"
