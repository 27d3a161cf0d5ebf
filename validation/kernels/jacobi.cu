// Stencil: Jacobi sweep for a Poisson problem with a shared tile, and the CTA's largest change (warp shuffles).
#include "common.cuh"

constexpr int kX = 32, kY = 8;

extern "C" __global__ void jacobi_kernel(const float* u, const float* f, float* out, float* change, int nx) {
    __shared__ float tile[kY + 2][kX + 2];
    __shared__ float worst[kX * kY / 32];
    int tx = threadIdx.x, ty = threadIdx.y;
    int x = blockIdx.x * kX + tx + 1, y = blockIdx.y * kY + ty + 1, i = y * nx + x;
    tile[ty + 1][tx + 1] = u[i];
    if (tx == 0) tile[ty + 1][0] = u[i - 1];
    if (tx == kX - 1) tile[ty + 1][kX + 1] = u[i + 1];
    if (ty == 0) tile[0][tx + 1] = u[i - nx];
    if (ty == kY - 1) tile[kY + 1][tx + 1] = u[i + nx];
    __syncthreads();
    float sides = (tile[ty + 1][tx] + tile[ty + 1][tx + 2]) + (tile[ty][tx + 1] + tile[ty + 2][tx + 1]);
    float v = 0.25f * (sides - f[i]);
    out[i] = v;
    float d = fabsf(v - tile[ty + 1][tx + 1]);
    for (int offset = 16; offset > 0; offset /= 2) d = fmaxf(d, __shfl_down_sync(0xffffffffu, d, offset));
    if (tx == 0) worst[ty] = d;
    __syncthreads();
    if (tx == 0 && ty == 0) {
        for (int w = 1; w < kY; ++w) d = fmaxf(d, worst[w]);
        change[blockIdx.y * gridDim.x + blockIdx.x] = d;
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int bx = opt.large ? 32 : 12, by = opt.large ? 132 : 11, nx = bx * kX + 2, ny = by * kY + 2;
    suite::Rng rng(15);
    std::vector<float> u = suite::random_floats(rng, size_t(nx) * ny), f = suite::random_floats(rng, u.size());
    std::vector<float> want(u.size(), 0.0f), want_change(size_t(bx) * by, 0.0f);
    suite::Device<float> du(u), df(f), out(u.size()), change(want_change.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(jacobi_kernel, dim3(bx, by), dim3(kX, kY), 0, du.get(), df.get(), out.get(), change.get(), nx);
    for (int y = 1; y < ny - 1; ++y)
        for (int x = 1; x < nx - 1; ++x) {
            size_t i = size_t(y) * nx + x;
            want[i] = 0.25f * (((u[i - 1] + u[i + 1]) + (u[i - nx] + u[i + nx])) - f[i]);
            float& worst = want_change[size_t((y - 1) / kY) * bx + (x - 1) / kX];
            worst = std::fmax(worst, std::fabs(want[i] - u[i]));
        }
    return suite::finish_exact("jacobi", out.host(), want) | suite::finish_exact("jacobi.change", change.host(), want_change);
}
