// Transpose: straight through global memory: coalesced reads, strided writes.
#include "common.cuh"

constexpr int kTile = 32, kRows = 8;

extern "C" __global__ void transpose_naive_kernel(const float* in, float* out, int nx, int ny) {
    int x = blockIdx.x * kTile + threadIdx.x;
    for (int j = 0; j < kTile; j += kRows) {
        int y = blockIdx.y * kTile + threadIdx.y + j;
        out[x * ny + y] = in[y * nx + x];
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 2048 : 384, ny = opt.large ? 1056 : 352;
    suite::Rng rng(31);
    std::vector<float> in = suite::random_floats(rng, size_t(nx) * ny), want(in.size());
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(transpose_naive_kernel, dim3(nx / kTile, ny / kTile), dim3(kTile, kRows), 0, din.get(), out.get(), nx, ny);
    for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) want[size_t(x) * ny + y] = in[size_t(y) * nx + x];
    return suite::finish_exact("transpose_naive", out.host(), want);
}
