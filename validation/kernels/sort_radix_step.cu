// Sort: one stable 4-bit pass of a radix sort: digit counts a CTA, scan of the counts, ranked scatter with warp votes.
#include "common.cuh"

#include <algorithm>

constexpr int kThreads = 256, kDigits = 16, kShift = 8;

extern "C" __global__ void radix_count_kernel(const unsigned* keys, unsigned* counts) {
    __shared__ unsigned bins[kDigits];
    if (threadIdx.x < kDigits) bins[threadIdx.x] = 0;
    __syncthreads();
    atomicAdd(&bins[keys[blockIdx.x * kThreads + threadIdx.x] >> kShift & (kDigits - 1)], 1u);
    __syncthreads();
    if (threadIdx.x < kDigits) counts[threadIdx.x * gridDim.x + blockIdx.x] = bins[threadIdx.x];
}

// Exclusive scan of n counts by one warp.
extern "C" __global__ void radix_scan_kernel(unsigned* counts, int n) {
    unsigned carry = 0;
    int lane = threadIdx.x;
    for (int base = 0; base < n; base += 32) {
        unsigned v = base + lane < n ? counts[base + lane] : 0, sum = v;
        for (int offset = 1; offset < 32; offset *= 2) {
            unsigned other = __shfl_up_sync(0xffffffffu, sum, offset);
            if (lane >= offset) sum += other;
        }
        if (base + lane < n) counts[base + lane] = carry + sum - v;
        carry += __shfl_sync(0xffffffffu, sum, 31);
    }
}

extern "C" __global__ void radix_scatter_kernel(const unsigned* keys, unsigned* out, const unsigned* starts) {
    __shared__ unsigned warp_counts[kThreads / 32][kDigits];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned key = keys[blockIdx.x * kThreads + threadIdx.x], digit = key >> kShift & (kDigits - 1);
    unsigned same = 0xffffffffu;  // lanes of this warp with the same digit
    for (int bit = 0; bit < 4; ++bit) {
        unsigned votes = __ballot_sync(0xffffffffu, digit >> bit & 1);
        same &= digit >> bit & 1 ? votes : ~votes;
    }
    unsigned rank = __popc(same & ((1u << lane) - 1));
    if (lane < kDigits) warp_counts[warp][lane] = 0;
    __syncwarp();
    if (rank == 0) warp_counts[warp][digit] = __popc(same);
    __syncthreads();
    for (int w = 0; w < warp; ++w) rank += warp_counts[w][digit];
    out[starts[digit * gridDim.x + blockIdx.x] + rank] = key;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 2640 : 132, n = grid * kThreads;
    suite::Rng rng(27);
    std::vector<unsigned> in(n);
    for (unsigned& v : in) v = rng.u32();
    std::vector<unsigned> want(in);
    suite::Device<unsigned> din(in), out(n), counts(size_t(grid) * kDigits);
    for (int r = 0; r < opt.repeat; ++r) {
        suite::launch(radix_count_kernel, grid, kThreads, 0, din.get(), counts.get());
        suite::launch(radix_scan_kernel, 1, 32, 0, counts.get(), grid * kDigits);
        suite::launch(radix_scatter_kernel, grid, kThreads, 0, din.get(), out.get(), counts.get());
    }
    std::stable_sort(want.begin(), want.end(), [](unsigned a, unsigned b) {
        return (a >> kShift & (kDigits - 1)) < (b >> kShift & (kDigits - 1));
    });
    return suite::finish_exact("sort_radix_step", out.host(), want);
}
