// FFT: 256-point radix-2 decimation in time a CTA in shared memory, bit-reversed load, twiddles from a table.
#include "common.cuh"

constexpr int kPoints = 256, kLog = 8;
constexpr double kTau = 6.283185307179586476925;

extern "C" __global__ void fft_radix2_kernel(const float2* in, const float2* twiddle, float2* out) {
    __shared__ float2 s[kPoints];
    int t = threadIdx.x, base = blockIdx.x * kPoints;  // kPoints / 2 threads
    s[__brev(t) >> (32 - kLog)] = in[base + t];
    s[__brev(t + kPoints / 2) >> (32 - kLog)] = in[base + t + kPoints / 2];
    for (int half = 1; half < kPoints; half *= 2) {
        __syncthreads();
        int k = t & (half - 1), i = 2 * t - k;
        float2 w = __ldg(&twiddle[k * (kPoints / 2 / half)]), a = s[i], b = s[i + half];
        float re = fmaf(b.x, w.x, -__fmul_rn(b.y, w.y)), im = fmaf(b.x, w.y, __fmul_rn(b.y, w.x));
        s[i] = make_float2(a.x + re, a.y + im);
        s[i + half] = make_float2(a.x - re, a.y - im);
    }
    __syncthreads();
    out[base + t] = s[t];
    out[base + t + kPoints / 2] = s[t + kPoints / 2];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int batch = opt.large ? 2640 : 132;
    suite::Rng rng(40);
    std::vector<float2> in(size_t(batch) * kPoints), twiddle(kPoints / 2);
    for (float2& v : in) v.x = rng.range(-1, 1), v.y = rng.range(-1, 1);
    for (int k = 0; k < kPoints / 2; ++k)
        twiddle[k] = make_float2(float(std::cos(kTau * k / kPoints)), float(-std::sin(kTau * k / kPoints)));
    suite::Device<float2> din(in), dt(twiddle), out(in.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(fft_radix2_kernel, batch, kPoints / 2, 0, din.get(), dt.get(), out.get());
    // The check is the definition in double precision, for every 11th transform; the rest is covered by the checksum.
    std::vector<float> host = out.host_as<float>(), got, want;
    std::vector<double> c(kPoints), s(kPoints);
    for (int k = 0; k < kPoints; ++k) c[k] = std::cos(kTau * k / kPoints), s[k] = -std::sin(kTau * k / kPoints);
    for (int b = 0; b < batch; b += opt.large ? 110 : 11)
        for (int f = 0; f < kPoints; ++f) {
            double re = 0, im = 0;
            for (int k = 0; k < kPoints; ++k) {
                const float2& v = in[size_t(b) * kPoints + k];
                int turn = f * k % kPoints;
                re += v.x * c[turn] - v.y * s[turn], im += v.x * s[turn] + v.y * c[turn];
            }
            got.push_back(host[(size_t(b) * kPoints + f) * 2]), want.push_back(float(re));
            got.push_back(host[(size_t(b) * kPoints + f) * 2 + 1]), want.push_back(float(im));
        }
    // 8 butterfly levels of 2^-24 relative to values of rms 13: a few 1e-6.
    return suite::finish_close("fft_radix2", got, want, 2e-5, 0, &host);
}
