// Monte Carlo: pi by counting points in the quarter circle; xorshift in registers, integer arithmetic only.
#include "common.cuh"

__host__ __device__ inline unsigned next_random(unsigned& s) {
    s ^= s << 13;
    s ^= s >> 17;
    s ^= s << 5;
    return s;
}

__host__ __device__ inline unsigned hits_of(unsigned thread, int samples) {
    unsigned s = thread * 2654435761u + 12345u, hits = 0;
    if (s == 0) s = 1;
    for (int i = 0; i < samples; ++i) {
        unsigned x = next_random(s) >> 17, y = next_random(s) >> 17;  // 15 bits each
        hits += x * x + y * y < (1u << 30);
    }
    return hits;
}

extern "C" __global__ void mc_pi_kernel(unsigned* block_hits, int samples) {
    __shared__ unsigned total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    unsigned hits = hits_of(blockIdx.x * blockDim.x + threadIdx.x, samples);
    for (int offset = 16; offset > 0; offset /= 2) hits += __shfl_down_sync(0xffffffffu, hits, offset);
    if (threadIdx.x % 32 == 0) atomicAdd(&total, hits);
    __syncthreads();
    if (threadIdx.x == 0) block_hits[blockIdx.x] = total;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 528 : 132, threads = 128, samples = opt.large ? 128 : 32;
    suite::Device<unsigned> out(grid);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(mc_pi_kernel, grid, threads, 0, out.get(), samples);
    std::vector<unsigned> want(grid, 0);
    double all = 0;
    for (int i = 0; i < grid * threads; ++i) want[i / threads] += hits_of(i, samples);
    for (unsigned hits : want) all += hits;
    double pi = 4 * all / (double(grid) * threads * samples);
    if (std::fabs(pi - 3.14159265) > 0.02) {
        std::printf("mc_pi estimate %f is no pi FAIL\n", pi);
        return 1;
    }
    return suite::finish_exact("mc_pi", out.host(), want);
}
