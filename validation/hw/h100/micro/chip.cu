// The chip beyond an SM: which slice of L2 a line belongs to, ports of SMs and TPCs, reductions on few words, what the end of a
// CTA waits for, local memory by lines touched, the first pass over code.
#include "micro.cuh"

struct Span {
    u64 start, end;
    u32 sm, pad;
};
static Span *spans;
static u32 *sink;
static char *memory;
static constexpr size_t MEMORY = 256 << 20;
static void setup() {
    spans = device_alloc<Span>(1 << 16), sink = device_alloc<u32>(4096), memory = device_alloc<char>(MEMORY);
}
static double mean_span(int ctas, u32 least = 0) {
    auto h = to_host(spans, ctas);
    double sum = 0;
    int n = 0;
    for (auto &l : h)
        if (l.end > l.start + least) sum += (double)(l.end - l.start), n++;
    return n ? sum / n : 0;
}

// ---- slices: two words of one slice take turns at its atomics unit, words of two slices don't
static constexpr int PAIR_CTAS = 16, PAIR_OPS = 48, MOST_CLASSES = 128;
static __device__ void grid_barrier(u32 *count, u32 target) {
    __syncthreads();
    if (threadIdx.x == 0) {
        atomicAdd(count, 1u);
        while (*(volatile u32 *)count < target) {}
    }
    __syncthreads();
}
// Time of atomics on `line` and on each of the `n` lines of `others` together: out[other * CTAs + cta]
__global__ void __launch_bounds__(256) pairs(char *base, const u32 *others, int n, u32 line, u32 *count, u32 *out) {
    u32 x = 0;
    for (int o = 0; o < n; o++) {
        grid_barrier(count, PAIR_CTAS * (o + 1));
        u64 t0 = clk();
        if ((threadIdx.x & 31) == 0) {
            u32 *p = (u32 *)(base + (size_t)((threadIdx.x >> 5) & 1 ? others[o] : line));
#pragma unroll 8
            for (int i = 0; i < PAIR_OPS; i++) {
                u32 r;
                asm volatile("atom.global.add.u32 %0,[%1],%2;" : "=r"(r) : "l"(p), "r"(1) : "memory");
                x ^= r;
            }
        }
        if (x == 0x13579bdf) out[0] = x;
        __syncthreads();
        u64 t1 = clk();
        if (threadIdx.x == 0) out[o * PAIR_CTAS + blockIdx.x] = (u32)(t1 - t0);
    }
}
static u32 *pair_lines, *pair_count, *pair_out;
static std::vector<double> pair_times(const std::vector<u32> &others, u32 line) {
    CK(cudaMemcpy(pair_lines, others.data(), others.size() * 4, cudaMemcpyHostToDevice));
    CK(cudaMemset(pair_count, 0, 4));
    pairs<<<PAIR_CTAS, 256>>>(memory, pair_lines, (int)others.size(), line, pair_count, pair_out);
    CK(cudaGetLastError());
    auto h = to_host(pair_out, others.size() * PAIR_CTAS);
    std::vector<double> t(others.size());
    for (size_t o = 0; o < t.size(); o++)
        for (int c = 0; c < PAIR_CTAS; c++) t[o] += h[o * PAIR_CTAS + c] / (double)PAIR_CTAS;
    return t;
}
static double pair_limit, pair_apart;
// Class (slice) of a line: the one it shares, or a new one
static int slice_of(u32 line, std::vector<u32> &classes) {
    for (int attempt = 0; attempt < 3; attempt++) {
        if (classes.empty()) break;
        auto t = pair_times(classes, line);
        std::vector<int> hits;
        for (size_t i = 0; i < t.size(); i++)
            if (t[i] > pair_limit) hits.push_back((int)i);
        if (hits.size() == 1) return hits[0];
        if (hits.empty() && attempt) break;
    }
    if (classes.size() >= MOST_CLASSES) return -1;
    classes.push_back(line);
    return (int)classes.size() - 1;
}
static void slices() {
    setup();
    pair_lines = device_alloc<u32>(MOST_CLASSES), pair_count = device_alloc<u32>(1), pair_out = device_alloc<u32>(MOST_CLASSES * PAIR_CTAS);
    pair_times({0}, 0);
    // the same line twice, and lines from all over: the two groups of times lie far apart
    std::vector<double> same, any;
    for (int i = 0; i < 8; i++) same.push_back(pair_times({(u32)i * 4096 + 32}, i * 4096)[0]);
    Random random;
    for (int i = 0; i < 64; i++) any.push_back(pair_times({(u32)(random.next() % (2 << 20) & ~127u)}, 0)[0]);
    rows("slice_pair_time", "two_sectors_of_one_line", same, "cycles");
    rows("slice_pair_time", "two_lines_at_random", any, "cycles");
    std::sort(same.begin(), same.end()), std::sort(any.begin(), any.end());
    pair_apart = any[any.size() / 2], pair_limit = (same[same.size() / 2] + pair_apart) / 2;
    std::vector<u32> classes;
    auto list = [&](const char *name, u32 step, u32 first, int n) {
        for (int i = 0; i < n; i++) {
            u32 at = first + step * i;
            row(name, num(at), slice_of(at, classes), "slice", "0");
        }
        fflush(stdout);
    };
    list("slice_of_sector", 32, 0, 64);
    list("slice_of_line", 128, 0, 8192);
    list("slice_of_line", 128, 1 << 20, 1024);
    list("slice_of_line", 128, 2 << 20, 1024);
    list("slice_of_4KB", 4096, 0, 2048);
    list("slice_of_1MB", 1 << 20, 0, 256);
    row("slices_found", "lines", (double)classes.size(), "slices", "0");
    for (size_t i = 0; i < classes.size(); i++) row("slice_first_line", num((double)i), classes[i], "bytes", "0");
}

