// Divergence: sphere-traced distance field, an early exit a ray and a shading branch; IEEE roots and divisions.
#include "common.cuh"

constexpr int kSteps = 24;

struct Vec {
    float x, y, z;
};
__host__ __device__ inline float length_of(Vec v) {
    float xx = fmaf(v.x, v.x, 0.0f);
    return sqrtf(fmaf(v.z, v.z, fmaf(v.y, v.y, xx)));
}
// Two spheres over a floor.
__host__ __device__ inline float distance_to(Vec p) {
    float a = length_of({p.x - 0.6f, p.y, p.z - 3.0f}) - 0.9f, b = length_of({p.x + 0.9f, p.y + 0.3f, p.z - 2.2f}) - 0.5f;
    return fminf(fminf(a, b), p.y + 0.9f);
}
__host__ __device__ inline float shade(int px, int py, int nx, int ny) {
    Vec d{static_cast<float>(2 * px - nx) / static_cast<float>(nx), static_cast<float>(ny - 2 * py) / static_cast<float>(ny), 1.3f};
    float scale = 1.0f / length_of(d), t = 0.0f;
    d = {d.x * scale, d.y * scale, d.z * scale};
    for (int step = 0; step < kSteps; ++step) {
        Vec p{fmaf(d.x, t, 0.0f), fmaf(d.y, t, 0.2f), fmaf(d.z, t, 0.0f)};
        float r = distance_to(p);
        if (r < 0.004f) {
            const float e = 0.0078125f;
            Vec n{distance_to({p.x + e, p.y, p.z}) - r, distance_to({p.x, p.y + e, p.z}) - r, distance_to({p.x, p.y, p.z + e}) - r};
            float light = fmaf(n.x, 0.5f, fmaf(n.y, 0.7f, n.z * -0.5f));
            return light / (length_of(n) + 1e-6f);
        }
        t += r;
        if (t > 8.0f) break;
    }
    return -1.0f;
}

extern "C" __global__ void raymarch_kernel(float* out, int nx, int ny) {
    int px = blockIdx.x * blockDim.x + threadIdx.x, py = blockIdx.y * blockDim.y + threadIdx.y;
    if (px < nx && py < ny) out[py * nx + px] = shade(px, py, nx, ny);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 640 : 112, ny = opt.large ? 264 : 72;
    suite::Device<float> out(size_t(nx) * ny);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(raymarch_kernel, dim3(suite::blocks_for(nx, 16), suite::blocks_for(ny, 4)), dim3(16, 4), 0, out.get(), nx, ny);
    std::vector<float> want(size_t(nx) * ny);
    for (int i = 0; i < nx * ny; ++i) want[i] = shade(i % nx, i / nx, nx, ny);
    return suite::finish_exact("raymarch", out.host(), want);
}
