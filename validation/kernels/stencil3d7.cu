// Stencil: 7-point 3-D sweep; each thread marches along z with the column in registers.
#include "common.cuh"

constexpr int kChunk = 8;  // planes a CTA marches over

extern "C" __global__ void stencil3d7_kernel(const float* in, float* out, int nx, int ny, int nz) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < 1 || x >= nx - 1 || y < 1 || y >= ny - 1) return;
    int z0 = blockIdx.z * kChunk + 1, z1 = min(z0 + kChunk, nz - 1), plane = nx * ny;
    int i = z0 * plane + y * nx + x;
    float below = in[i - plane], centre = in[i];
    for (int z = z0; z < z1; ++z, i += plane) {
        float above = in[i + plane];
        float sides = (in[i - 1] + in[i + 1]) + (in[i - nx] + in[i + nx]) + (below + above);
        out[i] = fmaf(0.4f, centre, 0.1f * sides);
        below = centre;
        centre = above;
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 258 : 66, ny = opt.large ? 130 : 66, nz = opt.large ? 66 : 34;
    suite::Rng rng(13);
    std::vector<float> in = suite::random_floats(rng, size_t(nx) * ny * nz), want(in.size(), 0.0f);
    suite::Device<float> din(in), out(in.size());
    dim3 grid(suite::blocks_for(nx, 32), suite::blocks_for(ny, 8), suite::blocks_for(nz - 2, kChunk));
    for (int r = 0; r < opt.repeat; ++r) suite::launch(stencil3d7_kernel, grid, dim3(32, 8), 0, din.get(), out.get(), nx, ny, nz);
    for (int z = 1; z < nz - 1; ++z)
        for (int y = 1; y < ny - 1; ++y)
            for (int x = 1; x < nx - 1; ++x) {
                size_t i = (size_t(z) * ny + y) * nx + x;
                float sides = (in[i - 1] + in[i + 1]) + (in[i - nx] + in[i + nx]) + (in[i - nx * ny] + in[i + nx * ny]);
                want[i] = std::fmaf(0.4f, in[i], 0.1f * sides);
            }
    return suite::finish_exact("stencil3d7", out.host(), want);
}
