// Atomics: every thread draws a ticket from one of a few counters and uses the returned value.
#include "common.cuh"

extern "C" __global__ void atomics_contention_kernel(unsigned* counters, unsigned* seen, int used, int rounds) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    for (int i = 0; i < rounds; ++i) {
        int c = (id + i) % used;
        unsigned ticket = atomicAdd(&counters[c * 32], 1u + (threadIdx.x & 1));  // one counter a cache line
        atomicOr(&seen[ticket / 32 % 1024], 1u << (ticket % 32));
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 528 : 66, threads = 128, used = 6, rounds = opt.large ? 8 : 4;
    suite::Device<unsigned> counters(used * 32), seen(1024);
    for (int r = 0; r < opt.repeat; ++r) {
        counters.zero();
        seen.zero();
        suite::launch(atomics_contention_kernel, grid, threads, 0, counters.get(), seen.get(), used, rounds);
    }
    std::vector<unsigned> want(used * 32, 0);
    for (int id = 0; id < grid * threads; ++id)
        for (int i = 0; i < rounds; ++i) want[(id + i) % used * 32] += 1 + (id % threads & 1);
    // Which tickets are drawn depends on the order, so `seen` is only counted: about two of three values of a counter
    // are drawn, and every counter's first ticket is 0.
    std::vector<unsigned> bits = seen.host();
    size_t drawn = 0;
    for (unsigned word : bits) drawn += __builtin_popcount(word);
    if (!(bits[0] & 1) || drawn < 1000) {
        std::printf("atomics_contention.seen tickets=%zu FAIL\n", drawn);
        return 1;
    }
    return suite::finish_exact("atomics_contention", counters.host(), want);
}
