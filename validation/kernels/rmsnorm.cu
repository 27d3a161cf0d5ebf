// Machine learning: root-mean-square norm, one CTA a row; IEEE square root and division, so exact on the host.
#include "common.cuh"

constexpr int kThreads = 128, kCols = 640, kPerThread = kCols / kThreads;

extern "C" __global__ void rmsnorm_kernel(const float* in, const float* gain, float* out) {
    __shared__ float warp_squares[kThreads / 32];
    size_t base = size_t(blockIdx.x) * kCols;
    float v[kPerThread], squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
        v[i] = in[base + i * kThreads + threadIdx.x];
        squares = fmaf(v[i], v[i], squares);
    }
    for (int offset = 16; offset > 0; offset /= 2) squares += __shfl_xor_sync(0xffffffffu, squares, offset);
    if (threadIdx.x % 32 == 0) warp_squares[threadIdx.x / 32] = squares;
    __syncthreads();
    squares = (warp_squares[0] + warp_squares[1]) + (warp_squares[2] + warp_squares[3]);
    float scale = 1.0f / sqrtf(fmaf(squares, 1.0f / kCols, 1e-6f));
#pragma unroll
    for (int i = 0; i < kPerThread; ++i) {
        int col = i * kThreads + threadIdx.x;
        out[base + col] = v[i] * scale * gain[col];
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 4224 : 264;
    suite::Rng rng(56);
    std::vector<float> in = suite::random_floats(rng, size_t(rows) * kCols, -2, 2), want(in.size());
    std::vector<float> gain = suite::random_floats(rng, kCols, 0.5f, 1.5f);
    suite::Device<float> din(in), dg(gain), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(rmsnorm_kernel, rows, kThreads, 0, din.get(), dg.get(), out.get());
    for (int row = 0; row < rows; ++row) {
        const float* x = &in[size_t(row) * kCols];
        float lanes[kThreads] = {}, warps[4];
        for (int i = 0; i < kCols; ++i) lanes[i % kThreads] = std::fmaf(x[i], x[i], lanes[i % kThreads]);
        for (int w = 0; w < 4; ++w) warps[w] = suite::host_warp_sum(lanes + 32 * w);
        float squares = (warps[0] + warps[1]) + (warps[2] + warps[3]);
        float scale = 1.0f / std::sqrt(std::fmaf(squares, 1.0f / kCols, 1e-6f));
        for (int i = 0; i < kCols; ++i) want[size_t(row) * kCols + i] = x[i] * scale * gain[i];
    }
    return suite::finish_exact("rmsnorm", out.host(), want);
}
