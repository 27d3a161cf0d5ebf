// Constant memory: a 16 KB table read at the same index by a warp, then at a different index by every lane.
#include "common.cuh"

constexpr int kEntries = 4096;

__constant__ unsigned table[kEntries];

extern "C" __global__ void const_lookup_kernel(const unsigned* in, unsigned* out, int rounds) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned x = in[id];
    for (int i = 0; i < rounds; ++i) {
        unsigned shared_index = (blockIdx.x * 97 + i * 61) % kEntries;
        x += table[shared_index] ^ i;
        x = (x ^ table[x % kEntries]) + (x >> 5);
    }
    out[id] = x;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 264 * 256 : 66 * 128, rounds = opt.large ? 48 : 24;
    suite::Rng rng(67);
    std::vector<unsigned> in(n), want(n), entries(kEntries);
    for (unsigned& v : entries) v = rng.u32();
    suite::Device<unsigned> din(n), out(n);
    for (int id = 0; id < n; ++id) {
        unsigned x = in[id] = rng.u32();
        for (int i = 0; i < rounds; ++i) {
            x += entries[(id / 128 * 97 + i * 61) % kEntries] ^ i;
            x = (x ^ entries[x % kEntries]) + (x >> 5);
        }
        want[id] = x;
    }
    suite::Device<unsigned> first(in);
    din.copy_from(first);
    SUITE_CHECK(cudaMemcpyToSymbol(table, entries.data(), kEntries * sizeof(unsigned)));
    for (int r = 0; r < opt.repeat; ++r) suite::launch(const_lookup_kernel, n / 128, 128, 0, din.get(), out.get(), rounds);
    return suite::finish_exact("const_lookup", out.host(), want);
}
