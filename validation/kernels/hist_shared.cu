// Histogram: 256 bins of bytes by shared-memory atomics, then one global reduction a bin and CTA.
#include "common.cuh"

constexpr int kBins = 256;

extern "C" __global__ void hist_shared_kernel(const unsigned* in, unsigned* bins, int n) {
    __shared__ unsigned local[kBins];
    local[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        unsigned word = in[i];
        for (int b = 0; b < 4; ++b) atomicAdd(&local[word >> (8 * b) & 255u], 1u);
    }
    __syncthreads();
    if (local[threadIdx.x]) atomicAdd(&bins[threadIdx.x], local[threadIdx.x]);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, n = grid * kBins * (opt.large ? 8 : 3) - 100;
    suite::Rng rng(30);
    std::vector<unsigned> in(n), want(kBins, 0);
    for (unsigned& v : in) v = rng.u32() & rng.u32();
    suite::Device<unsigned> din(in), bins(kBins);
    for (int r = 0; r < opt.repeat; ++r) {
        bins.zero();
        suite::launch(hist_shared_kernel, grid, kBins, 0, din.get(), bins.get(), n);
    }
    for (unsigned v : in)
        for (int b = 0; b < 4; ++b) ++want[v >> (8 * b) & 255u];
    return suite::finish_exact("hist_shared", bins.host(), want);
}
