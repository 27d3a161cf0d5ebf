// Dense: Cholesky factors of many 32x32 matrices, one warp each, a row a lane in registers; shuffles, IEEE sqrt and divide.
#include "common.cuh"

constexpr int kSize = 32;

extern "C" __global__ void __launch_bounds__(128) cholesky_warp_kernel(const float* in, float* out) {
    int lane = threadIdx.x % 32;
    size_t base = (size_t(blockIdx.x) * 4 + threadIdx.x / 32) * kSize * kSize;
    float row[kSize];
#pragma unroll
    for (int j = 0; j < kSize; ++j) row[j] = in[base + j * kSize + lane];  // symmetric: the column is the row
#pragma unroll
    for (int j = 0; j < kSize; ++j) {
        float pivot = sqrtf(__shfl_sync(0xffffffffu, row[j], j));
        float factor = lane == j ? pivot : row[j] / pivot;
        row[j] = factor;
#pragma unroll
        for (int k = j + 1; k < kSize; ++k) row[k] = fmaf(-factor, __shfl_sync(0xffffffffu, factor, k), row[k]);
    }
#pragma unroll
    for (int j = 0; j < kSize; ++j) out[base + j * kSize + lane] = j <= lane ? row[j] : 0.0f;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 528 : 33, matrices = grid * 4;
    suite::Rng rng(20);
    std::vector<float> in(size_t(matrices) * kSize * kSize), want(in.size(), 0.0f);
    for (int m = 0; m < matrices; ++m)
        for (int i = 0; i < kSize; ++i)
            for (int j = 0; j <= i; ++j) {
                float v = rng.range(-1, 1) + (i == j ? 40.0f : 0.0f);
                in[(size_t(m) * kSize + i) * kSize + j] = in[(size_t(m) * kSize + j) * kSize + i] = v;
            }
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(cholesky_warp_kernel, grid, 128, 0, din.get(), out.get());
    for (int m = 0; m < matrices; ++m) {
        std::vector<float> a(in.begin() + size_t(m) * kSize * kSize, in.begin() + size_t(m + 1) * kSize * kSize);
        for (int j = 0; j < kSize; ++j) {
            float pivot = std::sqrt(a[j * kSize + j]);
            for (int i = j; i < kSize; ++i) a[i * kSize + j] = i == j ? pivot : a[i * kSize + j] / pivot;
            for (int i = j + 1; i < kSize; ++i)
                for (int k = j + 1; k <= i; ++k)
                    a[i * kSize + k] = std::fmaf(-a[i * kSize + j], a[k * kSize + j], a[i * kSize + k]);
        }
        for (int i = 0; i < kSize; ++i)
            for (int j = 0; j <= i; ++j) want[size_t(m) * kSize * kSize + j * kSize + i] = a[i * kSize + j];
    }
    return suite::finish_exact("cholesky_warp", out.host(), want);
}
