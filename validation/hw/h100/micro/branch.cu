// Branches: cycles of one loop iteration that holds 0 to 4 copies of a branch pattern; the slope is the pattern's cost.
// The bodies are long enough (24 dependent operations) that the compiler jumps instead of predicating them.
#include "micro.cuh"

static constexpr int REPS = 4, TRIPS = 128;
#define X1 "xor.b32 %0,%0,%1; add.u32 %0,%0,%2;"
#define X4 X1 X1 X1 X1
#define X24 X4 X4 X4

// COPIES of the pattern in one loop; `kind` chooses it at compile time
enum Kind { SKIP_TAKEN, IF_ELSE, NESTED, JUMP_TABLE, CALL_DIRECT, CALL_INDIRECT };

// Over a body that no lane runs (taken), or that all run.
static __device__ __forceinline__ void skip(u32 &a, u32 b, u32 c, u32 p) {
    asm volatile("{.reg .pred p; setp.ne.u32 p,%3,0; @p bra L%=; " X24 " L%=:}" : "+r"(a) : "r"(b), "r"(c), "r"(p) : "memory");
}
static __device__ __forceinline__ void if_else(u32 &a, u32 b, u32 c, u32 p) {
    asm volatile("{.reg .pred p; setp.ne.u32 p,%3,0; @p bra E%=; " X24 " bra J%=; E%=: " X24 " J%=:}" : "+r"(a) : "r"(b), "r"(c), "r"(p) : "memory");
}
static __device__ __forceinline__ void nested(u32 &a, u32 b, u32 c, u32 p, u32 q) {
    asm volatile("{.reg .pred p,q; setp.ne.u32 p,%3,0; setp.ne.u32 q,%4,0; @p bra E%=; @q bra F%=; " X24 " bra G%=; F%=: " X24 " G%=: " X4 " bra J%=; E%=: " X24 " J%=:}"
                 : "+r"(a) : "r"(b), "r"(c), "r"(p), "r"(q) : "memory");
}
static __device__ __forceinline__ void jump_table(u32 &a, u32 b, u32 c, u32 i) {
    asm volatile("{.reg .u32 i; T%=: .branchtargets A%=,B%=,C%=,D%=,E%=,F%=,G%=,H%=; brx.idx %3,T%=;"
                 " A%=: " X4 " bra J%=; B%=: " X4 X1 " bra J%=; C%=: " X4 X1 X1 " bra J%=; D%=: " X4 X1 X1 X1 " bra J%=;"
                 " E%=: " X4 X4 " bra J%=; F%=: " X4 X4 X1 " bra J%=; G%=: " X4 X4 X1 X1 " bra J%=; H%=: " X4 X4 X1 X1 X1 " J%=:}"
                 : "+r"(a) : "r"(b), "r"(c), "r"(i) : "memory");
}
template <int N> __device__ __noinline__ u32 callee(u32 x) {
    asm volatile("xor.b32 %0,%0,%1; add.u32 %0,%0,%1;" : "+r"(x) : "n"(N + 3) : "memory");
    return x;
}
typedef u32 (*Callee)(u32);
__device__ Callee callees[8] = {callee<0>, callee<1>, callee<2>, callee<3>, callee<4>, callee<5>, callee<6>, callee<7>};

template <int KIND, int COPIES> __global__ void branches(u64 *times, u32 *sink, const u32 *choice, u32 b, u32 c, int n) {
    u32 a = sink[threadIdx.x], p = choice[threadIdx.x], q = choice[1024 + threadIdx.x];
    Callee f = callees[p & 7];
    for (int r = 0; r < REPS + 1; r++) {
        u64 t0 = clk();
#pragma unroll 1
        for (int i = 0; i < n; i++) {
#pragma unroll
            for (int k = 0; k < COPIES; k++) {
                if (KIND == SKIP_TAKEN) skip(a, b, c, p);
                if (KIND == IF_ELSE) if_else(a, b, c, p);
                if (KIND == NESTED) nested(a, b, c, p, q);
                if (KIND == JUMP_TABLE) jump_table(a, b, c, p);
                if (KIND == CALL_DIRECT) a = callee<0>(a);
                if (KIND == CALL_INDIRECT) a = f(a);
            }
            asm volatile("xor.b32 %0,%0,%1;" : "+r"(a) : "r"(b) : "memory");
        }
        u64 t1 = clk();
        if ((threadIdx.x & 31) == 0) times[r * 32 + (threadIdx.x >> 5)] = t1 - t0;
    }
    sink[threadIdx.x] = a;
}

