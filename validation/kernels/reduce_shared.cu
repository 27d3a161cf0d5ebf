// Reduction: float sum by a shared-memory tree, one partial sum a CTA, then one CTA over the partial sums.
#include "common.cuh"

constexpr int kThreads = 256;

__device__ __forceinline__ void reduce(const float* in, float* out, int n) {
    __shared__ float s[kThreads];
    float sum = 0.0f;
    int t = threadIdx.x;
    for (int i = blockIdx.x * kThreads + t; i < n; i += gridDim.x * kThreads) sum += in[i];
    s[t] = sum;
    __syncthreads();
    for (int half = kThreads / 2; half > 0; half /= 2) {
        if (t < half) s[t] += s[t + half];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = s[0];
}

extern "C" __global__ void reduce_shared_kernel(const float* in, float* out, int n) { reduce(in, out, n); }

// The same over the partial sums, under another name so that a profiler can tell them apart.
extern "C" __global__ void reduce_total_kernel(const float* in, float* out, int n) { reduce(in, out, n); }

static std::vector<float> host_pass(const std::vector<float>& in, int grid) {
    std::vector<float> out(grid);
    for (int block = 0; block < grid; ++block) {
        float s[kThreads] = {};
        for (int t = 0; t < kThreads; ++t)
            for (size_t i = size_t(block) * kThreads + t; i < in.size(); i += size_t(grid) * kThreads) s[t] += in[i];
        for (int half = kThreads / 2; half > 0; half /= 2)
            for (int t = 0; t < half; ++t) s[t] += s[t + half];
        out[block] = s[0];
    }
    return out;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, n = opt.large ? 1056 * 256 * 16 - 3 : 132 * 256 * 4 - 3;
    suite::Rng rng(21);
    std::vector<float> in = suite::random_floats(rng, n);
    suite::Device<float> din(in), partial(grid), total(1);
    for (int r = 0; r < opt.repeat; ++r) {
        suite::launch(reduce_shared_kernel, grid, kThreads, 0, din.get(), partial.get(), n);
        suite::launch(reduce_total_kernel, 1, kThreads, 0, partial.get(), total.get(), grid);
    }
    std::vector<float> want = host_pass(in, grid);
    return suite::finish_exact("reduce_shared", partial.host(), want) |
           suite::finish_exact("reduce_shared.total", total.host(), host_pass(want, 1));
}
