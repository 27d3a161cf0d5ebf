"""``archsim capture`` on real CUDA programs: compiled with nvcc, executed by the emulator."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from archsim.cli import main
from archsim.isa.tools import find_tool, have_tool
from archsim.trace import open_trace

pytestmark = [
    pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc"),
    pytest.mark.skipif(not have_tool("nvcc"), reason="needs nvcc"),
]

PROGRAMS = Path(__file__).resolve().parents[2] / "validation" / "programs"

SOURCE = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
__constant__ float offset;
struct Big { int words[1500]; };
namespace math { template <class T> __global__ void scale(T* x, T a, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] = a * x[i] + T(offset);
} }
__global__ void pick(Big big, int* out) { out[threadIdx.x] = big.words[threadIdx.x * 40]; }
__global__ void store_at(int* where) { *where = 1; }
__global__ void forever(volatile int* x) { while (*x == 0) {} }
__global__ void hello(int n) { if (threadIdx.x == 0) printf("block %d of %d: %g %s\n", blockIdx.x, n, 0.5, "ok"); }
int main(int argc, char** argv) {
    float* x;
    std::vector<float> host(1000, 3.0f);
    float one = 1.0f;
    if (cudaMalloc(&x, 4000) || cudaMemset(x, 0, 4000)) return 20;
    if (argc > 1 && !strcmp(argv[1], "oob")) store_at<<<1, 1>>>((int*)x + 1000);
    if (argc > 1 && !strcmp(argv[1], "misaligned")) store_at<<<1, 1>>>((int*)((char*)x + 2));
    if (argc > 1 && !strcmp(argv[1], "forever")) forever<<<1, 32>>>((int*)x);
    if (argc > 1 && !strcmp(argv[1], "hello")) { hello<<<2, 32>>>(2); printf("launched\n"); }
    cudaMemcpyToSymbol(offset, &one, 4);
    cudaMemcpy(x, host.data(), 4000, cudaMemcpyHostToDevice);
    for (int i = 0; i < 3; ++i) math::scale<float><<<4, 256>>>(x, 2.0f, 1000);
    Big big;
    for (int i = 0; i < 1500; ++i) big.words[i] = i;
    int* out; int got[32];
    cudaMalloc(&out, 128);
#ifdef LARGE
    pick<<<1, 32>>>(big, out);
    cudaMemcpy(got, out, 128, cudaMemcpyDeviceToHost);
    for (int i = 0; i < 32; ++i) if (got[i] != 40 * i) return 21;
#endif
    cudaMemcpy(host.data(), x, 4000, cudaMemcpyDeviceToHost);
    cudaError_t error = cudaGetLastError();
    printf("%g %s\n", host[999], cudaGetErrorName(error));
    return argc > 2 ? atoi(argv[2]) : 0;
}
"""


def build(folder: Path, name: str, arch: int, *options: str) -> str:
    source = folder / f"{name}.cu"
    source.write_text(SOURCE)
    target = folder / f"{name}.sm_{arch}"
    code = ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    subprocess.run([find_tool("nvcc"), *code, *(options or ["-cudart", "shared"]), "-o", target, source], check=True)
    return str(target)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> str:
    return build(tmp_path_factory.mktemp("program"), "demo", 86)


def test_a_captured_program_prints_its_result_and_leaves_a_trace(program, tmp_path, capfd):
    trace_path = tmp_path / "t.h5"
    assert main(["capture", "-o", str(trace_path), "--", program]) == 0
    out, err = capfd.readouterr()
    assert out == "31 cudaSuccess\n"
    assert "3 recorded" in err
    with open_trace(trace_path) as trace:
        assert trace.arch == 86
        assert [event[0] for event in trace.events] == [
            "memset", "memcpy_h2d", "memcpy_h2d", "kernel", "kernel", "kernel", "memcpy_d2h",
        ]  # fmt: skip
        kernel = trace.kernels[0]
        assert (kernel.launch.grid, kernel.launch.block) == ((4, 1, 1), (256, 1, 1))
        assert kernel.launch.launch_id == 0
        assert kernel.warp_instructions == trace.kernels[2].warp_instructions > 32 * 5


