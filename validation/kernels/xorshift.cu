// Integer: a xorshift128+ stream a thread (64-bit shifts and adds), every fourth number stored.
#include "common.cuh"

extern "C" __global__ void xorshift_kernel(const ulonglong2* seed, unsigned long long* out, int streams, int stores) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    ulonglong2 state = seed[id];
    unsigned long long a = state.x, b = state.y, value = 0;
    for (int i = 0; i < stores; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            unsigned long long t = a ^ a << 23;
            a = b;
            b = t ^ b ^ t >> 18 ^ b >> 5;
            value = a + b;
        }
        out[i * streams + id] = value;
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int streams = opt.large ? 264 * 1024 : 132 * 128, stores = opt.large ? 8 : 3;
    suite::Rng rng(47);
    std::vector<ulonglong2> seed(streams);
    std::vector<unsigned long long> want(size_t(streams) * stores);
    for (ulonglong2& s : seed) s.x = rng.u64(), s.y = rng.u64() | 1;
    suite::Device<ulonglong2> ds(seed);
    suite::Device<unsigned long long> out(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(xorshift_kernel, streams / 128, 128, 0, ds.get(), out.get(), streams, stores);
    for (int id = 0; id < streams; ++id) {
        uint64_t s0 = seed[id].x, s1 = seed[id].y;
        for (int i = 1; i <= stores * 4; ++i) {
            uint64_t x = s0, y = s1;
            s0 = y;
            x ^= x << 23;
            s1 = x ^ y ^ (x >> 18) ^ (y >> 5);
            if (i % 4 == 0) want[size_t(i / 4 - 1) * streams + id] = s0 + s1;
        }
    }
    return suite::finish_exact("xorshift", out.host(), want);
}
