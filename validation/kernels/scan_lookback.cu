// Scan: inclusive prefix sum in one kernel by decoupled look-back: tiles take tickets, publish their sum, then their
// prefix, and wait for earlier tiles by polling global memory. How often they poll depends on timing.
#include "common.cuh"

constexpr int kThreads = 128;
constexpr unsigned long long kSum = 1ull << 32, kPrefix = 2ull << 32;  // state in the upper word, value in the lower

extern "C" __global__ void scan_lookback_kernel(const unsigned* in, unsigned* out, unsigned* ticket, volatile unsigned long long* state) {
    __shared__ unsigned tile_shared, before_shared, warp_total[kThreads / 32];
    if (threadIdx.x == 0) tile_shared = atomicAdd(ticket, 1u);
    __syncthreads();
    unsigned tile = tile_shared, i = tile * kThreads + threadIdx.x;
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    unsigned v = in[i];
    for (int offset = 1; offset < 32; offset *= 2) {
        unsigned other = __shfl_up_sync(0xffffffffu, v, offset);
        if (lane >= offset) v += other;
    }
    if (lane == 31) warp_total[warp] = v;
    __syncthreads();
    for (int w = 0; w < warp; ++w) v += warp_total[w];
    if (threadIdx.x == kThreads - 1) {  // holds the tile's sum
        state[tile] = (tile == 0 ? kPrefix : kSum) | v;
        unsigned before = 0;
        for (int t = static_cast<int>(tile) - 1; t >= 0;) {
            unsigned long long s = state[t];
            if (s < kSum) continue;  // not published yet
            before += static_cast<unsigned>(s);
            if (s >= kPrefix) break;
            --t;
        }
        if (tile > 0) state[tile] = kPrefix | (before + v);
        before_shared = before;
    }
    __syncthreads();
    out[i] = v + before_shared;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 4224 : 264, n = grid * kThreads;
    suite::Rng rng(25);
    std::vector<unsigned> in(n), want(n);
    for (unsigned& v : in) v = rng.below(1000);
    suite::Device<unsigned> din(in), out(n), ticket(1);
    suite::Device<unsigned long long> state(grid);
    for (int r = 0; r < opt.repeat; ++r) {
        ticket.zero();
        state.zero();
        suite::launch(scan_lookback_kernel, grid, kThreads, 0, din.get(), out.get(), ticket.get(), state.get());
    }
    unsigned sum = 0;
    for (int i = 0; i < n; ++i) want[i] = sum += in[i];
    return suite::finish_exact("scan_lookback", out.host(), want);
}
