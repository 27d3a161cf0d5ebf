// Scan: inclusive prefix sum in three kernels: scan of each CTA's tile, scan of the tile sums, adding them back.
#include "common.cuh"

constexpr int kThreads = 256, kPerThread = 4, kTile = kThreads * kPerThread;

__device__ unsigned block_inclusive(unsigned v) {
    __shared__ unsigned warp_total[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (int offset = 1; offset < 32; offset *= 2) {
        unsigned other = __shfl_up_sync(0xffffffffu, v, offset);
        if (lane >= offset) v += other;
    }
    if (lane == 31) warp_total[warp] = v;
    __syncthreads();
    if (warp == 0) {
        unsigned t = lane < warps ? warp_total[lane] : 0;
        for (int offset = 1; offset < 32; offset *= 2) {
            unsigned other = __shfl_up_sync(0xffffffffu, t, offset);
            if (lane >= offset) t += other;
        }
        warp_total[lane] = t;
    }
    __syncthreads();
    return warp == 0 ? v : v + warp_total[warp - 1];
}

extern "C" __global__ void scan_block_kernel(const uint4* in, uint4* out, unsigned* sums) {
    int i = blockIdx.x * kThreads + threadIdx.x;
    uint4 v = in[i];
    v.y += v.x, v.z += v.y, v.w += v.z;
    unsigned inclusive = block_inclusive(v.w), before = inclusive - v.w;
    out[i] = make_uint4(v.x + before, v.y + before, v.z + before, v.w + before);
    if (threadIdx.x == kThreads - 1) sums[blockIdx.x] = inclusive;
}

extern "C" __global__ void scan_sums_kernel(unsigned* sums, int n) {
    int t = threadIdx.x;
    unsigned v = t < n ? sums[t] : 0;
    unsigned inclusive = block_inclusive(v);
    if (t < n) sums[t] = inclusive - v;
}

extern "C" __global__ void scan_add_kernel(uint4* out, const unsigned* sums) {
    int i = blockIdx.x * kThreads + threadIdx.x;
    uint4 v = out[i];
    unsigned s = sums[blockIdx.x];
    out[i] = make_uint4(v.x + s, v.y + s, v.z + s, v.w + s);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1024 : 132, n = grid * kTile;
    suite::Rng rng(24);
    std::vector<unsigned> in(n), want(n);
    for (unsigned& v : in) v = rng.below(1000);
    suite::Device<unsigned> din(in), out(n), sums(grid);
    uint4* out4 = reinterpret_cast<uint4*>(out.get());
    for (int r = 0; r < opt.repeat; ++r) {
        suite::launch(scan_block_kernel, grid, kThreads, 0, reinterpret_cast<const uint4*>(din.get()), out4, sums.get());
        suite::launch(scan_sums_kernel, 1, 1024, 0, sums.get(), grid);
        suite::launch(scan_add_kernel, grid, kThreads, 0, out4, sums.get());
    }
    unsigned sum = 0;
    for (int i = 0; i < n; ++i) want[i] = sum += in[i];
    return suite::finish_exact("scan_block", out.host(), want);
}
