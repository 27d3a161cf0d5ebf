"""Small CUDA kernels compiled for every supported architecture: results, convergence, faults, traces."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from archsim.emulator import Machine, Module
from archsim.errors import EmulationError
from archsim.trace.layout import record_addresses

ARCHS = (75, 80, 86, 89, 90)
SOURCE = r"""
#include <cuda_fp16.h>
#include <cassert>
#include <cstdio>
extern "C" __global__ void saxpy(int n, float a, const float* x, float* y) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}
extern "C" __global__ void divergent(int n, const unsigned* x, unsigned* y) {  // Collatz lengths: data-dependent loops
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned v = x[i], steps = 0;
  while (v != 1) { if (v & 1) v = 3 * v + 1; else v >>= 1; steps++; }
  y[i] = steps;
}
extern "C" __global__ void divide(int n, const int* a, const int* b, int* q, long long* r, const double* x, double* y) {
  int i = threadIdx.x;
  q[i] = a[i] / b[i];
  r[i] = ((long long)a[i] * 1000003) / b[i];
  y[i] = sqrt(x[i]) / (x[i] + 3.0);
}
extern "C" __global__ void block_sum(const int* x, int* out) {
  __shared__ int s[256];
  s[threadIdx.x] = x[blockIdx.x * 256 + threadIdx.x];
  __syncthreads();
  for (int k = 128; k; k >>= 1) { if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k]; __syncthreads(); }
  if (threadIdx.x == 0) { atomicAdd(out, s[0]); atomicMax(out + 1, s[0]); }
  int c = __syncthreads_count(threadIdx.x % 3 == 0);
  if (threadIdx.x == 0) out[2] = c;
}
extern "C" __global__ void lock_between_ctas(int* lock, int* total) {  // every CTA waits for its turn
  if (threadIdx.x == 0) {
    while (atomicAdd(lock, 0) != gridDim.x - 1 - blockIdx.x) {}
    *total = *total * 3 + blockIdx.x;
    __threadfence();
    atomicAdd(lock, 1);
  }
}
__device__ __noinline__ int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
extern "C" __global__ void recursive(int* out) { out[threadIdx.x] = fib(threadIdx.x % 12); }
extern "C" __global__ void out_of_bounds(int* p) { p[1000000 + threadIdx.x] = 1; }
extern "C" __global__ void misaligned(char* p) { *(int*)(p + 2 + 4 * threadIdx.x) = 1; }
extern "C" __global__ void forever(volatile int* p) { while (p[0] == 0) {} }
extern "C" __global__ void fails(int* p) { assert(threadIdx.x < 3); p[0] = 1; }
extern "C" __global__ void prints() { if (threadIdx.x == 5) printf("lane %d %.2f %s\n", 5, 2.5, "ok"); }
extern "C" __global__ void stuck(int* p) { if (threadIdx.x < 32) asm volatile("bar.sync 1, 64;"); p[0] = 1; }
"""


@pytest.fixture(scope="session")
def cubins(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """The source compiled for each architecture."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not installed: the emulator's CUDA kernels cannot be compiled")
    folder: Path = tmp_path_factory.mktemp("emulator")
    source = folder / "kernels.cu"
    source.write_text(SOURCE)
    found = {}
    for arch in ARCHS:
        target = folder / f"{arch}.cubin"
        subprocess.run(["nvcc", "-cubin", f"-arch=sm_{arch}", "-O3", "-o", str(target), str(source)], check=True)
        found[arch] = target.read_bytes()
    return found


class Bench:
    """A machine with the module loaded, and short helpers."""

    def __init__(self, arch: int, cubin: bytes) -> None:
        self.text = ""
        self.m = Machine(arch, num_sms=4, memory_bytes=1 << 24, print_function=self.collect)
        self.module: Module = self.m.load_module(cubin)

    def collect(self, text: str) -> None:
        self.text += text

    def put(self, array: np.ndarray) -> int:
        address = self.m.memory.alloc(array.nbytes)
        self.m.memory.write(address, array)
        return address

    def get(self, address: int, dtype: type, n: int) -> np.ndarray:
        return np.frombuffer(self.m.memory.read(address, n * np.dtype(dtype).itemsize), dtype)

    def run(self, name: str, grid: int, block: int, params: bytes, **options):  # type: ignore[no-untyped-def]
        return self.m.launch(self.module.kernels[name], (grid, 1, 1), (block, 1, 1), params, **options)


@pytest.fixture(params=ARCHS)
def bench(request: pytest.FixtureRequest, cubins: dict[int, bytes]) -> Bench:
    return Bench(request.param, cubins[request.param])


def test_saxpy(bench: Bench) -> None:
    x, y = np.arange(1000, dtype=np.float32), np.ones(1000, np.float32)
    px, py = bench.put(x), bench.put(y)
    result = bench.run("saxpy", 8, 128, struct.pack("<ifQQ", 1000, 2.5, px, py))
    assert np.array_equal(bench.get(py, np.float32, 1000), 2.5 * x + 1)
    assert result.warp_instructions == result.executions.sum() == sum(result.by_unit.values())


def test_divergent_loops(bench: Bench) -> None:
    x = np.arange(1, 201, dtype=np.uint32)
    px, py = bench.put(x), bench.put(np.zeros(200, np.uint32))
    bench.run("divergent", 2, 128, struct.pack("<iiQQ", 200, 0, px, py))

    def steps(v: int) -> int:
        n = 0
        while v != 1:
            v, n = (3 * v + 1 if v & 1 else v >> 1), n + 1
        return n

    assert bench.get(py, np.uint32, 200).tolist() == [steps(int(v)) for v in x]


