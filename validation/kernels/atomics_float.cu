// Atomics: particle charges scattered to a grid with float additions in memory; the order of additions is not fixed.
#include "common.cuh"

extern "C" __global__ void atomics_float_kernel(const float2* particle, float* cells, int n, int side) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float2 p = particle[i];
    int x = static_cast<int>(p.x), y = static_cast<int>(p.y);
    float fx = p.x - x, fy = p.y - y;
    atomicAdd(&cells[y * side + x], (1.0f - fx) * (1.0f - fy));
    atomicAdd(&cells[y * side + x + 1], fx * (1.0f - fy));
    atomicAdd(&cells[(y + 1) * side + x], (1.0f - fx) * fy);
    atomicAdd(&cells[(y + 1) * side + x + 1], fx * fy);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 528 * 1024 : 132 * 256, side = opt.large ? 256 : 64;
    suite::Rng rng(60);
    std::vector<float2> particle(n);
    std::vector<double> sums(size_t(side) * side, 0.0);
    for (float2& p : particle) {
        p.x = rng.range(0.0f, side - 1.01f), p.y = rng.range(0.0f, side - 1.01f);
        int x = static_cast<int>(p.x), y = static_cast<int>(p.y);
        double fx = double(p.x) - x, fy = double(p.y) - y;
        sums[y * side + x] += (1 - fx) * (1 - fy), sums[y * side + x + 1] += fx * (1 - fy);
        sums[(y + 1) * side + x] += (1 - fx) * fy, sums[(y + 1) * side + x + 1] += fx * fy;
    }
    suite::Device<float2> dp(particle);
    suite::Device<float> cells(sums.size());
    for (int r = 0; r < opt.repeat; ++r) {
        cells.zero();
        suite::launch(atomics_float_kernel, suite::blocks_for(n, 256), 256, 0, dp.get(), cells.get(), n, side);
    }
    return suite::finish_close("atomics_float", cells.host(), std::vector<float>(sums.begin(), sums.end()), 1e-5, 1e-5);
}
