// Reduction: integer sum, minimum and xor with one global atomic each a warp (REDUX where the architecture has it).
#include "common.cuh"

__device__ __forceinline__ int warp_add(int v) {
#if __CUDA_ARCH__ >= 800
    return __reduce_add_sync(0xffffffffu, v);
#else
    for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
    return v;
#endif
}

__device__ __forceinline__ int warp_min(int v) {
#if __CUDA_ARCH__ >= 800
    return __reduce_min_sync(0xffffffffu, v);
#else
    for (int offset = 16; offset > 0; offset /= 2) v = min(v, __shfl_xor_sync(0xffffffffu, v, offset));
    return v;
#endif
}

extern "C" __global__ void reduce_atomic_kernel(const int* in, int* out, unsigned long long* sum64, int n) {
    int add = 0, low = INT32_MAX, mix = 0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int v = in[i];
        add += v;
        low = min(low, v);
        mix ^= v;
    }
    add = warp_add(add);
    low = warp_min(low);
    for (int offset = 16; offset > 0; offset /= 2) mix ^= __shfl_xor_sync(0xffffffffu, mix, offset);
    if (threadIdx.x % 32 == 0) {
        atomicAdd(&out[0], add);
        atomicMin(&out[1], low);
        atomicXor(&out[2], mix);
        atomicAdd(sum64, static_cast<unsigned long long>(static_cast<long long>(add)));
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, n = grid * 256 * (opt.large ? 16 : 6) - 9;
    suite::Rng rng(23);
    std::vector<int> in(n), want{0, INT32_MAX, 0};
    std::vector<unsigned long long> want64{0};
    for (int& v : in) v = static_cast<int>(rng.u32()) >> 12;
    suite::Device<int> din(in), out(3), first(want);
    suite::Device<unsigned long long> sum64(1);
    for (int r = 0; r < opt.repeat; ++r) {
        out.copy_from(first);
        sum64.zero();
        suite::launch(reduce_atomic_kernel, grid, 256, 0, din.get(), out.get(), sum64.get(), n);
    }
    for (int v : in) {
        want[0] = static_cast<int>(static_cast<unsigned>(want[0]) + static_cast<unsigned>(v));
        want[1] = v < want[1] ? v : want[1];
        want[2] ^= v;
        want64[0] += static_cast<unsigned long long>(static_cast<long long>(v));
    }
    return suite::finish_exact("reduce_atomic", out.host(), want) |
           suite::finish_exact("reduce_atomic.sum64", sum64.host(), want64);
}
