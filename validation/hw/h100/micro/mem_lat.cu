// Load latencies by pointer chase (one thread): L1, L2 and DRAM by footprint, constant cache by footprint, single-lane atomics, and the
// L2 latency of each SM to fixed lines.
#include "micro.cuh"

enum Mode { CA64, CG64, CA32, CA128, GENERIC64, ATOM_ADD32, ATOM_CAS32, ATOM_EXCH32, ATOM_ADD64, MODES };

template <int MODE> static __device__ __forceinline__ void step(u32 &lo, u32 &hi, u32 zero, u64 &sum) {
#define P "{.reg .b64 p; mov.b64 p,{%0,%1}; "
    if (MODE == CA64) asm volatile(P "ld.global.u64 p,[p]; mov.b64 {%0,%1},p;}" : "+r"(lo), "+r"(hi)::"memory");
    if (MODE == CG64) asm volatile(P "ld.global.cg.u64 p,[p]; mov.b64 {%0,%1},p;}" : "+r"(lo), "+r"(hi)::"memory");
    if (MODE == CA32) asm volatile(P "ld.global.u32 %0,[p];}" : "+r"(lo) : "r"(hi) : "memory");
    if (MODE == CA128)
        asm volatile("{.reg .b64 p,q; mov.b64 p,{%0,%1}; ld.global.v2.u64 {p,q},[p]; mov.b64 {%0,%1},p; xor.b64 %2,%2,q;}"
                     : "+r"(lo), "+r"(hi), "+l"(sum)::"memory");
    if (MODE == GENERIC64) asm volatile(P "ld.u64 p,[p]; mov.b64 {%0,%1},p;}" : "+r"(lo), "+r"(hi)::"memory");
    if (MODE == ATOM_ADD32) asm volatile(P "atom.global.add.u32 %0,[p],%2;}" : "+r"(lo) : "r"(hi), "r"(zero) : "memory");
    if (MODE == ATOM_CAS32) asm volatile(P "atom.global.cas.b32 %0,[p],%0,%0;}" : "+r"(lo) : "r"(hi) : "memory");
    if (MODE == ATOM_EXCH32) asm volatile(P "atom.global.exch.b32 %0,[p],%0;}" : "+r"(lo) : "r"(hi) : "memory");
    if (MODE == ATOM_ADD64)
        asm volatile("{.reg .b64 p,q,z; mov.b64 p,{%0,%1}; mov.b64 z,{%2,%2}; atom.global.add.u64 q,[p],z; mov.b64 {%0,%1},q;}"
                     : "+r"(lo), "+r"(hi)
                     : "r"(zero)
                     : "memory");
#undef P
}

// warm * 32 loads untimed, then `repeats` times loads32 * 32 loads timed, on along the same chain; out[r] = cycles
template <int MODE> __global__ void chase(u64 start, int warm, int loads32, int repeats, u64 *out, u32 zero) {
    u32 lo = (u32)start, hi = (u32)(start >> 32);
    u64 sum = 0;
#pragma unroll 1
    for (int i = 0; i < warm; i++) {
#pragma unroll
        for (int k = 0; k < 32; k++) step<MODE>(lo, hi, zero, sum);
    }
#pragma unroll 1
    for (int r = 0; r < repeats; r++) {
        u64 t0 = clk();
#pragma unroll 1
        for (int i = 0; i < loads32; i++) {
#pragma unroll
            for (int k = 0; k < 32; k++) step<MODE>(lo, hi, zero, sum);
        }
        if (lo == 1) out[63] = hi;  // the clock below waits for the last load
        u64 t1 = clk();
        out[r] = t1 - t0;
    }
    out[62] = lo + hi + sum;
}

__global__ void link_nodes(u64 base, const u64 *offsets, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x)
        *(u64 *)(base + offsets[i]) = base + offsets[i + 1 == n ? 0 : i + 1];
}
__global__ void read_all(const uint4 *p, size_t n, u32 *sink) {
    u32 x = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = __ldcg(p + i);
        x ^= v.x ^ v.w;
    }
    if (x == 0x12345) *sink = x;
}