def test_division_sequences(bench: Bench) -> None:
    rng = np.random.default_rng(1)
    a = rng.integers(-(2**31), 2**31, 64).astype(np.int32)
    b = rng.integers(1, 2**20, 64).astype(np.int32) * np.where(np.arange(64) & 1, -1, 1).astype(np.int32)
    x = rng.random(64) * 1e6
    pa, pb, px = bench.put(a), bench.put(b), bench.put(x)
    pq, pr, py = bench.put(np.zeros(64, np.int32)), bench.put(np.zeros(64, np.int64)), bench.put(np.zeros(64))
    bench.run("divide", 1, 64, struct.pack("<iiQQQQQQ", 64, 0, pa, pb, pq, pr, px, py))

    def trunc(p, q):  # type: ignore[no-untyped-def]
        return abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)

    assert bench.get(pq, np.int32, 64).tolist() == [trunc(int(p), int(q)) for p, q in zip(a, b, strict=True)]
    assert bench.get(pr, np.int64, 64).tolist() == [trunc(int(p) * 1000003, int(q)) for p, q in zip(a, b, strict=True)]
    assert np.array_equal(bench.get(py, np.float64, 64), np.sqrt(x) / (x + 3.0))


def test_barriers_and_atomics(bench: Bench) -> None:
    x = np.arange(1024, dtype=np.int32)
    px, po = bench.put(x), bench.put(np.zeros(3, np.int32))
    bench.run("block_sum", 4, 256, struct.pack("<QQ", px, po))
    assert bench.get(po, np.int32, 3).tolist() == [x.sum(), x[768:].sum(), 86]


def test_spin_between_ctas_makes_progress(bench: Bench) -> None:
    lock, total = bench.put(np.zeros(1, np.int32)), bench.put(np.zeros(1, np.int32))
    bench.run("lock_between_ctas", 6, 32, struct.pack("<QQ", lock, total), max_instructions=10_000_000)
    want = 0
    for cta in range(5, -1, -1):
        want = want * 3 + cta
    assert bench.get(total, np.int32, 1)[0] == want


def test_recursion(bench: Bench) -> None:
    po = bench.put(np.zeros(32, np.int32))
    bench.run("recursive", 1, 32, struct.pack("<Q", po))
    fib = [0, 1]
    while len(fib) < 12:
        fib.append(fib[-1] + fib[-2])
    assert bench.get(po, np.int32, 32).tolist() == [fib[i % 12] for i in range(32)]


@pytest.mark.parametrize("kernel,text", [
    ("out_of_bounds", "out of bounds"), ("misaligned", "misaligned"), ("forever", "infinite loop"),
    ("fails", "assertion `threadIdx.x < 3` failed"), ("stuck", "deadlock"),
])  # fmt: skip
def test_faults_name_the_place(bench: Bench, kernel: str, text: str) -> None:
    p = bench.put(np.zeros(64, np.int32))
    with pytest.raises(EmulationError) as caught:
        bench.run(kernel, 1, 32, struct.pack("<Q", p), max_instructions=200_000)
    message = str(caught.value)
    assert text in message and f"kernel {kernel}" in message and "CTA (0,0,0), warp 0, lane" in message


def test_printf(bench: Bench) -> None:
    bench.run("prints", 1, 32, b"")
    assert bench.text == "lane 5 2.50 ok\n"


class Recorder:
    """Collects batches like a trace writer."""

    def __init__(self) -> None:
        self.batches: list = []

    def add(self, batch) -> None:  # type: ignore[no-untyped-def]
        self.batches.append(batch)


def test_trace_matches_execution(bench: Bench) -> None:
    """Every run and every address of saxpy with a partial last warp, instruction by instruction."""
    n = 40
    px, py = bench.put(np.zeros(n, np.float32)), bench.put(np.zeros(n, np.float32))
    recorder = Recorder()
    result = bench.run("saxpy", 1, 64, struct.pack("<ifQQ", n, 1.0, px, py), recorder=recorder)
    kernel = bench.module.kernels["saxpy"]
    (batch,) = recorder.batches
    assert batch.warps["warp"].tolist() == [0, 1] and batch.warps["last"].tolist() == [1, 1]
    assert batch.warps["n_inst"].sum() == result.warp_instructions
    records = kernel.decoded.mem_records
    for row, base, mask in zip(batch.warps, (0, 32), (0xFFFFFFFF, 0xFF), strict=True):
        runs = batch.runs[row["run_begin"] : row["run_begin"] + row["run_count"]]
        stream = [(int(r["start"]) + k, int(r["mask"])) for r in runs for k in range(r["count"])]
        assert len(stream) == row["n_inst"]
        accesses = [(i, m) for i, m in stream if records[i] and m]
        mems = batch.mems[row["mem_begin"] : row["mem_begin"] + row["mem_count"]]
        assert len(accesses) == len(mems) == 3 and all(m == mask for _, m in accesses)
        for (index, m), mem in zip(accesses, mems, strict=True):
            instruction = kernel.program.instructions[index]
            buffers = (py,) if instruction.base == "STG" else (px, py)
            got = dict(record_addresses(mem, m, batch.lanes))
            lanes = [lane for lane in range(32) if m >> lane & 1]
            assert any(got == {lane: p + 4 * (base + lane) for lane in lanes} for p in buffers)


def test_sampling_records_every_nth_cta(bench: Bench) -> None:
    px, py = bench.put(np.zeros(640, np.float32)), bench.put(np.zeros(640, np.float32))
    recorder = Recorder()
    bench.run("saxpy", 10, 64, struct.pack("<ifQQ", 640, 1.0, px, py), recorder=recorder, sample_every=4)
    ctas = np.concatenate([b.warps["cta"] for b in recorder.batches])
    assert sorted(set(ctas.tolist())) == [0, 4, 8]
