// Dense: C = A B, 64x64 block tile, 4x4 outputs a thread in registers, 128-bit shared loads.
#include "common.cuh"

constexpr int kBlock = 64, kDepth = 16;

extern "C" __global__ void __launch_bounds__(256) sgemm_regblock_kernel(const float* a, const float* b, float* c, int n, int k) {
    __shared__ __align__(16) float ta[kDepth][kBlock + 4];  // A transposed, padded against bank conflicts
    __shared__ __align__(16) float tb[kDepth][kBlock];
    int tid = threadIdx.x, tx = tid % 16, ty = tid / 16;
    int row0 = blockIdx.y * kBlock, col0 = blockIdx.x * kBlock;
    float acc[4][4] = {};
    for (int base = 0; base < k; base += kDepth) {
        float4 va = *reinterpret_cast<const float4*>(&a[(row0 + tid / 4) * k + base + (tid % 4) * 4]);
        float4 vb = *reinterpret_cast<const float4*>(&b[(base + tid / 16) * n + col0 + (tid % 16) * 4]);
        int d = (tid % 4) * 4, r = tid / 4;
        ta[d][r] = va.x, ta[d + 1][r] = va.y, ta[d + 2][r] = va.z, ta[d + 3][r] = va.w;
        *reinterpret_cast<float4*>(&tb[tid / 16][(tid % 16) * 4]) = vb;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < kDepth; ++i) {
            float4 fa = *reinterpret_cast<const float4*>(&ta[i][ty * 4]);
            float4 fb = *reinterpret_cast<const float4*>(&tb[i][tx * 4]);
            float ra[4] = {fa.x, fa.y, fa.z, fa.w}, rb[4] = {fb.x, fb.y, fb.z, fb.w};
#pragma unroll
            for (int y = 0; y < 4; ++y)
#pragma unroll
                for (int x = 0; x < 4; ++x) acc[y][x] = fmaf(ra[y], rb[x], acc[y][x]);
        }
        __syncthreads();
    }
    for (int y = 0; y < 4; ++y)
        *reinterpret_cast<float4*>(&c[(row0 + ty * 4 + y) * n + col0 + tx * 4]) =
            make_float4(acc[y][0], acc[y][1], acc[y][2], acc[y][3]);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 1024 : 384, n = opt.large ? 768 : 384, k = opt.large ? 256 : 64;
    suite::Rng rng(6);
    std::vector<float> a = suite::random_floats(rng, size_t(m) * k), b = suite::random_floats(rng, size_t(k) * n);
    std::vector<float> want(size_t(m) * n, 0.0f);
    suite::Device<float> da(a), db(b), dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(sgemm_regblock_kernel, dim3(n / kBlock, m / kBlock), 256, 0, da.get(), db.get(), dc.get(), n, k);
    for (int row = 0; row < m; ++row)
        for (int i = 0; i < k; ++i)
            for (int col = 0; col < n; ++col)
                want[row * n + col] = std::fmaf(a[row * k + i], b[i * n + col], want[row * n + col]);
    return suite::finish_exact("sgemm_regblock", dc.host(), want);
}