static u64 *out;
static u32 *sink;
static void setup() {
    out = device_alloc<u64>(64);
    sink = device_alloc<u32>(64);
}

// `nodes` nodes in random order, evenly spread over `footprint` bytes (one line each)
static u64 build(u64 base, u64 footprint, size_t nodes) {
    static u64 *device_offsets = nullptr;
    static size_t room = 0;
    Random random;
    std::vector<u64> o(nodes);
    u64 lines = footprint / 128;
    for (size_t i = 0; i < nodes; i++) {
        u64 lo = lines * i / nodes, hi = lines * (i + 1) / nodes;
        o[i] = (lo + random.next() % (hi - lo)) * 128;
    }
    for (size_t i = nodes - 1; i > 0; i--) std::swap(o[i], o[random.next() % (i + 1)]);
    if (room < nodes) {
        if (device_offsets) CK(cudaFree(device_offsets));
        device_offsets = device_alloc<u64>(nodes, false);
        room = nodes;
    }
    CK(cudaMemcpy(device_offsets, o.data(), nodes * 8, cudaMemcpyHostToDevice));
    link_nodes<<<132, 256>>>(base, device_offsets, nodes);
    CK(cudaDeviceSynchronize());
    return base + o[0];
}

template <int MODE> static std::vector<double> run(u64 start, int warm, int loads32, int repeats) {
    chase<MODE><<<1, 1>>>(start, warm, loads32, repeats, out, 0);
    CK(cudaGetLastError());
    CK(cudaDeviceSynchronize());
    auto h = to_host(out, repeats);
    std::vector<double> v;
    for (u64 t : h) v.push_back((double)t / (32.0 * loads32));
    return v;
}

static void l1() {
    setup();
    u64 base = (u64)device_alloc<char>(1 << 20);
    for (int kb : {1, 4, 16, 32, 64, 96, 128, 160, 192, 200, 208, 216, 224, 232, 240, 248, 256, 320, 512}) {
        u64 s = build(base, kb * 1024ull, kb * 8);
        int pass = (kb * 8 + 31) / 32;
        rows("chase_L1_ca64", num(kb) + "KB", run<CA64>(s, 2 * pass, 2 * pass, 5), "cycles");
    }
    u64 s = build(base, 16384, 128);
    rows("chase_L1_generic64", "16KB", run<GENERIC64>(s, 8, 16, 5), "cycles");
    rows("chase_L1_ca32", "16KB", run<CA32>(s, 8, 16, 5), "cycles");
    rows("chase_L1_ca128", "16KB", run<CA128>(s, 8, 16, 5), "cycles");
    rows("chase_L1_cg64", "16KB", run<CG64>(s, 8, 16, 5), "cycles");
}

static void l2() {
    setup();
    u64 base = (u64)device_alloc<char>(64ull << 20);
    for (double mb : {0.25, 0.5, 1., 2., 4., 8., 12., 16., 20., 22., 24., 26., 28., 32., 36., 40., 44., 48., 50., 52., 56., 60.}) {
        u64 bytes = (u64)(mb * 1048576);
        u64 s = build(base, bytes, bytes / 128);
        read_all<<<264, 512>>>((const uint4 *)base, bytes / 16, sink);
        int pass = (int)(bytes / 128 / 32);
        rows("chase_L2_cg64", num(mb) + "MB", run<CG64>(s, pass, 256, 5), "cycles");
    }
    u64 s = build(base, 4 << 20, (4 << 20) / 128);
    rows("chase_L2_ca64", "4MB", run<CA64>(s, 1024, 256, 5), "cycles");
    rows("chase_L2_ca32", "4MB", run<CA32>(s, 1024, 256, 5), "cycles");
    rows("chase_L2_ca128", "4MB", run<CA128>(s, 1024, 256, 5), "cycles");
}