def test_selected_launches_only(program, tmp_path, capfd):
    trace_path = tmp_path / "t.h5"
    assert main(["capture", "-o", str(trace_path), "--launches", "1:2", "--kernel", "^math::scale$", program]) == 0
    with open_trace(trace_path) as trace:
        assert [kernel.launch.launch_id for kernel in trace.kernels] == [1]
    assert main(["capture", "-o", str(trace_path), "--kernel", "nothing", program]) == 0
    with open_trace(trace_path) as trace:
        assert len(trace.kernels) == 0
    assert capfd.readouterr().out == "31 cudaSuccess\n" * 2


def test_samples_are_labelled(program, tmp_path):
    trace_path = tmp_path / "t.h5"
    assert main(["capture", "-o", str(trace_path), "--sample", "2", "--launches", "0", program]) == 0
    with open_trace(trace_path) as trace:
        (kernel,) = trace.kernels
        assert kernel.launch.sample_every == 2
        assert len(np.unique(kernel.read_ctas(0, 4).warps["cta"])) == 2


def test_functional_only_writes_nothing(program, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["capture", "--functional-only", program]) == 0
    assert capfd.readouterr().out == "31 cudaSuccess\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("what", "words"), [("oob", ["out of bounds", "store_at"]), ("misaligned", ["misaligned", "store_at"])]
)
def test_a_fault_ends_with_code_3_and_no_trace(program, tmp_path, capfd, what, words):
    trace_path = tmp_path / "t.h5"
    assert main(["capture", "-o", str(trace_path), "--", program, what]) == 3
    out, err = capfd.readouterr()
    assert "cudaErrorIllegalAddress" in out or "cudaErrorMisalignedAddress" in out
    for word in [*words, "CTA", "warp", "lane", "ST"]:
        assert word in err
    assert list(tmp_path.iterdir()) == []


def test_an_endless_loop_is_stopped(program, tmp_path, capfd):
    command = ["capture", "-o", str(tmp_path / "t.h5"), "--max-instructions", "100000", "--", program, "forever"]
    assert main(command) == 3
    assert "infinite loop" in capfd.readouterr().err


def test_the_programs_own_exit_code(program, tmp_path, capfd):
    assert main(["capture", "-o", str(tmp_path / "t.h5"), "--", program, "x", "9"]) == 9
    assert "ended with exit code 9" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_device_printf_comes_out_at_the_next_synchronisation(program, capfd):
    assert main(["capture", "--functional-only", "--", program, "hello"]) == 0
    lines = capfd.readouterr().out.split("\n")
    assert lines[0] == "launched"
    assert sorted(lines[1:3]) == ["block 0 of 2: 0.5 ok", "block 1 of 2: 0.5 ok"]


def test_large_parameters(tmp_path, capfd):
    target = build(tmp_path, "large", 90, "-cudart", "shared", "-DLARGE")
    assert main(["capture", "--functional-only", target]) == 0
    assert capfd.readouterr().out == "31 cudaSuccess\n"


def test_a_static_program_gets_a_message(tmp_path, capfd):
    target = build(tmp_path, "static", 86, "-cudart", "static")
    assert main(["capture", target]) == 2
    assert "nvcc -cudart shared" in capfd.readouterr().err


def test_compressed_and_ptx_only_programs(tmp_path, capfd):
    for name, options in {"zstd": ["-Xfatbin", "-compress-all"], "lz4": ["-Xfatbin", "--compress-mode=speed"]}.items():
        target = build(tmp_path, name, 86, "-cudart", "shared", *options)
        assert main(["capture", "--functional-only", target]) == 0
    source = tmp_path / "ptx.cu"
    source.write_text(SOURCE)
    code = ["-gencode", "arch=compute_75,code=compute_75", "-cudart", "shared"]
    subprocess.run([find_tool("nvcc"), *code, "-o", tmp_path / "ptx", source], check=True)
    assert main(["capture", "--functional-only", "--arch", "sm_89", str(tmp_path / "ptx")]) == 0
    assert capfd.readouterr().out == "31 cudaSuccess\n" * 3


