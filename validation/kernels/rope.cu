// Machine learning: rotary position embedding; precise sincosf (its large-argument path is a rare branch with local memory).
#include "common.cuh"

constexpr int kHead = 64;

extern "C" __global__ void rope_kernel(const float2* in, const float* frequency, float2* out, int positions, int heads) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, pair = i % (kHead / 2), position = i / (kHead / 2) % positions;
    if (i >= positions * heads * (kHead / 2)) return;
    float s, c;
    sincosf(static_cast<float>(position * 40) * frequency[pair], &s, &c);
    float2 v = in[i];
    out[i] = make_float2(fmaf(v.x, c, -__fmul_rn(v.y, s)), fmaf(v.x, s, __fmul_rn(v.y, c)));
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int positions = opt.large ? 4096 : 512, heads = opt.large ? 8 : 2, n = positions * heads * kHead / 2;
    suite::Rng rng(59);
    std::vector<float> in = suite::random_floats(rng, size_t(n) * 2), frequency(kHead / 2), want(in.size());
    for (int i = 0; i < kHead / 2; ++i) frequency[i] = 8.0f / static_cast<float>(1 << (i / 2));
    suite::Device<float> din(in), df(frequency), out(in.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(rope_kernel, suite::blocks_for(n, 128), 128, 0, reinterpret_cast<const float2*>(din.get()), df.get(),
                      reinterpret_cast<float2*>(out.get()), positions, heads);
    for (int i = 0; i < n; ++i) {
        float angle = static_cast<float>(i / (kHead / 2) % positions * 40) * frequency[i % (kHead / 2)];
        double s = std::sin(double(angle)), c = std::cos(double(angle)), x = in[2 * i], y = in[2 * i + 1];
        want[2 * i] = float(x * c - y * s), want[2 * i + 1] = float(x * s + y * c);
    }
    return suite::finish_close("rope", out.host(), want, 5e-7, 0);
}
