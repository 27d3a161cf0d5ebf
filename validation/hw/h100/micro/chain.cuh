// Chains of one operation, timed by the slope between a short and a long straight-line run, so that the cost of reading the
// clock, of the barrier and of filling the pipe cancels:
//   latency_1warp   ILP 1, one warp:     cycles per operation                     (dependent issue-to-issue distance)
//   ilp8_1warp      ILP 8, one warp:     cycles per operation                     (issue interval of one warp alone)
//   ilp8_4warps     ILP 8, 1 warp/sub-core:  operations (warp level) per clk per SM
//   ilp8_32warps    ILP 8, 8 warps/sub-core: operations (warp level) per clk per SM
// An "operation" is one asm group: its SASS is in the op's name where it is more than one instruction.
#pragma once
#include "micro.cuh"

static constexpr int N_SHORT = 32, N_LONG = 160, REPEATS = 6;

template <class O, int ILP, int N>
static __device__ __forceinline__ void run_chain(typename O::T (&a)[ILP], typename O::B b, typename O::B c, typename O::B d,
                                                 typename O::B e) {
#pragma unroll
    for (int i = 0; i < N / (2 * ILP); i++) {
#pragma unroll
        for (int k = 0; k < ILP; k++) O::op(a[k], b, c);
#pragma unroll
        for (int k = 0; k < ILP; k++) O::op(a[k], d, e);
    }
}

// times[(repeat * warps + warp) * 4 + {0,1,2,3}] = start and end of the short run, start and end of the long run
template <class O, int ILP>
__global__ void __launch_bounds__(O::max_threads) chain_kernel(const u32 *in, u64 *times, u32 *sink, int repeats) {
    extern __shared__ __align__(128) char smem[];
    typename O::T a[ILP];
    typename O::B b, c, d, e;
    O::load(b, in + 16), O::load(c, in + 32), O::load(d, in + 48), O::load(e, in + 64);
    for (int k = 0; k < ILP; k++) O::init(a[k], in, k, smem);
    int warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (int r = 0; r < repeats; r++) {
        __syncthreads();
        u64 t0 = clk();
        run_chain<O, ILP, N_SHORT>(a, b, c, d, e);
        u64 t1 = clk();
        __syncthreads();
        u64 t2 = clk();
        run_chain<O, ILP, N_LONG>(a, b, c, d, e);
        u64 t3 = clk();
        if ((threadIdx.x & 31) == 0) {
            u64 *t = times + (size_t)(r * warps + warp) * 4;
            t[0] = t0, t[1] = t1, t[2] = t2, t[3] = t3;
        }
    }
    u32 x = 0;
    for (int k = 0; k < ILP; k++) {
        const u32 *w = (const u32 *)&a[k];
        for (int i = 0; i < (int)(sizeof(typename O::T) / 4); i++) x ^= w[i];
    }
    sink[threadIdx.x] = x;
}

// Defaults for register-only operations.
template <class TT, class BB> struct OpBase {
    static constexpr int max_threads = 1024;
    using T = TT;
    using B = BB;
    static __device__ __forceinline__ void load(BB &b, const u32 *in) {
        u32 w[(sizeof(BB) + 3) / 4];
        for (int i = 0; i < (int)((sizeof(BB) + 3) / 4); i++) w[i] = in[i];
        memcpy(&b, w, sizeof(BB));
    }
    static __device__ __forceinline__ void init(TT &a, const u32 *in, int k, char *) {
        u32 w[(sizeof(TT) + 3) / 4];
        for (int i = 0; i < (int)((sizeof(TT) + 3) / 4); i++) w[i] = in[128 + 8 * k + i] + threadIdx.x;
        memcpy(&a, w, sizeof(TT));
    }
};

struct ChainBuffers {
    u32 *in, *sink;
    u64 *times;
    ChainBuffers() {
        std::vector<u32> h(256);
        for (int i = 0; i < 256; i++) h[i] = 0x3f800001u + i * 3;  // about 1.0 as fp32, fp16 pairs near 1.9
        in = device_alloc<u32>(256);
        CK(cudaMemcpy(in, h.data(), 1024, cudaMemcpyHostToDevice));
        sink = device_alloc<u32>(4096);
        times = device_alloc<u64>(4 * 32 * (REPEATS + 1));
    }
};

template <class O, int ILP>
static void time_chain(const char *name, const char *variant, int warps, bool per_clk, int smem_bytes, const u32 *in) {
    static ChainBuffers *buffers = new ChainBuffers;
    if (smem_bytes > 48 * 1024)
        CK(cudaFuncSetAttribute(chain_kernel<O, ILP>, cudaFuncAttributeMaxDynamicSharedMemorySize, smem_bytes));
    chain_kernel<O, ILP><<<1, warps * 32, smem_bytes>>>(in ? in : buffers->in, buffers->times, buffers->sink, REPEATS + 1);
    CK(cudaGetLastError());
    CK(cudaDeviceSynchronize());
    auto t = to_host(buffers->times, (size_t)4 * warps * (REPEATS + 1));
    std::vector<double> v;
    for (int r = 1; r <= REPEATS; r++) {  // repeat 0 warms the instruction cache
        u64 s0 = ~0ull, e0 = 0, s1 = ~0ull, e1 = 0;
        for (int w = 0; w < warps; w++) {
            const u64 *q = &t[(size_t)(r * warps + w) * 4];
            s0 = std::min(s0, q[0]), e0 = std::max(e0, q[1]), s1 = std::min(s1, q[2]), e1 = std::max(e1, q[3]);
        }
        double slope = ((double)(e1 - s1) - (double)(e0 - s0)) / (N_LONG - N_SHORT);
        v.push_back(per_clk ? warps / slope : slope);
    }
    rows(name, variant, v, per_clk ? "op/clk/SM" : "cycles/op");
}

template <class O> static void time_op(const char *name, int smem_bytes = 0, const u32 *in = nullptr) {
    time_chain<O, 1>(name, "latency_1warp", 1, false, smem_bytes, in);
    time_chain<O, 8>(name, "ilp8_1warp", 1, false, smem_bytes, in);
    time_chain<O, 8>(name, "ilp8_4warps", 4, true, smem_bytes, in);
    time_chain<O, 8>(name, "ilp8_32warps", 32, true, smem_bytes, in);
}

// X(name, T, B, constraint of T, constraint of B, asm): %0 accumulator, %1 and %2 operands
#define DEFINE_OP(NAME, TT, BB, CT, CB, ...)                                              \
    struct NAME : OpBase<TT, BB> {                                                        \
        static __device__ __forceinline__ void op(TT &a, BB b, BB c) {                    \
            asm volatile(__VA_ARGS__ : "+" CT(a) : CB(b), CB(c));                         \
        }                                                                                 \
    };
#define TIME_OP(NAME, ...) time_op<NAME>(#NAME);
