// Stencil: one 5-point sweep over a 2-D grid from global memory; the border is copied.
#include "common.cuh"

extern "C" __global__ void stencil2d5_kernel(const float* in, float* out, int nx, int ny) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= nx || y >= ny) return;
    int i = y * nx + x;
    float v = in[i];
    if (x > 0 && x < nx - 1 && y > 0 && y < ny - 1) {
        float sides = (in[i - 1] + in[i + 1]) + (in[i - nx] + in[i + nx]);
        v = fmaf(0.125f, sides, 0.5f * v);
    }
    out[i] = v;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 2050 : 250, ny = opt.large ? 1026 : 198;
    suite::Rng rng(12);
    std::vector<float> in = suite::random_floats(rng, size_t(nx) * ny), want(in);
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(stencil2d5_kernel, dim3(suite::blocks_for(nx, 32), suite::blocks_for(ny, 8)), dim3(32, 8), 0,
                      din.get(), out.get(), nx, ny);
    for (int y = 1; y < ny - 1; ++y)
        for (int x = 1; x < nx - 1; ++x) {
            const float* p = &in[size_t(y) * nx + x];
            want[size_t(y) * nx + x] = std::fmaf(0.125f, (p[-1] + p[1]) + (p[-nx] + p[nx]), 0.5f * p[0]);
        }
    return suite::finish_exact("stencil2d5", out.host(), want);
}
