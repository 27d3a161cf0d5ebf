// EMU-1: order and reconvergence of divergent threads. Two uses:
//   ./emu1 order : prints for each case the clock of every lane at marked places (which group ran when)
//   ./emu1 count : launches one-warp kernels in a fixed order; run under ncu, a row a launch (counts against the emulator)
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define CHECK(x) do { cudaError_t e_ = (x); if (e_ != cudaSuccess) { printf("error %s line %d\n", cudaGetErrorString(e_), __LINE__); exit(1); } } while (0)
#define MARKS 12

__device__ __forceinline__ unsigned now() { unsigned t; asm volatile("mov.u32 %0, %%clock;" : "=r"(t) :: "memory"); return t; }
__device__ __forceinline__ void mark(unsigned* m, int k) { m[k * 32 + threadIdx.x % 32] = now(); }

// ---- order cases: every path stores its clock; `in[lane]` chooses the path ----
extern "C" __global__ void o_ifelse(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane], x = v;
    mark(m, 0);
    if (v & 1) { mark(m, 1); x = x * 7 + in[32 + lane]; x ^= x >> 3; mark(m, 2); out[32 + lane] = x; }
    else { mark(m, 3); x = x * 5 + in[64 + lane]; x ^= x >> 5; mark(m, 4); out[64 + lane] = x; }
    mark(m, 5);
    out[lane] = x;
}
// the same, with the other sense of the condition
extern "C" __global__ void o_ifelse2(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane], x = v;
    mark(m, 0);
    if (!(v & 1)) { mark(m, 1); x = x * 7 + in[32 + lane]; x ^= x >> 3; mark(m, 2); out[32 + lane] = x; }
    else { mark(m, 3); x = x * 5 + in[64 + lane]; x ^= x >> 5; mark(m, 4); out[64 + lane] = x; }
    mark(m, 5);
    out[lane] = x;
}
// two nested levels
extern "C" __global__ void o_nested(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane], x = v;
    mark(m, 0);
    if (v & 1) {
        if (v & 2) { mark(m, 1); x = x * 7 + in[32 + lane]; out[32 + lane] = x; } else { mark(m, 2); x = x * 3 + in[64 + lane]; out[64 + lane] = x; }
        mark(m, 3);
        out[96 + lane] = x;
    } else {
        if (v & 2) { mark(m, 4); x = x * 11 + in[32 + lane]; out[128 + lane] = x; } else { mark(m, 5); x = x * 13 + in[64 + lane]; out[160 + lane] = x; }
        mark(m, 6);
        out[192 + lane] = x;
    }
    mark(m, 7);
    out[lane] = x;
}
// jump table
extern "C" __global__ void o_switch(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane], x = v;
    mark(m, 0);
    switch (v) {
        case 0: mark(m, 1); x = x * 7 + in[32 + lane]; out[32 + lane] = x; break;
        case 1: mark(m, 2); x = x ^ in[33 + lane]; out[64 + lane] = x; break;
        case 2: mark(m, 3); x = x / (in[34 + lane] | 1); out[32 + lane] = x; break;
        case 3: mark(m, 4); x = __popc(x + in[35 + lane]); out[32 + lane] = x; break;
        case 4: mark(m, 5); x = x - in[36 + lane] * 3; out[96 + lane] = x; break;
        case 5: mark(m, 6); x = __brev(x + in[37 + lane]); out[32 + lane] = x; break;
        case 6: mark(m, 7); x = x * x + in[38 + lane]; out[32 + lane] = x; break;
        case 7: mark(m, 8); x = x | in[39 + lane]; out[128 + lane] = x; break;
        default: break;
    }
    mark(m, 9);
    out[lane] = x;
}
// indirect calls; callees long enough to see which group runs between
typedef int (*Fn)(int, const int*, unsigned*);
__device__ __noinline__ int f0(int x, const int* in, unsigned* m) { mark(m, 1); return x * 7 + in[threadIdx.x + 32]; }
__device__ __noinline__ int f1(int x, const int* in, unsigned* m) { mark(m, 2); return x ^ in[threadIdx.x + 33]; }
__device__ __noinline__ int f2(int x, const int* in, unsigned* m) { mark(m, 3); return x - in[threadIdx.x + 34] * 3; }
__device__ __noinline__ int f3(int x, const int* in, unsigned* m) { mark(m, 4); return x | in[threadIdx.x + 35]; }
__device__ Fn table[4];
extern "C" __global__ void o_fill(const int* order) {
    Fn all[4] = {f0, f1, f2, f3};
    for (int i = 0; i < 4; ++i) for (int j = 0; j < 4; ++j) if (order[i] == j) table[i] = all[j];
}
extern "C" __global__ void o_calls(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane];
    mark(m, 0);
    int x = table[v & 3](v, in, m);
    mark(m, 5);
    out[lane] = x;
}
// recursion: divergent returns
__device__ __noinline__ int walk(int left, unsigned* m, int depth) {
    mark(m, 1 + (depth < 8 ? depth : 8));
    if (left <= 1) return 1;
    int c = walk(left - 2, m, depth + 1) + 3 * left;
    if (left % 2 == 0) c += walk(left / 2, m, depth + 1);
    return c;
}
extern "C" __global__ void o_recursion(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x;
    mark(m, 0);
    int x = walk(in[lane], m, 0);
    mark(m, 10);
    out[lane] = x;
}
// loop with two ways out (as in raymarch) and code behind the first
extern "C" __global__ void o_loop(const int* in, unsigned* m, int* out) {
    int lane = threadIdx.x, v = in[lane], x = v, r = 0;
    mark(m, 0);
    #pragma unroll 1
    for (int i = 0; i < 24; ++i) {
        x = x * 5 + 1;
        if (i == v) { mark(m, 1); r = x * 3 + in[32 + lane]; r = r / (in[40 + lane] | 1); out[32 + lane] = r; mark(m, 2); break; }
        if ((x & 0xff00) == 0x1200) { mark(m, 3); break; }
    }
    mark(m, 4);
    out[lane] = x + r;
}

