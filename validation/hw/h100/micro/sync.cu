// Barriers, branches, nanosleep, CTA launch and placement, clusters and distributed shared memory.
#include "micro.cuh"

static constexpr int REPS = 6;

// ---- barriers: cycles per barrier of a chain of 64, all warps arriving at once; per warp min and max
enum Barrier { SYNCTHREADS, NAMED, PAIR };
template <int KIND> static __device__ __forceinline__ void one_barrier() {
    if (KIND == SYNCTHREADS) asm volatile("bar.sync 0;" ::: "memory");
    if (KIND == NAMED) asm volatile("bar.sync 1, %0;" ::"r"(blockDim.x) : "memory");
    if (KIND == PAIR) asm volatile("bar.sync %0, 64;" ::"r"(threadIdx.x / 64 + 1) : "memory");
}
template <int KIND> __global__ void barrier_kernel(u64 *times) {
    for (int r = 0; r < REPS + 1; r++) {
        __syncthreads();
        u64 t0 = clk();
#pragma unroll
        for (int i = 0; i < 16; i++) one_barrier<KIND>();
        u64 t1 = clk();
#pragma unroll
        for (int i = 0; i < 80; i++) one_barrier<KIND>();
        u64 t2 = clk();
        if ((threadIdx.x & 31) == 0) {
            u64 *t = times + (r * 32 + (threadIdx.x >> 5)) * 2;
            t[0] = t1 - t0, t[1] = t2 - t1;
        }
    }
}
template <int KIND> static void barrier_case(const char *name, std::vector<int> warps) {
    u64 *t = device_alloc<u64>(32 * 2 * (REPS + 1));
    for (int w : warps) {
        barrier_kernel<KIND><<<1, 32 * w>>>(t);
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
        auto h = to_host(t, 32 * 2 * (REPS + 1));
        std::vector<double> v;
        for (int r = 1; r <= REPS; r++) {
            double worst = 0;
            for (int i = 0; i < w; i++) worst = std::max(worst, ((double)h[(r * 32 + i) * 2 + 1] - (double)h[(r * 32 + i) * 2]) / 64);
            v.push_back(worst);
        }
        rows(name, num(w) + "warps", v, "cycles");
    }
}
// One barrier alone: clock, bar, clock; the warp that comes last is `late` cycles behind
__global__ void barrier_once(u64 *times) {
    for (int r = 0; r < REPS + 1; r++) {
        __syncthreads();
        u64 t0 = clk();
        asm volatile("bar.sync 0;" ::: "memory");
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
}
static void barriers() {
    std::vector<int> all = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 28, 32};
    barrier_case<SYNCTHREADS>("BAR_SYNC_chain", all);
    barrier_case<NAMED>("BAR_SYNC_named_chain", {1, 2, 4, 8, 16, 32});
    barrier_case<PAIR>("BAR_SYNC_pairs_chain", {2, 4, 8, 16, 28});
    u64 *t = device_alloc<u64>(32 * (REPS + 1));
    for (int w : all) {
        barrier_once<<<1, 32 * w>>>(t);
        CK(cudaDeviceSynchronize());
        auto h = to_host(t, 32 * (REPS + 1));
        std::vector<double> lo, hi;
        for (int r = 1; r <= REPS; r++) {
            auto b = h.begin() + r * 32;
            lo.push_back((double)*std::min_element(b, b + w)), hi.push_back((double)*std::max_element(b, b + w));
        }
        rows("BAR_SYNC_once_fastest_warp", num(w) + "warps", lo, "cycles");
        rows("BAR_SYNC_once_slowest_warp", num(w) + "warps", hi, "cycles");
    }
}

