// Dense: c = a + b, one element a thread; coalesced streaming.
#include "common.cuh"

extern "C" __global__ void vecadd_kernel(const float* a, const float* b, float* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 4 * 1024 * 1024 + 13 : 264 * 256 - 7;
    suite::Rng rng(1);
    std::vector<float> a = suite::random_floats(rng, n), b = suite::random_floats(rng, n), want(n);
    suite::Device<float> da(a), db(b), dc(n);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(vecadd_kernel, suite::blocks_for(n, 256), 256, 0, da.get(), db.get(), dc.get(), n);
    for (int i = 0; i < n; ++i) want[i] = a[i] + b[i];
    return suite::finish_exact("vecadd", dc.host(), want);
}