// ---- count cases ----
// some lanes work `trip` times round a loop while the rest wait at the reconvergence point
extern "C" __global__ void c_alu(int* out, int trip, int heavy) {
    int lane = threadIdx.x % 32, x = lane;
    if (lane < heavy) {
        #pragma unroll 1
        for (int i = 0; i < trip; ++i) x = x * 5 + (x >> 3);
        x ^= 77;
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
extern "C" __global__ void c_mem(int* out, const int* next, int trip, int heavy) {
    int lane = threadIdx.x % 32, x = lane;
    if (lane < heavy) {
        #pragma unroll 1
        for (int i = 0; i < trip; ++i) x = next[x];
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
extern "C" __global__ void c_else(int* out, const int* next, int trip, int heavy) {  // both sides loop
    int lane = threadIdx.x % 32, x = lane;
    if (lane < heavy) {
        #pragma unroll 1
        for (int i = 0; i < trip; ++i) x = next[x];
        x ^= 5;
    } else {
        #pragma unroll 1
        for (int i = 0; i < trip; ++i) x = x * 5 + (x >> 3);
        x += 9;
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
// every lane another trip count
extern "C" __global__ void c_trips(int* out, const int* trips) {
    int lane = threadIdx.x % 32, x = lane;
    #pragma unroll 1
    for (int i = trips[lane]; i > 0; --i) x = x * 5 + (x >> 3);
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
extern "C" __global__ void c_trips_mem(int* out, const int* trips, const int* next) {
    int lane = threadIdx.x % 32, x = lane;
    #pragma unroll 1
    for (int i = trips[lane]; i > 0; --i) x = next[x];
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
// two ways out of a loop in one branch
extern "C" __global__ void c_two_exits(int* out, const int* trips, int limit) {
    int lane = threadIdx.x % 32, x = lane, t = trips[lane], i = 0;
    #pragma unroll 1
    do { x = x * 5 + (x >> 3); ++i; } while (i < limit && i < t);
    if (x & 1) out[64 + lane] = x;
    out[blockIdx.x * blockDim.x + threadIdx.x] = x + i;
}
// a `break` path with its own code in a loop (raymarch's form)
extern "C" __global__ void c_break(int* out, const int* trips, const float* f) {
    int lane = threadIdx.x % 32, t = trips[lane];
    float x = f[lane], r = 0;
    #pragma unroll 1
    for (int i = 0; i < 24; ++i) {
        x = x * 1.5f + 0.25f;
        if (i >= t && (t & 1)) { r = sqrtf(x) / (x + 3.0f); break; }
        if (x > f[32 + lane]) break;
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = __float_as_int(x + r);
}
// part of a warp leaves, the rest loops
extern "C" __global__ void c_exit(int* out, const int* trips, int n) {
    int lane = threadIdx.x % 32, x = lane;
    if (lane >= n) return;
    #pragma unroll 1
    for (int i = trips[lane]; i > 0; --i) { x = x * 5 + (x >> 3); if (x & 1) x ^= out[256 + lane]; }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
extern "C" __global__ void c_switch(int* out, const int* in) {
    int lane = threadIdx.x % 32, x = lane;
    #pragma unroll 1
    for (int r = 0; r < 4; ++r) {
        switch (in[(lane + r) & 31] & 7) {
            case 0: x = x * 7 + 1; break;
            case 1: x = x ^ 0x55; x += x >> 2; break;
            case 2: x = x / 3 + r; break;
            case 3: x = __popc(x) + 2; break;
            case 4: x = x - 3 * r; x *= x; break;
            case 5: x = __brev(x); break;
            case 6: x = x * x + 9; break;
            default: x = x | 4096; x *= 3; break;
        }
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = x;
}
extern "C" __global__ void c_calls(int* out, const int* in, unsigned* m) {
    int lane = threadIdx.x % 32, x = lane;
    #pragma unroll 1
    for (int r = 0; r < 3; ++r) x = table[in[(lane + r) & 31] & 3](x, in, m);
    out[lane] = x;
}
extern "C" __global__ void c_recursion(int* out, const int* in, unsigned* m) {
    out[threadIdx.x] = walk(in[threadIdx.x % 32], m, 0);
}

static int *d_in, *d_out, *d_next;
static float* d_f;
static unsigned* d_m;
static void set_in(const std::vector<int>& v) { CHECK(cudaMemcpy(d_in, v.data(), v.size() * 4, cudaMemcpyHostToDevice)); }
static std::vector<int> pattern(int kind) {
    std::vector<int> v(256);
    unsigned s = 12345 + kind;
    for (int i = 0; i < 256; ++i) {
        s = s * 1664525u + 1013904223u;
        int r = (s >> 16) & 0x7fff;
        switch (kind) {
            case 0: v[i] = i % 32; break;                       // ascending
            case 1: v[i] = 31 - i % 32; break;                  // descending
            case 2: v[i] = r % 32; break;
            case 3: v[i] = i % 32 == 0; break;                  // one lane
            case 4: v[i] = i % 32 != 0; break;                  // all but one
            case 5: v[i] = i % 32 < 16; break;
            case 6: v[i] = i % 32 == 31; break;
            default: v[i] = r % 8; break;
        }
    }
    return v;
}
static void show(const char* name, int kind, const std::vector<int>& in) {
    CHECK(cudaDeviceSynchronize());
    std::vector<unsigned> m(MARKS * 32);
    CHECK(cudaMemcpy(m.data(), d_m, MARKS * 32 * 4, cudaMemcpyDeviceToHost));
    unsigned first = m[0];
    printf("case %s pattern %d in:", name, kind);
    for (int l = 0; l < 32; ++l) printf(" %d", in[l]);
    printf("\n");
    for (int k = 0; k < MARKS; ++k) {
        bool any = false;
        for (int l = 0; l < 32; ++l) any |= m[k * 32 + l] != 0;
        if (!any) continue;
        printf("  mark %d:", k);
        for (int l = 0; l < 32; ++l) m[k * 32 + l] ? printf(" %u", m[k * 32 + l] - first) : printf(" -");
        printf("\n");
    }
}
template <class K, class... A> static void order(const char* name, K kernel, std::vector<int> in, int kind, A... more) {
    set_in(in);
    kernel<<<1, 32>>>(d_in, d_m, d_out);  // warm the instruction cache
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemset(d_m, 0, MARKS * 32 * 4));
    kernel<<<1, 32>>>(d_in, d_m, d_out);
    show(name, kind, in);
}

int main(int argc, char** argv) {
    CHECK(cudaMalloc(&d_in, 4096)); CHECK(cudaMalloc(&d_out, 1 << 16)); CHECK(cudaMalloc(&d_m, MARKS * 32 * 4));
    CHECK(cudaMalloc(&d_next, 1 << 24)); CHECK(cudaMalloc(&d_f, 256));
    CHECK(cudaMemset(d_out, 0, 1 << 16));
    std::vector<int> next((1 << 24) / 4);
    for (size_t i = 0; i < next.size(); ++i) next[i] = int((i * 40503u + 1021u * 32u) % next.size());
    CHECK(cudaMemcpy(d_next, next.data(), 1 << 24, cudaMemcpyHostToDevice));
    set_in({0, 1, 2, 3});
    o_fill<<<1, 1>>>(d_in);
    CHECK(cudaDeviceSynchronize());
    if (argc > 1 && !strcmp(argv[1], "order")) {
        for (int kind : {0, 2, 3, 4, 5, 6}) order("ifelse", o_ifelse, pattern(kind), kind);
        for (int kind : {0, 3, 4, 5}) order("ifelse2", o_ifelse2, pattern(kind), kind);
        for (int kind : {0, 1, 2, 7}) order("nested", o_nested, pattern(kind), kind);
        for (int kind : {0, 1, 7}) { auto v = pattern(kind); for (int& x : v) x &= 7; order("switch", o_switch, v, kind); }
        { auto v = pattern(0); for (int i = 0; i < 32; ++i) v[i] = i < 20 ? 6 : i < 22 ? 3 : i < 30 ? 0 : 5; order("switch", o_switch, v, 90); }
        { auto v = pattern(0); for (int i = 0; i < 32; ++i) v[i] = i < 2 ? 5 : i < 8 ? 2 : i < 12 ? 7 : 1; order("switch", o_switch, v, 91); }
        for (int kind : {0, 1, 7}) order("calls", o_calls, pattern(kind), kind);
        { auto v = pattern(0); for (int i = 0; i < 32; ++i) v[i] = i < 20 ? 2 : i < 22 ? 0 : i < 30 ? 3 : 1; order("calls", o_calls, v, 90); }
        for (int kind : {0, 1, 2}) { auto v = pattern(kind); for (int& x : v) x %= 14; order("recursion", o_recursion, v, kind); }
        for (int kind : {0, 1, 2}) order("loop", o_loop, pattern(kind), kind);
        return 0;
    }
    for (int heavy : {1, 16, 31})
        for (int trip : {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024}) c_alu<<<1, 32>>>(d_out, trip, heavy);
    for (int heavy : {1, 16})
        for (int trip : {1, 2, 4, 8, 16, 32, 64, 256}) c_mem<<<1, 32>>>(d_out, d_next, trip, heavy);
    for (int heavy : {1, 16})
        for (int trip : {1, 2, 4, 8, 16, 32, 64, 256}) c_else<<<1, 32>>>(d_out, d_next, trip, heavy);
    c_alu<<<1, 1024>>>(d_out, 64, 1);
    c_mem<<<1, 1024>>>(d_out, d_next, 16, 1);
    for (int kind : {0, 1, 2, 5, 6, 7}) {
        set_in(pattern(kind));
        c_trips<<<1, 32>>>(d_out, d_in);
        c_trips_mem<<<1, 32>>>(d_out, d_in, d_next);
        c_two_exits<<<1, 32>>>(d_out, d_in, 20);
        std::vector<float> f(64);
        for (int i = 0; i < 64; ++i) f[i] = i < 32 ? 0.001f * i : 0.5f * float(1 << (pattern(2)[i] % 14));
        CHECK(cudaMemcpy(d_f, f.data(), 256, cudaMemcpyHostToDevice));
        c_break<<<1, 32>>>(d_out, d_in, d_f);
        for (int n : {31, 30, 16, 5}) c_exit<<<1, 32>>>(d_out, d_in, n);
        c_switch<<<1, 32>>>(d_out, d_in);
        c_calls<<<1, 32>>>(d_out, d_in, d_m);
        std::vector<int> v = pattern(kind);
        for (int& x : v) x %= 14;
        set_in(v);
        c_recursion<<<1, 32>>>(d_out, d_in, d_m);
        CHECK(cudaDeviceSynchronize());
    }
    CHECK(cudaDeviceSynchronize());
    printf("done\n");
    return 0;
}
