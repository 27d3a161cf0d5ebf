// Micro-kernels for the energy fit: each runs mostly one class of instruction or one level of memory in a steady state.
//     energy_micro NAME ITERATIONS
// On a GPU (built with -DARCHSIM_POWER) it prints the kernel's power; under `archsim capture` the same kernels give the
// event counts, which are linear in ITERATIONS (validation/hw/h100/fit_energy.py).
#include <cuda_fp16.h>
#include <mma.h>

#include <string>

#include "../../kernels/common.cuh"

#define REP4(x) x x x x
#define REP16(x) REP4(REP4(x))

constexpr int kBlocks = 132 * 8, kThreads = 256;
__device__ __forceinline__ int index_of_thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

// Four independent chains of one operation.
#define CHAINS(NAME, T, BODY)                                                                                \
    extern "C" __global__ void NAME##_kernel(T* o, int n) {                                                  \
        T a = o[index_of_thread() & 1023], b = a + T(1), c = a + T(2), d = a + T(3), k = o[threadIdx.x & 7]; \
        for (int i = 0; i < n; ++i) {                                                                        \
            REP16(BODY)                                                                                      \
        }                                                                                                    \
        o[index_of_thread()] = a + b + c + d + k;                                                            \
    }
#define EACH4(F) F(a) F(b) F(c) F(d)
#define F_FFMA(x) asm volatile("fma.rn.f32 %0,%0,%1,%1;" : "+f"(x) : "f"(k));
#define F_FADD(x) asm volatile("add.f32 %0,%0,%1;" : "+f"(x) : "f"(k));
#define F_FMUL(x) asm volatile("mul.f32 %0,%0,%1;" : "+f"(x) : "f"(k));
#define F_IMAD(x) asm volatile("mad.lo.s32 %0,%0,%1,%1;" : "+r"(x) : "r"(k));
#define F_LOP3(x) asm volatile("lop3.b32 %0,%0,%1,%2,0x96;" : "+r"(x) : "r"(k), "r"(b));
#define F_SHF(x) asm volatile("shf.l.wrap.b32 %0,%0,%1,%2;" : "+r"(x) : "r"(k), "r"(b));
#define F_MNMX(x) asm volatile("{min.s32 %0,%0,%1; max.s32 %0,%0,%2;}" : "+r"(x) : "r"(k), "r"(b));
#define F_DFMA(x) asm volatile("fma.rn.f64 %0,%0,%1,%1;" : "+d"(x) : "d"(k));
#define F_DADD(x) asm volatile("add.f64 %0,%0,%1;" : "+d"(x) : "d"(k));
#define F_EX2(x) asm volatile("ex2.approx.ftz.f32 %0,%0;" : "+f"(x));
#define F_I2F(x) asm volatile("{.reg .f32 t; cvt.rn.f32.s32 t,%0; mov.b32 %0,t;}" : "+r"(x));
#define F_POPC(x) asm volatile("popc.b32 %0,%0;" : "+r"(x));
#define F_SHFL(x) asm volatile("shfl.sync.bfly.b32 %0,%0,1,0x1f,0xffffffff;" : "+r"(x));
#define F_VOTE(x) asm volatile("{.reg .pred p; setp.lt.s32 p,%0,%1; vote.sync.ballot.b32 %0,p,0xffffffff;}" : "+r"(x) : "r"(k));
CHAINS(ffma, float, EACH4(F_FFMA))
CHAINS(fadd, float, EACH4(F_FADD))
CHAINS(fmul, float, EACH4(F_FMUL))
CHAINS(imad, int, EACH4(F_IMAD))
CHAINS(lop3, int, EACH4(F_LOP3))
CHAINS(shf, int, EACH4(F_SHF))
CHAINS(minmax, int, EACH4(F_MNMX))
CHAINS(dfma, double, EACH4(F_DFMA))
CHAINS(dadd, double, EACH4(F_DADD))
CHAINS(ex2, float, EACH4(F_EX2))
CHAINS(i2f, int, EACH4(F_I2F))
CHAINS(popc, int, EACH4(F_POPC))
CHAINS(shfl, int, EACH4(F_SHFL))
CHAINS(vote, int, EACH4(F_VOTE))