// ---- branches
// The counters are x = 5x + 1, whose trip count the compiler cannot know: it deletes or unrolls plain counted loops.
static u32 counter_end(int n) {
    u32 x = 1;
    for (int i = 0; i < n; i++) x = 5 * x + 1;
    return x;
}
__global__ void short_loop(u64 *times, u32 end, const u32 *ones, u32 *sink) {
    u32 one = ones[threadIdx.x];
    for (int r = 0; r < REPS + 1; r++) {
        u32 i = one;
        u64 t0 = clk();
        asm volatile("{.reg .pred p;\n L%=: mad.lo.u32 %0,%0,5,1; setp.ne.u32 p,%0,%1; @p bra L%=;}" : "+r"(i) : "r"(end) : "memory");
        u64 t1 = clk();
        sink[threadIdx.x] = i;
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
}
// 8 LOP3 and a backward branch whose predicate is known long before
__global__ void long_loop(u64 *times, u32 end, const u32 *ones, u32 *sink) {
    u32 one = ones[threadIdx.x];
    u32 a = threadIdx.x, b = a + 1, c = a + 2, d = a + 3;
    for (int r = 0; r < REPS + 1; r++) {
        u32 i = one;
        u64 t0 = clk();
        asm volatile(
            "{.reg .pred p;\n L%=: mad.lo.u32 %0,%0,5,1; setp.ne.u32 p,%0,%5; xor.b32 %1,%1,%0; xor.b32 %2,%2,%1; xor.b32 %3,%3,%2; xor.b32 %4,%4,%3;"
            " xor.b32 %1,%1,%4; xor.b32 %2,%2,%1; xor.b32 %3,%3,%2; xor.b32 %4,%4,%3; @p bra L%=;}"
            : "+r"(i), "+r"(a), "+r"(b), "+r"(c), "+r"(d)
            : "r"(end)
            : "memory");
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
    sink[threadIdx.x] = a ^ b ^ c ^ d;
}
// divergent if/else: half of the lanes on each side, a volatile operation in each
template <bool DIVERGENT> __global__ void if_else(u64 *times, u32 *sink, const u32 *side, int n) {
    u32 a = sink[threadIdx.x];
    bool odd = DIVERGENT ? side[threadIdx.x] & 1 : side[64] & 1;
    for (int r = 0; r < REPS + 1; r++) {
        u64 t0 = clk();
#pragma unroll 1
        for (int i = 0; i < n; i++) {
            if (odd) {
                asm volatile("popc.b32 %0,%0;" : "+r"(a)::"memory");
                asm volatile("bar.warp.sync %0;" ::"r"(__activemask()) : "memory");
            } else {
                asm volatile("brev.b32 %0,%0;" : "+r"(a)::"memory");
                asm volatile("bar.warp.sync %0;" ::"r"(__activemask()) : "memory");
            }
            __syncwarp();
        }
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
    sink[threadIdx.x] = a;
}
__device__ __noinline__ u32 callee(u32 x) {
    asm volatile("xor.b32 %0,%0,0x55;" : "+r"(x)::"memory");
    return x;
}
__global__ void calls(u64 *times, u32 *sink, int n) {
    u32 a = sink[threadIdx.x];
    for (int r = 0; r < REPS + 1; r++) {
        u64 t0 = clk();
#pragma unroll 1
        for (int i = 0; i < n; i++) a = callee(a);
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
    sink[threadIdx.x] = a;
}
static void collect(const char *name, const char *variant, u64 *t, int warps, double per) {
    CK(cudaGetLastError());
    CK(cudaDeviceSynchronize());
    auto h = to_host(t, 32 * (REPS + 1));
    std::vector<double> v;
    for (int r = 1; r <= REPS; r++) v.push_back((double)*std::max_element(h.begin() + r * 32, h.begin() + r * 32 + warps) / per);
    rows(name, variant, v, "cycles");
}
static void branches() {
    u64 *t = device_alloc<u64>(32 * (REPS + 1));
    u32 *s = device_alloc<u32>(1024), *side = device_alloc<u32>(1024);
    std::vector<u32> h(1024);
    for (int i = 0; i < 1024; i++) h[i] = i;
    CK(cudaMemcpy(side, h.data(), 4096, cudaMemcpyHostToDevice));
    u32 *ones = device_alloc<u32>(1024);
    CK(cudaMemcpy(ones, std::vector<u32>(1024, 1).data(), 4096, cudaMemcpyHostToDevice));
    for (int w : {1, 4, 8, 16, 32}) {
        std::string v = num(w) + "warps";
        u32 end = counter_end(1024);
        short_loop<<<1, 32 * w>>>(t, end, ones, s), collect("loop_IMAD_ISETP_BRA_iteration", v.c_str(), t, w, 1024);
        long_loop<<<1, 32 * w>>>(t, end, ones, s), collect("loop_IMAD_ISETP_8LOP3_BRA_iteration", v.c_str(), t, w, 1024);
    }
    if_else<false><<<1, 32>>>(t, s, side, 256), collect("if_else_uniform_iteration", "1warp", t, 1, 256);
    if_else<true><<<1, 32>>>(t, s, side, 256), collect("if_else_divergent_iteration", "1warp", t, 1, 256);
    calls<<<1, 32>>>(t, s, 256), collect("call_ret_loop_iteration", "1warp", t, 1, 256);
}

__global__ void sleeping(u64 *times, u32 ns) {
    for (int r = 0; r < REPS + 1; r++) {
        u64 t0 = clk();
        asm volatile("nanosleep.u32 %0;" ::"r"(ns) : "memory");
        u64 t1 = clk();
        times[r * 32] = t1 - t0;
    }
}
static void nanosleeps() {
    u64 *t = device_alloc<u64>(32 * (REPS + 1));
    for (u32 ns : {0u, 1u, 20u, 50u, 100u, 200u, 500u, 1000u, 5000u, 20000u, 100000u}) {
        sleeping<<<1, 1>>>(t, ns);
        collect("nanosleep", (num(ns) + "ns").c_str(), t, 1, 1);
    }
}

// ---- CTA launch
struct CtaLog {
    u64 start, end, start_ns, end_ns;
    u32 sm, pad;
};
__global__ void cta_log(CtaLog *log, int work) {
    u64 t0 = clk(), n0 = gtime();
    u32 x = threadIdx.x;
    for (int i = 0; i < work; i++) asm volatile("popc.b32 %0,%0;" : "+r"(x)::"memory");
    __syncthreads();
    if (threadIdx.x == 0) log[blockIdx.x] = {t0, clk() + (x == 77), n0, gtime(), smid(), 0};
}
static std::vector<CtaLog> run_ctas(CtaLog *log, int ctas, int threads, int smem, int work) {
    CK(cudaFuncSetAttribute(cta_log, cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10));
    cta_log<<<ctas, threads, smem>>>(log, work);
    CK(cudaGetLastError());
    CK(cudaDeviceSynchronize());
    return to_host(log, ctas);
}
static void launch() {
    int sms = sm_count();
    CtaLog *log = device_alloc<CtaLog>(1 << 20);
    // Gap between the end (last clock) of a CTA and the first clock of its successor on the same SM, one CTA per SM at a time.
    for (int threads : {32, 128, 256, 512, 1024})
        for (int work : {20, 200}) {
            std::vector<double> med, low, rate;
            for (int r = 0; r < 6; r++) {
                auto h = run_ctas(log, sms * 20, threads, 200 << 10, work);
                if (r == 0) continue;
                std::sort(h.begin(), h.end(), [](const CtaLog &a, const CtaLog &b) { return a.sm != b.sm ? a.sm < b.sm : a.start < b.start; });
                std::vector<double> gaps;
                for (size_t i = 1; i < h.size(); i++)
                    if (h[i].sm == h[i - 1].sm) gaps.push_back((double)h[i].start - (double)h[i - 1].end);
                std::sort(gaps.begin(), gaps.end());
                med.push_back(gaps[gaps.size() / 2]), low.push_back(gaps[0]);
                rate.push_back(gaps[gaps.size() * 9 / 10]);
            }
            std::string v = num(threads) + "threads_work" + num(work);
            rows("cta_successor_gap_median", v, med, "cycles");
            rows("cta_successor_gap_least", v, low, "cycles");
            rows("cta_successor_gap_p90", v, rate, "cycles");
        }
    // Launch rate with full occupancy: cycles per CTA per SM = span on the SM / (CTAs on it - 1)
    for (int threads : {32, 64, 128, 256, 512, 1024})
        for (int per_sm : {100, 400}) {
            std::vector<double> v;
            for (int r = 0; r < 6; r++) {
                auto h = run_ctas(log, sms * per_sm, threads, 0, 0);
                if (r == 0) continue;
                std::vector<u64> s(1024, ~0ull), e(1024, 0), n(1024, 0);
                for (auto &l : h) s[l.sm] = std::min(s[l.sm], l.start), e[l.sm] = std::max(e[l.sm], l.start), n[l.sm]++;
                double sum = 0;
                int used = 0;
                for (int i = 0; i < 1024; i++)
                    if (n[i] > 1) sum += (double)(e[i] - s[i]) / (double)(n[i] - 1), used++;
                v.push_back(sum / used);
            }
            rows("cta_launch_interval_per_SM", num(threads) + "threads_" + num(per_sm) + "CTAs_per_SM", v, "cycles");
        }
    // First wave: start of each CTA relative to the earliest, by the global timer (its step is the resolution) and by the SM clock
    for (int threads : {32, 1024}) {
        std::vector<double> skew_ns, skew_clk;
        std::vector<CtaLog> h;
        for (int r = 0; r < 6; r++) {
            h = run_ctas(log, sms, threads, 200 << 10, 2000);
            if (r == 0) continue;
            u64 ns0 = ~0ull, ns1 = 0, c0 = ~0ull, c1 = 0;
            for (auto &l : h) {
                ns0 = std::min(ns0, l.start_ns), ns1 = std::max(ns1, l.start_ns);
                c0 = std::min(c0, l.start), c1 = std::max(c1, l.start);
            }
            skew_ns.push_back((double)(ns1 - ns0)), skew_clk.push_back((double)(c1 - c0));
        }
        rows("first_wave_skew_globaltimer", num(threads) + "threads", skew_ns, "ns");
        rows("first_wave_skew_smclock", num(threads) + "threads", skew_clk, "cycles");
        u64 ns0 = ~0ull, c0 = ~0ull;
        for (auto &l : h) ns0 = std::min(ns0, l.start_ns), c0 = std::min(c0, l.start);
        for (int i = 0; i < sms; i++) {
            std::string v = num(threads) + "threads_cta" + num(i) + "_sm" + num(h[i].sm);
            row("first_wave_start_ns", v, (double)(h[i].start_ns - ns0), "ns", "0");
            row("first_wave_start_clk", v, (double)(h[i].start - c0), "cycles", "0");
        }
    }
    // Intra-SM first wave: start clocks of the CTAs of one SM when many fit (32 per SM), relative to the first of that SM
    std::vector<double> step;
    for (int r = 0; r < 6; r++) {
        auto h = run_ctas(log, sms * 32, 64, 0, 2000);
        if (r == 0) continue;
        std::vector<u64> s(1024, ~0ull), e(1024, 0), n(1024, 0);
        for (auto &l : h) s[l.sm] = std::min(s[l.sm], l.start), e[l.sm] = std::max(e[l.sm], l.start), n[l.sm]++;
        double sum = 0;
        int used = 0;
        for (int i = 0; i < 1024; i++)
            if (n[i] > 1) sum += (double)(e[i] - s[i]) / (double)(n[i] - 1), used++;
        step.push_back(sum / used);
    }
    rows("first_wave_interval_per_SM", "64threads_32CTAs", step, "cycles");
}
static void order() {
    int sms = sm_count();
    CtaLog *log = device_alloc<CtaLog>(1 << 12);
    for (int per_sm : {1, 2, 4}) {
        int smem = per_sm == 1 ? 200 << 10 : per_sm == 2 ? 100 << 10 : 50 << 10;
        for (int r = 0; r < 2; r++) {
            auto h = run_ctas(log, sms * per_sm + 136, 128, smem, 20000);
            for (int i = 0; i < (int)h.size(); i++)
                row("cta_to_sm_" + num(per_sm) + "_per_SM", "cta" + num(i), h[i].sm, "smid", std::to_string(r));
        }
    }
}

// ---- clusters: which SMs share a cluster (a GPC), distributed shared memory latency, cluster barrier
__global__ void cluster_kernel(u32 *sms, u64 *times, int size) {
    extern __shared__ __align__(16) u32 shared[];
    u32 rank, id;
    asm volatile("mov.u32 %0,%%cluster_ctarank;" : "=r"(rank));
    asm volatile("mov.u32 %0,%%clusterid.x;" : "=r"(id));
    if (threadIdx.x == 0) sms[blockIdx.x] = smid();
    u64 remote;  // generic address of the next rank's first word, which holds that address itself
    asm volatile("mapa.u64 %0,%1,%2;" : "=l"(remote) : "l"(shared), "r"((rank + 1) % size));
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
    if (threadIdx.x == 0) asm volatile("st.u64 [%0],%0;" ::"l"(remote) : "memory");
    asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
    for (int r = 0; r < REPS + 1; r++) {
        u64 t0 = clk();
        u64 a = remote;
        if (rank == 0 && threadIdx.x == 0) {
#pragma unroll 1
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int k = 0; k < 16; k++) asm volatile("ld.u64 %0,[%0];" : "+l"(a)::"memory");
            }
            if (a == 1) times[63] = a;
            u64 t1 = clk();
            if (id == 0) times[r] = t1 - t0;
        }
        __syncwarp();
        asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
        u64 t2 = clk();
#pragma unroll 1
        for (int k = 0; k < 16; k++) asm volatile("barrier.cluster.arrive.aligned; barrier.cluster.wait.aligned;" ::: "memory");
        u64 t3 = clk();
        if (id == 0 && rank == 0 && threadIdx.x == 0) times[16 + r] = t3 - t2;
    }
}
static void clusters() {
    u32 *s = device_alloc<u32>(1024);
    u64 *t = device_alloc<u64>(64);
    CK(cudaFuncSetAttribute(cluster_kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    CK(cudaFuncSetAttribute(cluster_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10));
    for (int size : {1, 2, 4, 8, 16}) {
        cudaLaunchConfig_t config = {};
        cudaLaunchAttribute attribute;
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim.x = size, attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
        config.blockDim = dim3(32), config.dynamicSmemBytes = 200 << 10, config.attrs = &attribute, config.numAttrs = 1;
        config.gridDim = dim3(size);
        int most = 0;
        CK(cudaOccupancyMaxActiveClusters(&most, cluster_kernel, &config));
        row("cluster_max_active", "size" + num(size), most, "clusters", "0");
        if (most < 1) continue;
        int grid = std::min(most * size, 1024);
        config.gridDim = dim3(grid);
        CK(cudaLaunchKernelEx(&config, cluster_kernel, s, t, size));
        CK(cudaDeviceSynchronize());
        auto h = to_host(t, 64);
        std::vector<double> load, barrier;
        for (int r = 1; r <= REPS; r++) load.push_back(h[r] / 64.0), barrier.push_back(h[16 + r] / 16.0);
        rows("dsmem_load_latency_next_rank", "cluster" + num(size), load, "cycles");
        rows("cluster_barrier_1warp", "cluster" + num(size), barrier, "cycles");
        auto m = to_host(s, grid);
        for (int i = 0; i < grid; i++) row("cluster_sm_size" + num(size), "cluster" + num(i / size) + "_rank" + num(i % size), m[i], "smid", "0");
    }
}

int main(int argc, char **argv) {
    return dispatch(argc, argv,
                    {{"barriers", barriers}, {"branches", branches}, {"nanosleep", nanosleeps}, {"launch", launch}, {"order", order},
                     {"clusters", clusters}});
}
