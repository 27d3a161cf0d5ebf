"""Kernels from Python, in the style of CuPy's RawKernel: compile a source file, launch on arrays, read them back.

    import archsim.cuda
    module = archsim.cuda.compile("saxpy.cu", arch="sm_86")
    x, y = archsim.cuda.array(np.ones(1000, np.float32)), archsim.cuda.array(np.zeros(1000, np.float32))
    trace = module["saxpy"].launch(grid=4, block=256, args=(1000, np.float32(2), x, y))
    y.get()

Everything runs in the emulator; no GPU is needed.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsim.cuda.capture import DEFAULT_MEMORY_BYTES
from archsim.cuda.device import Device
from archsim.cuda.nvcc import compile_cubin
from archsim.cuda.protocol import CallError
from archsim.cuda.recording import MemoryWriter, memory_records, plain_name
from archsim.cuda.server import kernel_limits, select_code
from archsim.emulator.launch import Turns
from archsim.errors import RunError
from archsim.trace.layout import LaunchInfo
from archsim.trace.memory import MemoryKernel, MemoryTrace

Dim = int | Sequence[int]
_FLOATS = {2: "<e", 4: "<f", 8: "<d"}


class _Gpu:
    """One emulated GPU an architecture; modules and arrays of that architecture share it."""

    def __init__(self, arch: int) -> None:
        from archsim.emulator import Machine

        self.arch = arch
        self.device = Device.of_arch(arch, DEFAULT_MEMORY_BYTES)
        self.machine = Machine(arch, num_sms=self.device.num_sms, memory_bytes=DEFAULT_MEMORY_BYTES)


_gpus: dict[int, _Gpu] = {}


def _gpu(arch: int) -> _Gpu:
    if arch not in _gpus:
        _gpus[arch] = _Gpu(arch)
    return _gpus[arch]


def _arch_number(arch: str | int) -> int:
    match = re.fullmatch(r"(?:sm_)?(\d+)", str(arch))
    if not match:
        raise RunError(f"arch {arch!r}: expected a name like sm_86")
    return int(match[1])


class DeviceArray:
    """An array in the memory of the emulated GPU; made by :func:`array`.

    It moves to a GPU at the first launch that uses it, and stays there.
    """

    def __init__(self, host: NDArray[Any]) -> None:
        self.dtype = host.dtype
        self.shape = host.shape
        self.nbytes = host.nbytes
        self._host: NDArray[Any] | None = host
        self._gpu: _Gpu | None = None
        self._address = 0

    def get(self) -> NDArray[Any]:
        """A copy on the host, of the array's shape and dtype."""
        if self._gpu is None:
            assert self._host is not None
            return self._host.copy()
        data = self._gpu.machine.memory.read(self._address, self.nbytes)
        return np.frombuffer(bytes(data), self.dtype).reshape(self.shape).copy()

    def set(self, values: ArrayLike) -> None:
        """Overwrite the contents; ``values`` must have the array's shape. Raises RunError."""
        host = np.ascontiguousarray(np.asarray(values, self.dtype))
        if host.shape != self.shape:
            raise RunError(f"array of shape {self.shape} cannot take values of shape {host.shape}")
        if self._gpu is None:
            self._host = host.copy()
        else:
            self._gpu.machine.memory.write(self._address, host.tobytes())

    def _place(self, gpu: _Gpu) -> int:
        """Device address on ``gpu``."""
        if self._gpu is None:
            assert self._host is not None
            self._address = gpu.machine.memory.alloc(max(self.nbytes, 1))
            if self.nbytes:
                gpu.machine.memory.write(self._address, self._host.tobytes())
            self._gpu, self._host = gpu, None
        if self._gpu is not gpu:
            raise RunError(f"an array on the sm_{self._gpu.arch} GPU cannot be used by a kernel for sm_{gpu.arch}")
        return self._address

    def __del__(self) -> None:
        if self._gpu is not None:
            self._gpu.machine.memory.free(self._address)

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"


def array(values: ArrayLike, dtype: Any = None) -> DeviceArray:
    """A device array with a copy of ``values`` (anything that NumPy takes)."""
    return DeviceArray(np.array(values, dtype, order="C"))


