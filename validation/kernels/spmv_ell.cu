// Sparse: y = A x, ELLPACK (column-major, padded with column -1), one thread a row; coalesced matrix, gathered vector.
#include "common.cuh"

extern "C" __global__ void spmv_ell_kernel(const int* column, const float* value, const float* x, float* y, int rows, int width) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    float sum = 0.0f;
    for (int i = 0; i < width; ++i) {
        int c = column[i * rows + row];
        if (c >= 0) sum = fmaf(value[i * rows + row], __ldg(&x[c]), sum);
    }
    y[row] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int rows = opt.large ? 132 * 1024 : 132 * 128, width = 12;
    suite::Rng rng(11);
    std::vector<int> column(size_t(rows) * width, -1);
    std::vector<float> value(column.size(), 0.0f), want(rows), x = suite::random_floats(rng, rows);
    for (int row = 0; row < rows; ++row) {
        int count = 4 + static_cast<int>(rng.below(width - 3));
        for (int i = 0; i < count; ++i) {
            int near = row + static_cast<int>(rng.below(400)) - 200;  // banded: neighbours share cache lines
            column[size_t(i) * rows + row] = near < 0 ? 0 : near >= rows ? rows - 1 : near;
            value[size_t(i) * rows + row] = rng.range(-1, 1);
        }
    }
    suite::Device<int> dcol(column);
    suite::Device<float> dv(value), dx(x), dy(rows);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(spmv_ell_kernel, suite::blocks_for(rows, 256), 256, 0, dcol.get(), dv.get(), dx.get(), dy.get(), rows,
                      width);
    for (int row = 0; row < rows; ++row)
        for (int i = 0; i < width; ++i) {
            int c = column[size_t(i) * rows + row];
            if (c >= 0) want[row] = std::fmaf(value[size_t(i) * rows + row], x[c], want[row]);
        }
    return suite::finish_exact("spmv_ell", dy.host(), want);
}
