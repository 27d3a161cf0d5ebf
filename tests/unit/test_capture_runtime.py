"""The stand-in runtime and its protocol, against a small GPU in Python: no emulator, no nvcc."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from archsim.cuda.build import library_folder
from archsim.cuda.capture import run_child
from archsim.cuda.device import Device
from archsim.cuda.probe import inspect
from archsim.cuda.server import Gpu, LaunchOutcome, LaunchRequest, Server
from archsim.errors import EmulationError

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")

BASE = 0x2000_0000_0000
SIZE = 64 << 20


class FakeMemory:
    """A bump allocator over one memfd."""

    def __init__(self) -> None:
        self.base, self.size = BASE, SIZE
        self.fd = os.memfd_create("fake-gpu")
        os.ftruncate(self.fd, SIZE)
        self.bytes = np.frombuffer(mmap.mmap(self.fd, SIZE), np.uint8)
        self.next = 4096
        self.live: set[int] = set()

    def alloc(self, nbytes: int, align: int = 256) -> int:
        at = -(-self.next // align) * align
        if at + nbytes > SIZE:
            raise MemoryError
        self.next = at + nbytes
        self.live.add(BASE + at)
        return BASE + at

    def free(self, address: int) -> None:
        self.live.remove(address)

    def view(self, address: int, nbytes: int) -> np.ndarray:
        return self.bytes[address - BASE : address - BASE + nbytes]


class FakeGpu(Gpu):
    """Knows one kernel, scale(float *data, char fill, float factor, int n), and records what it was asked."""

    def __init__(self) -> None:
        self.device = Device.of_arch(90, SIZE)
        self.memory = FakeMemory()
        self.memory_fd = self.memory.fd
        self.launches: list[LaunchRequest] = []
        self.events: list[tuple] = []
        self.cubins: list[bytes] = []

    def load(self, cubin: bytes) -> SimpleNamespace:
        self.cubins.append(cubin)
        info = SimpleNamespace(
            registers=32, static_shared_bytes=1024 + 512, reserved_shared_bytes=1024, local_bytes=0, param_bytes=20,
            params=((0, 8), (8, 1), (12, 4), (16, 4)), max_threads=(), required_threads=(), cluster=(),
        )  # fmt: skip
        kernel = SimpleNamespace(info=info, program=SimpleNamespace(name="scale"))
        self.counter = self.memory.alloc(4)
        return SimpleNamespace(
            kernels={"scale": kernel}, globals={"table": (self.memory.alloc(16), 16), "counter": (self.counter, 4)}
        )

    def launch(self, request: LaunchRequest) -> LaunchOutcome:
        self.launches.append(request)
        data, fill, factor, n = struct.unpack("<Qb3xfi", request.params)
        assert fill == 7
        if factor < 0:
            raise EmulationError("scale: out-of-bounds access at 0x0")
        self.memory.view(data, 4 * n).view(np.float32)[:] *= factor
        self.memory.view(self.counter, 4).view(np.int32)[:] += 1
        return LaunchOutcome(2_000_000 * len(self.launches), b"")

    def set_stack(self, nbytes: int) -> None:
        self.stack = nbytes

    def event(self, kind: str, stream_id: int, dst: int, src: int, nbytes: int) -> None:
        self.events.append((kind, nbytes))


def build(target: Path, source: str, library: str) -> Path:
    folder = library_folder()
    link = [f"-L{folder}", f"-l:{library}", f"-Wl,-rpath-link,{folder}"]
    subprocess.run(["gcc", "-Wall", "-o", str(target), str(Path(__file__).with_name(source)), *link], check=True)
    return target


@pytest.fixture(scope="module", params=["libcudart.so.12", "libcudart.so.13"])
def host_program(request, tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("host") / "host", "capture_host.c", request.param)


def run(program: Path, what: str, capfd, exit_with: str = "0") -> tuple[list[str], FakeGpu, int, Server]:
    gpu = FakeGpu()
    code, server = run_child([str(program), what, exit_with], inspect(program), gpu)
    return capfd.readouterr().out.split("\n")[:-1], gpu, code, server


def test_launch_packs_parameters_and_results_come_back(host_program, capfd):
    lines, gpu, code, _ = run(host_program, "launch", capfd)
    assert lines == ["cudaSuccess"] * 4 + ["3 189", "cudaSuccess"]
    assert code == 0
    (launch,) = gpu.launches
    assert (launch.name, launch.grid, launch.block, launch.stream_id) == ("scale", (2, 1, 1), (32, 1, 1), 0)
    assert gpu.events == [("memcpy_h2d", 256), ("memcpy_d2h", 256)]
    assert gpu.cubins == [b"\x7fELFpayload\0\0\0\0\0"]


def test_managed_memory_is_shared_with_host_code(host_program, capfd):
    lines, *_ = run(host_program, "managed", capfd)
    ok = "cudaSuccess"
    assert lines == [ok, ok, ok, "8", "1", ok, "42", ok, "3 1", ok]


def test_pinned_and_registered_memory(host_program, capfd):
    lines, *_ = run(host_program, "pinned", capfd)
    ok = "cudaSuccess"
    again, gone = "cudaErrorHostMemoryAlreadyRegistered", "cudaErrorHostMemoryNotRegistered"
    assert lines == [ok, ok, "10", ok, ok, again, ok, ok, "3", ok, gone]


def test_symbols_are_bound_checked(host_program, capfd):
    lines, *_ = run(host_program, "symbols", capfd)
    ok = "cudaSuccess"
    assert lines == [ok, ok, " memory", ok, "16", "cudaErrorInvalidValue", "cudaErrorInvalidSymbol"]


def test_wrong_calls_get_the_runtimes_errors(host_program, capfd):
    lines, gpu, *_ = run(host_program, "errors", capfd)
    invalid, handle = "cudaErrorInvalidValue", "cudaErrorInvalidResourceHandle"
    function, device = "cudaErrorInvalidDeviceFunction", "cudaErrorInvalidDevice"
    configuration = "cudaErrorInvalidConfiguration"
    assert lines == [
        "cudaSuccess", invalid, invalid, "cudaErrorInvalidMemcpyDirection", invalid, "cudaErrorMemoryAllocation",
        configuration, configuration, invalid, function, function, handle, device, device, device, "cudaSuccess",
        "an illegal memory access was encountered",
    ]  # fmt: skip
    assert gpu.launches == []


def test_a_device_fault_is_sticky_until_reset(host_program, capfd):
    lines, gpu, _, server = run(host_program, "fault", capfd)
    ok, bad = "cudaSuccess", "cudaErrorIllegalAddress"
    assert lines == [ok, bad, bad, bad, bad, bad, ok, ok, ok]
    assert [str(fault) for fault in server.faults] == ["scale: out-of-bounds access at 0x0"]
    assert len(gpu.cubins) == 2  # reset loads the module anew


def test_events_give_emulated_time(host_program, capfd):
    lines, *_ = run(host_program, "streams", capfd)
    ok, handle = "cudaSuccess", "cudaErrorInvalidResourceHandle"
    assert lines == [ok, ok, ok, handle, ok, ok, ok, ok, ok, "1.999500", ok, handle]


def test_queries_describe_the_chosen_machine(host_program, capfd):
    lines, gpu, _, server = run(host_program, "queries", capfd)
    ok, missing = "cudaSuccess", "cudaErrorNotSupported"
    occupancy = 8  # 2048 threads of an H100 SM / 256; 32 registers and 1.5 KiB of shared memory allow it
    assert lines == [
        ok, "132", ok, "archsim h100_sxm (emulated)|9", ok, "1", ok, "512 32", ok, str(occupancy), ok,
        "cudaErrorInvalidValue", ok, "cudaErrorInvalidValue", ok, "4096", missing, missing,
    ]  # fmt: skip
    assert gpu.stack == 4096
    assert server.unsupported == {"cudaGraphCreate": 1}


def test_pitched_copies(host_program, capfd):
    lines, *_ = run(host_program, "pitched", capfd)
    ok = "cudaSuccess"
    assert lines == [ok, "512", ok, ok, "abcdefghijkl", "cudaErrorInvalidPitchValue"]


def test_a_forked_child_may_not_use_the_parents_device(host_program, capfd):
    lines, *_ = run(host_program, "fork", capfd)
    assert lines == ["cudaSuccess", "cudaErrorInitializationError", "cudaSuccess"]


def test_host_read_of_device_memory_is_explained(host_program, capfd):
    gpu = FakeGpu()
    code, _ = run_child([str(host_program), "host_read"], inspect(host_program), gpu)
    assert code == 128 + 11
    err = capfd.readouterr().err
    assert "host code dereferenced the device address 0x0000200000001" in err


def test_exit_code_and_memory_of_the_program(host_program, capfd):
    _, gpu, code, _ = run(host_program, "errors", capfd, exit_with="7")
    assert code == 7
    assert len(gpu.memory.live) == 2  # the module's two variables; what the program left is freed


def test_without_capture_the_library_says_so(host_program):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library_folder())}
    environment.pop("ARCHSIM_CAPTURE_SOCKET", None)
    done = subprocess.run([host_program, "launch"], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("cudaErrorInsufficientDriver")
    assert "only under 'archsim capture'" in done.stderr


def test_driver_api(tmp_path, capfd):
    program = build(tmp_path / "driver", "capture_driver.c", "libcuda.so.1")
    gpu = FakeGpu()
    code, server = run_child([str(program)], inspect(program), gpu)
    ok, missing = "CUDA_SUCCESS", "CUDA_ERROR_NOT_FOUND"
    assert capfd.readouterr().out.split("\n")[:-1] == [
        ok, ok, ok, "archsim h100_sxm (emulated)", ok, ok, ok, missing, ok, ok, "32", ok, ok, ok, ok, ok, "5 10",
        ok, ok, "2", ok, "0 1", missing, "CUDA_ERROR_NOT_SUPPORTED", ok, "CUDA_ERROR_INVALID_VALUE", ok,
    ]  # fmt: skip
    assert code == 0
    assert server.unsupported == {"cuGraphCreate": 1}
