// Machine learning: single-pass attention (head size 32), one query a thread, key and value tiles in shared memory,
// running maximum and sum.
#include "common.cuh"

constexpr int kHead = 32, kThreads = 64, kTile = 32;

extern "C" __global__ void __launch_bounds__(kThreads)
    attention_flash_kernel(const float* q, const float* k, const float* v, float* out, int queries, int keys) {
    __shared__ __align__(16) float tk[kTile][kHead], tv[kTile][kHead];
    int head = blockIdx.y, row = blockIdx.x * kThreads + threadIdx.x;
    const float* mine = q + (size_t(head) * queries + row) * kHead;
    float query[kHead], acc[kHead], top = -INFINITY, total = 0.0f;
#pragma unroll
    for (int d = 0; d < kHead; ++d) query[d] = mine[d] * 0.17677669f, acc[d] = 0.0f;  // 1 / sqrt(32)
    for (int base = 0; base < keys; base += kTile) {
        __syncthreads();
        for (int i = threadIdx.x; i < kTile * kHead / 4; i += kThreads) {
            size_t from = (size_t(head) * keys + base) * kHead + i * 4;
            *reinterpret_cast<float4*>(&tk[0][0] + i * 4) = *reinterpret_cast<const float4*>(k + from);
            *reinterpret_cast<float4*>(&tv[0][0] + i * 4) = *reinterpret_cast<const float4*>(v + from);
        }
        __syncthreads();
        for (int j = 0; j < kTile; ++j) {
            float score = 0.0f;
#pragma unroll
            for (int d = 0; d < kHead; ++d) score = fmaf(query[d], tk[j][d], score);
            float higher = fmaxf(top, score), keep = __expf(top - higher), weight = __expf(score - higher);
            total = fmaf(total, keep, weight);
            top = higher;
#pragma unroll
            for (int d = 0; d < kHead; ++d) acc[d] = fmaf(weight, tv[j][d], acc[d] * keep);
        }
    }
    float scale = 1.0f / total;
#pragma unroll
    for (int d = 0; d < kHead; ++d) out[(size_t(head) * queries + row) * kHead + d] = acc[d] * scale;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int heads = opt.large ? 48 : 40, queries = opt.large ? 512 : 64, keys = opt.large ? 128 : 32;
    suite::Rng rng(57);
    std::vector<float> q = suite::random_floats(rng, size_t(heads) * queries * kHead, -2, 2), want(q.size());
    std::vector<float> k = suite::random_floats(rng, size_t(heads) * keys * kHead, -2, 2), v = suite::random_floats(rng, k.size());
    suite::Device<float> dq(q), dk(k), dv(v), out(q.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(attention_flash_kernel, dim3(queries / kThreads, heads), kThreads, 0, dq.get(), dk.get(), dv.get(),
                      out.get(), queries, keys);
    for (int row = 0; row < heads * queries; ++row) {
        int head = row / queries;
        double total = 0, sums[kHead] = {};
        for (int j = 0; j < keys; ++j) {
            double score = 0;
            const float *kj = &k[(size_t(head) * keys + j) * kHead], *vj = &v[(size_t(head) * keys + j) * kHead];
            for (int d = 0; d < kHead; ++d) score += double(q[size_t(row) * kHead + d]) * kj[d];
            double weight = std::exp(score / std::sqrt(double(kHead)));
            total += weight;
            for (int d = 0; d < kHead; ++d) sums[d] += weight * vj[d];
        }
        for (int d = 0; d < kHead; ++d) want[size_t(row) * kHead + d] = float(sums[d] / total);
    }
    // Scores up to 23 rounded to 1e-6 each; outputs are weighted means of [-1, 1].
    return suite::finish_close("attention_flash", out.host(), want, 2e-5, 0);
}