static u64 *times;
static u32 *sink, *choice;
template <int KIND, int COPIES> static void copies(const char *name, const std::string &variant, int warps) {
    branches<KIND, COPIES><<<1, 32 * warps>>>(times, sink, choice, 0x1234567, 1, TRIPS);
    CK(cudaGetLastError());
    CK(cudaDeviceSynchronize());
    auto h = to_host(times, 32 * (REPS + 1));
    std::vector<double> v;
    for (int r = 1; r <= REPS; r++) v.push_back((double)*std::max_element(h.begin() + r * 32, h.begin() + r * 32 + warps) / TRIPS);
    rows(name, variant + "_" + num(COPIES) + "copies_" + num(warps) + "warps", v, "cycles");
}
template <int KIND> static void pattern(const char *name, const std::string &variant, std::vector<u32> (*of)(int), int k) {
    auto h = of(k);
    CK(cudaMemcpy(choice, h.data(), 8192, cudaMemcpyHostToDevice));
    for (int warps : {1, 4, 16}) {
        copies<KIND, 0>(name, variant, warps);
        copies<KIND, 1>(name, variant, warps);
        copies<KIND, 2>(name, variant, warps);
        copies<KIND, 4>(name, variant, warps);
    }
}
// choice[lane] = lane mod k (first table), lane / 16 (second)
static std::vector<u32> modulo(int k) {
    std::vector<u32> h(2048);
    for (int i = 0; i < 1024; i++) h[i] = i % k, h[1024 + i] = (i / 16) & 1;
    return h;
}
static std::vector<u32> constant(int k) {
    std::vector<u32> h(2048);
    for (int i = 0; i < 1024; i++) h[i] = h[1024 + i] = k;
    return h;
}
// the first k lanes jump
static std::vector<u32> first(int k) {
    std::vector<u32> h(2048);
    for (int i = 0; i < 1024; i++) h[i] = (i & 31) < k, h[1024 + i] = (i / 16) & 1;
    return h;
}
static void run() {
    times = device_alloc<u64>(32 * (REPS + 1)), sink = device_alloc<u32>(1024), choice = device_alloc<u32>(2048);
    pattern<SKIP_TAKEN>("branch_over_24", "taken", constant, 1);
    pattern<SKIP_TAKEN>("branch_over_24", "not_taken", constant, 0);
    for (int k : {1, 16, 31}) pattern<SKIP_TAKEN>("branch_over_24", "taken_by_" + num(k), first, k);
    pattern<IF_ELSE>("if_else_24", "else", constant, 1);
    pattern<IF_ELSE>("if_else_24", "if", constant, 0);
    for (int k : {1, 16, 31}) pattern<IF_ELSE>("if_else_24", "else_by_" + num(k), first, k);
    pattern<NESTED>("nested_if_24", "uniform", constant, 0);
    pattern<NESTED>("nested_if_24", "divergent", modulo, 2);
    for (int k : {1, 2, 4, 8}) pattern<JUMP_TABLE>("jump_table", num(k) + "targets", modulo, k);
    pattern<CALL_DIRECT>("call_direct", "uniform", constant, 0);
    for (int k : {1, 2, 4, 8}) pattern<CALL_INDIRECT>("call_indirect", num(k) + "targets", modulo, k);
}
int main(int argc, char **argv) { return dispatch(argc, argv, {{"branches", run}}); }
