"""The process that owns the emulated GPU: answers the requests of captured programs (protocol.py)."""

from __future__ import annotations

import contextlib
import math
import selectors
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archsim.cuda import protocol as p
from archsim.cuda.device import DEFAULT_SHARED_BYTES, Device, KernelLimits
from archsim.cuda.nvcc import assemble_ptx
from archsim.cuda.protocol import CallError, CudaError, Op
from archsim.errors import ArchsimError, EmulationError
from archsim.isa.fatbin import CONTAINER_MAGIC, ELF_MAGIC, choose, read_entries

_MAX_ALIGN = 4096
_MAX_DYNAMIC_SHARED = 8  # cudaFuncAttributeMaxDynamicSharedMemorySize
_NON_PORTABLE_CLUSTER = 14
_STACK_LIMIT = 0  # cudaLimitStackSize
_MAX_STACK_BYTES = 512 * 1024  # CUDA C Programming Guide: local memory per thread


@dataclass
class LoadedKernel:
    """A kernel that the program asked for. ``emulated``: the emulator's own handle."""

    emulated: Any
    info: Any  # archsim.isa KernelInfo
    limits: KernelLimits


@dataclass(frozen=True)
class LaunchRequest:
    """One launch as the program asked for it."""

    kernel: Any
    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    cluster: tuple[int, int, int]
    dynamic_shared_bytes: int
    params: bytes
    stream_id: int
    cooperative: bool


@dataclass(frozen=True)
class LaunchOutcome:
    """``time_ns``: emulated time after the launch; ``printed``: device printf output."""

    time_ns: int
    printed: bytes = b""


class Gpu(ABC):
    """What a session needs of the emulated GPU; the real one is in capture.py, tests use a small one.

    ``memory``: alloc(bytes, align) -> address, free(address), and ``base``, ``size`` (bytes) of its address range.
    ``memory_fd``: a descriptor of that range's contents, to be mapped by programs. ``load(cubin)`` -> a module with
    ``kernels[name]`` (each with ``.info`` and ``.program``) and ``globals[name]`` -> (address, bytes).
    """

    device: Device
    memory: Any
    memory_fd: int

    @abstractmethod
    def load(self, cubin: bytes) -> Any:
        """Load a cubin; ArchsimError when it cannot be decoded."""

    @abstractmethod
    def launch(self, request: LaunchRequest) -> LaunchOutcome:
        """Run one kernel to its end; EmulationError when it faults."""

    @abstractmethod
    def event(self, kind: str, stream_id: int, dst: int, src: int, nbytes: int) -> None:
        """A copy or fill that the program made in device memory."""

    @abstractmethod
    def set_stack(self, nbytes: int) -> None:
        """Stack bytes of a thread, for kernels whose need the compiler does not know (cudaLimitStackSize)."""


