// Machine learning: row softmax, one CTA a row, values kept in registers; fast exponential.
#include "common.cuh"

constexpr int kThreads = 128, kCols = 512, kPerThread = kCols / kThreads;

__device__ __forceinline__ float block_reduce(float v, bool is_max, float* scratch) {
    for (int offset = 16; offset > 0; offset /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, v, offset);
        v = is_max ? fmaxf(v, other) : v + other;
    }
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    v = scratch[0];
    for (int w = 1; w < kThreads / 32; ++w) v = is_max ? fmaxf(v, scratch[w]) : v + scratch[w];
    return v;
}

extern "C" __global__ void softmax_kernel(const float* in, float* out) {
    __shared__ float maxima[kThreads / 32], sums[kThreads / 32];
    const float* row = in + size_t(blockIdx.x) * kCols;
    float v[kPerThread], top = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) v[i] = row[threadIdx.x + i * kThreads], top = fmaxf(top, v[i]);
    top = block_reduce(top, true, maxima);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) v[i] = __expf(v[i] - top), sum += v[i];
    float scale = 1.0f / block_reduce(sum, false, sums);
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) out[size_t(blockIdx.x) * kCols + threadIdx.x + i * kThreads] = v[i] * scale;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 4224 : 264;
    suite::Rng rng(54);
    std::vector<float> in = suite::random_floats(rng, size_t(rows) * kCols, -8, 8), want(in.size());
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(softmax_kernel, rows, kThreads, 0, din.get(), out.get());
    for (int row = 0; row < rows; ++row) {
        const float* x = &in[size_t(row) * kCols];
        double sum = 0;
        for (int i = 0; i < kCols; ++i) sum += std::exp(double(x[i]));
        for (int i = 0; i < kCols; ++i) want[size_t(row) * kCols + i] = float(std::exp(double(x[i])) / sum);
    }
    // exp(x) = ex2(x * log2 e) with |x| <= 16: the product's rounding alone is 1e-6 relative.
    return suite::finish_close("softmax", out.host(), want, 1e-8, 1e-5);
}