class Kernel:
    """One kernel of a module."""

    def __init__(self, gpu: _Gpu, emulated: Any, name: str) -> None:
        self._gpu = gpu
        self._emulated = emulated
        self.name = name
        self.program = emulated.program
        self._limits = kernel_limits(emulated.info, gpu.device)

    def launch(
        self,
        grid: Dim,
        block: Dim,
        args: Sequence[Any],
        *,
        shared_bytes: int = 0,
        cluster: Dim = 1,
        cooperative: bool = False,
        path: str | Path | None = None,
        max_instructions: int = 0,
        sample_every: int = 1,
        turn_instructions: int = 0,
    ) -> Any:
        """Run the kernel to its end and return its trace.

        ``grid``, ``block``, ``cluster``: an int or up to three. ``args``: device arrays, NumPy scalars, Python numbers
        (converted to the parameter's size: an int to an integer, a float to half, single or double), or ``bytes`` for a
        struct. ``shared_bytes``: dynamic shared memory per CTA. ``path``: write the trace there instead of keeping it
        in memory, and return the path. ``max_instructions``: warp-instructions after which the launch counts as an
        infinite loop. ``sample_every``: record only every n-th CTA. ``turn_instructions``: run all CTAs that the
        machine holds at once, each warp this many instructions at a time (0: one CTA after another).

        Raises RunError for a launch that a GPU would refuse, EmulationError for a fault in the kernel.
        """
        shape = _dims(grid, "grid"), _dims(block, "block"), _dims(cluster, "cluster")
        limits = replace(
            self._limits,
            max_dynamic_shared_bytes=self._gpu.device.shared_optin_bytes - self._limits.static_shared_bytes,
            non_portable_cluster=True,
        )
        if math.prod(shape[2]) == 1:
            shape = (*shape[:2], limits.cluster)
        try:
            self._gpu.device.check_launch(limits, *shape, shared_bytes, cooperative)
        except CallError as error:
            raise RunError(f"{self.name}: grid {shape[0]}, block {shape[1]}: {error.code.name.lower()}") from None
        params = self._pack(args)
        if turn_instructions < 0:
            raise RunError(f"{self.name}: turn_instructions {turn_instructions}: must be 0 or more")
        resident = self._gpu.device.resident_ctas(limits, shape[1], shared_bytes, shape[2])
        turns = Turns(turn_instructions, resident) if turn_instructions else None
        launch = self._gpu.machine.launch_info(
            self._emulated, *shape[:2], shared_bytes, shape[2], sample_every=sample_every, turns=turns
        )
        options = {"dynamic_shared_bytes": shared_bytes, "cluster": shape[2], "max_instructions": max_instructions}
        options |= {"cooperative": cooperative, "turns": turns}
        records = memory_records(self.program)
        if path is not None:
            return self._launch_to_file(Path(path), launch, records, params, options)
        writer = MemoryWriter(launch)
        self._run(writer, params, options)
        return MemoryTrace(self._gpu.arch, [MemoryKernel(writer.launch, self.program, records, writer.batch())])

    def _run(self, writer: Any, params: bytes, options: dict[str, Any]) -> None:
        launch: LaunchInfo = writer.launch
        result = self._gpu.machine.launch(
            self._emulated,
            launch.grid,
            launch.block,
            params,
            recorder=writer,
            sample_every=launch.sample_every,
            **options,
        )
        writer.end(replace(writer.launch, thread_instructions=result.thread_instructions))

    def _launch_to_file(
        self, path: Path, launch: LaunchInfo, records: Any, params: bytes, options: dict[str, Any]
    ) -> Path:
        from archsim.trace.writer import TraceWriter

        with TraceWriter(path, arch=self._gpu.arch, source=f"archsim.cuda {self.name}") as out:
            self._run(out.begin_kernel(out.add_program(self.program, records), launch), params, options)
        return path

    def _pack(self, args: Sequence[Any]) -> bytes:
        info = self._emulated.info
        if len(args) != len(info.params):
            raise RunError(f"{self.name}: takes {len(info.params)} arguments, {len(args)} given")
        packed = bytearray(info.param_bytes)
        for number, (value, (offset, size)) in enumerate(zip(args, info.params, strict=True)):
            if isinstance(value, DeviceArray):
                value = value._place(self._gpu)
            data = pack_argument(value, size, f"{self.name}: argument {number}")
            packed[offset : offset + size] = data
        return bytes(packed)


