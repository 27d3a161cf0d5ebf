// Dynamic programming: one pivot round of blocked Floyd-Warshall (pivot block, its row and column, all the rest).
#include "common.cuh"

constexpr int kTile = 16;

extern "C" __global__ void fw_pivot_kernel(int* d, int n, int pivot) {
    __shared__ int s[kTile][kTile];
    int x = threadIdx.x, y = threadIdx.y, i = (pivot * kTile + y) * n + pivot * kTile + x;
    s[y][x] = d[i];
    __syncthreads();
    for (int k = 0; k < kTile; ++k) {
        int through = s[y][k] + s[k][x];
        __syncthreads();
        s[y][x] = min(s[y][x], through);
        __syncthreads();
    }
    d[i] = s[y][x];
}

// blockIdx.y 0: the pivot's row of blocks; 1: its column.
extern "C" __global__ void fw_cross_kernel(int* d, int n, int pivot) {
    __shared__ int s[kTile][kTile], p[kTile][kTile];
    int x = threadIdx.x, y = threadIdx.y, block = blockIdx.x;
    if (block == pivot) return;
    bool is_row = blockIdx.y == 0;
    int by = is_row ? pivot : block, bx = is_row ? block : pivot, i = (by * kTile + y) * n + bx * kTile + x;
    s[y][x] = d[i];
    p[y][x] = d[(pivot * kTile + y) * n + pivot * kTile + x];
    __syncthreads();
    for (int k = 0; k < kTile; ++k) {
        int through = is_row ? p[y][k] + s[k][x] : s[y][k] + p[k][x];
        __syncthreads();
        s[y][x] = min(s[y][x], through);
        __syncthreads();
    }
    d[i] = s[y][x];
}

extern "C" __global__ void floyd_warshall_kernel(int* d, int n, int pivot) {
    __shared__ int row[kTile][kTile], col[kTile][kTile];
    int x = threadIdx.x, y = threadIdx.y, bx = blockIdx.x, by = blockIdx.y;
    if (bx == pivot || by == pivot) return;
    int i = (by * kTile + y) * n + bx * kTile + x;
    row[y][x] = d[(pivot * kTile + y) * n + bx * kTile + x];
    col[y][x] = d[(by * kTile + y) * n + pivot * kTile + x];
    __syncthreads();
    int best = d[i];
#pragma unroll
    for (int k = 0; k < kTile; ++k) best = min(best, col[y][k] + row[k][x]);
    d[i] = best;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int blocks = opt.large ? 48 : 15, n = blocks * kTile, pivot = blocks / 2;
    suite::Rng rng(38);
    std::vector<int> d(size_t(n) * n);
    for (int i = 0; i < n * n; ++i) d[i] = i / n == i % n ? 0 : 1 + static_cast<int>(rng.below(10000));
    std::vector<int> want(d);
    suite::Device<int> first(d), now(d);
    for (int r = 0; r < opt.repeat; ++r) {
        now.copy_from(first);
        suite::launch(fw_pivot_kernel, 1, dim3(kTile, kTile), 0, now.get(), n, pivot);
        suite::launch(fw_cross_kernel, dim3(blocks, 2), dim3(kTile, kTile), 0, now.get(), n, pivot);
        suite::launch(floyd_warshall_kernel, dim3(blocks, blocks), dim3(kTile, kTile), 0, now.get(), n, pivot);
    }
    for (int k = pivot * kTile; k < (pivot + 1) * kTile; ++k)
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < n; ++j) {
                int through = want[i * n + k] + want[k * n + j];
                if (through < want[i * n + j]) want[i * n + j] = through;
            }
    return suite::finish_exact("floyd_warshall", now.host(), want);
}
