// Histogram: 1024 bins by reductions straight to global memory.
#include "common.cuh"

constexpr int kBins = 1024;

extern "C" __global__ void hist_global_kernel(const unsigned* in, unsigned* bins, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&bins[in[i] % kBins], 1u);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, n = grid * 256 * (opt.large ? 8 : 4) + 77;
    suite::Rng rng(29);
    std::vector<unsigned> in(n), want(kBins, 0);
    for (unsigned& v : in) v = rng.below(kBins) & rng.below(kBins);  // skewed to few bits set
    suite::Device<unsigned> din(in), bins(kBins);
    for (int r = 0; r < opt.repeat; ++r) {
        bins.zero();
        suite::launch(hist_global_kernel, grid, 256, 0, din.get(), bins.get(), n);
    }
    for (unsigned v : in) ++want[v % kBins];
    return suite::finish_exact("hist_global", bins.host(), want);
}
