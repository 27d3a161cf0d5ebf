// MUFU against the correctly rounded result, in units of the last place (bit patterns subtracted).
//   ./mufu OUTDIR : OUTDIR/mufu_stats.txt (every mantissa of many binades) and OUTDIR/mufu_dump.bin (pipe through gzip)
// Dump format: sections "name begin stride count\n" then count int8 differences (clamped to +-127; -128: not comparable).
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>
#define CHECK(x) do { cudaError_t e_ = (x); if (e_ != cudaSuccess) { printf("error %s line %d\n", cudaGetErrorString(e_), __LINE__); exit(1); } } while (0)

enum { RCP, RSQ, SQRT, EX2, LG2, SIN, COS, TANH, NF };
static const char* names[NF] = {"rcp", "rsq", "sqrt", "ex2", "lg2", "sin", "cos", "tanh"};

template <int F> __device__ float approx(float x) {
    float y;
    if (F == RCP) asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == RSQ) asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == SQRT) asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == EX2) asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == LG2) asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == SIN) asm("sin.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == COS) asm("cos.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    if (F == TANH) asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// sin.approx multiplies by 1/(2 pi) toward zero and gives the product (in turns) to MUFU: the reference starts there
template <int F> __device__ float exact(float x) {
    double d = x;
    if (F == RCP) return float(1.0 / d);
    if (F == RSQ) return float(1.0 / sqrt(d));
    if (F == SQRT) return float(sqrt(d));
    if (F == EX2) return float(exp2(d));
    if (F == LG2) return float(log2(d));
    if (F == SIN) return float(sinpi(2.0 * double(__fmul_rz(x, 0.15915493667125702f))));
    if (F == COS) return float(cospi(2.0 * double(__fmul_rz(x, 0.15915493667125702f))));
    return float(tanh(d));
}
template <int F> __global__ void sweep(uint32_t begin, uint32_t stride, uint32_t count, signed char* diff, long long* hist, double* worst) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = __uint_as_float(begin + i * stride), a = approx<F>(x), e = exact<F>(x);
    long long d = (long long)__float_as_int(a) - __float_as_int(e);
    if (signbit(a) != signbit(e)) d = a == e ? 0 : 1000000;
    int c = d > 127 ? 127 : d < -127 ? -127 : int(d);
    if (isnan(a) || isnan(e)) c = -128;
    diff[i] = (signed char)c;
    atomicAdd((unsigned long long*)&hist[c + 128], 1ull);
    double abs_error = fabs(double(a) - double(e));
    atomicMax((unsigned long long*)worst, (unsigned long long)__double_as_longlong(abs_error));
}
static signed char* d_diff; static long long* d_hist; static double* d_worst; static FILE *stats, *dump;
template <int F> static void range(uint32_t begin, uint32_t stride, bool keep) {
    uint32_t count = (1u << 23) / stride;
    CHECK(cudaMemset(d_hist, 0, 256 * 8)); CHECK(cudaMemset(d_worst, 0, 8));
    sweep<F><<<(count + 255) / 256, 256>>>(begin, stride, count, d_diff, d_hist, d_worst);
    CHECK(cudaDeviceSynchronize());
    std::vector<long long> h(256); double worst;
    CHECK(cudaMemcpy(h.data(), d_hist, 2048, cudaMemcpyDeviceToHost)); CHECK(cudaMemcpy(&worst, d_worst, 8, cudaMemcpyDeviceToHost));
    float x; memcpy(&x, &begin, 4);
    int low = 0, high = 0, first = 999, last = -999;
    for (int c = 1; c < 256; ++c) if (h[c]) { if (first == 999) first = c - 128; last = c - 128; }
    fprintf(stats, "%s %a %u count %u min_ulp %d max_ulp %d nan %lld worst_abs %.9g hist", names[F], x, stride, count, first, last, h[0], worst);
    for (int c = 1; c < 256; ++c) if (h[c]) fprintf(stats, " %d:%lld", c - 128, h[c]);
    fprintf(stats, "\n"); fflush(stats); (void)low; (void)high;
    if (keep) {
        std::vector<signed char> v(count);
        CHECK(cudaMemcpy(v.data(), d_diff, count, cudaMemcpyDeviceToHost));
        fprintf(dump, "%s %08x %u %u\n", names[F], begin, stride, count);
        fwrite(v.data(), 1, count, dump);
    }
}
static uint32_t bits(float x) { uint32_t b; memcpy(&b, &x, 4); return b; }
template <int F> __global__ void raw(const uint32_t* in, uint32_t* out, int n) {
    int i = threadIdx.x;
    if (i < n) out[i] = __float_as_uint(approx<F>(__uint_as_float(in[i])));
}
template <int F> static void edges() {
    std::vector<uint32_t> in = {0, 0x80000000u, 1, 0x80000001u, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000, 0x3f800000, 0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
        0xc2fc0000, 0xc2fe0000, 0xc3000000, 0xc3150000, 0x42fe0000, 0x43000000, 0x7e800000, 0x7e800001, 0x7f000000, 0xfe800000, 0x3f7fffff, 0x3f800001, 0x33800000, 0x34000000, 0x7effffff, 0x3effffff};
    uint32_t *a, *b; CHECK(cudaMalloc(&a, 256)); CHECK(cudaMalloc(&b, 256));
    CHECK(cudaMemcpy(a, in.data(), in.size() * 4, cudaMemcpyHostToDevice));
    raw<F><<<1, 64>>>(a, b, int(in.size()));
    std::vector<uint32_t> out(in.size());
    CHECK(cudaMemcpy(out.data(), b, in.size() * 4, cudaMemcpyDeviceToHost));
    fprintf(stats, "edges %s", names[F]);
    for (size_t i = 0; i < in.size(); ++i) fprintf(stats, " %08x:%08x", in[i], out[i]);
    fprintf(stats, "\n");
}
int main(int argc, char** argv) {
    std::string dir = argc > 1 ? argv[1] : ".";
    stats = fopen((dir + "/mufu_stats.txt").c_str(), "w"); dump = popen(("gzip -6 > " + dir + "/mufu_dump.bin.gz").c_str(), "w");
    CHECK(cudaMalloc(&d_diff, 1 << 23)); CHECK(cudaMalloc(&d_hist, 2048)); CHECK(cudaMalloc(&d_worst, 8));
    edges<RCP>(); edges<RSQ>(); edges<SQRT>(); edges<EX2>(); edges<LG2>(); edges<SIN>(); edges<COS>(); edges<TANH>();
    for (int e = 1; e < 254; e += e > 4 && e < 248 ? 11 : 1) { range<RCP>(uint32_t(e) << 23, 1, false); range<RSQ>(uint32_t(e) << 23, 1, false); range<SQRT>(uint32_t(e) << 23, 1, false); range<LG2>(uint32_t(e) << 23, 1, false); }
    for (int e = 100; e < 134; ++e) { range<EX2>(uint32_t(e) << 23, 1, false); range<EX2>(0x80000000u | uint32_t(e) << 23, 1, false); range<TANH>(uint32_t(e) << 23, 1, false); }
    for (int e = 97; e < 150; e += e < 120 || e > 133 ? 5 : 1) { range<SIN>(uint32_t(e) << 23, 1, false); range<COS>(uint32_t(e) << 23, 1, false); }
    for (int e = 124; e < 130; ++e) range<LG2>(uint32_t(e) << 23, 1, false);
    range<RCP>(bits(1), 1, true);
    range<EX2>(bits(1), 1, true); range<EX2>(bits(-2.0f) - 0x00800000u, 4, true);
    range<RSQ>(bits(1), 1, true); range<RSQ>(bits(2), 1, true);
    range<SQRT>(bits(1), 4, true); range<SQRT>(bits(2), 4, true);
    range<LG2>(bits(1), 1, true); range<LG2>(bits(2), 2, true); range<LG2>(bits(0.5f), 2, true);
    range<SIN>(bits(0.5f), 4, true); range<SIN>(bits(1), 4, true); range<SIN>(bits(2), 4, true); range<SIN>(bits(4), 4, true);
    range<COS>(bits(1), 4, true); range<COS>(bits(2), 4, true);
    range<TANH>(bits(0.25f), 4, true); range<TANH>(bits(0.5f), 4, true); range<TANH>(bits(1), 4, true); range<TANH>(bits(2), 4, true); range<TANH>(bits(4), 4, true);
    pclose(dump); fclose(stats);
    printf("mufu done\n");
    return 0;
}
