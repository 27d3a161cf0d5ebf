// Separable convolution of an image: rows, then columns. Template radius, filter taps in constant memory, pitched
// device memory with 2D copies, more than 48 KiB of dynamic shared memory by opt-in where the device has it, a launch
// through cudaLaunchKernelEx, and a host reference.
#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

struct CudaFailure : std::runtime_error {
    using std::runtime_error::runtime_error;
};
inline void require(cudaError_t status, const char* what) {
    if (status != cudaSuccess) throw CudaFailure(std::string(what) + ": " + cudaGetErrorString(status));
}

constexpr int kMaxRadius = 8;
__constant__ float taps[2 * kMaxRadius + 1];

struct PitchedImage {  // owns device memory
    float* data = nullptr;
    size_t pitch = 0;
    int width, height;
    PitchedImage(int w, int h) : width(w), height(h) {
        require(cudaMallocPitch(reinterpret_cast<void**>(&data), &pitch, w * sizeof(float), h), "cudaMallocPitch");
        require(cudaMemset2D(data, pitch, 0, w * sizeof(float), h), "cudaMemset2D");
    }
    ~PitchedImage() { cudaFree(data); }
    PitchedImage(const PitchedImage&) = delete;
    void upload(const std::vector<float>& host) {
        require(cudaMemcpy2D(data, pitch, host.data(), width * sizeof(float), width * sizeof(float), height,
                             cudaMemcpyHostToDevice), "upload");
    }
    std::vector<float> download() const {
        std::vector<float> host(static_cast<size_t>(width) * height);
        require(cudaMemcpy2D(host.data(), width * sizeof(float), data, pitch, width * sizeof(float), height,
                             cudaMemcpyDeviceToHost), "download");
        return host;
    }
};

struct View {  // passed to kernels by value
    float* data;
    size_t pitch;
    int width, height;
    __device__ float* row(int y) const { return reinterpret_cast<float*>(reinterpret_cast<char*>(data) + y * pitch); }
};

template <int Radius>
__global__ void filter_rows(View from, View to) {
    extern __shared__ float line[];  // the whole row and Radius zeros on either side
    const float* row = from.row(blockIdx.x);
    for (int x = threadIdx.x; x < from.width + 2 * Radius; x += blockDim.x) {
        int source = x - Radius;
        line[x] = source >= 0 && source < from.width ? row[source] : 0.0f;
    }
    __syncthreads();
    for (int x = threadIdx.x; x < from.width; x += blockDim.x) {
        float sum = 0;
#pragma unroll
        for (int k = 0; k <= 2 * Radius; ++k) sum = fmaf(taps[k], line[x + k], sum);
        to.row(blockIdx.x)[x] = sum;
    }
}

template <int Radius>
__global__ void __launch_bounds__(128) filter_columns(View from, View to) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    if (x >= from.width) return;
    float sum = 0;
    for (int k = -Radius; k <= Radius; ++k)
        if (y + k >= 0 && y + k < from.height) sum = fmaf(taps[k + Radius], from.row(y + k)[x], sum);
    to.row(y)[x] = sum;
}

template <int Radius>
bool run(int width, int height) {
    std::vector<float> image(static_cast<size_t>(width) * height), weights(2 * Radius + 1);
    for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>((i * 37) % 101) * 0.25f;
    for (int k = -Radius; k <= Radius; ++k) weights[k + Radius] = std::exp(-0.5f * k * k / Radius);
    require(cudaMemcpyToSymbol(taps, weights.data(), weights.size() * sizeof(float)), "taps");

    PitchedImage a(width, height), b(width, height);
    a.upload(image);
    View first{a.data, a.pitch, width, height}, second{b.data, b.pitch, width, height};
    size_t shared = (width + 2 * Radius) * sizeof(float);
    int optin = 0;
    require(cudaDeviceGetAttribute(&optin, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), "attribute");
    if (optin >= 60 * 1024) shared = 60 * 1024;  // more than is used: exercises the opt-in
    require(cudaFuncSetAttribute(filter_rows<Radius>, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared)), "opt-in");
    cudaFuncAttributes attributes;
    require(cudaFuncGetAttributes(&attributes, filter_columns<Radius>), "cudaFuncGetAttributes");
    if (attributes.maxThreadsPerBlock != 128) throw CudaFailure("launch bounds are not reported");

    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(height);
    config.blockDim = dim3(64);
    config.dynamicSmemBytes = shared;
    require(cudaLaunchKernelEx(&config, filter_rows<Radius>, first, second), "rows");
    filter_columns<Radius><<<dim3((width + 127) / 128, height), 128>>>(second, first);
    require(cudaPeekAtLastError(), "columns");
    std::vector<float> got = a.download();

    double worst = 0;
    std::vector<float> rows(image.size());
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            float sum = 0;
            for (int k = -Radius; k <= Radius; ++k)
                if (x + k >= 0 && x + k < width) sum = std::fma(weights[k + Radius], image[y * width + x + k], sum);
            rows[y * width + x] = sum;
        }
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
            float sum = 0;
            for (int k = -Radius; k <= Radius; ++k)
                if (y + k >= 0 && y + k < height) sum = std::fma(weights[k + Radius], rows[(y + k) * width + x], sum);
            worst = std::fmax(worst, std::fabs(sum - got[y * width + x]));
        }
    std::printf("radius %d, %d x %d, %zu bytes of shared memory: largest error %g\n", Radius, width, height, shared, worst);
    return worst == 0;  // the same fused operations in the same order
}

int main() try {
    bool ok = run<2>(200, 40);
    ok &= run<kMaxRadius>(161, 33);
    // A launch that cannot work must be reported, and must not spoil what follows.
    filter_columns<2><<<1, 129>>>(View{}, View{});
    const cudaError_t refused = cudaGetLastError();
    ok &= refused == cudaErrorLaunchOutOfResources || refused == cudaErrorInvalidValue;
    ok &= cudaGetLastError() == cudaSuccess;
    require(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    std::printf("%s\n", ok ? "Result: PASS" : "Result: FAIL");
    return ok ? 0 : 1;
} catch (const CudaFailure& failure) {
    std::fprintf(stderr, "CUDA: %s\n", failure.what());
    return 1;
}
