// Image: Sobel gradient magnitude of an 8-bit image, four pixels a thread packed in a word.
#include "common.cuh"

extern "C" __global__ void sobel_kernel(const unsigned char* in, unsigned* out, int nx, int ny) {
    int word = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (word * 4 >= nx || y >= ny) return;
    unsigned packed = 0;
#pragma unroll
    for (int b = 0; b < 4; ++b) {
        int x = word * 4 + b, l = max(x - 1, 0), r = min(x + 1, nx - 1), u = max(y - 1, 0) * nx, d = min(y + 1, ny - 1) * nx, m = y * nx;
        int gx = (in[u + r] + 2 * in[m + r] + in[d + r]) - (in[u + l] + 2 * in[m + l] + in[d + l]);
        int gy = (in[d + l] + 2 * in[d + x] + in[d + r]) - (in[u + l] + 2 * in[u + x] + in[u + r]);
        packed |= static_cast<unsigned>(min(abs(gx) + abs(gy), 255)) << (8 * b);
    }
    out[y * (nx / 4) + word] = packed;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 2048 : 256, ny = opt.large ? 1056 : 264;
    suite::Rng rng(51);
    std::vector<unsigned char> in(size_t(nx) * ny), want(in.size());
    for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) in[size_t(y) * nx + x] = static_cast<unsigned char>((x * y / 64 + rng.below(40)) & 255);
    suite::Device<unsigned char> din(in);
    suite::Device<unsigned> out(in.size() / 4);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(sobel_kernel, dim3(suite::blocks_for(nx / 4, 32), suite::blocks_for(ny, 4)), dim3(32, 4), 0, din.get(),
                      out.get(), nx, ny);
    auto at = [&](int x, int y) {
        x = x < 0 ? 0 : x >= nx ? nx - 1 : x, y = y < 0 ? 0 : y >= ny ? ny - 1 : y;
        return int(in[size_t(y) * nx + x]);
    };
    for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) {
            int gx = 0, gy = 0;
            for (int i = -1; i <= 1; ++i) {
                gx += (2 - std::abs(i)) * (at(x + 1, y + i) - at(x - 1, y + i));
                gy += (2 - std::abs(i)) * (at(x + i, y + 1) - at(x + i, y - 1));
            }
            int sum = std::abs(gx) + std::abs(gy);
            want[size_t(y) * nx + x] = static_cast<unsigned char>(sum > 255 ? 255 : sum);
        }
    return suite::finish_exact("sobel", out.host_as<unsigned char>(), want);
}
