// Dense: C = A B in double precision, 16x16 shared tiles.
#include "common.cuh"

constexpr int kTile = 16;

extern "C" __global__ void dgemm_kernel(const double* a, const double* b, double* c, int n, int k) {
    __shared__ double ta[kTile][kTile], tb[kTile][kTile];
    int row = blockIdx.y * kTile + threadIdx.y, col = blockIdx.x * kTile + threadIdx.x;
    double sum = 0.0;
    for (int base = 0; base < k; base += kTile) {
        ta[threadIdx.y][threadIdx.x] = a[row * k + base + threadIdx.x];
        tb[threadIdx.y][threadIdx.x] = b[(base + threadIdx.y) * n + col];
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kTile; ++i) sum = fma(ta[threadIdx.y][i], tb[i][threadIdx.x], sum);
        __syncthreads();
    }
    c[row * n + col] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 512 : 128, n = opt.large ? 256 : 144, k = opt.large ? 256 : 64;
    suite::Rng rng(8);
    std::vector<double> a(size_t(m) * k), b(size_t(k) * n), want(size_t(m) * n, 0.0);
    for (double& v : a) v = rng.range(-1.0f, 1.0f) * 1.0009765625 + 1e-9 * rng.uniform();
    for (double& v : b) v = rng.range(-1.0f, 1.0f) * 0.9990234375 + 1e-9 * rng.uniform();
    suite::Device<double> da(a), db(b), dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(dgemm_kernel, dim3(n / kTile, m / kTile), dim3(kTile, kTile), 0, da.get(), db.get(), dc.get(), n, k);
    for (int row = 0; row < m; ++row)
        for (int i = 0; i < k; ++i)
            for (int col = 0; col < n; ++col)
                want[row * n + col] = std::fma(a[row * k + i], b[i * n + col], want[row * n + col]);
    return suite::finish_exact("dgemm", dc.host(), want);
}
