// Sort: odd-even transposition of 32 keys a warp, only shuffles and selects.
#include "common.cuh"

#include <algorithm>

extern "C" __global__ void sort_oddeven_kernel(const int* in, int* out) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    int key = in[i];
    for (int round = 0; round < 32; ++round) {
        bool lower = (lane + round) % 2 == 0;
        int partner = lower ? lane + 1 : lane - 1;
        bool edge = partner < 0 || partner > 31;
        int other = __shfl_sync(0xffffffffu, key, partner & 31);
        if (!edge) key = lower ? min(key, other) : max(key, other);
    }
    out[i] = key;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 2640 : 198;
    suite::Rng rng(28);
    std::vector<int> in(size_t(grid) * 128);
    for (int& v : in) v = static_cast<int>(rng.u32());
    std::vector<int> want(in);
    suite::Device<int> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(sort_oddeven_kernel, grid, 128, 0, din.get(), out.get());
    for (size_t base = 0; base < want.size(); base += 32) std::sort(want.begin() + base, want.begin() + base + 32);
    return suite::finish_exact("sort_oddeven", out.host(), want);
}
