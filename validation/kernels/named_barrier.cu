// Synchronisation: half of a CTA's warps produce tiles, half consume them, through named barriers (bar.sync / bar.arrive).
#include "common.cuh"

constexpr int kHalf = 64, kRounds = 6;

__device__ __forceinline__ void barrier_sync(int id) { asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory"); }
__device__ __forceinline__ void barrier_arrive(int id) { asm volatile("bar.arrive %0, 128;" ::"r"(id) : "memory"); }

// Barriers 1, 2: slot 0, 1 is full; 3, 4: slot 0, 1 is free.
extern "C" __global__ void named_barrier_kernel(const unsigned* in, unsigned* out) {
    __shared__ unsigned slot[2][kHalf];
    int t = threadIdx.x % kHalf;
    size_t base = size_t(blockIdx.x) * kHalf * kRounds;
    if (threadIdx.x < kHalf) {
        for (int r = 0; r < kRounds; ++r) {
            unsigned v = in[base + r * kHalf + t];
            if (r >= 2) barrier_sync(3 + r % 2);
            slot[r % 2][t] = v * 2654435761u;
            barrier_arrive(1 + r % 2);
        }
    } else {
        unsigned sum = 0;
        for (int r = 0; r < kRounds; ++r) {
            barrier_sync(1 + r % 2);
            sum = sum * 3u + (slot[r % 2][t] ^ slot[r % 2][(t * 5 + r) % kHalf]);
            if (r + 2 < kRounds) barrier_arrive(3 + r % 2);
            out[base + r * kHalf + t] = sum;
        }
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 5280 : 264;
    suite::Rng rng(69);
    std::vector<unsigned> in(size_t(grid) * kHalf * kRounds), want(in.size());
    for (unsigned& v : in) v = rng.u32();
    suite::Device<unsigned> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(named_barrier_kernel, grid, 2 * kHalf, 0, din.get(), out.get());
    for (int block = 0; block < grid; ++block)
        for (int t = 0; t < kHalf; ++t) {
            unsigned sum = 0;
            for (int r = 0; r < kRounds; ++r) {
                const unsigned* tile = &in[(size_t(block) * kRounds + r) * kHalf];
                sum = sum * 3u + ((tile[t] * 2654435761u) ^ (tile[(t * 5 + r) % kHalf] * 2654435761u));
                want[(size_t(block) * kRounds + r) * kHalf + t] = sum;
            }
        }
    return suite::finish_exact("named_barrier", out.host(), want);
}
