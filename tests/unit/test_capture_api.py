"""Kernels launched from Python (archsim.cuda)."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import archsim.cuda
from archsim.cuda.api import pack_argument
from archsim.errors import EmulationError, IsaError, RunError
from archsim.isa.tools import have_tool
from archsim.trace import open_trace

needs_nvcc = pytest.mark.skipif(not have_tool("nvcc"), reason="needs nvcc")

SOURCE = r"""
struct Pair { float a; short b; };
__device__ int calls;
__global__ void saxpy(int n, float a, const float* x, float* y) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) atomicAdd(&calls, 1);
    if (i < n) y[i] = a * x[i] + y[i];
}
__global__ void mixed(char c, double d, Pair p, long long* out) {
    out[0] = c; out[1] = (long long)(d * 4); out[2] = (long long)p.a; out[3] = p.b;
}
__global__ void dynamic_shared(int* out) {
    extern __shared__ int words[];
    words[threadIdx.x] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = words[blockDim.x - 1 - threadIdx.x];
}
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    source = tmp_path_factory.mktemp("api") / "k.cu"
    source.write_text(SOURCE)
    return archsim.cuda.compile(source, arch="sm_86")


@needs_nvcc
def test_launch_and_read_back(module, tmp_path):
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    dx, dy = archsim.cuda.array(x), archsim.cuda.array(y)
    trace = module["saxpy"].launch(grid=4, block=256, args=(1000, 2.0, dx, dy))
    assert np.array_equal(dy.get(), 2 * x + 1)
    assert np.array_equal(dx.get(), x)
    assert module.global_array("calls", np.int32)[0] == 1
    (kernel,) = trace.kernels
    assert kernel.launch.thread_instructions > 1000 * 10
    assert kernel.warp_instructions > 32 * 10
    path = module["saxpy"].launch(4, 256, (1000, 2.0, dx, dy), path=tmp_path / "saxpy.h5")
    with open_trace(path) as stored:
        assert stored.kernels[0].warp_instructions == kernel.warp_instructions
    dy.set(np.zeros(1000))
    assert not dy.get().any()


@needs_nvcc
def test_arguments_of_every_kind(module):
    out = archsim.cuda.array(np.zeros(4, np.int64))
    module["mixed"].launch(1, 1, (-3, np.float64(2.5), struct.pack("<fhxx", 7.0, -9), out))
    assert out.get().tolist() == [-3, 10, 7, -9]


@needs_nvcc
def test_dynamic_shared_memory(module):
    out = archsim.cuda.array(np.zeros(64, np.int32))
    module["dynamic_shared"].launch(1, 64, (out,), shared_bytes=256)
    assert out.get().tolist() == list(range(63, -1, -1))


@needs_nvcc
def test_wrong_launches(module):
    out = archsim.cuda.array(np.zeros(4, np.int64))
    with pytest.raises(RunError, match="takes 4 arguments, 1 given"):
        module["saxpy"].launch(1, 1, (1,))
    with pytest.raises(RunError, match="invalid_configuration"):
        module["saxpy"].launch(1, 2000, (1, 2.0, out, out))
    with pytest.raises(RunError, match="no kernel of that name"):
        module["nothing"]
    with pytest.raises(RunError, match="no such variable"):
        module.global_array("nothing", np.int32)
    with pytest.raises(EmulationError, match="saxpy"):
        module["saxpy"].launch(1, 32, (32, 1.0, 0, 0))
    with pytest.raises(RunError, match="cannot take values"):
        out.set([1, 2])


@needs_nvcc
def test_wrong_sources(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        archsim.cuda.compile(tmp_path / "absent.cu")
    (tmp_path / "bad.cu").write_text("__global__ void k() { nothing(); }")
    with pytest.raises(RunError, match="nothing"):
        archsim.cuda.compile(tmp_path / "bad.cu")
    with pytest.raises(RunError, match="expected a name like sm_86"):
        archsim.cuda.compile(tmp_path / "bad.cu", arch="ampere")
    with pytest.raises(IsaError):
        archsim.cuda.load(b"\x7fELF garbage")


@pytest.mark.parametrize(
    ("value", "size", "packed"),
    [
        (5, 4, b"\5\0\0\0"),
        (-1, 2, b"\xff\xff"),
        (2**64 - 1, 8, b"\xff" * 8),
        (1.0, 4, struct.pack("<f", 1)),
        (1.0, 8, struct.pack("<d", 1)),
        (1.0, 2, b"\x00\x3c"),
        (True, 1, b"\1"),
        (np.int16(3), 2, b"\3\0"),
        (np.float64(1), 8, struct.pack("<d", 1)),
        (b"abc", 3, b"abc"),
    ],
)
def test_packing(value, size, packed):
    assert pack_argument(value, size, "k") == packed


@pytest.mark.parametrize(("value", "size"), [(256, 1), (-129, 1), (1.0, 1), (np.float64(1), 4), (b"ab", 4), ("x", 1)])
def test_arguments_that_do_not_fit(value, size):
    with pytest.raises(RunError, match="k: argument 0"):
        pack_argument(value, size, "k: argument 0")


def test_host_arrays_stay_on_the_host_until_used():
    values = np.arange(6).reshape(2, 3)
    held = archsim.cuda.array(values)
    values[:] = 0
    assert held.get().tolist() == [[0, 1, 2], [3, 4, 5]]
    held.set(np.ones((2, 3)))
    assert held.get().sum() == 6
