// Sparse: y = A x, CSR, one thread a row; uncoalesced and divergent.
#include "common.cuh"

extern "C" __global__ void spmv_csr_scalar_kernel(const int* begin, const int* column, const float* value, const float* x,
                                                  float* y, int rows) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int i = begin[row]; i < begin[row + 1]; ++i) sum = fmaf(value[i], x[column[i]], sum);
    y[row] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 132 * 1024 : 66 * 128 - 5;
    suite::Rng rng(9);
    std::vector<int> begin{0}, column;
    std::vector<float> value, want(rows), x = suite::random_floats(rng, rows);
    for (int row = 0; row < rows; ++row) {
        int count = static_cast<int>(rng.below(row % 97 == 0 ? 64 : 14));
        for (int i = 0; i < count; ++i) column.push_back(rng.below(rows)), value.push_back(rng.range(-1, 1));
        begin.push_back(static_cast<int>(column.size()));
    }
    suite::Device<int> db(begin), dcol(column);
    suite::Device<float> dv(value), dx(x), dy(rows);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(spmv_csr_scalar_kernel, suite::blocks_for(rows, 128), 128, 0, db.get(), dcol.get(), dv.get(), dx.get(),
                      dy.get(), rows);
    for (int row = 0; row < rows; ++row) {
        float sum = 0.0f;
        for (int i = begin[row]; i < begin[row + 1]; ++i) sum = std::fmaf(value[i], x[column[i]], sum);
        want[row] = sum;
    }
    return suite::finish_exact("spmv_csr_scalar", dy.host(), want);
}