// The same units with operands that keep toggling (those of the chains above soon stand still): the map
// x -> 1.9 - x * x is chaotic and stays within [-1.71, 1.9]; a linear congruential generator for integers.
#define TOGGLES(NAME, T, MAP)                                                                              \
    extern "C" __global__ void NAME##_kernel(T* o, int n) {                                                \
        T a = o[index_of_thread() & 1023] * T(0.25), b = a * T(0.9), c = a * T(0.8), d = a * T(0.7);       \
        for (int i = 0; i < n; ++i) {                                                                      \
            REP16(EACH4(MAP))                                                                              \
        }                                                                                                  \
        o[index_of_thread()] = a + b + c + d;                                                              \
    }
#define M_FLOAT(x) x = fmaf(-x, x, 1.9f);
#define M_DOUBLE(x) x = fma(-x, x, 1.9);
TOGGLES(ffma_toggle, float, M_FLOAT)
TOGGLES(dfma_toggle, double, M_DOUBLE)
#define F_LCG(x) asm volatile("mad.lo.s32 %0,%0,%1,%2;" : "+r"(x) : "r"(1664525), "r"(1013904223));
CHAINS(imad_toggle, int, EACH4(F_LCG))

extern "C" __global__ void hfma2_kernel(unsigned* o, int n) {
    unsigned a = o[index_of_thread() & 1023], b = a + 1, c = a + 2, d = a + 3, k = o[threadIdx.x & 7];
#define F_HFMA2(x) asm volatile("fma.rn.f16x2 %0,%0,%1,%1;" : "+r"(x) : "r"(k));
    for (int i = 0; i < n; ++i) {
        REP16(EACH4(F_HFMA2))
    }
    o[index_of_thread()] = a + b + c + d;
}

extern "C" __global__ void hmma_kernel(unsigned* o, int n) {
    unsigned a0 = o[index_of_thread() & 1023], a1 = a0 ^ 5, a2 = a0 ^ 9, a3 = a0 ^ 17, b0 = o[threadIdx.x & 7], b1 = b0 ^ 3;
    float c[4][4] = {};
    for (int i = 0; i < n; ++i)
#pragma unroll
        for (int j = 0; j < 16; ++j)
            asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                         : "+f"(c[j & 3][0]), "+f"(c[j & 3][1]), "+f"(c[j & 3][2]), "+f"(c[j & 3][3])
                         : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    float s = 0;
    for (auto& row : c)
        for (float v : row) s += v;
    o[index_of_thread()] = __float_as_uint(s);
}

extern "C" __global__ void imma_kernel(unsigned* o, int n) {
    unsigned a0 = o[index_of_thread() & 1023], a1 = a0 ^ 5, a2 = a0 ^ 9, a3 = a0 ^ 17, b0 = o[threadIdx.x & 7], b1 = b0 ^ 3;
    int c[4][4] = {};
    for (int i = 0; i < n; ++i)
#pragma unroll
        for (int j = 0; j < 16; ++j)
            asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                         : "+r"(c[j & 3][0]), "+r"(c[j & 3][1]), "+r"(c[j & 3][2]), "+r"(c[j & 3][3])
                         : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
    unsigned s = 0;
    for (auto& row : c)
        for (int v : row) s += v;
    o[index_of_thread()] = s;
}

// Shared memory: 128-byte rows without conflicts; `stride` in words makes conflicts.
__device__ __forceinline__ void shared_loads(unsigned* o, int n, int stride) {
    __shared__ unsigned s[4096];
    for (int i = threadIdx.x; i < 4096; i += kThreads) s[i] = o[i] ^ i;
    __syncthreads();
    unsigned a = 0, base = static_cast<unsigned>(__cvta_generic_to_shared(s)) + ((threadIdx.x * stride) & 2047) * 4;
    for (int i = 0; i < n; ++i) {
#pragma unroll
        for (int j = 0; j < 16; ++j) {
            unsigned v;
            asm volatile("ld.shared.b32 %0,[%1];" : "=r"(v) : "r"(base + j * 128));
            a ^= v;
        }
    }
    o[index_of_thread()] = a;
}
extern "C" __global__ void lds_kernel(unsigned* o, int n) { shared_loads(o, n, 1); }
extern "C" __global__ void lds_conflict4_kernel(unsigned* o, int n) { shared_loads(o, n, 4); }
extern "C" __global__ void sts_kernel(unsigned* o, int n) {
    __shared__ unsigned s[4096];
    unsigned base = static_cast<unsigned>(__cvta_generic_to_shared(s)) + threadIdx.x * 4, v = o[index_of_thread() & 1023];
    for (int i = 0; i < n; ++i) {
#pragma unroll
        for (int j = 0; j < 16; ++j) asm volatile("st.shared.b32 [%0],%1;" ::"r"(base + (j & 7) * 1024), "r"(v) : "memory");
    }
    __syncthreads();
    o[index_of_thread()] = s[threadIdx.x];
}

