// Integer: 32-bit modular exponentiation a thread, Montgomery products; the host divides instead.
#include "common.cuh"

__device__ __forceinline__ unsigned mont_mul(unsigned a, unsigned b, unsigned m, unsigned inverse) {
    unsigned long long t = static_cast<unsigned long long>(a) * b;
    unsigned q = static_cast<unsigned>(t) * inverse;  // -1/m mod 2^32
    unsigned long long qm = static_cast<unsigned long long>(q) * m;
    unsigned carry = static_cast<unsigned>(t) != 0;  // the low words cancel and carry one
    unsigned high = static_cast<unsigned>(t >> 32) + static_cast<unsigned>(qm >> 32) + carry;
    return high >= m ? high - m : high;  // m < 2^31: no overflow
}

extern "C" __global__ void modexp_kernel(const unsigned* base, const unsigned* exponent, const unsigned* modulus, unsigned* out, int n) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= n) return;
    unsigned m = modulus[id], e = exponent[id], inverse = m;
    for (int i = 0; i < 4; ++i) inverse *= 2 - m * inverse;  // Newton: 1/m mod 2^32 (m odd)
    inverse = 0u - inverse;
    unsigned one = static_cast<unsigned>((1ull << 32) % m);
    unsigned x = static_cast<unsigned>((static_cast<unsigned long long>(base[id] % m) << 32) % m), result = one;
    for (; e; e >>= 1) {
        if (e & 1) result = mont_mul(result, x, m, inverse);
        x = mont_mul(x, x, m, inverse);
    }
    out[id] = mont_mul(result, 1, m, inverse);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 132 * 1024 : 66 * 128 - 2;
    suite::Rng rng(48);
    std::vector<unsigned> base(n), exponent(n), modulus(n), want(n);
    for (int i = 0; i < n; ++i) {
        base[i] = rng.u32(), exponent[i] = rng.u32() >> rng.below(12) >> 8, modulus[i] = (rng.u32() >> 1) | 1;
        if (modulus[i] < 3) modulus[i] = 3;
        uint64_t x = base[i] % modulus[i], result = 1;
        for (unsigned e = exponent[i]; e; e >>= 1, x = x * x % modulus[i])
            if (e & 1) result = result * x % modulus[i];
        want[i] = static_cast<unsigned>(result);
    }
    suite::Device<unsigned> db(base), de(exponent), dm(modulus), out(n);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(modexp_kernel, suite::blocks_for(n, 128), 128, 0, db.get(), de.get(), dm.get(), out.get(), n);
    return suite::finish_exact("modexp", out.host(), want);
}
