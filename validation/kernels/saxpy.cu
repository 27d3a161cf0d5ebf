// Dense: y = alpha * x + y over a grid-stride loop with 128-bit accesses.
#include "common.cuh"

extern "C" __global__ void saxpy_kernel(float alpha, const float4* x, const float4* y, float4* out, int n4) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n4; i += gridDim.x * blockDim.x) {
        float4 a = x[i], b = y[i];
        out[i] = make_float4(fmaf(alpha, a.x, b.x), fmaf(alpha, a.y, b.y), fmaf(alpha, a.z, b.z), fmaf(alpha, a.w, b.w));
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const unsigned grid = opt.large ? 1056 : 132;
    const int n4 = static_cast<int>(grid) * 256 * (opt.large ? 6 : 3);
    suite::Rng rng(2);
    std::vector<float> x = suite::random_floats(rng, size_t(n4) * 4), y = suite::random_floats(rng, size_t(n4) * 4);
    std::vector<float> want(size_t(n4) * 4);
    suite::Device<float> dx(x), dy(y), out(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(saxpy_kernel, grid, 256, 0, 1.7f, reinterpret_cast<const float4*>(dx.get()),
                      reinterpret_cast<const float4*>(dy.get()), reinterpret_cast<float4*>(out.get()), n4);
    for (size_t i = 0; i < want.size(); ++i) want[i] = std::fmaf(1.7f, x[i], y[i]);
    return suite::finish_exact("saxpy", out.host(), want);
}
