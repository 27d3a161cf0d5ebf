// Divergence: escape times of the Mandelbrot set; loops of 1 to 64 rounds side by side in a warp.
#include "common.cuh"

constexpr int kLimit = 64;

extern "C" __global__ void mandelbrot_kernel(unsigned short* out, int nx, int ny) {
    int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    if (px >= nx || py >= ny) return;
    float cx = fmaf(static_cast<float>(px), 3.0f / 1024.0f * (1024.0f / nx), -2.2f);
    float cy = fmaf(static_cast<float>(py), 2.5f / 1024.0f * (1024.0f / ny), -1.25f);
    float x = 0.0f, y = 0.0f;
    int round = 0;
    while (round < kLimit && fmaf(x, x, __fmul_rn(y, y)) <= 4.0f) {
        float next = fmaf(x, x, fmaf(-y, y, cx));
        y = fmaf(2.0f * x, y, cy);
        x = next;
        ++round;
    }
    out[py * nx + px] = static_cast<unsigned short>(round);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 1024 : 176, ny = opt.large ? 512 : 96;
    suite::Device<unsigned short> out(size_t(nx) * ny);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(mandelbrot_kernel, dim3(suite::blocks_for(nx, 16), suite::blocks_for(ny, 8)), dim3(16, 8), 0, out.get(), nx, ny);
    std::vector<unsigned short> want(size_t(nx) * ny);
    for (int py = 0; py < ny; ++py)
        for (int px = 0; px < nx; ++px) {
            float cx = std::fmaf(static_cast<float>(px), 3.0f / 1024.0f * (1024.0f / nx), -2.2f);
            float cy = std::fmaf(static_cast<float>(py), 2.5f / 1024.0f * (1024.0f / ny), -1.25f), x = 0, y = 0;
            int round = 0;
            for (; round < kLimit; ++round) {
                float y2 = y * y;
                if (!(std::fmaf(x, x, y2) <= 4.0f)) break;
                float next = std::fmaf(x, x, std::fmaf(-y, y, cx));
                y = std::fmaf(2.0f * x, y, cy), x = next;
            }
            want[size_t(py) * nx + px] = static_cast<unsigned short>(round);
        }
    return suite::finish_exact("mandelbrot", out.host(), want);
}
