"""The concurrent order of CTAs: waits for later CTAs end, the result and the trace are the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import archsim.cuda
from archsim.errors import EmulationError
from archsim.isa.tools import have_tool

pytestmark = pytest.mark.skipif(not have_tool("nvcc"), reason="needs nvcc")

SOURCE = r"""
// CTA i waits for CTA i + 1, polling two words in turn (so that no single instruction looks like a poll in vain).
__global__ void later(volatile int* flag, volatile int* other, int* out) {
    int i = blockIdx.x;
    if (threadIdx.x == 0) {
        if (i + 1 < gridDim.x) while ((flag[i + 1] & other[i + 1]) == 0) { }
        flag[i] = 1; other[i] = 1;
    }
    __syncthreads();
    out[i * blockDim.x + threadIdx.x] = i;
}
// Every thread adds to one of four words by compare-and-swap; tries are counted.
__global__ void tries(unsigned* sum, unsigned* count) {
    unsigned* p = &sum[threadIdx.x & 3];
    unsigned seen = *(volatile unsigned*)p, assumed;
    do { assumed = seen; seen = atomicCAS(p, assumed, assumed + 1); atomicAdd(count, 1u); } while (seen != assumed);
}
__global__ void plain(const float* x, float* y) {
    __shared__ float s[64];
    int i = blockIdx.x * 64 + threadIdx.x;
    s[threadIdx.x] = x[i];
    __syncthreads();
    y[i] = s[63 - threadIdx.x] * 2.0f;
}
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    source = tmp_path_factory.mktemp("concurrent") / "k.cu"
    source.write_text(SOURCE)
    return archsim.cuda.compile(source, arch="sm_90")


def zeros(n: int) -> Any:
    return archsim.cuda.array(np.zeros(n, np.int32))


def test_waiting_for_a_later_cta_ends(module: Any) -> None:
    """One after another, CTA 0 never ends; at once, all do."""
    out = zeros(40 * 64)
    with pytest.raises(EmulationError, match="infinite loop"):
        module["later"].launch(40, 64, (zeros(40), zeros(40), out), max_instructions=300_000)
    module["later"].launch(40, 64, (zeros(40), zeros(40), out), turn_instructions=4, max_instructions=300_000)
    assert np.array_equal(out.get(), np.repeat(np.arange(40), 64))


def test_more_ctas_than_fit(module: Any) -> None:
    """A grid of several waves: each CTA starts when another ends; none is lost."""
    x = np.arange(64 * 9000, dtype=np.float32)
    dx, dy = archsim.cuda.array(x), archsim.cuda.array(np.zeros_like(x))
    trace = module["plain"].launch(9000, 64, (dx, dy), turn_instructions=16)  # 132 SMs hold 132 * 32 = 4,224
    assert np.array_equal(dy.get(), 2 * x.reshape(-1, 64)[:, ::-1].reshape(-1))
    sequential = module["plain"].launch(9000, 64, (dx, dy))
    assert trace.kernels[0].warp_instructions == sequential.kernels[0].warp_instructions
    assert trace.kernels[0].launch.turn_instructions == 16
    assert sequential.kernels[0].launch.turn_instructions == 0


def test_same_order_every_time(module: Any) -> None:
    """Failed swaps happen, as many in every run; another turn gives another count."""

    def run(turn: int) -> tuple[int, int]:
        total, count = zeros(4), zeros(1)
        trace = module["tries"].launch(16, 128, (total, count), turn_instructions=turn)
        assert total.get().sum() == 16 * 128
        return int(count.get()[0]), trace.kernels[0].warp_instructions

    first = run(4)
    assert first == run(4)
    assert first[0] > 16 * 128 * 2
    assert run(1) != first
