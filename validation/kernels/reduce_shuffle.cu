// Reduction: float sum and maximum by warp shuffles with 128-bit loads; one pair of results a CTA.
#include "common.cuh"

constexpr int kThreads = 256;

extern "C" __global__ void reduce_shuffle_kernel(const float4* in, float* sums, float* maxima, int n4) {
    __shared__ float warp_sum[kThreads / 32], warp_max[kThreads / 32];
    float sum = 0.0f, top = -INFINITY;
    for (int i = blockIdx.x * kThreads + threadIdx.x; i < n4; i += gridDim.x * kThreads) {
        float4 v = in[i];
        sum += (v.x + v.y) + (v.z + v.w);
        top = fmaxf(top, fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)));
    }
    for (int offset = 16; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
        top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
    }
    if (threadIdx.x % 32 == 0) warp_sum[threadIdx.x / 32] = sum, warp_max[threadIdx.x / 32] = top;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int w = 1; w < kThreads / 32; ++w) sum += warp_sum[w], top = fmaxf(top, warp_max[w]);
        sums[blockIdx.x] = sum;
        maxima[blockIdx.x] = top;
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, n4 = grid * kThreads * (opt.large ? 8 : 4);
    suite::Rng rng(22);
    std::vector<float> in = suite::random_floats(rng, size_t(n4) * 4), want(grid), want_max(grid);
    suite::Device<float> din(in), sums(grid), maxima(grid);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(reduce_shuffle_kernel, grid, kThreads, 0, reinterpret_cast<const float4*>(din.get()), sums.get(),
                      maxima.get(), n4);
    for (int block = 0; block < grid; ++block) {
        float lanes[kThreads] = {}, top = -INFINITY;
        for (int t = 0; t < kThreads; ++t)
            for (int i = block * kThreads + t; i < n4; i += grid * kThreads) {
                const float* v = &in[size_t(i) * 4];
                lanes[t] += (v[0] + v[1]) + (v[2] + v[3]);
                for (int j = 0; j < 4; ++j) top = std::fmax(top, v[j]);
            }
        float sum = suite::host_warp_sum(lanes);
        for (int w = 1; w < kThreads / 32; ++w) sum += suite::host_warp_sum(lanes + w * 32);
        want[block] = sum, want_max[block] = top;
    }
    return suite::finish_exact("reduce_shuffle", sums.host(), want) |
           suite::finish_exact("reduce_shuffle.max", maxima.host(), want_max);
}