// ---- reductions whose lanes fall on few words
enum Few { FEW_U32, FEW_F32 };
template <int KIND> __global__ void few(char *base, u32 words, u32 stride, int n, const u32 *zeros, Span *log) {
    u32 zero = zeros[threadIdx.x], hash = (blockIdx.x * blockDim.x + threadIdx.x) * 2654435761u + zero;
    u64 t0 = clk();
    for (int i = 0; i < n; i++) {
        hash = hash * 1664525u + 1013904223u;
        char *p = base + (size_t)((hash >> 9) % words) * stride;
        if (KIND == FEW_U32) asm volatile("red.global.add.u32 [%0],%1;" ::"l"(p), "r"(1 + zero) : "memory");
        if (KIND == FEW_F32) asm volatile("red.global.add.f32 [%0],%1;" ::"l"(p), "f"(1.0f) : "memory");
    }
    __threadfence();
    __syncthreads();
    u64 t1 = clk();
    if (threadIdx.x == 0) log[blockIdx.x] = {t0, t1, smid(), 0};
}
template <int KIND> static void few_words(const char *name) {
    u32 *zeros = device_alloc<u32>(1024);
    for (u32 stride : {4u, 32u, 128u, 512u, 4096u})
        for (u32 words : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 256u, 1024u, 4096u})
            for (int sms : {1, sm_count()}) {
                if (words == 1 && stride > 4) continue;
                const int n = 32;
                std::vector<double> v;
                for (int r = 0; r < 4; r++) {
                    few<KIND><<<sms, 256>>>(memory, words, stride, n, zeros, spans);
                    CK(cudaGetLastError());
                    CK(cudaDeviceSynchronize());
                    if (r) v.push_back(sms * 256.0 * n / mean_span(sms));
                }
                rows(name, num(words) + "words_apart_" + num(stride) + "_" + num(sms) + "SM", v, "lane-op/clk");
            }
}
static void few_all() {
    setup();
    few_words<FEW_U32>("RED_few_u32");
    few_words<FEW_F32>("RED_few_f32");
}