// Cold caches: each repeat flushes L2 by reading another 256 MB, then walks 8192 lines spread over the footprint.
static void dram() {
    setup();
    u64 base = (u64)device_alloc<char>(4ull << 30, false);
    uint4 *other = device_alloc<uint4>(256 << 16);
    for (int mb : {1, 2, 8, 32, 64, 128, 256, 512, 1024, 2048, 4096}) {
        u64 bytes = (u64)mb << 20;
        size_t nodes = std::min<u64>(bytes / 128, 8192);
        u64 s = build(base, bytes, nodes);
        std::vector<double> v;
        for (int r = 0; r < 5; r++) {
            read_all<<<264, 512>>>(other, 256 << 16, sink);
            v.push_back(run<CG64>(s, 0, (int)(nodes / 32), 1)[0]);
        }
        rows("chase_DRAM_cg64_cold", num(mb) + "MB", v, "cycles");
    }
    // steady state: a chain longer than L2, walked on and on; the TLB sees random pages of the footprint
    for (int mb : {128, 256, 1024}) {
        size_t nodes = std::min<u64>(((u64)mb << 20) / 128, 1 << 20);
        u64 s = build(base, (u64)mb << 20, nodes);
        read_all<<<264, 512>>>(other, 256 << 16, sink);
        rows("chase_DRAM_cg64_steady", num(mb) + "MB", run<CG64>(s, 512, 512, 5), "cycles");
    }
}

static void atomic() {
    setup();
    u64 base = (u64)device_alloc<char>(16 << 20);
    for (int nodes : {1, 16384}) {
        u64 s = build(base, nodes == 1 ? 128 : 8 << 20, nodes);
        std::string v = nodes == 1 ? "one_line" : "8MB";
        int warm = nodes == 1 ? 1 : nodes / 32;
        rows("atom_latency_add32", v, run<ATOM_ADD32>(s, warm, 64, 5), "cycles");
        rows("atom_latency_cas32", v, run<ATOM_CAS32>(s, warm, 64, 5), "cycles");
        if (nodes == 1) rows("atom_latency_exch32", v, run<ATOM_EXCH32>(s, warm, 64, 5), "cycles");  // it would cut a longer chain
        rows("atom_latency_add64", v, run<ATOM_ADD64>(s, warm, 64, 5), "cycles");
        rows("load_latency_cg64", v, run<CG64>(s, warm, 64, 5), "cycles");
    }
}

