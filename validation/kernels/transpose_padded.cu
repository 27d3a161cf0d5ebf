// Transpose: through a padded 32x33 shared tile, free of bank conflicts.
#include "common.cuh"

constexpr int kTile = 32, kRows = 8;

extern "C" __global__ void transpose_padded_kernel(const float* in, float* out, int nx, int ny) {
    __shared__ float tile[kTile][kTile + 1];
    int x = blockIdx.x * kTile + threadIdx.x, y = blockIdx.y * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows) tile[threadIdx.y + j][threadIdx.x] = in[(y + j) * nx + x];
    __syncthreads();
    x = blockIdx.y * kTile + threadIdx.x, y = blockIdx.x * kTile + threadIdx.y;
    for (int j = 0; j < kTile; j += kRows) out[(y + j) * ny + x] = tile[threadIdx.x][threadIdx.y + j];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 2048 : 384, ny = opt.large ? 1056 : 352;
    suite::Rng rng(33);
    std::vector<float> in = suite::random_floats(rng, size_t(nx) * ny), want(in.size());
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(transpose_padded_kernel, dim3(nx / kTile, ny / kTile), dim3(kTile, kRows), 0, din.get(), out.get(), nx, ny);
    for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) want[size_t(x) * ny + y] = in[size_t(y) * nx + x];
    return suite::finish_exact("transpose_padded", out.host(), want);
}
