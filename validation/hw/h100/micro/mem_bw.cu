// Bandwidths over many SMs: L2 and DRAM reads, writes and copies by occupancy, width and loads in flight; global atomics by pattern.
// Rates per clock use the mean over SMs of (last end - first start) on that SM; GB/s uses CUDA events.
#include "micro.cuh"

struct Log {
    u64 start, end;
    u32 sm, pad;
};

enum Kind { READ, WRITE, COPY };

// Pass p: CTA b handles chunk (b + 37p) mod gridDim of the footprint, so that no L1 or near-L2 reuse helps.
template <int KIND, class V, int UNROLL>
__global__ void __launch_bounds__(1024, 2) stream(const V *__restrict__ in, V *__restrict__ o, size_t per_cta, int passes, Log *log, u32 *sink) {
    u64 t0 = clk();
    u32 x = 0;
    for (int p = 0; p < passes; p++) {
        size_t chunk = ((size_t)blockIdx.x + 37u * p) % gridDim.x * per_cta;
        for (size_t i = threadIdx.x; i + (size_t)(UNROLL - 1) * blockDim.x < per_cta; i += (size_t)UNROLL * blockDim.x) {
            V v[UNROLL];
            if (KIND != WRITE) {
#pragma unroll
                for (int k = 0; k < UNROLL; k++) v[k] = __ldcg(in + chunk + i + (size_t)k * blockDim.x);
            } else {
#pragma unroll
                for (int k = 0; k < UNROLL; k++) memset(&v[k], 1, sizeof(V));
            }
            if (KIND == READ) {
#pragma unroll
                for (int k = 0; k < UNROLL; k++) {
                    u32 w[sizeof(V) / 4];
                    memcpy(w, &v[k], sizeof(V));
                    for (int j = 0; j < (int)(sizeof(V) / 4); j++) x ^= w[j];
                }
            } else {
#pragma unroll
                for (int k = 0; k < UNROLL; k++) o[chunk + i + (size_t)k * blockDim.x] = v[k];
            }
        }
    }
    if (x == 0x13579bdf) *sink = x;
    u64 t1 = clk();
    __syncthreads();
    if (threadIdx.x == 0) log[blockIdx.x] = {t0, t1, smid(), 0};
}

// Mean over the SMs used of the span between their first start and last end.
static double mean_span(const Log *log, int ctas) {
    auto h = to_host(log, ctas);
    std::vector<u64> s(1024, ~0ull), e(1024, 0);
    for (auto &l : h) s[l.sm] = std::min(s[l.sm], l.start), e[l.sm] = std::max(e[l.sm], l.end);
    double sum = 0;
    int n = 0;
    for (int i = 0; i < 1024; i++)
        if (e[i]) sum += (double)(e[i] - s[i]), n++;
    return sum / n;
}

static char *source, *target;
static Log *logs;
static u32 *sink;
static cudaEvent_t ev0, ev1;
static void setup(size_t bytes) {
    source = device_alloc<char>(bytes);
    target = device_alloc<char>(bytes);
    logs = device_alloc<Log>(1 << 16);
    sink = device_alloc<u32>(64);
    CK(cudaEventCreate(&ev0));
    CK(cudaEventCreate(&ev1));
}

template <int KIND, class V, int UNROLL>
static void bench(const std::string &name, const std::string &variant, int ctas, int threads, size_t footprint, int passes) {
    size_t per_cta = footprint / sizeof(V) / ctas / (threads * UNROLL) * (threads * UNROLL);
    double bytes = (double)per_cta * ctas * sizeof(V) * passes * (KIND == COPY ? 2 : 1);
    std::vector<double> gbs, bpc;
    for (int r = 0; r < 6; r++) {
        CK(cudaEventRecord(ev0));
        stream<KIND, V, UNROLL><<<ctas, threads>>>((const V *)source, (V *)target, per_cta, passes, logs, sink);
        CK(cudaEventRecord(ev1));
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
        float ms;
        CK(cudaEventElapsedTime(&ms, ev0, ev1));
        if (r == 0) continue;
        gbs.push_back(bytes / ms * 1e-6);
        bpc.push_back(bytes / mean_span(logs, ctas));
    }
    rows(name, variant, gbs, "GB/s");
    rows(name, variant, bpc, "B/clk");
}

