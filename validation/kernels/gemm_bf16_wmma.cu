// Dense, tensor: C = A B, bfloat16 inputs, float sums, through the C++ wmma interface straight from global memory.
// sm_75 has no bfloat16 tensor instruction: there the same product is made with FMA.
#include <cuda_bf16.h>
#include <mma.h>

#include "common.cuh"

constexpr int kBlock = 64;

// 128 threads: four warps, each 32x32 of the 64x64 tile as 2x2 fragments of 16x16.
extern "C" __global__ void __launch_bounds__(128)
    gemm_bf16_wmma_kernel(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c, int n, int k) {
    int warp = threadIdx.x / 32;
    int row0 = blockIdx.y * kBlock + (warp / 2) * 32, col0 = blockIdx.x * kBlock + (warp % 2) * 32;
#if __CUDA_ARCH__ >= 800
    using namespace nvcuda::wmma;
    fragment<accumulator, 16, 16, 16, float> acc[2][2];
    for (int i = 0; i < 4; ++i) fill_fragment(acc[i / 2][i % 2], 0.0f);
    for (int base = 0; base < k; base += 16) {
        fragment<matrix_a, 16, 16, 16, __nv_bfloat16, row_major> fa[2];
        fragment<matrix_b, 16, 16, 16, __nv_bfloat16, row_major> fb[2];
        for (int i = 0; i < 2; ++i) load_matrix_sync(fa[i], a + (row0 + i * 16) * k + base, k);
        for (int j = 0; j < 2; ++j) load_matrix_sync(fb[j], b + base * n + col0 + j * 16, n);
        for (int i = 0; i < 4; ++i) mma_sync(acc[i / 2][i % 2], fa[i / 2], fb[i % 2], acc[i / 2][i % 2]);
    }
    for (int i = 0; i < 4; ++i)
        store_matrix_sync(c + (row0 + i / 2 * 16) * n + col0 + i % 2 * 16, acc[i / 2][i % 2], n, mem_row_major);
#else
    int col = col0 + threadIdx.x % 32;
    float acc[32] = {};
    for (int i = 0; i < k; ++i) {
        float vb = __bfloat162float(b[i * n + col]);
#pragma unroll
        for (int r = 0; r < 32; ++r) acc[r] = fmaf(__bfloat162float(a[(row0 + r) * k + i]), vb, acc[r]);
    }
#pragma unroll
    for (int r = 0; r < 32; ++r) c[(row0 + r) * n + col] = acc[r];
#endif
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 1024 : 384, n = opt.large ? 1088 : 448, k = opt.large ? 256 : 64;
    suite::Rng rng(17);
    std::vector<float> a(size_t(m) * k), b(size_t(k) * n), want(size_t(m) * n, 0.0f);
    std::vector<__nv_bfloat16> ha(a.size()), hb(b.size());
    for (size_t i = 0; i < a.size(); ++i) ha[i] = __float2bfloat16(rng.range(-1, 1)), a[i] = __bfloat162float(ha[i]);
    for (size_t i = 0; i < b.size(); ++i) hb[i] = __float2bfloat16(rng.range(-1, 1)), b[i] = __bfloat162float(hb[i]);
    suite::Device<__nv_bfloat16> da(ha), db(hb);
    suite::Device<float> dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemm_bf16_wmma_kernel, dim3(n / kBlock, m / kBlock), 128, 0, da.get(), db.get(), dc.get(), n, k);
    std::vector<double> sums(n);
    for (int row = 0; row < m; ++row) {
        for (double& s : sums) s = 0;
        for (int i = 0; i < k; ++i)
            for (int col = 0; col < n; ++col) sums[col] += double(a[row * k + i]) * b[i * n + col];
        for (int col = 0; col < n; ++col) want[row * n + col] = float(sums[col]);
    }
    // Tensor cores truncate when they align products: a few units of 2^-23 of the largest partial sum (about 40).
    return suite::finish_close("gemm_bf16_wmma", dc.host(), want, 1e-4, 1e-6);
}
