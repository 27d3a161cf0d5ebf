// Stencil: heat on a chip with a power map; each CTA advances its tile two steps in shared memory (overlapped halos).
#include "common.cuh"

constexpr int kTile = 16, kSteps = 2, kInner = kTile - 2 * kSteps;
constexpr float kCap = 0.05f, kRx = 0.8f, kRy = 0.6f, kRz = 0.02f, kAmbient = 80.0f;

__host__ __device__ inline float heat(float t, float power, float w, float e, float n, float s) {
    float flux = fmaf(n + s - 2.0f * t, kRy, power);
    flux = fmaf(e + w - 2.0f * t, kRx, flux);
    flux = fmaf(kAmbient - t, kRz, flux);
    return fmaf(kCap, flux, t);
}

extern "C" __global__ void hotspot_kernel(const float* temp, const float* power, float* out, int nx, int ny) {
    __shared__ float tile[2][kTile][kTile];
    int tx = threadIdx.x, ty = threadIdx.y;
    int x = static_cast<int>(blockIdx.x) * kInner + tx - kSteps, y = static_cast<int>(blockIdx.y) * kInner + ty - kSteps;
    int cx = min(max(x, 0), nx - 1), cy = min(max(y, 0), ny - 1);
    float p = power[cy * nx + cx];
    tile[0][ty][tx] = temp[cy * nx + cx];
    __syncthreads();
    bool inside = x >= 0 && x < nx && y >= 0 && y < ny;
    // Neighbours outside the chip are the cell itself (insulated edge).
    int w = x > 0 ? tx - 1 : tx, e = x < nx - 1 ? tx + 1 : tx, n = y > 0 ? ty - 1 : ty, s = y < ny - 1 ? ty + 1 : ty;
    for (int step = 0; step < kSteps; ++step) {
        bool valid = inside && tx > step && tx < kTile - 1 - step && ty > step && ty < kTile - 1 - step;
        int from = step % 2;
        if (valid)
            tile[1 - from][ty][tx] = heat(tile[from][ty][tx], p, tile[from][ty][w], tile[from][ty][e], tile[from][n][tx],
                                          tile[from][s][tx]);
        __syncthreads();
    }
    if (inside && tx >= kSteps && tx < kTile - kSteps && ty >= kSteps && ty < kTile - kSteps)
        out[y * nx + x] = tile[kSteps % 2][ty][tx];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int nx = opt.large ? 1024 : 140, ny = opt.large ? 512 : 130;
    suite::Rng rng(14);
    std::vector<float> temp = suite::random_floats(rng, size_t(nx) * ny, 40, 90);
    std::vector<float> power = suite::random_floats(rng, temp.size(), 0, 5), now(temp), next(temp.size());
    suite::Device<float> dt(temp), dp(power), out(temp.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(hotspot_kernel, dim3(suite::blocks_for(nx, kInner), suite::blocks_for(ny, kInner)), dim3(kTile, kTile), 0,
                      dt.get(), dp.get(), out.get(), nx, ny);
    for (int step = 0; step < kSteps; ++step) {
        for (int y = 0; y < ny; ++y)
            for (int x = 0; x < nx; ++x) {
                int i = y * nx + x;
                next[i] = heat(now[i], power[i], now[x > 0 ? i - 1 : i], now[x < nx - 1 ? i + 1 : i], now[y > 0 ? i - nx : i],
                               now[y < ny - 1 ? i + nx : i]);
            }
        now.swap(next);
    }
    return suite::finish_exact("hotspot", out.host(), now);
}
