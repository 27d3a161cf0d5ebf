// Dense: C = A B, one output a thread straight from global memory.
#include "common.cuh"

extern "C" __global__ void gemm_naive_kernel(const float* a, const float* b, float* c, int m, int n, int k) {
    int col = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n) return;
    float sum = 0.0f;
    for (int i = 0; i < k; ++i) sum = fmaf(a[row * k + i], b[i * n + col], sum);
    c[row * n + col] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 520 : 120, n = opt.large ? 512 : 136, k = opt.large ? 256 : 96;
    suite::Rng rng(4);
    std::vector<float> a = suite::random_floats(rng, size_t(m) * k), b = suite::random_floats(rng, size_t(k) * n);
    std::vector<float> want(size_t(m) * n, 0.0f);
    suite::Device<float> da(a), db(b), dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemm_naive_kernel, dim3(suite::blocks_for(n, 16), suite::blocks_for(m, 16)), dim3(16, 16), 0,
                      da.get(), db.get(), dc.get(), m, n, k);
    for (int row = 0; row < m; ++row)
        for (int i = 0; i < k; ++i)
            for (int col = 0; col < n; ++col)
                want[row * n + col] = std::fmaf(a[row * k + i], b[i * n + col], want[row * n + col]);
    return suite::finish_exact("gemm_naive", dc.host(), want);
}
