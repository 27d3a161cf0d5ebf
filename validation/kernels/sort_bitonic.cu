// Sort: bitonic network over 256 keys a CTA in shared memory.
#include "common.cuh"

#include <algorithm>

constexpr int kKeys = 256;

extern "C" __global__ void sort_bitonic_kernel(const unsigned* in, unsigned* out) {
    __shared__ unsigned s[kKeys];
    unsigned base = blockIdx.x * kKeys, t = threadIdx.x;  // kKeys / 2 threads
    s[t] = in[base + t];
    s[t + kKeys / 2] = in[base + t + kKeys / 2];
    for (unsigned size = 2; size <= kKeys; size *= 2)
        for (unsigned stride = size / 2; stride > 0; stride /= 2) {
            __syncthreads();
            unsigned low = 2 * t - (t & (stride - 1)), high = low + stride;
            bool ascending = (low & size) == 0;
            unsigned a = s[low], b = s[high];
            if ((a > b) == ascending) s[low] = b, s[high] = a;
        }
    __syncthreads();
    out[base + t] = s[t];
    out[base + t + kKeys / 2] = s[t + kKeys / 2];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1320 : 88;
    suite::Rng rng(26);
    std::vector<unsigned> in(size_t(grid) * kKeys);
    for (unsigned& v : in) v = rng.u32();
    std::vector<unsigned> want(in);
    suite::Device<unsigned> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(sort_bitonic_kernel, grid, kKeys / 2, 0, din.get(), out.get());
    for (int block = 0; block < grid; ++block)
        std::sort(want.begin() + size_t(block) * kKeys, want.begin() + size_t(block + 1) * kKeys);
    return suite::finish_exact("sort_bitonic", out.host(), want);
}
