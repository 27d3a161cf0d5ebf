// N-body: gravitational accelerations, bodies through shared tiles; reciprocal square root by the special-function unit.
#include "common.cuh"

constexpr int kThreads = 64;
constexpr float kSoft = 0.01f;

extern "C" __global__ void nbody_kernel(const float4* body, float4* acceleration, int n, int slice) {
    __shared__ float4 tile[kThreads];
    int i = blockIdx.x * kThreads + threadIdx.x, first = blockIdx.y * slice;
    float4 me = body[i];
    float ax = 0.0f, ay = 0.0f, az = 0.0f;
    for (int base = first; base < first + slice; base += kThreads) {
        tile[threadIdx.x] = body[base + threadIdx.x];
        __syncthreads();
#pragma unroll 8
        for (int j = 0; j < kThreads; ++j) {
            float4 other = tile[j];
            float dx = other.x - me.x, dy = other.y - me.y, dz = other.z - me.z;
            float r2 = fmaf(dx, dx, fmaf(dy, dy, fmaf(dz, dz, kSoft)));
            float inverse = rsqrtf(r2), force = other.w * inverse * inverse * inverse;
            ax = fmaf(dx, force, ax), ay = fmaf(dy, force, ay), az = fmaf(dz, force, az);
        }
        __syncthreads();
    }
    acceleration[blockIdx.y * n + i] = make_float4(ax, ay, az, 0.0f);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 4096 : 768, slices = opt.large ? 8 : 6, slice = n / slices;
    suite::Rng rng(43);
    std::vector<float4> body(n);
    for (float4& b : body) b = make_float4(rng.range(-1, 1), rng.range(-1, 1), rng.range(-1, 1), rng.range(0.5f, 1));
    suite::Device<float4> db(body), out(size_t(n) * slices);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(nbody_kernel, dim3(n / kThreads, slices), kThreads, 0, db.get(), out.get(), n, slice);
    std::vector<float> host = out.host_as<float>(), got, want;
    for (int part = 0; part < slices; ++part)
        for (int i = 0; i < n; i += opt.large ? 16 : 1) {
            double ax = 0, ay = 0, az = 0;
            for (int j = part * slice; j < (part + 1) * slice; ++j) {
                double dx = double(body[j].x) - body[i].x, dy = double(body[j].y) - body[i].y, dz = double(body[j].z) - body[i].z;
                double r2 = dx * dx + dy * dy + dz * dz + 0.01, force = body[j].w / (r2 * std::sqrt(r2));
                ax += dx * force, ay += dy * force, az += dz * force;
            }
            const float* a = &host[(size_t(part) * n + i) * 4];
            got.insert(got.end(), a, a + 3), want.insert(want.end(), {float(ax), float(ay), float(az)});
        }
    // Single forces reach 500 (softening 0.1), rsqrt.approx is good to 2^-22; hundreds of terms of mixed sign.
    return suite::finish_close("nbody", got, want, 1e-3, 1e-5, &host);
}