class Session:
    """The state of one captured process."""

    def __init__(self, gpu: Gpu, unsupported: dict[str, int], faults: list[ArchsimError]) -> None:
        self.gpu = gpu
        self.unsupported = unsupported
        self.faults = faults
        self.sticky: CudaError | None = None
        self._allocations: dict[int, int] = {}
        self._used_bytes = 0
        self._modules: list[Any] = []
        self._kernels: list[LoadedKernel] = []
        self._actions: dict[Op, Callable[[bytes], bytes]] = {
            Op.HELLO: self._hello,
            Op.PROPERTIES: self._properties,
            Op.ALLOC: self._alloc,
            Op.FREE: self._free,
            Op.MEM_INFO: self._mem_info,
            Op.MODULE_LOAD: self._module_load,
            Op.MODULE_UNLOAD: self._module_unload,
            Op.KERNEL: self._kernel,
            Op.GLOBAL: self._global,
            Op.LAUNCH: self._launch,
            Op.EVENT: self._event,
            Op.OCCUPANCY: self._occupancy,
            Op.FUNC_SET: self._func_set,
            Op.UNSUPPORTED: self._unsupported,
            Op.RESET: self._reset,
            Op.LIMIT: self._limit,
        }

    def handle(self, op: int, body: bytes) -> tuple[int, bool, bytes]:
        """Answer one request: (cudaError, sticky, reply body)."""
        try:
            action = self._actions[Op(op)]
            if self.sticky is not None and op not in (Op.RESET, Op.UNSUPPORTED, Op.HELLO):
                raise CallError(self.sticky, sticky=True)
            return 0, False, action(body)
        except CallError as error:
            return int(error.code), error.sticky, b""
        except ArchsimError as error:
            self.faults.append(error)
            self.sticky = fault_code(error)
            return int(self.sticky), True, b""
        except (ValueError, struct.error):  # not one of our clients
            return int(CudaError.INVALID_VALUE), False, b""

    def close(self) -> None:
        """The process is gone: free what it left."""
        for address in self._allocations:
            with contextlib.suppress(ArchsimError):
                self.gpu.memory.free(address)
        self._allocations.clear()
        self._used_bytes = 0

    # ---- device and memory ----

    def _hello(self, body: bytes) -> bytes:
        version, _ = p.HELLO.unpack(body)
        if version != p.VERSION:
            raise CallError(CudaError.INVALID_VALUE)
        memory, device = self.gpu.memory, self.gpu.device
        attributes = device.attributes()
        name = device.name.encode()
        head = p.HELLO_REPLY.pack(memory.base, memory.size, len(attributes), len(name))
        return head + struct.pack(f"<{len(attributes)}i", *attributes) + name

    def _properties(self, body: bytes) -> bytes:
        (major,) = p.U32.unpack(body)
        return self.gpu.device.pack_properties(major)

    def _alloc(self, body: bytes) -> bytes:
        nbytes, _, align = p.ALLOC.unpack(body)
        if nbytes > self.gpu.device.memory_bytes - self._used_bytes:
            raise CallError(CudaError.OUT_OF_MEMORY)
        try:
            address = self.gpu.memory.alloc(nbytes, align=min(align, _MAX_ALIGN))
        except (ArchsimError, MemoryError):
            raise CallError(CudaError.OUT_OF_MEMORY) from None
        self._allocations[address] = nbytes
        self._used_bytes += nbytes
        return p.U64.pack(address)

    def _free(self, body: bytes) -> bytes:
        (address,) = p.U64.unpack(body)
        if address not in self._allocations:
            raise CallError(CudaError.INVALID_VALUE)
        self._used_bytes -= self._allocations.pop(address)
        self.gpu.memory.free(address)
        return b""

    def _mem_info(self, body: bytes) -> bytes:
        total = self.gpu.device.memory_bytes
        return struct.pack("<QQ", total - self._used_bytes, total)

    def _event(self, body: bytes) -> bytes:
        kind, stream, dst, src, nbytes = p.EVENT.unpack(body)
        self.gpu.event(p.EVENT_NAMES[kind], stream, dst, src, nbytes)
        return b""

    def _reset(self, body: bytes) -> bytes:
        self.sticky = None
        self.close()
        self._modules.clear()
        self._kernels.clear()
        return b""

    def _limit(self, body: bytes) -> bytes:
        limit, _, value = p.LIMIT.unpack(body)
        if limit == _STACK_LIMIT:
            if value > _MAX_STACK_BYTES:
                raise CallError(CudaError.INVALID_VALUE)
            self.gpu.set_stack(value)
        return b""

    def _unsupported(self, body: bytes) -> bytes:
        name = body.decode("ascii", "replace")
        self.unsupported[name] = self.unsupported.get(name, 0) + 1
        return b""

    # ---- code ----

    def _module_load(self, body: bytes) -> bytes:
        cubin = select_code(body, self.gpu.device.arch)
        if cubin is None:
            raise CallError(CudaError.NO_KERNEL_IMAGE)
        self._modules.append(self.gpu.load(cubin))
        return p.U32.pack(len(self._modules) - 1)

    def _module_of(self, body: bytes) -> tuple[Any, str]:
        (number,) = p.U32.unpack_from(body)
        if number >= len(self._modules) or self._modules[number] is None:
            raise CallError(CudaError.INVALID_HANDLE)
        return self._modules[number], body[4:].decode("utf-8", "replace")

    def _module_unload(self, body: bytes) -> bytes:
        self._module_of(body)
        self._modules[p.U32.unpack(body)[0]] = None
        return b""

    def _kernel(self, body: bytes) -> bytes:
        module, name = self._module_of(body)
        emulated = module.kernels.get(name)
        if emulated is None:
            raise CallError(CudaError.INVALID_DEVICE_FUNCTION)
        info, device = emulated.info, self.gpu.device
        limits = kernel_limits(info, device)
        self._kernels.append(LoadedKernel(emulated, info, limits))
        head = p.KERNEL_REPLY.pack(
            len(self._kernels) - 1,
            len(info.params),
            limits.registers,
            limits.static_shared_bytes,
            info.local_bytes,
            0,
            limits.max_threads,
            limits.max_dynamic_shared_bytes,
            device.arch,
            info.param_bytes,
        )
        return head + b"".join(p.PARAMETER.pack(offset, size) for offset, size in info.params)

    def _global(self, body: bytes) -> bytes:
        module, name = self._module_of(body)
        found = module.globals.get(name)
        if found is None:
            raise CallError(CudaError.INVALID_SYMBOL)
        return p.GLOBAL_REPLY.pack(*found)

    def _kernel_of(self, number: int) -> LoadedKernel:
        if number >= len(self._kernels):
            raise CallError(CudaError.INVALID_HANDLE)
        return self._kernels[number]

    def _func_set(self, body: bytes) -> bytes:
        number, attribute, value = p.FUNC_SET.unpack(body)
        kernel = self._kernel_of(number)
        if attribute == _MAX_DYNAMIC_SHARED:
            if not 0 <= value <= self.gpu.device.shared_optin_bytes - kernel.limits.static_shared_bytes:
                raise CallError(CudaError.INVALID_VALUE)
            kernel.limits = replace(kernel.limits, max_dynamic_shared_bytes=value)
        elif attribute == _NON_PORTABLE_CLUSTER:
            kernel.limits = replace(kernel.limits, non_portable_cluster=bool(value))
        elif not 9 <= attribute <= 13:  # carve-out and cluster shape: hints
            raise CallError(CudaError.INVALID_VALUE)
        return b""

    def _occupancy(self, body: bytes) -> bytes:
        number, block, shared, cluster, query = p.OCCUPANCY.unpack(body)
        limits, device = self._kernel_of(number).limits, self.gpu.device
        if query == 1:
            value = device.available_shared_bytes(limits, shared)
        elif query == 2:
            value = device.max_clusters(limits, block, shared, cluster)
        elif query == 3:
            sizes = (size for size in (16, 8, 4, 2, 1) if size <= device.config.launch.max_cluster_size)
            fits = (size for size in sizes if device.max_clusters(limits, block, shared, size))
            value = next(fits, 0) if device.arch >= 90 else 1
        else:
            value = device.occupancy(limits, block, shared)
        return p.U32.pack(value)

    def _launch(self, body: bytes) -> bytes:
        number, stream, *rest = p.LAUNCH.unpack_from(body)
        grid, block, cluster = tuple(rest[0:3]), tuple(rest[3:6]), tuple(rest[6:9])
        cooperative, dynamic = bool(rest[9]), rest[10]
        kernel = self._kernel_of(number)
        if not any(cluster):
            cluster = kernel.limits.cluster
        self.gpu.device.check_launch(kernel.limits, grid, block, cluster, dynamic, cooperative)
        params = body[p.LAUNCH.size :]
        name = kernel.emulated.program.name
        outcome = self.gpu.launch(
            LaunchRequest(kernel.emulated, name, grid, block, cluster, dynamic, params, stream, cooperative)
        )
        return p.U64.pack(outcome.time_ns) + outcome.printed


