// Function calls: indirect calls through a table of device function pointers, the callee chosen by data.
#include "common.cuh"

using Operation = unsigned (*)(unsigned, unsigned);

__host__ __device__ __noinline__ unsigned op_mix(unsigned x, unsigned k) { return (x ^ x >> 15) * (k | 1u); }
__host__ __device__ __noinline__ unsigned op_turn(unsigned x, unsigned k) { return (x << 7 | x >> 25) + k; }
__host__ __device__ __noinline__ unsigned op_square(unsigned x, unsigned k) { return x * x + (k ^ x); }
__host__ __device__ __noinline__ unsigned op_count(unsigned x, unsigned k) {
    unsigned bits = 0;
    for (unsigned v = x & 0xffffu; v; v &= v - 1) ++bits;
    return x * 3u + bits * k;
}

__device__ Operation device_table[4];
static const Operation host_table[4] = {op_mix, op_turn, op_square, op_count};

// The table is filled at run time so that the compiler cannot see through the calls.
extern "C" __global__ void fill_table_kernel(const int* order) {
    Operation all[4] = {op_mix, op_turn, op_square, op_count};
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            if (order[i] == j) device_table[i] = all[j];
}

extern "C" __global__ void func_pointers_kernel(const unsigned* in, unsigned* out, int calls) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned x = in[i];
    for (int c = 0; c < calls; ++c) x = device_table[(x >> 3) & 3](x, c * 0x9e3779b9u);
    out[i] = x;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 528 * 64 : 66 * 64, calls = 12;
    suite::Rng rng(64);
    std::vector<unsigned> in(n), want(n);
    for (int i = 0; i < n; ++i) {
        unsigned x = in[i] = rng.u32();
        for (int c = 0; c < calls; ++c) x = host_table[(x >> 3) & 3](x, c * 0x9e3779b9u);
        want[i] = x;
    }
    suite::Device<unsigned> din(in), out(n);
    suite::Device<int> order(std::vector<int>{0, 1, 2, 3});
    suite::launch(fill_table_kernel, 1, 1, 0, order.get());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(func_pointers_kernel, n / 64, 64, 0, din.get(), out.get(), calls);
    return suite::finish_exact("func_pointers", out.host(), want);
}
