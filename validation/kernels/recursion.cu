// Function calls: recursive device function (a stack frame a level), different depths in a warp.
#include "common.cuh"

// Paths of a walk that takes 1, 2 or (from even numbers) half of what is left.
__host__ __device__ __noinline__ unsigned paths(int left) {
    if (left <= 1) return 1;
    unsigned count = paths(left - 2) + 3u * static_cast<unsigned>(left);
    if (left % 2 == 0) count += paths(left / 2);
    return count;
}

extern "C" __global__ void recursion_kernel(const int* length, unsigned* out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = paths(length[i]);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 264 * 128 : 66 * 64 - 3;
    suite::Rng rng(63);
    std::vector<int> length(n);
    std::vector<unsigned> want(n);
    for (int i = 0; i < n; ++i) length[i] = static_cast<int>(rng.below(14)), want[i] = paths(length[i]);
    suite::Device<int> dl(length);
    suite::Device<unsigned> out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(recursion_kernel, suite::blocks_for(n, 64), 64, 0, dl.get(), out.get(), n);
    return suite::finish_exact("recursion", out.host(), want);
}
