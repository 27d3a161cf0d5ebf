// Dense, tensor: C = A B, signed 8-bit inputs, 32-bit sums: mma.sync m16n8k32 (four m8n8k16 on sm_75), fragments
// loaded straight from global memory (A by rows, B by columns).
#include "common.cuh"

constexpr int kBlock = 64;

__device__ __forceinline__ void mma_16832(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 4; ++i) {  // rows 0-7 or 8-15, then the two halves of k
        int* d = &c[(i % 2) * 2];
        asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                     : "+r"(d[0]), "+r"(d[1])
                     : "r"(a[i]), "r"(b[i / 2]));
    }
#endif
}

// 128 threads: four warps, each 32x32 of the 64x64 tile.
extern "C" __global__ void __launch_bounds__(128) gemm_int8_mma_kernel(const signed char* a, const signed char* b, int* c, int n, int k) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, group = lane / 4, quad = lane % 4;
    int row0 = blockIdx.y * kBlock + (warp / 2) * 32, col0 = blockIdx.x * kBlock + (warp % 2) * 32;
    int acc[2][4][4] = {};
    for (int base = 0; base < k; base += 32) {
        unsigned fa[2][4], fb[4][2];
        for (int i = 0; i < 2; ++i)
            for (int r = 0; r < 4; ++r)
                fa[i][r] = *reinterpret_cast<const unsigned*>(
                    &a[(row0 + i * 16 + group + r % 2 * 8) * k + base + r / 2 * 16 + quad * 4]);
        for (int j = 0; j < 4; ++j)
            for (int r = 0; r < 2; ++r)
                fb[j][r] = *reinterpret_cast<const unsigned*>(&b[(col0 + j * 8 + group) * k + base + r * 16 + quad * 4]);
        for (int i = 0; i < 2; ++i)
            for (int j = 0; j < 4; ++j) mma_16832(acc[i][j], fa[i], fb[j]);
    }
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 4; ++j) {
            int row = row0 + i * 16 + group, col = col0 + j * 8 + quad * 2;
            *reinterpret_cast<int2*>(&c[row * n + col]) = make_int2(acc[i][j][0], acc[i][j][1]);
            *reinterpret_cast<int2*>(&c[(row + 8) * n + col]) = make_int2(acc[i][j][2], acc[i][j][3]);
        }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int m = opt.large ? 1024 : 512, n = opt.large ? 1088 : 576, k = opt.large ? 512 : 128;
    suite::Rng rng(18);
    std::vector<signed char> a(size_t(m) * k), b(size_t(n) * k);
    std::vector<int> want(size_t(m) * n);
    for (signed char& v : a) v = static_cast<signed char>(rng.below(256));
    for (signed char& v : b) v = static_cast<signed char>(rng.below(256));
    suite::Device<signed char> da(a), db(b);
    suite::Device<int> dc(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gemm_int8_mma_kernel, dim3(n / kBlock, m / kBlock), 128, 0, da.get(), db.get(), dc.get(), n, k);
    for (int row = 0; row < m; ++row)
        for (int col = 0; col < n; ++col) {
            int sum = 0;
            for (int i = 0; i < k; ++i) sum += int(a[row * k + i]) * int(b[col * k + i]);
            want[row * n + col] = sum;
        }
    return suite::finish_exact("gemm_int8_mma", dc.host(), want);
}
