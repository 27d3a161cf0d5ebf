// Instruction-cache footprint: cycles per instruction of straight-line FFMA code of 4 to 512 KB in a loop (16 bytes an instruction,
// four independent chains), by one, four and eight warps; the first pass over the code is reported apart (cold).
#include "micro.cuh"

#define FMA1 "fma.rn.f32 %0,%0,%4,%5; fma.rn.f32 %1,%1,%4,%5; fma.rn.f32 %2,%2,%4,%5; fma.rn.f32 %3,%3,%4,%5;"
#define FMA4 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1
#define FMA16 FMA4 FMA4 FMA4 FMA4

static constexpr int PASSES = 8;
// KB of code: one block of asm is 256 instructions = 4 KB
template <int KB> __global__ void straight(u64 *times, float *sink) {
    constexpr int FIRST = KB / 8;  // two loops: the compiler unrolls about a hundred blocks at most
    float a = threadIdx.x, b = a + 1, c = a + 2, d = a + 3, m = sink[0], n = sink[1];
#pragma unroll 1
    for (int r = 0; r < PASSES; r++) {
        __syncthreads();
        u64 t0 = clk();
#pragma unroll
        for (int i = 0; i < FIRST; i++) asm volatile(FMA16 : "+f"(a), "+f"(b), "+f"(c), "+f"(d) : "f"(m), "f"(n));
#pragma unroll
        for (int i = 0; i < KB / 4 - FIRST; i++) asm volatile(FMA16 : "+f"(a), "+f"(b), "+f"(c), "+f"(d) : "f"(m), "f"(n));
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
    sink[threadIdx.x + 2] = a + b + c + d;
}
template <int KB> static void size() {
    static u64 *t = device_alloc<u64>(32 * PASSES);
    static float *s = device_alloc<float>(2048);
    for (int warps : {1, 4, 8}) {
        straight<KB><<<1, 32 * warps>>>(t, s);
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
        auto h = to_host(t, 32 * PASSES);
        std::vector<double> v;
        std::string variant = num(KB) + "KB_" + num(warps) + "warps";
        for (int r = 0; r < PASSES; r++) {
            double x = (double)*std::max_element(h.begin() + r * 32, h.begin() + r * 32 + warps) / (KB * 64.0);
            if (r == 0) row("icache_straight_first_pass", variant, x, "cycles/inst/warp", "first");
            if (r >= 2) v.push_back(x);
        }
        rows("icache_straight_loop", variant, v, "cycles/inst/warp");
    }
}
template <int... KB> static void sizes() { (size<KB>(), ...); }
// nvcc cuts the value of -D at commas, so the sizes are chosen here by part
static void icache() {
#if ICACHE_PART == 0
    sizes<4, 8, 16, 24, 32, 48, 64>();
#elif ICACHE_PART == 1
    sizes<80, 96, 112, 120, 128, 136, 160, 192>();
#elif ICACHE_PART == 2
    sizes<224, 256, 320, 384>();
#else
    sizes<448, 512>();
#endif
}
int main(int argc, char **argv) { return dispatch(argc, argv, {{"icache", icache}}); }