def pack_argument(value: Any, size: int, where: str) -> bytes:
    """One kernel argument as ``size`` bytes. Raises RunError naming ``where`` when it does not fit."""
    try:
        if isinstance(value, bool):
            return struct.pack("<?", value).ljust(size, b"\0")
        if isinstance(value, int):
            return value.to_bytes(size, "little", signed=value < 0)
        if isinstance(value, float) and not isinstance(value, np.generic):
            return struct.pack(_FLOATS[size], value)
    except (OverflowError, KeyError):
        raise RunError(f"{where}: {value!r} does not fit a parameter of {size} bytes") from None
    if isinstance(value, np.generic | np.ndarray):
        data = value.tobytes()
    elif isinstance(value, bytes | bytearray):
        data = bytes(value)
    else:
        raise RunError(f"{where}: a {type(value).__name__} cannot be passed; use archsim.cuda.array for arrays")
    if len(data) != size:
        raise RunError(f"{where}: {len(data)} bytes for a parameter of {size}")
    return data


def _dims(value: Dim, what: str) -> tuple[int, int, int]:
    dims = (value,) if isinstance(value, int) else tuple(int(each) for each in value)
    if not 1 <= len(dims) <= 3:
        raise RunError(f"{what} {value!r}: expected an int or up to three")
    x, y, z = (*dims, 1, 1)[:3]
    return x, y, z


class Module:
    """Loaded code. ``module["name"]``: the kernel of that name, mangled or plain (``extern "C"`` is not needed)."""

    def __init__(self, cubin: bytes, arch: int) -> None:
        self._gpu = _gpu(arch)
        self._loaded = self._gpu.machine.load_module(cubin)

    @property
    def kernels(self) -> list[str]:
        """Names of the kernels as compiled (mangled)."""
        return list(self._loaded.kernels)

    def __getitem__(self, name: str) -> Kernel:
        if name in self._loaded.kernels:
            return Kernel(self._gpu, self._loaded.kernels[name], name)
        matches = [each for each in self._loaded.kernels if plain_name(each) == name]
        if len(matches) != 1:
            choice = ", ".join(matches or self._loaded.kernels)
            raise RunError(
                f"{name!r}: {'several kernels' if matches else 'no kernel'} of that name; there are: {choice}"
            )
        return Kernel(self._gpu, self._loaded.kernels[matches[0]], name)

    def global_array(self, name: str, dtype: Any) -> NDArray[Any]:
        """Contents of a ``__device__`` variable. Raises RunError for an unknown name."""
        if name not in self._loaded.globals:
            raise RunError(f"{name!r}: no such variable; there are: {', '.join(self._loaded.globals) or 'none'}")
        address, nbytes = self._loaded.globals[name]
        return np.frombuffer(bytes(self._gpu.machine.memory.read(address, nbytes)), dtype).copy()


def compile(source: str | Path, arch: str | int = "sm_90", options: Sequence[str] = ()) -> Module:  # noqa: A001
    """Compile a .cu or .ptx file with nvcc (and further ``options``) and load it. RunError holds nvcc's text."""
    number = _arch_number(arch)
    return Module(compile_cubin(Path(source), number, options), number)


def load(image: str | Path | bytes, arch: str | int = "sm_90") -> Module:
    """Load a cubin, a fat binary or PTX, from a file or from bytes. Raises RunError or IsaError."""
    number = _arch_number(arch)
    data = image if isinstance(image, bytes) else _contents(Path(image))
    cubin = select_code(data, number)
    if cubin is None:
        raise RunError(f"no code for sm_{number} in this fat binary")
    return Module(cubin, number)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
