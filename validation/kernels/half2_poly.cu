// Half precision: polynomial of packed half2 values by Horner's rule (HFMA2), correctly rounded at every step.
#include <cuda_fp16.h>

#include "common.cuh"

constexpr int kDegree = 12;

__host__ __device__ constexpr float coefficient(int i) { return (i % 5 - 2) * 0.375f + 0.125f; }

extern "C" __global__ void half2_poly_kernel(const half2* in, half2* out, int n, int rounds) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    half2 x = in[i], sum = x;
    for (int r = 0; r < rounds; ++r) {
        sum = __hmul2(sum, __float2half2_rn(0.25f));
#pragma unroll
        for (int k = 0; k < kDegree; ++k) sum = __hfma2(sum, x, __float2half2_rn(coefficient(k)));
    }
    out[i] = sum;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 1056 * 256 : 132 * 256 - 30, rounds = opt.large ? 16 : 4;
    suite::Rng rng(70);
    std::vector<half2> in(n);
    for (half2& v : in) v = __floats2half2_rn(rng.range(-1, 1), rng.range(-1, 1));
    suite::Device<half2> din(in), out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(half2_poly_kernel, suite::blocks_for(n, 256), 256, 0, din.get(), out.get(), n, rounds);
    std::vector<half> want;
    for (const half2& v : in)
        for (float x : {__low2float(v), __high2float(v)}) {
            double sum = x;
            for (int r = 0; r < rounds; ++r) {
                sum = __half2float(__double2half(sum * 0.25));
                // The product of two halves and its sum with a third are exact in double: one rounding.
                for (int k = 0; k < kDegree; ++k) sum = __half2float(__double2half(sum * double(x) + double(coefficient(k))));
            }
            want.push_back(__double2half(sum));
        }
    return suite::finish_exact("half2_poly", out.host_as<half>(), want);
}