// ---- one SM at a time: `lines` self-pointing lines; first[l] = the first load, mean[l] = 16 dependent loads / 16
static constexpr int LINES = 32;
__global__ void from_sm(u64 base, const u64 *offsets, int lines, u32 target, u64 *first, u64 *mean) {
    if (smid() != target) return;
    for (int l = 0; l < lines; l++) {
        u64 p = base + offsets[l];
        u32 lo = (u32)p, hi = (u32)(p >> 32);
        u64 sum = 0;
        u64 t0 = clk();
        step<CG64>(lo, hi, 0, sum);
        if (lo == 1) first[0] = hi;
        u64 t1 = clk();
#pragma unroll
        for (int k = 0; k < 16; k++) step<CG64>(lo, hi, 0, sum);
        if (lo == 1) first[0] = hi;
        u64 t2 = clk();
        first[l] = t1 - t0, mean[l] = t2 - t1;
    }
}
static void smmap() {
    setup();
    int sms = sm_count();
    u64 base = (u64)device_alloc<char>(64 << 20);
    Random random;
    const int many = 2048;
    std::vector<u64> o(many);
    for (auto &x : o) x = random.next() % ((16 << 20) / 128) * 128;
    u64 *offsets = device_alloc<u64>(many), *first = device_alloc<u64>(many), *mean = device_alloc<u64>(many);
    CK(cudaMemcpy(offsets, o.data(), many * 8, cudaMemcpyHostToDevice));
    std::vector<u64> image((16 << 20) / 8);
    for (u64 x : o) image[x / 8] = base + x;
    CK(cudaMemcpy((void *)base, image.data(), 16 << 20, cudaMemcpyHostToDevice));
    CK(cudaFuncSetAttribute(from_sm, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10));
    auto probe = [&](int sm, int lines) {  // one CTA per SM: only the one on `sm` measures; the second launch is warm
        for (int i = 0; i < 2; i++) from_sm<<<sms, 1, 200 << 10>>>(base, offsets, lines, sm, first, mean);
        CK(cudaGetLastError());
        CK(cudaDeviceSynchronize());
    };
    std::vector<std::vector<double>> by_line(LINES);
    std::vector<double> sm_mean;
    for (int sm = 0; sm < sms; sm++) {
        probe(sm, LINES);
        auto m = to_host(mean, LINES);
        double sum = 0;
        for (int l = 0; l < LINES; l++) {
            by_line[l].push_back(m[l] / 16.0);
            sum += m[l] / 16.0;
            row("L2_sm_line", "sm" + num(sm) + "_line" + num(l), m[l] / 16.0, "cycles", "0");
        }
        sm_mean.push_back(sum / LINES);
    }
    rows("L2_sm_mean_over_lines", "each_sm", sm_mean, "cycles");
    for (int l = 0; l < LINES; l++) {
        auto v = by_line[l];
        double s = 0;
        for (double x : v) s += x;
        std::string n = "line" + num(l);
        row("L2_line_over_SMs", n, s / v.size(), "cycles", "mean");
        row("L2_line_over_SMs", n, *std::min_element(v.begin(), v.end()), "cycles", "min");
        row("L2_line_over_SMs", n, *std::max_element(v.begin(), v.end()), "cycles", "max");
    }
    for (int sm : {0, 1, 17, 66, sms - 1}) {  // histogram in bins of 8 cycles over many lines
        probe(sm, many);
        auto m = to_host(mean, many);
        std::vector<int> bins(128);
        double sum = 0;
        for (u64 x : m) bins[std::min<u64>(x / 16 / 8, 127)]++, sum += x / 16.0;
        for (int b = 0; b < 128; b++)
            if (bins[b]) row("L2_hit_histogram_sm" + num(sm), num(b * 8) + "_to_" + num(b * 8 + 8), bins[b], "lines", "0");
        row("L2_hit_mean_sm" + num(sm), "2048_lines", sum / many, "cycles", "mean");
    }
}

// ---- constant cache: c[3][...] by register offset; each word holds the offset of the next
__constant__ u32 table[16384];
__global__ void chase_constant(u32 start, int warm, int loads32, int repeats, u64 *result) {
    u32 off = start;
#pragma unroll 1
    for (int r = -1; r < repeats; r++) {
        int n = r < 0 ? warm : loads32;
        u64 t0 = clk();
#pragma unroll 1
        for (int i = 0; i < n; i++) {
#pragma unroll
            for (int k = 0; k < 32; k++) off = *(const u32 *)((const char *)table + off);
        }
        if (off == 1) result[63] = off;
        u64 t1 = clk();
        if (r >= 0) result[r] = t1 - t0;
    }
    result[62] = off;
}
static void constant() {
    setup();
    for (int stride : {64, 256}) {
        for (int bytes : {256, 512, 1024, 1536, 1792, 2048, 2304, 2560, 3072, 4096, 8192, 16384, 24576, 32768, 40960, 49152, 57344, 65536}) {
            int n = bytes / stride;
            if (n < 1) continue;
            std::vector<u32> h(16384), o(n);
            Random random;
            for (int i = 0; i < n; i++) o[i] = i * stride;
            for (int i = n - 1; i > 0; i--) std::swap(o[i], o[random.next() % (i + 1)]);
            for (int i = 0; i < n; i++) h[o[i] / 4] = o[(i + 1) % n];
            CK(cudaMemcpyToSymbol(table, h.data(), 65536));
            chase_constant<<<1, 1>>>(o[0], 2 * ((n + 31) / 32), 64, 5, out);
            CK(cudaDeviceSynchronize());
            auto t = to_host(out, 5);
            std::vector<double> v;
            for (u64 x : t) v.push_back(x / 2048.0);
            rows("chase_LDC_stride" + num(stride), num(bytes) + "B", v, "cycles");
        }
    }
}

int main(int argc, char **argv) {
    return dispatch(argc, argv, {{"l1", l1}, {"l2", l2}, {"dram", dram}, {"atomic", atomic}, {"smmap", smmap}, {"constant", constant}});
}
