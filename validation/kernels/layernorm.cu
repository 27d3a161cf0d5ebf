// Machine learning: layer norm, one warp a row, 128-bit accesses, two-pass variance, reciprocal root by special function.
#include "common.cuh"

constexpr int kCols = 256;

__device__ __forceinline__ float warp_sum(float v) {
    for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffu, v, offset);
    return v;
}

extern "C" __global__ void layernorm_kernel(const float4* in, const float4* gain, const float4* bias, float4* out, int rows) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float4 v[2];
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        v[i] = in[row * (kCols / 4) + i * 32 + lane];
        sum += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    float mean = warp_sum(sum) * (1.0f / kCols);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        v[i].x -= mean, v[i].y -= mean, v[i].z -= mean, v[i].w -= mean;
        squares = fmaf(v[i].x, v[i].x, fmaf(v[i].y, v[i].y, fmaf(v[i].z, v[i].z, fmaf(v[i].w, v[i].w, squares))));
    }
    float scale = rsqrtf(fmaf(warp_sum(squares), 1.0f / kCols, 1e-5f));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float4 g = gain[i * 32 + lane], b = bias[i * 32 + lane];
        out[row * (kCols / 4) + i * 32 + lane] = make_float4(fmaf(v[i].x * scale, g.x, b.x), fmaf(v[i].y * scale, g.y, b.y),
                                                             fmaf(v[i].z * scale, g.z, b.z), fmaf(v[i].w * scale, g.w, b.w));
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 132 * 256 : 132 * 8;
    suite::Rng rng(55);
    std::vector<float> in = suite::random_floats(rng, size_t(rows) * kCols, -3, 5), want(in.size());
    std::vector<float> gain = suite::random_floats(rng, kCols, 0.5f, 2), bias = suite::random_floats(rng, kCols);
    suite::Device<float> din(in), dg(gain), db(bias), out(in.size());
    auto as4 = [](const suite::Device<float>& d) { return reinterpret_cast<float4*>(d.get()); };
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(layernorm_kernel, suite::blocks_for(rows, 4), 128, 0, as4(din), as4(dg), as4(db), as4(out), rows);
    for (int row = 0; row < rows; ++row) {
        const float* x = &in[size_t(row) * kCols];
        double mean = 0, variance = 0;
        for (int i = 0; i < kCols; ++i) mean += x[i] / double(kCols);
        for (int i = 0; i < kCols; ++i) variance += (x[i] - mean) * (x[i] - mean) / kCols;
        for (int i = 0; i < kCols; ++i)
            want[size_t(row) * kCols + i] = float((x[i] - mean) / std::sqrt(variance + 1e-5) * gain[i] + bias[i]);
    }
    return suite::finish_close("layernorm", out.host(), want, 5e-6, 1e-6);
}
