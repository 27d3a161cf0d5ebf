// Image: separable 9-tap filter, rows (shared tile with apron) then columns; taps in constant memory.
#include "common.cuh"

constexpr int kRadius = 4, kTileX = 64, kRows = 4;

__constant__ float taps[2 * kRadius + 1];

extern "C" __global__ void conv_rows_kernel(const float* in, float* out, int nx) {
    __shared__ float tile[kRows][kTileX + 2 * kRadius];
    int x0 = blockIdx.x * kTileX, y = blockIdx.y * kRows + threadIdx.y;
    for (int i = threadIdx.x; i < kTileX + 2 * kRadius; i += kTileX) {
        int x = min(max(x0 + i - kRadius, 0), nx - 1);
        tile[threadIdx.y][i] = in[y * nx + x];
    }
    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i <= 2 * kRadius; ++i) sum = fmaf(taps[i], tile[threadIdx.y][threadIdx.x + i], sum);
    out[y * nx + x0 + threadIdx.x] = sum;
}

extern "C" __global__ void conv_columns_kernel(const float* in, float* out, int nx, int ny) {
    int x = blockIdx.x * kTileX + threadIdx.x, y = blockIdx.y * kRows + threadIdx.y;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i <= 2 * kRadius; ++i) sum = fmaf(taps[i], in[min(max(y + i - kRadius, 0), ny - 1) * nx + x], sum);
    out[y * nx + x] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 1024 : 256, ny = opt.large ? 1056 : 132;
    suite::Rng rng(50);
    std::vector<float> in = suite::random_floats(rng, size_t(nx) * ny, 0, 1), mid(in.size()), want(in.size());
    float weights[2 * kRadius + 1];
    for (int i = 0; i <= 2 * kRadius; ++i) weights[i] = 1.0f / (3.0f + (i - kRadius) * (i - kRadius));
    suite::Device<float> din(in), dmid(in.size()), out(in.size());
    SUITE_CHECK(cudaMemcpyToSymbol(taps, weights, sizeof weights));
    dim3 grid(nx / kTileX, ny / kRows), block(kTileX, kRows);
    for (int r = 0; r < opt.repeat; ++r) {
        suite::launch(conv_rows_kernel, grid, block, 0, din.get(), dmid.get(), nx);
        suite::launch(conv_columns_kernel, grid, block, 0, dmid.get(), out.get(), nx, ny);
    }
    auto clamp = [](int v, int n) { return v < 0 ? 0 : v >= n ? n - 1 : v; };
    for (int pass = 0; pass < 2; ++pass)
        for (int y = 0; y < ny; ++y)
            for (int x = 0; x < nx; ++x) {
                float sum = 0.0f;
                for (int i = -kRadius; i <= kRadius; ++i)
                    sum = std::fmaf(weights[i + kRadius], pass ? mid[clamp(y + i, ny) * nx + x] : in[y * nx + clamp(x + i, nx)], sum);
                (pass ? want : mid)[y * nx + x] = sum;
            }
    return suite::finish_exact("conv_separable.rows", dmid.host(), mid) | suite::finish_exact("conv_separable", out.host(), want);
}
