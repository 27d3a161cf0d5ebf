// FFT: 512-point Stockham autosort, radix 8, 64 threads a transform; register butterflies, exchanges through shared
// memory, twiddles by the special-function unit.
#include "common.cuh"

constexpr int kPoints = 512, kThreads = kPoints / 8;
constexpr double kTau = 6.283185307179586476925;

struct Complex {
    float re, im;
};
__device__ __forceinline__ Complex add(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
__device__ __forceinline__ Complex sub(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
__device__ __forceinline__ Complex mul(Complex a, Complex b) {
    return {fmaf(a.re, b.re, -__fmul_rn(a.im, b.im)), fmaf(a.re, b.im, __fmul_rn(a.im, b.re))};
}
__device__ __forceinline__ Complex minus_i(Complex a) { return {a.im, -a.re}; }

// v[k] = sum_j v[j] exp(-2 pi i j k / 8)
__device__ __forceinline__ void dft8(Complex (&v)[8]) {
    const float h = 0.70710678f;
    Complex a[8];
    for (int i = 0; i < 4; ++i) a[i] = add(v[i], v[i + 4]), a[i + 4] = sub(v[i], v[i + 4]);
    a[5] = mul(a[5], {h, -h}), a[6] = minus_i(a[6]), a[7] = mul(a[7], {-h, -h});
    for (int o = 0; o < 8; o += 4) {
        Complex p = add(a[o], a[o + 2]), q = sub(a[o], a[o + 2]), r = add(a[o + 1], a[o + 3]), s = minus_i(sub(a[o + 1], a[o + 3]));
        int k = o / 4;
        v[k] = add(p, r), v[k + 4] = sub(p, r), v[k + 2] = add(q, s), v[k + 6] = sub(q, s);
    }
}

extern "C" __global__ void __launch_bounds__(kThreads) fft_stockham_kernel(const float2* in, float2* out) {
    __shared__ float re[kPoints], im[kPoints];
    int t = threadIdx.x, base = blockIdx.x * kPoints;
    Complex v[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        float2 x = in[base + t + i * kThreads];
        v[i] = {x.x, x.y};
    }
#pragma unroll
    for (int stride = 1; stride < kPoints; stride *= 8) {
        int k = t % stride;
        float angle = -6.2831853f * static_cast<float>(k) / static_cast<float>(8 * stride);
#pragma unroll
        for (int i = 1; i < 8; ++i) {
            float s, c;
            __sincosf(angle * static_cast<float>(i), &s, &c);
            v[i] = mul(v[i], {c, s});
        }
        dft8(v);
        int to = (t - k) * 8 + k;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 8; ++i) re[to + i * stride] = v[i].re, im[to + i * stride] = v[i].im;
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 8; ++i) v[i] = {re[t + i * kThreads], im[t + i * kThreads]};
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) out[base + t + i * kThreads] = make_float2(v[i].re, v[i].im);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int batch = opt.large ? 2640 : 132;
    suite::Rng rng(41);
    std::vector<float2> in(size_t(batch) * kPoints);
    for (float2& v : in) v.x = rng.range(-1, 1), v.y = rng.range(-1, 1);
    suite::Device<float2> din(in), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(fft_stockham_kernel, batch, kThreads, 0, din.get(), out.get());
    std::vector<float> host = out.host_as<float>(), got, want;
    std::vector<double> c(kPoints), s(kPoints);
    for (int k = 0; k < kPoints; ++k) c[k] = std::cos(kTau * k / kPoints), s[k] = -std::sin(kTau * k / kPoints);
    for (int b = 0; b < batch; b += opt.large ? 240 : 12)
        for (int f = 0; f < kPoints; ++f) {
            double x = 0, y = 0;
            for (int k = 0; k < kPoints; ++k) {
                const float2& v = in[size_t(b) * kPoints + k];
                int turn = f * k % kPoints;
                x += v.x * c[turn] - v.y * s[turn], y += v.x * s[turn] + v.y * c[turn];
            }
            got.push_back(host[(size_t(b) * kPoints + f) * 2]), want.push_back(float(x));
            got.push_back(host[(size_t(b) * kPoints + f) * 2 + 1]), want.push_back(float(y));
        }
    // sin.approx/cos.approx are good to 2^-21 absolute on [-pi, pi] and worse beyond (angles reach -5.5 here).
    return suite::finish_close("fft_stockham", got, want, 5e-4, 0, &host);
}
