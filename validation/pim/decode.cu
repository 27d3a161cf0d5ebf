// One decoded token of a GPT on a GPU: the kernels of a decoder block, FP16 weights and values, FP32 sums.
// baseline_t4.py launches them in order, checks every output against NumPy, and simulates the trace.
#include <cuda_fp16.h>

// y = W x (+ residual); W is rows x cols, one warp a row, 16 bytes a lane and load.
extern "C" __global__ void gemv(const __half* w, const __half* x, const __half* residual, __half* y, int rows, int cols) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const uint4* line = reinterpret_cast<const uint4*>(w + size_t(row) * cols);
    const uint4* vector = reinterpret_cast<const uint4*>(x);
    float sum = 0.0f;
    for (int k = lane; k < cols / 8; k += 32) {
        uint4 a = line[k], b = vector[k];
        const __half2* left = reinterpret_cast<const __half2*>(&a);
        const __half2* right = reinterpret_cast<const __half2*>(&b);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float2 p = __half22float2(left[i]), q = __half22float2(right[i]);
            sum = fmaf(p.x, q.x, sum);
            sum = fmaf(p.y, q.y, sum);
        }
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = __float2half(residual ? sum + __half2float(residual[row]) : sum);
}

// The same in FP32, as a framework does by default.
extern "C" __global__ void gemv_fp32(const float* w, const float* x, float* y, int rows, int cols) {
    int row = (blockIdx.x * blockDim.x + threadIdx.x) / 32, lane = threadIdx.x % 32;
    if (row >= rows) return;
    const float4* line = reinterpret_cast<const float4*>(w + size_t(row) * cols);
    const float4* vector = reinterpret_cast<const float4*>(x);
    float sum = 0.0f;
    for (int k = lane; k < cols / 4; k += 32) {
        float4 a = line[k], b = vector[k];
        sum = fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, sum))));
    }
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (lane == 0) y[row] = sum;
}

__device__ float block_sum(float value, float* scratch) {
    for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0.0f;
    for (int i = 0; i < blockDim.x / 32; ++i) total += scratch[i];
    __syncthreads();
    return total;
}

// Layer norm without gain and offset, one block.
extern "C" __global__ void layernorm(const __half* x, __half* y, int n) {
    __shared__ float scratch[32];
    float sum = 0.0f, square = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) {
        float v = __half2float(x[i]);
        sum += v;
        square = fmaf(v, v, square);
    }
    float mean = block_sum(sum, scratch) / n;
    float scale = rsqrtf(block_sum(square, scratch) / n - mean * mean + 1e-5f);
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = __float2half((__half2float(x[i]) - mean) * scale);
}

// One query against a cache of keys and values, [token][head][width]; one block a head, width a multiple of 8.
extern "C" __global__ void attention(const __half* q, const __half* keys, const __half* values, __half* out, int heads,
                                     int width, int tokens) {
    extern __shared__ float score[];
    __shared__ float scratch[32];
    int head = blockIdx.x, stride = heads * width;
    float largest = -1e30f;
    for (int t = threadIdx.x; t < tokens; t += blockDim.x) {
        const uint4* k = reinterpret_cast<const uint4*>(keys + size_t(t) * stride + head * width);
        const uint4* own = reinterpret_cast<const uint4*>(q + head * width);
        float sum = 0.0f;
        for (int i = 0; i < width / 8; ++i) {
            uint4 a = k[i], b = own[i];
            const __half2* left = reinterpret_cast<const __half2*>(&a);
            const __half2* right = reinterpret_cast<const __half2*>(&b);
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                float2 p = __half22float2(left[j]), r = __half22float2(right[j]);
                sum = fmaf(p.x, r.x, fmaf(p.y, r.y, sum));
            }
        }
        score[t] = sum * rsqrtf(float(width));
        largest = fmaxf(largest, score[t]);
    }
    for (int offset = 16; offset > 0; offset /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, offset));
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = largest;
    __syncthreads();
    for (int i = 0; i < blockDim.x / 32; ++i) largest = fmaxf(largest, scratch[i]);
    __syncthreads();
    float sum = 0.0f;
    for (int t = threadIdx.x; t < tokens; t += blockDim.x) {
        score[t] = __expf(score[t] - largest);
        sum += score[t];
    }
    float inverse = 1.0f / block_sum(sum, scratch);
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
        float total = 0.0f;
        for (int t = 0; t < tokens; ++t)
            total = fmaf(score[t], __half2float(values[size_t(t) * stride + head * width + i]), total);
        out[head * width + i] = __float2half(total * inverse);
    }
}

// GELU in its tanh form.
extern "C" __global__ void gelu(const __half* x, __half* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float v = __half2float(x[i]);
    float t = 1.0f - 2.0f / (__expf(2.0f * 0.7978845608f * (v + 0.044715f * v * v * v)) + 1.0f);
    y[i] = __float2half(0.5f * v * (1.0f + t));
}
