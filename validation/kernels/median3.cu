// Image: 3x3 median by a network of minima and maxima; the host sorts.
#include "common.cuh"

#include <algorithm>

__device__ __forceinline__ void order(int& a, int& b) {
    int low = min(a, b);
    b = max(a, b);
    a = low;
}

extern "C" __global__ void median3_kernel(const int* in, int* out, int nx, int ny) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= nx || y >= ny) return;
    int v[9];
#pragma unroll
    for (int i = 0; i < 9; ++i) {
        int sx = min(max(x + i % 3 - 1, 0), nx - 1), sy = min(max(y + i / 3 - 1, 0), ny - 1);
        v[i] = in[sy * nx + sx];
    }
#pragma unroll
    for (int i = 0; i < 9; i += 3) order(v[i], v[i + 1]), order(v[i + 1], v[i + 2]), order(v[i], v[i + 1]);
    int low = max(v[0], max(v[3], v[6])), high = min(v[2], min(v[5], v[8]));
    order(v[1], v[4]), order(v[4], v[7]), order(v[1], v[4]);
    int middle = v[4];
    order(low, middle), order(middle, high), order(low, middle);
    out[y * nx + x] = middle;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 1600 : 250, ny = opt.large ? 1056 : 135;
    suite::Rng rng(52);
    std::vector<int> in(size_t(nx) * ny), want(in.size());
    for (int& v : in) v = static_cast<int>(rng.below(5000)) - 2500;
    suite::Device<int> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(median3_kernel, dim3(suite::blocks_for(nx, 32), suite::blocks_for(ny, 8)), dim3(32, 8), 0, din.get(),
                      out.get(), nx, ny);
    for (int y = 0; y < ny; ++y)
        for (int x = 0; x < nx; ++x) {
            std::vector<int> v;
            for (int i = -1; i <= 1; ++i)
                for (int j = -1; j <= 1; ++j)
                    v.push_back(in[size_t(std::min(std::max(y + i, 0), ny - 1)) * nx + std::min(std::max(x + j, 0), nx - 1)]);
            std::sort(v.begin(), v.end());
            want[size_t(y) * nx + x] = v[4];
        }
    return suite::finish_exact("median3", out.host(), want);
}