// Global memory: eight independent loads of `Words` words a lane and iteration, over a footprint (a power of two).
template <class V>
__device__ __forceinline__ unsigned fold(V v) { return v.x ^ v.y ^ v.z ^ v.w; }
__device__ __forceinline__ void global_loads(const uint4* x, unsigned* o, int n, unsigned start, unsigned step, unsigned mask) {
    unsigned a = 0;
    for (int i = 0; i < n; ++i) {
        uint4 v[4];
#pragma unroll
        for (int j = 0; j < 4; ++j)  // volatile: a load whose address comes back is not to be kept in registers
            asm volatile("ld.global.v4.u32 {%0,%1,%2,%3},[%4];"
                         : "=r"(v[j].x), "=r"(v[j].y), "=r"(v[j].z), "=r"(v[j].w)
                         : "l"(&x[(start + (i * 4u + j) * step) & mask]));
#pragma unroll
        for (int j = 0; j < 4; ++j) a ^= fold(v[j]);
    }
    o[index_of_thread()] = a;
}
extern "C" __global__ void ldg_l1_kernel(const uint4* x, unsigned* o, int n) {  // 16 KB, the same for all CTAs
    global_loads(x, o, n, threadIdx.x, kThreads, 1023);
}
extern "C" __global__ void ldg_l2_kernel(const uint4* x, unsigned* o, int n) {  // 16 MB, all of it passing each L1
    global_loads(x, o, n, index_of_thread(), gridDim.x * blockDim.x, (1u << 20) - 1);
}
extern "C" __global__ void ldg_hbm_kernel(const uint4* x, unsigned* o, int n) {  // 1 GB
    global_loads(x, o, n, index_of_thread(), gridDim.x * blockDim.x, (1u << 26) - 1);
}
__device__ __forceinline__ void global_stores(uint4* x, int n, unsigned mask) {
    unsigned j = index_of_thread();
    for (int i = 0; i < n; ++i) x[(j + unsigned(i) * gridDim.x * blockDim.x) & mask] = make_uint4(i, j, i ^ j, i + j);
}
extern "C" __global__ void stg_l2_kernel(uint4* x, int n) { global_stores(x, n, (1u << 20) - 1); }
extern "C" __global__ void stg_hbm_kernel(uint4* x, int n) { global_stores(x, n, (1u << 26) - 1); }
extern "C" __global__ void red_kernel(unsigned* x, int n) {  // no two lanes on one word
    unsigned j = index_of_thread();
    for (int i = 0; i < n; ++i) atomicAdd(&x[(j + unsigned(i) * gridDim.x * blockDim.x) & ((1u << 22) - 1)], j);
}

extern "C" __global__ void barrier_kernel(unsigned* o, int n) {
    for (int i = 0; i < n; ++i) {
        REP16(__syncthreads();)
    }
    o[index_of_thread()] = n;
}
extern "C" __global__ void sleep_kernel(unsigned* o, int n) {  // resident warps that issue almost nothing
    for (int i = 0; i < n; ++i) __nanosleep(1000000);
    o[index_of_thread()] = n;
}
extern "C" __global__ void empty_kernel() {}

