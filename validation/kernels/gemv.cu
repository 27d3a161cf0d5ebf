// Dense: y = A x, one warp a row, xor-shuffle sum.
#include "common.cuh"

extern "C" __global__ void gemv_kernel(const float* a, const float* x, float* y, int rows, int cols) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int k = lane; k < cols; k += 32) sum = fmaf(a[size_t(row) * cols + k], x[k], sum);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 16896 : 1056, cols = opt.large ? 768 : 320;
    suite::Rng rng(3);
    std::vector<float> a = suite::random_floats(rng, size_t(rows) * cols), x = suite::random_floats(rng, cols), want(rows);
    suite::Device<float> da(a), dx(x), dy(rows);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemv_kernel, suite::blocks_for(rows, 8), 256, 0, da.get(), dx.get(), dy.get(), rows, cols);
    for (int row = 0; row < rows; ++row) {
        float lanes[32] = {};
        for (int k = 0; k < cols; ++k) lanes[k % 32] = std::fmaf(a[size_t(row) * cols + k], x[k], lanes[k % 32]);
        want[row] = suite::host_warp_sum(lanes);
    }
    return suite::finish_exact("gemv", dy.host(), want);
}
