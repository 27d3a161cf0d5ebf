// Dense: many independent 16x16 products, one CTA each.
#include "common.cuh"

constexpr int kSize = 16;

extern "C" __global__ void gemm_batched_kernel(const float* a, const float* b, float* c) {
    __shared__ float ta[kSize * kSize], tb[kSize * kSize];
    size_t base = size_t(blockIdx.x) * kSize * kSize;
    int t = threadIdx.x, row = t / kSize, col = t % kSize;
    ta[t] = a[base + t];
    tb[t] = b[base + t];
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < kSize; ++i) sum = fmaf(ta[row * kSize + i], tb[i * kSize + col], sum);
    c[base + t] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int batch = opt.large ? 4224 : 264;
    const size_t n = size_t(batch) * kSize * kSize;
    suite::Rng rng(7);
    std::vector<float> a = suite::random_floats(rng, n), b = suite::random_floats(rng, n), want(n);
    suite::Device<float> da(a), db(b), dc(n);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemm_batched_kernel, batch, kSize * kSize, 0, da.get(), db.get(), dc.get());
    for (size_t base = 0; base < n; base += kSize * kSize)
        for (int row = 0; row < kSize; ++row)
            for (int col = 0; col < kSize; ++col) {
                float sum = 0.0f;
                for (int i = 0; i < kSize; ++i)
                    sum = std::fmaf(a[base + row * kSize + i], b[base + i * kSize + col], sum);
                want[base + row * kSize + col] = sum;
            }
    return suite::finish_exact("gemm_batched", dc.host(), want);
}
