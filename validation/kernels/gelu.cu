// Machine learning: GELU (tanh form), elementwise with 128-bit accesses and the library's tanhf.
#include "common.cuh"

__device__ __forceinline__ float gelu(float x) {
    float inner = 0.79788456f * fmaf(0.044715f * x * x, x, x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

extern "C" __global__ void gelu_kernel(const float4* in, float4* out, int n4) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n4) return;
    float4 v = in[i];
    out[i] = make_float4(gelu(v.x), gelu(v.y), gelu(v.z), gelu(v.w));
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n4 = opt.large ? 132 * 256 * 24 : 132 * 256 - 1;
    suite::Rng rng(58);
    std::vector<float> in = suite::random_floats(rng, size_t(n4) * 4, -6, 6), want(in.size());
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(gelu_kernel, suite::blocks_for(n4, 256), 256, 0, reinterpret_cast<const float4*>(din.get()),
                      reinterpret_cast<float4*>(out.get()), n4);
    for (size_t i = 0; i < in.size(); ++i) {
        double x = in[i];
        want[i] = float(0.5 * x * (1.0 + std::tanh(0.7978845608 * (x + 0.044715 * x * x * x))));
    }
    // tanhf is good to 2 ulp; 1 + tanh cancels for negative x: absolute error about |x| 2^-23.
    return suite::finish_close("gelu", out.host(), want, 2e-6, 1e-6);
}
