// Local memory: 64 running sums a thread with a register limit of 32 (spills) and a lookup with a computed index.
// The limit is the -maxrregcount of suite.yaml (a launch bound would override it).
#include "common.cuh"

constexpr int kSums = 64;

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
    unsigned picks[kSums], result = 0;
#pragma unroll
    for (int i = 0; i < kSums; ++i) picks[i] = sums[i] * 3u + i;
#pragma unroll 1
    for (int i = 0; i < 6; ++i) {
        result = result * 31u + picks[x % kSums];
        picks[(x >> 8) % kSums] = result;
        x = x >> 4 | x << 28;
    }
    out[id] = result;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 264 * 128 : 66 * 64, rounds = opt.large ? 10 : 4, threads = opt.large ? 128 : 64;
    suite::Rng rng(65);
    std::vector<unsigned> in(n), want(n);
    for (int id = 0; id < n; ++id) {
        unsigned x = in[id] = rng.u32(), sums[kSums], picks[kSums], result = 0;
        for (int i = 0; i < kSums; ++i) sums[i] = x * (2 * i + 1);
        for (int r = 0; r < rounds; ++r) {
            unsigned carry = x + r;
            for (int i = 0; i < kSums; ++i) sums[i] = (sums[i] ^ carry) + i, carry = carry * 5u + (sums[i] >> 7);
            x ^= carry;
        }
        for (int i = 0; i < kSums; ++i) picks[i] = sums[i] * 3u + i;
        for (int i = 0; i < 6; ++i, x = x >> 4 | x << 28) picks[(x >> 8) % kSums] = result = result * 31u + picks[x % kSums];
        want[id] = result;
    }
    suite::Device<unsigned> din(in), out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(spills_kernel, n / threads, threads, 0, din.get(), out.get(), rounds);
    return suite::finish_exact("spills", out.host(), want);
}
