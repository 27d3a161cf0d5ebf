// Atomics: per-bin float product by compare-and-swap loops (powers of two, so any order gives the same bits).
// How often a swap fails and is tried again depends on timing.
#include "common.cuh"

extern "C" __global__ void atomics_cas_kernel(const int* bin, const float* factor, unsigned* product, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    unsigned* address = &product[bin[i]];
    unsigned seen = *reinterpret_cast<volatile unsigned*>(address), assumed;
    do {
        assumed = seen;
        seen = atomicCAS(address, assumed, __float_as_uint(__uint_as_float(assumed) * factor[i]));
    } while (seen != assumed);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 528 * 256 : 264 * 128, bins = opt.large ? 16384 : 4096;
    suite::Rng rng(61);
    std::vector<int> bin(n);
    std::vector<float> factor(n), want(bins, 1.0f);
    for (int i = 0; i < n; ++i) {
        bin[i] = rng.below(bins) & rng.below(bins);
        factor[i] = i % 2 ? 0.5f : 2.0f;
        want[bin[i]] *= factor[i];
    }
    suite::Device<int> db(bin);
    suite::Device<float> df(factor), ones(std::vector<float>(bins, 1.0f)), product(bins);
    for (int r = 0; r < opt.repeat; ++r) {
        product.copy_from(ones);
        suite::launch(atomics_cas_kernel, suite::blocks_for(n, 128), 128, 0, db.get(), df.get(),
                      reinterpret_cast<unsigned*>(product.get()), n);
    }
    return suite::finish_exact("atomics_cas", product.host(), want);
}