// ---- ports: only the SMs in the mask work
struct Mask {
    u32 bits[5];
};
template <int KIND> __global__ void __launch_bounds__(1024, 1) port(char *base, Mask mask, int working, size_t bytes, int passes, Span *log, u32 *sink) {
    u32 sm = smid(), x = 0;
    if (!(mask.bits[sm / 32] >> (sm % 32) & 1)) return;
    u32 rank = 0;
    for (u32 i = 0; i < sm / 32; i++) rank += __popc(mask.bits[i]);
    rank += __popc(mask.bits[sm / 32] & ((1u << sm % 32) - 1));
    size_t chunk = bytes / working / (1024 * 16 * 4) * (1024 * 16 * 4);
    u64 t0 = clk();
    for (int p = 0; p < passes; p++) {
        uint4 *from = (uint4 *)(base + (rank + (size_t)p * 37) % working * chunk);
        for (size_t i = threadIdx.x; i < chunk / 16; i += 4096) {
            if (KIND == 0) {
                uint4 v[4];
#pragma unroll
                for (int k = 0; k < 4; k++) v[k] = __ldcg(from + i + k * 1024);
#pragma unroll
                for (int k = 0; k < 4; k++) x ^= v[k].x ^ v[k].y ^ v[k].z ^ v[k].w;
            } else {
#pragma unroll
                for (int k = 0; k < 4; k++) from[i + k * 1024] = make_uint4(1, 2, 3, 4);
            }
        }
    }
    if (x == 0x13579bdf) *sink = x;
    __syncthreads();
    u64 t1 = clk();
    if (threadIdx.x == 0) log[sm] = {t0, t1, sm, 0};
}
template <int KIND> static void port_set(const char *name, const std::string &variant, std::vector<int> sms) {
    Mask mask = {};
    for (int s : sms) mask.bits[s / 32] |= 1u << s % 32;
    size_t bytes = std::min<size_t>(16 << 20, (size_t)sms.size() << 20);
    size_t chunk = bytes / sms.size() / (1024 * 16 * 4) * (1024 * 16 * 4);
    std::vector<double> v;
    auto kernel = port<KIND>;
    CK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 128 << 10));
    for (int r = 0; r < 5; r++) {
        CK(cudaMemset(spans, 0, 256 * sizeof(Span)));
        kernel<<<sm_count(), 1024, 128 << 10>>>(memory, mask, (int)sms.size(), bytes, 8, spans, sink);
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
        if (r) v.push_back(chunk * 8.0 / mean_span(256));
    }
    rows(name, variant, v, "B/clk/SM");
}
static void ports() {
    setup();
    auto range = [](int from, int to, int step) {
        std::vector<int> v;
        for (int i = from; i < to; i += step) v.push_back(i);
        return v;
    };
    std::vector<std::pair<std::string, std::vector<int>>> sets = {
        {"SM0", {0}}, {"SM0_1", {0, 1}}, {"SM0_2", {0, 2}}, {"SM0_2_4", {0, 2, 4}}, {"SM0_to_5", range(0, 6, 1)}, {"even_of_8", range(0, 8, 2)},
        {"even_of_16", range(0, 16, 2)}, {"SM0_to_15", range(0, 16, 1)}, {"even_of_32", range(0, 32, 2)}, {"SM0_to_31", range(0, 32, 1)},
        {"even_of_64", range(0, 64, 2)}, {"even", range(0, 132, 2)}, {"every_fourth", range(0, 132, 4)}, {"every_16th", range(0, 132, 16)}, {"all", range(0, 132, 1)}};
    for (auto &s : sets) port_set<0>("port_read", s.first, s.second), port_set<1>("port_write", s.first, s.second);
}

