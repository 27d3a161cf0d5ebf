// Local memory: 64 running sums a thread with a register limit of 32 (spills), an array with
// computed indices, and generic loads from it. The limit is the -maxrregcount of suite.yaml (a launch bound would override it).
#include "common.cuh"

constexpr int kSums = 64, kRing = 100;

// By address, so that the access is a generic load from local memory.
__device__ __noinline__ unsigned pick(const unsigned* from, unsigned i) { return from[i] + from[kRing - 1 - i]; }

extern "C" __global__ void spills_kernel(const unsigned* in, unsigned* out, int rounds) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned sums[kSums], x = in[id];
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = x * (2 * i + 1);
#pragma unroll 1
    for (int r = 0; r < rounds; ++r) {
        unsigned carry = x + r;
#pragma unroll
        for (int i = 0; i < kSums; ++i) {
            sums[i] = (sums[i] ^ carry) + i;
            carry = carry * 5u + (sums[i] >> 7);
        }
        x ^= carry;
    }
    unsigned ring[kRing], result = 0;
#pragma unroll 1
    for (int i = 0; i < kRing; ++i) ring[i * 7 % kRing] = x * (i + 3u);
#pragma unroll
    for (int i = 0; i < kSums; ++i) ring[(x + i) % kRing] ^= sums[i];
#pragma unroll 1
    for (int i = 0; i < 6; ++i) {
        result = result * 31u + pick(ring, x % kRing);
        x = x >> 4 | x << 28;
    }
    out[id] = result;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 264 * 128 : 33 * 64, rounds = opt.large ? 10 : 3, threads = opt.large ? 128 : 64;
    suite::Rng rng(65);
    std::vector<unsigned> in(n), want(n);
    for (int id = 0; id < n; ++id) {
        unsigned x = in[id] = rng.u32(), sums[kSums], ring[kRing], result = 0;
        for (int i = 0; i < kSums; ++i) sums[i] = x * (2 * i + 1);
        for (int r = 0; r < rounds; ++r) {
            unsigned carry = x + r;
            for (int i = 0; i < kSums; ++i) sums[i] = (sums[i] ^ carry) + i, carry = carry * 5u + (sums[i] >> 7);
            x ^= carry;
        }
        for (int i = 0; i < kRing; ++i) ring[i * 7 % kRing] = x * (i + 3u);
        for (int i = 0; i < kSums; ++i) ring[(x + i) % kRing] ^= sums[i];
        for (int i = 0; i < 6; ++i, x = x >> 4 | x << 28) result = result * 31u + ring[x % kRing] + ring[kRing - 1 - x % kRing];
        want[id] = result;
    }
    suite::Device<unsigned> din(in), out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(spills_kernel, n / threads, threads, 0, din.get(), out.get(), rounds);
    return suite::finish_exact("spills", out.host(), want);
}