def kernel_limits(info: Any, device: Device) -> KernelLimits:
    """Limits of a kernel from its metadata (archsim.isa KernelInfo)."""
    static = max(0, info.static_shared_bytes - info.reserved_shared_bytes)
    most = math.prod(info.required_threads or info.max_threads or (device.config.sm.max_threads_per_cta,))
    dynamic = max(0, DEFAULT_SHARED_BYTES - static)
    x, y, z = (*info.cluster, 1, 1, 1)[:3]
    return KernelLimits(info.registers, static, most, dynamic, (x or 1, y or 1, z or 1))


def select_code(image: bytes, arch: int) -> bytes | None:
    """The cubin of a fat binary, a bare cubin or PTX text for ``sm_<arch>``; None when it has none. Raises IsaError."""
    if image[:4] == ELF_MAGIC:
        return image
    if image[:4] != struct.pack("<I", CONTAINER_MAGIC):
        return assemble_ptx(image, arch)
    entry = choose(read_entries(image), arch)
    if entry is None:
        return None
    return assemble_ptx(entry.payload(), arch) if entry.is_ptx else entry.payload()


def fault_code(error: ArchsimError) -> CudaError:
    """The CUDA error that a program sees for a fault of its kernel."""
    if not isinstance(error, EmulationError):
        return CudaError.LAUNCH_FAILURE
    text = str(error).lower()
    table = (
        ("misaligned", CudaError.MISALIGNED_ADDRESS),
        ("out-of-bounds", CudaError.ILLEGAL_ADDRESS),
        ("out of bounds", CudaError.ILLEGAL_ADDRESS),
        ("illegal address", CudaError.ILLEGAL_ADDRESS),
        ("assertion", CudaError.ASSERT),
        ("illegal instruction", CudaError.ILLEGAL_INSTRUCTION),
    )
    return next((code for words, code in table if words in text), CudaError.LAUNCH_FAILURE)