// ---- the end of a CTA: the next one on the SM starts so long after the last clock read of the first
enum Before { NOTHING, STORES, STORES_SCATTERED, REDS_SAME, REDS_SCATTERED, REDS_FLOAT_SAME };
template <int KIND> __global__ void __launch_bounds__(1024, 1) ending(char *base, int n, u64 *log) {
    u32 id = blockIdx.x * blockDim.x + threadIdx.x;
    u64 t0 = clk();
    for (int i = 0; i < n; i++) {
        u32 *line = (u32 *)(base + ((size_t)i * gridDim.x * blockDim.x + id) * 4);
        u32 *far = (u32 *)(base + ((size_t)(id * 2654435761u + i * 40503u) % (128u << 20) & ~127ull));
        if (KIND == STORES) *line = id;
        if (KIND == STORES_SCATTERED) *far = id;
        if (KIND == REDS_SAME) asm volatile("red.global.add.u32 [%0],%1;" ::"l"(base + (threadIdx.x & 31) * 4), "r"(id) : "memory");
        if (KIND == REDS_SCATTERED) asm volatile("red.global.add.u32 [%0],%1;" ::"l"(far), "r"(id) : "memory");
        if (KIND == REDS_FLOAT_SAME) asm volatile("red.global.add.f32 [%0],%1;" ::"l"(base + (threadIdx.x & 31) * 4), "f"(1.0f) : "memory");
    }
    __syncthreads();
    u64 t1 = clk();
    if (threadIdx.x == 0) log[blockIdx.x * 3] = t0, log[blockIdx.x * 3 + 1] = t1, log[blockIdx.x * 3 + 2] = smid();
}
template <int KIND> static void end_of(const char *name) {
    u64 *log = device_alloc<u64>(3 * 1024);
    auto kernel = ending<KIND>;
    CK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 128 << 10));
    for (int sms : {1, sm_count()})
        for (int n : {0, 1, 2, 4, 8, 16, 32}) {
            int grid = sms == 1 ? sm_count() + 1 : 2 * sms;  // one or all SMs get a second CTA
            std::vector<double> gaps, work;
            for (int r = 0; r < 5; r++) {
                kernel<<<grid, 256, 128 << 10>>>(memory, n, log);
                CK(cudaGetLastError());
                CK(cudaDeviceSynchronize());
                if (!r) continue;
                auto h = to_host(log, 3 * grid);
                for (int c = sm_count(); c < grid; c++)
                    for (int d = 0; d < sm_count(); d++)
                        if (h[3 * c + 2] == h[3 * d + 2] && h[3 * c] > h[3 * d + 1]) gaps.push_back((double)(h[3 * c] - h[3 * d + 1])), work.push_back((double)(h[3 * d + 1] - h[3 * d]));
            }
            std::sort(gaps.begin(), gaps.end()), std::sort(work.begin(), work.end());
            if (gaps.empty()) continue;
            std::string v = num(n) + "_a_thread_" + (sms == 1 ? "one_SM_twice" : "all_SMs_twice");
            row(name, v, gaps[0], "cycles", "min"), row(name, v, gaps[gaps.size() / 2], "cycles", "median"), row(name, v, gaps.back(), "cycles", "max");
            row(std::string(name) + "_issue", v, work[work.size() / 2], "cycles", "median");
        }
}
static void endings() {
    setup();
    end_of<NOTHING>("cta_end_after_nothing");
    end_of<STORES>("cta_end_after_stores");
    end_of<STORES_SCATTERED>("cta_end_after_scattered_stores");
    end_of<REDS_SAME>("cta_end_after_reductions_one_line");
    end_of<REDS_FLOAT_SAME>("cta_end_after_float_reductions_one_line");
    end_of<REDS_SCATTERED>("cta_end_after_scattered_reductions");
}

// ---- local memory: dependent loads whose lanes touch `lines` different lines of the thread's own array
template <int STORE> __global__ void local_chain(u64 *times, u32 *sink, int lines, int n) {
    u32 a[256];
    u32 lane = threadIdx.x & 31, group = lane % lines;
    for (int i = 0; i < 256; i++) a[i] = (i + lines) & 255;
    u32 x = group;
    u64 t0 = clk();
#pragma unroll 1
    for (int i = 0; i < n; i++) {
        x = a[x];
        if (STORE) a[(x + 64) & 255] = x;
    }
    u64 t1 = clk();
    if (lane == 0) times[threadIdx.x >> 5] = t1 - t0;
    sink[threadIdx.x] = x + a[x ^ 1];
}
template <int STORE> static void local_lines(const char *name) {
    u64 *times = device_alloc<u64>(32);
    for (int lines : {1, 2, 4, 8, 16, 32})
        for (int warps : {1, 4, 8}) {
            std::vector<double> v;
            for (int r = 0; r < 4; r++) {
                local_chain<STORE><<<1, 32 * warps>>>(times, sink, lines, 128);
                CK(cudaGetLastError());
                CK(cudaDeviceSynchronize());
                auto h = to_host(times, warps);
                if (r) v.push_back(*std::max_element(h.begin(), h.end()) / 128.0);
            }
            rows(name, num(lines) + "lines_" + num(warps) + "warps", v, "cycles");
        }
}
static void locals() {
    setup();
    local_lines<0>("local_load_chain");
    local_lines<1>("local_load_store_chain");
}

