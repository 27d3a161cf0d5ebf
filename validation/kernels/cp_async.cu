// Asynchronous copies: a windowed filter over tiles brought to shared memory two stages ahead (LDGSTS from sm_80 on,
// plain copies before); dynamic shared memory.
#include <cuda_pipeline.h>

#include "common.cuh"

constexpr int kThreads = 128, kTile = kThreads * 4, kStages = 3;

// Each CTA walks `tiles` consecutive tiles of kTile floats; out[i] = 2 a[i] + a[i + 1 in the tile, cyclic] + sum carried.
extern "C" __global__ void cp_async_kernel(const float4* in, float4* out, int tiles) {
    extern __shared__ __align__(16) float4 stage[];
    int t = threadIdx.x;
    const float4* from = in + size_t(blockIdx.x) * tiles * kThreads + t;
    float4* to = out + size_t(blockIdx.x) * tiles * kThreads + t;
    for (int s = 0; s < kStages - 1; ++s) {
        if (s < tiles) __pipeline_memcpy_async(&stage[s * kThreads + t], from + s * kThreads, sizeof(float4));
        __pipeline_commit();
    }
    float4 carried = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    for (int i = 0; i < tiles; ++i) {
        __pipeline_wait_prior(kStages - 2);
        __syncthreads();
        int ahead = i + kStages - 1;
        if (ahead < tiles) __pipeline_memcpy_async(&stage[ahead % kStages * kThreads + t], from + ahead * kThreads, sizeof(float4));
        __pipeline_commit();
        float4 a = stage[i % kStages * kThreads + t], b = stage[i % kStages * kThreads + (t + 1) % kThreads];
        carried = make_float4(fmaf(2.0f, a.x, a.y + carried.x), fmaf(2.0f, a.y, a.z + carried.y), fmaf(2.0f, a.z, a.w + carried.z),
                              fmaf(2.0f, a.w, b.x + carried.w));
        to[i * kThreads] = carried;
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 1056 : 132, tiles = opt.large ? 12 : 6;
    suite::Rng rng(66);
    std::vector<float> in = suite::random_floats(rng, size_t(grid) * tiles * kTile), want(in.size());
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(cp_async_kernel, grid, kThreads, kStages * kThreads * sizeof(float4), reinterpret_cast<const float4*>(din.get()),
                      reinterpret_cast<float4*>(out.get()), tiles);
    for (int block = 0; block < grid; ++block)
        for (int tile = 0; tile < tiles; ++tile)
            for (int i = 0; i < kTile; ++i) {
                size_t base = (size_t(block) * tiles + tile) * kTile;
                float carried = tile ? want[base - kTile + i] : 0.0f;
                want[base + i] = std::fmaf(2.0f, in[base + i], in[base + (i + 1) % kTile] + carried);
            }
    return suite::finish_exact("cp_async", out.host(), want);
}
