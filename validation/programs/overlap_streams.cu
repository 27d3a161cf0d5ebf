// Image tone mapping in slices: each stream uploads its slice, works on it and downloads it, so that copies of one slice
// overlap with the kernel of another. Pinned host memory, cudaMemcpyAsync, streams, events, a look-up table in constant
// memory, a host callback. Checks every pixel against the host.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

static void check(cudaError_t status, const char* expression, const char* file, int line) {
    if (status == cudaSuccess) return;
    std::fprintf(stderr, "%s:%d: %s returned %s (%s)\n", file, line, expression, cudaGetErrorName(status),
                 cudaGetErrorString(status));
    std::exit(EXIT_FAILURE);
}
#define CHECK(expression) check((expression), #expression, __FILE__, __LINE__)

constexpr int kLevels = 256;
__constant__ uint8_t tone_curve[kLevels];
__device__ unsigned int dark_pixels;

__global__ void tone_map(uint8_t* pixels, int count, uint8_t threshold) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
        uint8_t value = tone_curve[pixels[i]];
        pixels[i] = value;
        if (value < threshold) atomicAdd(&dark_pixels, 1u);
    }
}

static void CUDART_CB slice_done(void* counter) { ++*static_cast<int*>(counter); }

int main(int argc, char** argv) {
    const int width = 320, height = 240, pixels = width * height;
    const int streams = argc > 1 ? std::atoi(argv[1]) : 4;
    if (streams < 1 || pixels % streams != 0) {
        std::fprintf(stderr, "usage: %s [STREAMS], a divisor of %d\n", argv[0], pixels);
        return EXIT_FAILURE;
    }
    cudaDeviceProp device;
    CHECK(cudaGetDeviceProperties(&device, 0));
    std::printf("device: %s, compute capability %d.%d, %d SMs\n", device.name, device.major, device.minor,
                device.multiProcessorCount);

    std::vector<uint8_t> curve(kLevels);
    for (int i = 0; i < kLevels; ++i)
        curve[i] = static_cast<uint8_t>(std::lround(255.0 * std::pow(i / 255.0, 1.0 / 2.2)));
    CHECK(cudaMemcpyToSymbol(tone_curve, curve.data(), kLevels));

    uint8_t *host = nullptr, *image = nullptr;
    CHECK(cudaMallocHost(&host, pixels));
    CHECK(cudaMalloc(&image, pixels));
    for (int i = 0; i < pixels; ++i) host[i] = static_cast<uint8_t>((i * 2654435761u) >> 24);
    std::vector<uint8_t> original(host, host + pixels);

    std::vector<cudaStream_t> queue(streams);
    for (auto& stream : queue) CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    cudaEvent_t start, stop;
    CHECK(cudaEventCreate(&start));
    CHECK(cudaEventCreate(&stop));

    int finished = 0;
    const int slice = pixels / streams;
    const uint8_t threshold = 64;
    CHECK(cudaEventRecord(start));
    for (int s = 0; s < streams; ++s) {
        uint8_t* at = image + s * slice;
        CHECK(cudaMemcpyAsync(at, host + s * slice, slice, cudaMemcpyHostToDevice, queue[s]));
        tone_map<<<std::min(16, (slice + 255) / 256), 256, 0, queue[s]>>>(at, slice, threshold);
        CHECK(cudaGetLastError());
        CHECK(cudaMemcpyAsync(host + s * slice, at, slice, cudaMemcpyDeviceToHost, queue[s]));
        CHECK(cudaLaunchHostFunc(queue[s], slice_done, &finished));
    }
    for (auto& stream : queue) CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaEventRecord(stop));
    CHECK(cudaEventSynchronize(stop));
    float milliseconds = -1;
    CHECK(cudaEventElapsedTime(&milliseconds, start, stop));

    unsigned int dark = 0, expected_dark = 0;
    CHECK(cudaMemcpyFromSymbol(&dark, dark_pixels, sizeof dark));
    int wrong = 0;
    for (int i = 0; i < pixels; ++i) {
        uint8_t expected = curve[original[i]];
        wrong += host[i] != expected;
        expected_dark += expected < threshold;
    }
    for (auto& stream : queue) CHECK(cudaStreamDestroy(stream));
    CHECK(cudaEventDestroy(start));
    CHECK(cudaEventDestroy(stop));
    CHECK(cudaFree(image));
    CHECK(cudaFreeHost(host));
    const bool ok = wrong == 0 && dark == expected_dark && finished == streams && milliseconds > 0;
    std::printf("%d slices, %u dark pixels (expected %u), %d wrong pixels: %s\n", finished, dark, expected_dark, wrong,
                ok ? "PASSED" : "FAILED");
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
