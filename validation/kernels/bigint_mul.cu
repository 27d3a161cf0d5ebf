// Integer: 256 x 256 bit product a thread, eight 32-bit limbs with 64-bit partial sums (wide multiply-add).
#include "common.cuh"

constexpr int kLimbs = 8;

extern "C" __global__ void bigint_mul_kernel(const unsigned* a, const unsigned* b, unsigned* out, int n) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= n) return;
    unsigned x[kLimbs], y[kLimbs], z[2 * kLimbs] = {};
#pragma unroll
    for (int i = 0; i < kLimbs; ++i) x[i] = a[i * n + id], y[i] = b[i * n + id];
#pragma unroll
    for (int i = 0; i < kLimbs; ++i) {
        unsigned long long carry = 0;
#pragma unroll
        for (int j = 0; j < kLimbs; ++j) {
            carry += static_cast<unsigned long long>(x[i]) * y[j] + z[i + j];
            z[i + j] = static_cast<unsigned>(carry);
            carry >>= 32;
        }
        z[i + kLimbs] = static_cast<unsigned>(carry);
    }
#pragma unroll
    for (int i = 0; i < 2 * kLimbs; ++i) out[i * n + id] = z[i];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 132 * 1024 : 132 * 64 - 2;
    suite::Rng rng(49);
    std::vector<unsigned> a(size_t(n) * kLimbs), b(a.size()), want(a.size() * 2);
    for (unsigned& v : a) v = rng.below(16) ? rng.u32() : 0xffffffffu;
    for (unsigned& v : b) v = rng.below(16) ? rng.u32() : 0xffffffffu;
    suite::Device<unsigned> da(a), db(b), out(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(bigint_mul_kernel, suite::blocks_for(n, 64), 64, 0, da.get(), db.get(), out.get(), n);
    for (int id = 0; id < n; ++id) {  // column sums instead of rows
        unsigned __int128 sum = 0;
        for (int column = 0; column < 2 * kLimbs; ++column) {
            for (int i = 0; i < kLimbs; ++i)
                if (column - i >= 0 && column - i < kLimbs)
                    sum += static_cast<uint64_t>(a[size_t(i) * n + id]) * b[size_t(column - i) * n + id];
            want[size_t(column) * n + id] = static_cast<unsigned>(sum);
            sum >>= 32;
        }
    }
    return suite::finish_exact("bigint_mul", out.host(), want);
}
