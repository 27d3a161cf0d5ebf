// Dense: LU factors without pivoting of many 16x16 blocks in shared memory, one CTA each; IEEE division.
#include "common.cuh"

constexpr int kSize = 16;

extern "C" __global__ void lu_block_kernel(const float* in, float* out) {
    __shared__ float m[kSize][kSize + 1];
    int t = threadIdx.x, col = t % kSize, row_first = t / kSize;  // 64 threads: rows row_first, +4, +8, +12
    size_t base = size_t(blockIdx.x) * kSize * kSize;
    for (int row = row_first; row < kSize; row += 4) m[row][col] = in[base + row * kSize + col];
    __syncthreads();
    for (int step = 0; step < kSize - 1; ++step) {
        if (t > step && t < kSize) m[t][step] /= m[step][step];
        __syncthreads();
        for (int row = row_first; row < kSize; row += 4)
            if (row > step && col > step) m[row][col] = fmaf(-m[row][step], m[step][col], m[row][col]);
        __syncthreads();
    }
    for (int row = row_first; row < kSize; row += 4) out[base + row * kSize + col] = m[row][col];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int blocks = opt.large ? 1320 : 132;
    suite::Rng rng(19);
    std::vector<float> in = suite::random_floats(rng, size_t(blocks) * kSize * kSize);
    for (size_t i = 0; i < in.size(); ++i)
        if ((i / kSize) % kSize == i % kSize) in[i] += 20.0f;  // diagonally dominant: stable without pivots
    std::vector<float> want(in);
    suite::Device<float> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(lu_block_kernel, blocks, 64, 0, din.get(), out.get());
    for (int block = 0; block < blocks; ++block) {
        float* m = &want[size_t(block) * kSize * kSize];
        for (int step = 0; step < kSize - 1; ++step)
            for (int row = step + 1; row < kSize; ++row) {
                m[row * kSize + step] /= m[step * kSize + step];
                for (int col = step + 1; col < kSize; ++col)
                    m[row * kSize + col] = std::fmaf(-m[row * kSize + step], m[step * kSize + col], m[row * kSize + col]);
            }
    }
    return suite::finish_exact("lu_block", out.host(), want);
}
