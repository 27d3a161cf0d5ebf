// Dense: C = A B through 16x16 shared-memory tiles.
#include "common.cuh"

constexpr int kTile = 16;

extern "C" __global__ void gemm_tiled_kernel(const float* a, const float* b, float* c, int n, int k) {
    __shared__ float ta[kTile][kTile], tb[kTile][kTile];
    int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
    float sum = 0.0f;
    for (int base = 0; base < k; base += kTile) {
        ta[threadIdx.y][threadIdx.x] = a[row * k + base + threadIdx.x];
        tb[threadIdx.y][threadIdx.x] = b[(base + threadIdx.y) * n + col];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kTile; ++i) sum = fmaf(ta[threadIdx.y][i], tb[i][threadIdx.x], sum);
        __syncthreads();
    }
    c[row * n + col] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 512 : 176, n = opt.large ? 512 : 192, k = opt.large ? 512 : 96;
    suite::Rng rng(5);
    std::vector<float> a = suite::random_floats(rng, size_t(m) * k), b = suite::random_floats(rng, size_t(k) * n);
    std::vector<float> want(size_t(m) * n, 0.0f);
    suite::Device<float> da(a), db(b), dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemm_tiled_kernel, dim3(n / kTile, m / kTile), dim3(kTile, kTile), 0, da.get(), db.get(), dc.get(), n,
                      k);
    for (int row = 0; row < m; ++row)
        for (int i = 0; i < k; ++i)
            for (int col = 0; col < n; ++col)
                want[row * n + col] = std::fmaf(a[row * k + i], b[i * n + col], want[row * n + col]);
    return suite::finish_exact("gemm_tiled", dc.host(), want);
}
