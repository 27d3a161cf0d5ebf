// Dynamic programming: longest common subsequence of two sequences of 64 letters a thread, bit-parallel in 64-bit
// integers (Hyyro 2004); the host fills the ordinary table instead.
#include "common.cuh"

constexpr int kLength = 64;

extern "C" __global__ void lcs_bits_kernel(const unsigned long long* masks, const unsigned* text, int* length, int pairs) {
    int pair = blockIdx.x * blockDim.x + threadIdx.x;
    if (pair >= pairs) return;
    unsigned long long m0 = masks[pair], m1 = masks[pairs + pair], m2 = masks[2 * pairs + pair], m3 = masks[3 * pairs + pair];
    unsigned long long v = ~0ull;
    for (int word = 0; word < kLength / 16; ++word) {
        unsigned letters = text[word * pairs + pair];
        for (int i = 0; i < 16; ++i, letters >>= 2) {
            unsigned long long low = letters & 1 ? m1 : m0, high = letters & 1 ? m3 : m2, m = letters & 2 ? high : low;
            unsigned long long u = v & m;
            v = (v + u) | (v - u);
        }
    }
    unsigned long long zeros = ~v;
    length[pair] = __popc(static_cast<unsigned>(zeros)) + __popc(static_cast<unsigned>(zeros >> 32));
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int pairs = opt.large ? 132 * 1024 : 132 * 64 - 9;
    suite::Rng rng(39);
    std::vector<unsigned long long> masks(size_t(pairs) * 4, 0);
    std::vector<unsigned> text(size_t(pairs) * kLength / 16, 0);
    std::vector<int> want(pairs);
    for (int pair = 0; pair < pairs; ++pair) {
        int a[kLength], b[kLength], row[kLength + 1] = {};
        for (int i = 0; i < kLength; ++i) {
            a[i] = rng.below(4), b[i] = rng.below(4);
            masks[size_t(a[i]) * pairs + pair] |= 1ull << i;
            text[size_t(i / 16) * pairs + pair] |= unsigned(b[i]) << (i % 16 * 2);
        }
        for (int i = 0; i < kLength; ++i)
            for (int j = 0, diagonal = 0; j < kLength; ++j) {
                int up = row[j + 1];
                row[j + 1] = a[i] == b[j] ? diagonal + 1 : up > row[j] ? up : row[j];
                diagonal = up;
            }
        want[pair] = row[kLength];
    }
    suite::Device<unsigned long long> dm(masks);
    suite::Device<unsigned> dt(text);
    suite::Device<int> out(pairs);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(lcs_bits_kernel, suite::blocks_for(pairs, 64), 64, 0, dm.get(), dt.get(), out.get(), pairs);
    return suite::finish_exact("lcs_bits", out.host(), want);
}