static void occupancy(int warps, int sms, int &ctas, int &threads) {
    int per_sm = warps <= 32 ? 1 : warps == 48 ? 3 : 2;
    ctas = sms * per_sm, threads = warps * 32 / per_sm;
}

static void l2bw() {
    setup(64 << 20);
    int sms = sm_count();
    for (double mb : {2., 5., 10., 15., 20., 25., 30., 40.})
        bench<READ, uint4, 4>("L2_read_128b_u4_64warps", num(mb) + "MB", sms * 2, 1024, (size_t)(mb * 1048576), 20);
    for (int warps : {4, 8, 16, 32, 64}) {
        int ctas, threads;
        occupancy(warps, sms, ctas, threads);
        std::string v = num(warps) + "warps_per_SM_20MB";
        bench<READ, uint4, 4>("L2_read_128b_u4", v, ctas, threads, 20 << 20, 10);
        bench<READ, uint4, 1>("L2_read_128b_u1", v, ctas, threads, 20 << 20, 10);
        bench<READ, u32, 4>("L2_read_32b_u4", v, ctas, threads, 20 << 20, 10);
        bench<READ, uint2, 4>("L2_read_64b_u4", v, ctas, threads, 20 << 20, 10);
        bench<WRITE, uint4, 4>("L2_write_128b_u4", v, ctas, threads, 20 << 20, 10);
        bench<WRITE, u32, 4>("L2_write_32b_u4", v, ctas, threads, 20 << 20, 10);
        bench<COPY, uint4, 4>("L2_copy_128b_u4_10MB", v, ctas, threads, 10 << 20, 10);
    }
}
// Few SMs: the port of one SM (CTA b runs on its own SM: 1024 threads, 2 CTAs an SM would share it only past the SM count)
static void smport() {
    setup(64 << 20);
    for (int n : {1, 2, 4, 8, 16, 32, 64, 132}) {
        std::string v = num(n) + "_CTAs_of_32_warps_8MB";
        bench<READ, uint4, 4>("SM_L2_read_128b_u4", v, n, 1024, 8 << 20, 4);
        bench<READ, u32, 4>("SM_L2_read_32b_u4", v, n, 1024, 8 << 20, 4);
        bench<WRITE, uint4, 4>("SM_L2_write_128b_u4", v, n, 1024, 8 << 20, 4);
        bench<WRITE, u32, 4>("SM_L2_write_32b_u4", v, n, 1024, 8 << 20, 4);
    }
}
static void drambw() {
    size_t bytes = 1ull << 30;
    setup(bytes);
    int sms = sm_count();
    for (int warps : {2, 4, 8, 16, 24, 32, 48, 64}) {
        int ctas, threads;
        occupancy(warps, sms, ctas, threads);
        std::string v = num(warps) + "warps_per_SM_1GB";
        bench<READ, uint4, 4>("DRAM_read_128b_u4", v, ctas, threads, bytes, 1);
        bench<READ, uint4, 1>("DRAM_read_128b_u1", v, ctas, threads, bytes, 1);
        bench<READ, u32, 1>("DRAM_read_32b_u1", v, ctas, threads, bytes / 4, 1);
        bench<READ, u32, 4>("DRAM_read_32b_u4", v, ctas, threads, bytes / 4, 1);
        bench<WRITE, uint4, 4>("DRAM_write_128b_u4", v, ctas, threads, bytes, 1);
        bench<COPY, uint4, 4>("DRAM_copy_128b_u4", v, ctas, threads, bytes, 1);
    }
}