// ---- first pass over code: a clock read every 64 instructions (1 KB and a little)
#define FMA1 "fma.rn.f32 %0,%0,%4,%5; fma.rn.f32 %1,%1,%4,%5; fma.rn.f32 %2,%2,%4,%5; fma.rn.f32 %3,%3,%4,%5;"
#define FMA4 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1 FMA1
static constexpr int STAMPS = 128;
__global__ void cold_code(u32 *stamps, float *out, int store) {
    float a = threadIdx.x, b = a + 1, c = a + 2, d = a + 3, m = store, n = store + 1;
    u32 t[STAMPS];
#pragma unroll
    for (int i = 0; i < STAMPS; i++) {
        u32 x;
        asm volatile(FMA4 : "+f"(a), "+f"(b), "+f"(c), "+f"(d) : "f"(m), "f"(n));
        asm volatile("mov.u32 %0,%%clock;" : "=r"(x));
        t[i] = x;
    }
#pragma unroll
    for (int i = 0; i < STAMPS; i++)
        if (threadIdx.x == 0) stamps[blockIdx.x * STAMPS + i] = t[i];
    out[threadIdx.x] = a + b + c + d;
}
__global__ void wipe(char *p, size_t bytes) {
    for (size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * 16; i < bytes; i += (size_t)gridDim.x * blockDim.x * 16) *(uint4 *)(p + i) = make_uint4(0, 0, 0, 0);
}
static void cold() {
    setup();
    u32 *stamps = device_alloc<u32>(STAMPS * 256);
    for (int ctas : {1, sm_count()})
        for (int r = 0; r < 4; r++) {
            wipe<<<264, 1024>>>(memory, MEMORY);
            cold_code<<<ctas, 32>>>(stamps, (float *)sink, 1);
            CK(cudaGetLastError());
            CK(cudaDeviceSynchronize());
            auto h = to_host(stamps, STAMPS * ctas);
            for (int i = 1; i < STAMPS; i++) row("cold_code_block", num(ctas) + "CTAs_block" + num(i), h[i] - h[i - 1], "cycles", num(r));
        }
}

