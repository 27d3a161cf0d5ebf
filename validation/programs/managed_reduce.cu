// Sum, minimum and maximum of managed arrays with one templated kernel: unified memory, __managed__ variables,
// cooperative groups (tiles and a whole-grid barrier in a cooperative launch), the occupancy calculator.
#include <cooperative_groups.h>
#include <cuda_runtime.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

namespace cg = cooperative_groups;

#define CUDA_TRY(call)                                                                                       \
    if (cudaError_t error_ = (call); error_ != cudaSuccess) {                                                \
        std::fprintf(stderr, "%s failed at line %d: %s\n", #call, __LINE__, cudaGetErrorString(error_));     \
        std::exit(1);                                                                                        \
    }

struct Sum {
    template <class T> static __host__ __device__ T identity() { return T(0); }
    template <class T> static __host__ __device__ T apply(T a, T b) { return a + b; }
};
struct Minimum {
    template <class T> static __host__ __device__ T identity() { return T(INT_MAX); }
    template <class T> static __host__ __device__ T apply(T a, T b) { return b < a ? b : a; }
};
struct Maximum {
    template <class T> static __host__ __device__ T identity() { return T(INT_MIN); }
    template <class T> static __host__ __device__ T apply(T a, T b) { return a < b ? b : a; }
};

__managed__ int blocks_that_finished = 0;

template <class T, class Op>
__device__ T reduce_block(T value, T* shared) {
    cg::thread_block block = cg::this_thread_block();
    cg::thread_block_tile<32> tile = cg::tiled_partition<32>(block);
    for (int offset = tile.size() / 2; offset > 0; offset /= 2)
        value = Op::template apply<T>(value, tile.shfl_down(value, offset));
    if (tile.thread_rank() == 0) shared[tile.meta_group_rank()] = value;
    block.sync();
    if (tile.meta_group_rank() == 0) {
        value = tile.thread_rank() < tile.meta_group_size() ? shared[tile.thread_rank()] : Op::template identity<T>();
        for (int offset = tile.size() / 2; offset > 0; offset /= 2)
            value = Op::template apply<T>(value, tile.shfl_down(value, offset));
    }
    block.sync();
    return value;
}

// One cooperative launch: every block reduces its share, the grid meets, the first block reduces the partial results.
template <class T, class Op>
__global__ void reduce(const T* data, int count, T* partial, T* result) {
    __shared__ T shared[32];
    cg::grid_group grid = cg::this_grid();
    T value = Op::template identity<T>();
    for (int i = static_cast<int>(grid.thread_rank()); i < count; i += static_cast<int>(grid.size()))
        value = Op::template apply<T>(value, data[i]);
    value = reduce_block<T, Op>(value, shared);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = value;
        atomicAdd(&blocks_that_finished, 1);
    }
    grid.sync();
    if (blockIdx.x != 0) return;
    value = Op::template identity<T>();
    for (int i = threadIdx.x; i < static_cast<int>(gridDim.x); i += blockDim.x)
        value = Op::template apply<T>(value, partial[i]);
    value = reduce_block<T, Op>(value, shared);
    if (threadIdx.x == 0) *result = value;
}

template <class T, class Op>
bool run(const char* name, int count) {
    T *data, *partial, *result;
    CUDA_TRY(cudaMallocManaged(&data, count * sizeof(T)));
    CUDA_TRY(cudaMallocManaged(&result, sizeof(T)));
    T expected = Op::template identity<T>();
    for (int i = 0; i < count; ++i) {
        data[i] = static_cast<T>((i * 7919) % 1009 - 504);
        expected = Op::template apply<T>(expected, data[i]);
    }
    int threads = 0, blocks = 0, per_sm = 0;
    CUDA_TRY(cudaOccupancyMaxPotentialBlockSize(&blocks, &threads, reduce<T, Op>, 0, 256));
    CUDA_TRY(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_sm, reduce<T, Op>, threads, 0));
    if (blocks > 8) blocks = 8;  // a small problem
    CUDA_TRY(cudaMalloc(&partial, blocks * sizeof(T)));
    blocks_that_finished = 0;
    void* args[] = {&data, &count, &partial, &result};
    CUDA_TRY(cudaLaunchCooperativeKernel(reinterpret_cast<void*>(reduce<T, Op>), dim3(blocks), dim3(threads), args, 0, 0));
    CUDA_TRY(cudaDeviceSynchronize());
    bool ok = *result == expected && blocks_that_finished == blocks && per_sm > 0;
    std::printf("%-16s %d blocks of %d: %g (expected %g) %s\n", name, blocks, threads, static_cast<double>(*result),
                static_cast<double>(expected), ok ? "ok" : "WRONG");
    CUDA_TRY(cudaFree(data));
    CUDA_TRY(cudaFree(partial));
    CUDA_TRY(cudaFree(result));
    return ok;
}

int main() {
    int supported = 0;
    CUDA_TRY(cudaDeviceGetAttribute(&supported, cudaDevAttrCooperativeLaunch, 0));
    if (!supported) {
        std::puts("no cooperative launch on this device");
        return 1;
    }
    bool ok = run<int, Sum>("sum of int", 20000);
    ok &= run<float, Sum>("sum of float", 4096);
    ok &= run<int, Minimum>("minimum of int", 12345);
    ok &= run<double, Maximum>("maximum of double", 10000);
    std::puts(ok ? "Test PASSED" : "Test FAILED");
    return ok ? 0 : 1;
}
