// Sparse: y = A x, CSR, one warp a row, xor-shuffle sum.
#include "common.cuh"

extern "C" __global__ void spmv_csr_vector_kernel(const int* begin, const int* column, const float* value, const float* x,
                                                  float* y, int rows) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    float sum = 0.0f;
    int end = begin[row + 1];
    for (int i = begin[row] + lane; i < end; i += 32) sum = fmaf(value[i], x[column[i]], sum);
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 132 * 160 : 132 * 8;
    suite::Rng rng(10);
    std::vector<int> begin{0}, column;
    std::vector<float> value, want(rows), x = suite::random_floats(rng, rows);
    for (int row = 0; row < rows; ++row) {
        int count = static_cast<int>(rng.below(row % 16 == 0 ? 600 : 90));
        for (int i = 0; i < count; ++i) column.push_back(rng.below(rows)), value.push_back(rng.range(-1, 1));
        begin.push_back(static_cast<int>(column.size()));
    }
    suite::Device<int> db(begin), dcol(column);
    suite::Device<float> dv(value), dx(x), dy(rows);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(spmv_csr_vector_kernel, suite::blocks_for(rows, 8), 256, 0, db.get(), dcol.get(), dv.get(), dx.get(),
                      dy.get(), rows);
    for (int row = 0; row < rows; ++row) {
        float lanes[32] = {};
        for (int i = begin[row]; i < begin[row + 1]; ++i) {
            float& sum = lanes[(i - begin[row]) % 32];
            sum = std::fmaf(value[i], x[column[i]], sum);
        }
        want[row] = suite::host_warp_sum(lanes);
    }
    return suite::finish_exact("spmv_csr_vector", dy.host(), want);
}