// ---- reads of one line by several SMs: run under ncu (measure_share.py), which counts what reaches L2; a row a launch
static constexpr int SHARED_LINES = 256;
// SM number `rank` of the mask reads line i at `start` + rank * skew + i * period cycles
template <int BYPASS> __global__ void __launch_bounds__(32, 1) share(const char *base, Mask mask, int period, int skew, u64 *start, u32 *count, u32 *sink) {
    u32 sm = smid(), x = 0;
    if (!(mask.bits[sm / 32] >> (sm % 32) & 1)) return;
    u32 rank = 0, working = 0;
    for (u32 i = 0; i < 5; i++) working += __popc(mask.bits[i]);
    for (u32 i = 0; i < sm / 32; i++) rank += __popc(mask.bits[i]);
    rank += __popc(mask.bits[sm / 32] & ((1u << sm % 32) - 1));
    if (threadIdx.x == 0) {
        if (atomicAdd(count, 1u) == working - 1) atomicExch((unsigned long long *)start, gtime() + 20000);
        while (*(volatile u64 *)start == 0) {}
    }
    __syncwarp();
    u64 begin = *(volatile u64 *)start;
    while (gtime() < begin) {}
    u64 t0 = clk() + (u64)rank * skew;
    for (int i = 0; i < SHARED_LINES; i++) {
        while (clk() < t0 + (u64)i * period) {}
        u32 v;
        const char *p = base + (size_t)i * 2176 + threadIdx.x * 4;  // 17 lines apart: all slices in turn
        if (BYPASS) asm volatile("ld.global.cg.u32 %0,[%1];" : "=r"(v) : "l"(p) : "memory");
        else asm volatile("ld.global.ca.u32 %0,[%1];" : "=r"(v) : "l"(p) : "memory");
        x ^= v;
    }
    if (x == 0x13579bdf) *sink = x;
}
static void shares() {
    setup();
    u64 *start = device_alloc<u64>(1);
    u32 *count = device_alloc<u32>(1);
    auto run = [&](const std::string &variant, std::vector<int> sms, int period, int skew, int bypass) {
        Mask mask = {};
        for (int s : sms) mask.bits[s / 32] |= 1u << s % 32;
        CK(cudaMemset(start, 0, 8));
        CK(cudaMemset(count, 0, 4));
        auto kernel = bypass ? share<1> : share<0>;
        CK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10));
        kernel<<<sm_count(), 32, 200 << 10>>>(memory, mask, period, skew, start, count, sink);
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
        row("shared_reads", variant + "_period" + num(period) + "_skew" + num(skew) + (bypass ? "_cg" : "_ca"), (double)sms.size() * SHARED_LINES * 4, "sectors", "0");
    };
    auto range = [](int from, int to, int step) {
        std::vector<int> v;
        for (int i = from; i < to; i += step) v.push_back(i);
        return v;
    };
    for (int k = 1; k < 34; k++) run("SM0_and_" + num(k), {0, k}, 1000, 0, 0);
    for (int k : {48, 64, 66, 80, 96, 112, 128, 130}) run("SM0_and_" + num(k), {0, k}, 1000, 0, 0);
    for (int skew : {0, 32, 64, 128, 192, 256, 384, 512, 768, 1024}) run("SM0_and_1", {0, 1}, 2000, skew, 0);
    for (int skew : {0, 32, 64, 128, 192, 256, 384, 512, 768, 1024}) run("SM0_and_16", {0, 16}, 2000, skew, 0);
    for (int skew : {0, 64, 256}) run("SM0_and_1", {0, 1}, 2000, skew, 1);
    for (int n : {4, 8, 16, 32, 64, 132})
        for (int skew : {0, 8, 32}) run("first_" + num(n), range(0, n, 1), 4000, skew, 0);
    run("even", range(0, 132, 2), 4000, 0, 0);
    run("every_16th", range(0, 132, 16), 4000, 0, 0);
    run("every_16th", range(0, 132, 16), 4000, 32, 0);
    run("every_16th", range(0, 132, 16), 4000, 128, 0);
}

// ---- first loads of a kernel, for a run under ncu with caches flushed and kept: latency of a burst of loads
// each warp loads `lines` lines of its own at once
__global__ void first_burst(char *base, int lines, u32 *out) {
    u32 warp = (blockIdx.x * blockDim.x + threadIdx.x) >> 5, x = 0, warps = gridDim.x * blockDim.x >> 5;
    u32 v[8];
    u64 t0 = clk();
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (i < lines) asm volatile("ld.global.ca.u32 %0,[%1];" : "=r"(v[i]) : "l"(base + ((size_t)i * warps + warp) * 128 + (threadIdx.x & 31) * 4) : "memory");
#pragma unroll
    for (int i = 0; i < 8; i++)
        if (i < lines) x |= v[i];
    asm volatile("add.u32 %0,%0,0;" : "+r"(x)::"memory");
    u64 t1 = clk() + (x == 77);
    if ((threadIdx.x & 31) == 0) out[warp] = (u32)(t1 - t0);
}
static void firsts() {
    setup();
    u32 *out = device_alloc<u32>(1 << 16);
    for (int warps : {1, 2, 8, 16})
        for (int lines : {1, 2, 4, 8})
            for (int r = 0; r < 3; r++) {
                first_burst<<<sm_count(), 32 * warps>>>(memory + 128 * 1048576, lines, out);
                CK(cudaGetLastError());
                CK(cudaDeviceSynchronize());
                auto h = to_host(out, sm_count() * warps);
                std::sort(h.begin(), h.end());
                std::string v = num(warps) + "warps_" + num(lines) + "lines";
                row("first_burst_min", v, h[0], "cycles", num(r)), row("first_burst_median", v, h[h.size() / 2], "cycles", num(r));
                row("first_burst_max", v, h.back(), "cycles", num(r));
            }
}
int main(int argc, char **argv) {
    return dispatch(argc, argv, {{"slices", slices}, {"few", few_all}, {"ports", ports}, {"endings", endings}, {"locals", locals}, {"cold", cold}, {"shares", shares}, {"firsts", firsts}});
}