namespace {

struct Buffers {
    suite::Device<uint4> big;
    suite::Device<unsigned> out;
};

template <class T>
int chains(void (*kernel)(T*, int), Buffers& b, int n, int blocks = kBlocks, int threads = kThreads) {
    suite::launch(kernel, blocks, threads, 0, reinterpret_cast<T*>(b.out.get()), n);
    return b.out.host().size() ? 0 : 1;
}

int run(const std::string& name, int n, Buffers& b) {
    if (name == "ffma") return chains(ffma_kernel, b, n);
    if (name == "ffma_quarter_sms") return chains(ffma_kernel, b, n, 33);  // one CTA on each of 33 SMs
    if (name == "ffma_one_warp") return chains(ffma_kernel, b, n, 132, 32);
    if (name == "ffma_half_warp") return chains(ffma_kernel, b, n, kBlocks * 2, 16);  // 16 of 32 lanes
    if (name == "ffma_toggle") return chains(ffma_toggle_kernel, b, n);
    if (name == "imad_toggle") return chains(imad_toggle_kernel, b, n);
    if (name == "dfma_toggle") return chains(dfma_toggle_kernel, b, n);
    if (name == "fadd") return chains(fadd_kernel, b, n);
    if (name == "fmul") return chains(fmul_kernel, b, n);
    if (name == "imad") return chains(imad_kernel, b, n);
    if (name == "lop3") return chains(lop3_kernel, b, n);
    if (name == "shf") return chains(shf_kernel, b, n);
    if (name == "minmax") return chains(minmax_kernel, b, n);
    if (name == "dfma") return chains(dfma_kernel, b, n);
    if (name == "dadd") return chains(dadd_kernel, b, n);
    if (name == "ex2") return chains(ex2_kernel, b, n);
    if (name == "i2f") return chains(i2f_kernel, b, n);
    if (name == "popc") return chains(popc_kernel, b, n);
    if (name == "shfl") return chains(shfl_kernel, b, n);
    if (name == "vote") return chains(vote_kernel, b, n);
    if (name == "hfma2") return chains(hfma2_kernel, b, n);
    if (name == "hmma") return chains(hmma_kernel, b, n);
    if (name == "imma") return chains(imma_kernel, b, n);
    if (name == "lds") return chains(lds_kernel, b, n);
    if (name == "lds_conflict4") return chains(lds_conflict4_kernel, b, n);
    if (name == "sts") return chains(sts_kernel, b, n);
    if (name == "barrier") return chains(barrier_kernel, b, n);
    if (name == "sleep") return chains(sleep_kernel, b, n);
    auto loads = name == "ldg_l1" ? ldg_l1_kernel : name == "ldg_l2" ? ldg_l2_kernel : name == "ldg_hbm" ? ldg_hbm_kernel : nullptr;
    auto stores = name == "stg_l2" ? stg_l2_kernel : name == "stg_hbm" ? stg_hbm_kernel : nullptr;
    if (loads) suite::launch(loads, kBlocks, kThreads, 0, b.big.get(), b.out.get(), n);
    else if (stores) suite::launch(stores, kBlocks, kThreads, 0, b.big.get(), n);
    else if (name == "red") suite::launch(red_kernel, kBlocks, kThreads, 0, reinterpret_cast<unsigned*>(b.big.get()), n);
    else if (name == "empty") suite::launch(empty_kernel, kBlocks, kThreads, 0);
    else return 2;
    return b.out.host().size() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3 || std::atoi(argv[2]) < 1) {
        std::fprintf(stderr, "usage: %s NAME ITERATIONS\n", argv[0]);
        return 2;
    }
    std::string name = argv[1];
#ifdef ARCHSIM_POWER
    if (name == "idle") return power::idle_row("idle"), 0;
#endif
    bool wide = name == "ldg_hbm" || name == "stg_hbm";
    std::vector<unsigned> seed(kBlocks * kThreads * 2);  // as many doubles as threads
    suite::Rng rng(7);
    for (unsigned& word : seed) word = 0x3f000000u + (rng.u32() >> 9);  // floats of 0.5 to 1
    Buffers buffers{suite::Device<uint4>(wide ? size_t(1) << 26 : size_t(1) << 20), suite::Device<unsigned>(seed)};
    int status = run(name, std::atoi(argv[2]), buffers);
    if (status == 2) std::fprintf(stderr, "energy_micro: no kernel named %s\n", name.c_str());
    return status;
}