def test_a_source_file_is_compiled_first(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.cu").write_text(SOURCE)
    assert main(["capture", "--arch", "sm_80", "demo.cu"]) == 0
    assert capfd.readouterr().out == "31 cudaSuccess\n"
    with open_trace(tmp_path / "demo.h5") as trace:
        assert trace.arch == 80
    assert main(["capture", "demo.cu", "--arch", "sm_80", "--output", "named.h5", "--", "-o", "of the program"]) == 0
    assert (tmp_path / "named.h5").exists() and capfd.readouterr().out == "31 cudaSuccess\n"
    (tmp_path / "bad.cu").write_text("__global__ void k() { undeclared(); }\n")
    assert main(["capture", "bad.cu"]) == 2
    assert "undeclared" in capfd.readouterr().err


SEPARATE = {
    "main.cu": r"""
#include <cstdio>
extern __device__ int counter;
__device__ float helper(float x);
static __global__ void k(float* x) { x[threadIdx.x] = helper(x[threadIdx.x]); if (threadIdx.x == 0) counter = 5; }
void from_other_file(float* x);
int read_counter();
int main() {
    float* x;
    cudaMallocManaged(&x, 128);
    for (int i = 0; i < 32; i++) x[i] = i;
    k<<<1, 32>>>(x);
    from_other_file(x);
    cudaDeviceSynchronize();
    printf("%g %d %s\n", x[31], read_counter(), cudaGetErrorName(cudaGetLastError()));
}
""",
    "other.cu": r"""
__device__ int counter;
__device__ float helper(float x) { return x + 1; }
static __global__ void k(float* x) { x[threadIdx.x] *= 2; if (threadIdx.x == 0) counter++; }
void from_other_file(float* x) { k<<<1, 32>>>(x); }
int read_counter() { int v = -1; cudaMemcpyFromSymbol(&v, counter, 4); return v; }
""",
}


@pytest.mark.parametrize("arch", [75, 90])
def test_separately_compiled_files(tmp_path, capfd, arch):
    for name, text in SEPARATE.items():
        (tmp_path / name).write_text(text)
    sources = [tmp_path / name for name in SEPARATE]
    options = ["-rdc=true", "-cudart", "shared", f"-arch=sm_{arch}", "-o", tmp_path / "rdc"]
    subprocess.run([find_tool("nvcc"), *options, *sources], check=True)
    assert main(["capture", "--functional-only", str(tmp_path / "rdc")]) == 0
    assert capfd.readouterr().out == "64 6 cudaSuccess\n"


EARLY = r"""
#include <cstdio>
struct Early { Early(); } early;
__global__ void increment(int* p) { atomicAdd(p, 1); }
__managed__ int total;
int* device;
Early::Early() {
    cudaMalloc(&device, 4);
    cudaMemset(device, 0, 4);
    increment<<<1, 32>>>(device);
    cudaGetLastError();
}
int main() {
    int v;
    total = 3;
    increment<<<2, 32>>>(device);
    increment<<<1, 1>>>(&total);
    cudaMemcpy(&v, device, 4, cudaMemcpyDeviceToHost);
    printf("%s %d %s\n", v == 96 || v == 64 ? "ok" : "wrong", total, cudaGetErrorName(cudaGetLastError()));
}
"""


@pytest.mark.parametrize(
    "options",
    [
        ["-default-stream", "per-thread"],
        ["-Xlinker", "-z,now"],
        ["-D__NV_LEGACY_LAUNCH", "-Xcompiler", "-D__NV_LEGACY_LAUNCH"],
        ["-Xlinker", "--disable-new-dtags,-rpath,/nowhere"],
    ],
    ids=["per-thread stream", "bound at start", "legacy launch", "DT_RPATH"],
)
def test_host_code_variants_and_launches_from_constructors(tmp_path, capfd, options):
    (tmp_path / "early.cu").write_text(EARLY)
    command = [find_tool("nvcc"), "-cudart", "shared", "-arch=sm_86", *options, "-o", tmp_path / "early"]
    subprocess.run([*command, tmp_path / "early.cu"], check=True)
    assert main(["capture", "--functional-only", str(tmp_path / "early")]) == 0
    assert capfd.readouterr().out == "ok 4 cudaSuccess\n"


FAULTS = r"""
#include <cassert>
#include <cstdio>
__global__ void failed_assert(int n) { assert(n > 3); }
__global__ void trap() { if (threadIdx.x == 5) __trap(); }
__device__ __noinline__ int recurse(int n, volatile int* p) {
    int big[200];
    for (int i = 0; i < 200; i++) big[i] = p[0] + i;
    return n == 0 ? big[p[0]] : recurse(n - 1, p) + big[n % 200];
}
__global__ void deep(int* p, int n) { p[1] = recurse(n, p); }
__global__ void shared(int* p) { __shared__ int x[32]; x[threadIdx.x + p[2]] = 1; p[3] = x[3]; }
__global__ void barriers() {
    if (threadIdx.x < 32) asm volatile("bar.sync 1, 64;");
    else asm volatile("bar.sync 2, 64;");
}
int main(int, char** argv) {
    int* p;
    int far = 1 << 22;
    cudaMalloc(&p, 64);
    cudaMemset(p, 0, 64);
    cudaMemcpy(p + 2, &far, 4, cudaMemcpyHostToDevice);
    switch (argv[1][0]) {
        case 'a': failed_assert<<<1, 32>>>(2); break;
        case 't': trap<<<1, 32>>>(); break;
        case 'd': cudaDeviceSetLimit(cudaLimitStackSize, 65536);
        case 'o': deep<<<1, 1>>>(p, 50); break;
        case 's': shared<<<1, 32>>>(p); break;
        case 'b': barriers<<<1, 64>>>(); break;
    }
    printf("%s\n", cudaGetErrorName(cudaDeviceSynchronize()));
}
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "faults.cu").write_text(FAULTS)
    command = [find_tool("nvcc"), "-cudart", "shared", "-arch=sm_90", "-o", folder / "faults", folder / "faults.cu"]
    subprocess.run(command, check=True)
    return str(folder / "faults")


@pytest.mark.parametrize(
    ("what", "code", "error", "words"),
    [
        ("assert", 3, "cudaErrorAssert", "assertion `n > 3` failed"),
        ("trap", 3, "cudaErrorLaunchFailure", "lane 5, pc 0x"),
        ("overflow of the stack", 3, "cudaErrorIllegalAddress", "stack overflow"),
        ("deep stack by limit", 0, "cudaSuccess", "1 launches"),
        ("shared", 3, "cudaErrorIllegalAddress", "shared access out of bounds"),
        ("barriers", 3, "cudaErrorLaunchFailure", "deadlock"),
    ],
)
def test_faults_are_located(faulty, capfd, what, code, error, words):
    assert main(["capture", "--functional-only", "--", faulty, what]) == code
    out, err = capfd.readouterr()
    assert out == f"{error}\n"
    assert words in err
    assert code == 0 or "CTA (0,0,0), warp 0, lane" in err


@pytest.mark.parametrize("arch", [75, 86, 90])
@pytest.mark.parametrize("name", ["overlap_streams", "managed_reduce", "separable_filter"])
def test_sample_programs_pass_their_own_checks(name, arch, capfd):
    assert main(["capture", "--functional-only", "--arch", f"sm_{arch}", str(PROGRAMS / f"{name}.cu")]) == 0
    assert "PASS" in capfd.readouterr().out


def test_bad_command_lines(capfd, tmp_path):
    assert main(["capture"]) == 2
    assert main(["capture", "--arch", "volta", "--", "true"]) == 2
    assert main(["capture", "--arch", "sm_70", "--", "true"]) == 2
    assert main(["capture", "-o", str(tmp_path / "no" / "t.h5"), "--", "true"]) == 2
    assert main(["capture", "no-such-program"]) == 2
    assert "Traceback" not in capfd.readouterr().err