class Server:
    """Listens on a Unix socket and serves any number of processes, one request at a time."""

    def __init__(self, gpu: Gpu, path: Path) -> None:
        self.gpu = gpu
        self.path = path
        self.unsupported: dict[str, int] = {}
        self.faults: list[ArchsimError] = []
        self.connections = 0
        self._selector = selectors.DefaultSelector()
        self._sessions: dict[socket.socket, Session] = {}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._selector.register(self._listener, selectors.EVENT_READ)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        for connection in list(self._sessions):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def serve_until(self, ended_fd: int) -> None:
        """Answer requests until ``ended_fd`` (a pidfd) says that the process has ended and nothing more is waiting."""
        self._selector.register(ended_fd, selectors.EVENT_READ)
        ended = False
        while True:
            ready = [key.fileobj for key, _ in self._selector.select(0 if ended else None)]
            if ended_fd in ready:
                ended = True
                self._selector.unregister(ended_fd)
            work = [each for each in ready if isinstance(each, socket.socket)]
            if ended and not work:
                return
            self._serve(work)

    def _serve(self, ready: Iterable[socket.socket]) -> None:
        for each in ready:
            if each is self._listener:
                connection, _ = self._listener.accept()
                self._selector.register(connection, selectors.EVENT_READ)
                self._sessions[connection] = Session(self.gpu, self.unsupported, self.faults)
                self.connections += 1
            elif not self._answer(each):
                self._drop(each)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._sessions.pop(connection).close()
        connection.close()

    def _answer(self, connection: socket.socket) -> bool:
        """Serve one request; False when the other side is gone."""
        try:
            header = _receive(connection, p.REQUEST.size)
            if header is None:
                return False
            op, flags, nbytes = p.REQUEST.unpack(header)
            body = _receive(connection, nbytes) if nbytes <= p.MAX_BODY_BYTES else None
            if body is None:
                return False
            error, sticky, reply = self._sessions[connection].handle(op, body)
            if not flags & p.NO_REPLY:
                connection.sendall(p.REPLY.pack(error, sticky, len(reply)) + reply)
                if op == Op.HELLO and not error:
                    socket.send_fds(connection, [b"\0"], [self.gpu.memory_fd])
        except OSError:
            return False
        return True


def _receive(connection: socket.socket, nbytes: int) -> bytes | None:
    parts = bytearray(nbytes)
    view = memoryview(parts)
    done = 0
    while done < nbytes:
        n = connection.recv_into(view[done:])
        if n == 0:
            return None
        done += n
    return bytes(parts)