// ---- global atomics over the chip
enum Pattern { SAME, WARP_LINE_SHARED, WARP_WORD_OWN, WARP_LINE_OWN, SCATTER };
enum Atomic { RED_U32, ATOM_U32, RED_F32, ATOM_CAS };
template <int ATOMIC> __global__ void atomics(u32 *base, const u32 *zeros, int pattern, int iterations, u32 span, Log *log, u32 *sink) {
    u32 lane = threadIdx.x & 31, global_warp = (blockIdx.x * blockDim.x + threadIdx.x) >> 5;
    u32 zero = zeros[threadIdx.x];  // a per-thread value: the compiler must not aggregate over the warp
    u32 word = zero;
    if (pattern == WARP_LINE_SHARED) word += lane;
    if (pattern == WARP_WORD_OWN) word += global_warp * 32;
    if (pattern == WARP_LINE_OWN) word += global_warp * 32 + lane;
    u32 hash = (blockIdx.x * blockDim.x + threadIdx.x) * 2654435761u + zero, x = 0;
    u64 t0 = clk();
    for (int i = 0; i < iterations; i++) {
        if (pattern == SCATTER) {
            hash = hash * 1664525u + 1013904223u;
            word = (hash >> 8) & (span - 1);
        }
        u32 *p = base + word;
        if (ATOMIC == RED_U32) asm volatile("red.global.add.u32 [%0],%1;" ::"l"(p), "r"(1 + zero) : "memory");
        if (ATOMIC == RED_F32) asm volatile("red.global.add.f32 [%0],%1;" ::"l"(p), "f"(1.0f + __uint_as_float(zero)) : "memory");
        if (ATOMIC == ATOM_U32) {
            u32 r;
            asm volatile("atom.global.add.u32 %0,[%1],%2;" : "=r"(r) : "l"(p), "r"(1 + zero) : "memory");
            x ^= r;
        }
        if (ATOMIC == ATOM_CAS) {
            u32 r;
            asm volatile("atom.global.cas.b32 %0,[%1],%2,%2;" : "=r"(r) : "l"(p), "r"(zero) : "memory");
            x ^= r;
        }
    }
    __threadfence();
    if (x == 0x13579bdf) *sink = x;
    u64 t1 = clk();
    __syncthreads();
    if (threadIdx.x == 0) log[blockIdx.x] = {t0, t1, smid(), 0};
}
template <int ATOMIC> static void atomic_patterns(const char *name, u32 *zeros) {
    const char *patterns[] = {"all_lanes_one_word", "lanes_of_one_line_shared_by_all_warps", "one_word_per_warp", "one_line_per_warp", "scattered"};
    struct Case {
        int pattern;
        u32 span;
        int iterations;
    };
    for (Case c : {Case{SAME, 1, 32}, Case{WARP_LINE_SHARED, 1, 32}, Case{WARP_WORD_OWN, 1, 64}, Case{WARP_LINE_OWN, 1, 64},
                   Case{SCATTER, 1 << 18, 16}, Case{SCATTER, 1 << 22, 16}})
        for (int sms : {1, sm_count()}) {
            std::vector<double> v, per_warp;
            for (int r = 0; r < 6; r++) {
                atomics<ATOMIC><<<sms, 512>>>((u32 *)source, zeros, c.pattern, c.iterations, c.span, logs, sink);
                CK(cudaGetLastError());
                CK(cudaDeviceSynchronize());
                if (r == 0) continue;
                double lanes = (double)sms * 512 * c.iterations;
                v.push_back(lanes / mean_span(logs, sms));
            }
            std::string variant = std::string(patterns[c.pattern]) + (c.pattern == SCATTER ? "_" + num(c.span * 4.0 / 1048576) + "MB" : "") +
                                  "_" + num(sms) + "SM";
            rows(name, variant, v, "lane-op/clk");
        }
}
static void atombw() {
    setup(64 << 20);
    u32 *zeros = device_alloc<u32>(1024);
    atomic_patterns<RED_U32>("RED_add_u32", zeros);
    atomic_patterns<ATOM_U32>("ATOM_add_u32", zeros);
    atomic_patterns<RED_F32>("RED_add_f32", zeros);
    atomic_patterns<ATOM_CAS>("ATOM_cas_b32", zeros);
}

int main(int argc, char **argv) {
    return dispatch(argc, argv, {{"l2bw", l2bw}, {"smport", smport}, {"drambw", drambw}, {"atombw", atombw}});
}
