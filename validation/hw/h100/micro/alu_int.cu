// Integer, logic, warp-level and mixed-pipe chains.
#include "chain.cuh"

#define INT_OPS(X)                                                                                                     \
    X(IADD3, u32, u32, "r", "r", "{.reg .u32 t; add.u32 t,%0,%1; add.u32 %0,t,%2;}")                                   \
    X(IMAD, u32, u32, "r", "r", "mad.lo.u32 %0,%0,%1,%2;")                                                             \
    X(IMAD_acc, u32, u32, "r", "r", "mad.lo.u32 %0,%1,%2,%0;")                                                         \
    X(IMAD_HI, u32, u32, "r", "r", "mul.hi.u32 %0,%0,%1;") \
    X(IMAD_WIDE, u64, u32, "l", "r", "{.reg .u32 lo,hi; mov.b64 {lo,hi},%0; mul.wide.u32 %0,lo,hi;}") \
    X(IMAD_WIDE_signed, u64, u64, "l", "l", "{.reg .s32 lo,hi; mov.b64 {lo,hi},%0; mad.wide.s32 %0,lo,hi,%1;}") \
    X(LOP3, u32, u32, "r", "r", "lop3.b32 %0,%0,%1,%2,0x1e;")                                                          \
    X(SHF, u32, u32, "r", "r", "shf.l.wrap.b32 %0,%0,%1,%2;")                                                          \
    X(PRMT, u32, u32, "r", "r", "prmt.b32 %0,%0,%1,%2;")                                                               \
    X(IMAD_SHL_or_LEA, u32, u32, "r", "r", "{.reg .u32 t; shl.b32 t,%0,3; add.u32 %0,t,%1;}") \
    X(ISETP_SEL_pair, u32, u32, "r", "r", "{.reg .pred p; setp.lt.s32 p,%0,%1; selp.b32 %0,%2,%1,p;}")                      \
    X(VIMNMX_pair, u32, u32, "r", "r", "min.s32 %0,%0,%1; max.s32 %0,%0,%2;")                                          \
    X(IABS_LOP3_pair, u32, u32, "r", "r", "abs.s32 %0,%0; xor.b32 %0,%0,%1;") \
    X(IDP4A_mul, u32, u32, "r", "r", "dp4a.u32.u32 %0,%0,%1,%2;")                                                      \
    X(IDP4A_acc, u32, u32, "r", "r", "dp4a.u32.u32 %0,%1,%2,%0;")                                                      \
    X(IADD3_IADD3X_pair, u64, u64, "l", "l", "add.u64 %0,%0,%1; add.u64 %0,%0,%2;") \
    X(POPC_LOP3_pair, u32, u32, "r", "r", "popc.b32 %0,%0; xor.b32 %0,%0,%1;")                                         \
    X(POPC, u32, u32, "r", "r", "popc.b32 %0,%0;")                                                                     \
    X(FLO, u32, u32, "r", "r", "bfind.u32 %0,%0;")                                                                     \
    X(BREV_IADD_pair, u32, u32, "r", "r", "brev.b32 %0,%0; add.u32 %0,%0,%1;")                                         \
    X(SHFL_UP, u32, u32, "r", "r", "shfl.sync.up.b32 %0,%0,1,0,0xffffffff;") \
    X(SHFL_BFLY, u32, u32, "r", "r", "shfl.sync.bfly.b32 %0,%0,1,0x1f,0xffffffff;")                                    \
    X(SHFL_DOWN, u32, u32, "r", "r", "shfl.sync.down.b32 %0,%0,1,0x1f,0xffffffff;")                                    \
    X(ISETP_VOTE_pair, u32, u32, "r", "r", "{.reg .pred p; setp.lt.s32 p,%0,%1; vote.sync.ballot.b32 %0,p,0xffffffff;}") \
    X(MATCH_ANY, u32, u32, "r", "r", "match.any.sync.b32 %0,%0,0xffffffff;")                                           \
    X(MATCH_ALL, u32, u32, "r", "r", "match.all.sync.b32 %0,%0,0xffffffff;")                                           \
    X(REDUX_SUM, u32, u32, "r", "r", "redux.sync.add.s32 %0,%0,0xffffffff;")                                           \
    X(REDUX_OR, u32, u32, "r", "r", "redux.sync.or.b32 %0,%0,0xffffffff;")                                             \
    X(REDUX_MAX, u32, u32, "r", "r", "redux.sync.max.s32 %0,%0,0xffffffff;")                                           \
    X(IADD3_to_IMAD_pair, u32, u32, "r", "r", "{.reg .u32 t; add.u32 t,%0,%1; add.u32 t,t,%2; mad.lo.u32 %0,t,%1,%2;}") \
    X(LOP3_to_SHF_pair, u32, u32, "r", "r", "lop3.b32 %0,%0,%1,%2,0x1e; shf.l.wrap.b32 %0,%0,%1,%2;")                  \
    X(LOP3_to_POPC_pair, u32, u32, "r", "r", "lop3.b32 %0,%0,%1,%2,0x1e; popc.b32 %0,%0;")

INT_OPS(DEFINE_OP)

// Two independent accumulators on different pipes: does the pair issue faster than the sum of its parts?
struct Two {
    u32 x, y;
};
#define DEFINE_MIX(NAME, ASM_X, ASM_Y)                                              \
    struct NAME : OpBase<Two, u32> {                                                \
        static __device__ __forceinline__ void op(Two &a, u32 b, u32 c) {           \
            asm volatile(ASM_X : "+r"(a.x) : "r"(b), "r"(c));                       \
            asm volatile(ASM_Y : "+r"(a.y) : "r"(b), "r"(c));                       \
        }                                                                           \
    };
#define FMA_TEXT "{.reg .f32 x,y,z; mov.b32 x,%0; mov.b32 y,%1; mov.b32 z,%2; fma.rn.f32 x,x,y,z; mov.b32 %0,x;}"
#define IADD3_TEXT "{.reg .u32 t; add.u32 t,%0,%1; add.u32 %0,t,%2;}"
#define IMAD_TEXT "mad.lo.u32 %0,%0,%1,%2;"
#define LOP3_TEXT "lop3.b32 %0,%0,%1,%2,0x1e;"
#define HFMA_TEXT "fma.rn.f16x2 %0,%0,%1,%2;"
#define EX2_TEXT "{.reg .f32 x; mov.b32 x,%0; ex2.approx.ftz.f32 x,x; mov.b32 %0,x;}"
#define SHF_TEXT "shf.l.wrap.b32 %0,%0,%1,%2;"
#define SHFL_TEXT "shfl.sync.bfly.b32 %0,%0,1,0x1f,0xffffffff;"
#define MIXES(X)                          \
    X(MIX_FFMA_IADD3, FMA_TEXT, IADD3_TEXT)  \
    X(MIX_FFMA_IMAD, FMA_TEXT, IMAD_TEXT)    \
    X(MIX_FFMA_LOP3, FMA_TEXT, LOP3_TEXT)    \
    X(MIX_FFMA_HFMA2, FMA_TEXT, HFMA_TEXT)   \
    X(MIX_FFMA_MUFU, FMA_TEXT, EX2_TEXT)     \
    X(MIX_IMAD_LOP3, IMAD_TEXT, LOP3_TEXT)   \
    X(MIX_IADD3_LOP3, IADD3_TEXT, LOP3_TEXT) \
    X(MIX_IADD3_SHF, IADD3_TEXT, SHF_TEXT)   \
    X(MIX_HFMA2_IMAD, HFMA_TEXT, IMAD_TEXT)  \
    X(MIX_SHFL_MUFU, SHFL_TEXT, EX2_TEXT)
MIXES(DEFINE_MIX)

// all lanes with one value, where MATCH_ANY has 32 different ones
struct MATCH_ANY_same : MATCH_ANY {
    static __device__ __forceinline__ void init(u32 &a, const u32 *in, int k, char *) { a = in[k]; }
};

static void ints() {
    INT_OPS(TIME_OP)
    TIME_OP(MATCH_ANY_same)
}
static void mixes() {
    MIXES(TIME_OP)
}

// S2R and S2UR: clock; read of %smid; branch on its value; clock, and the same with a register in its place.
enum { S2R_NONE, S2R_VECTOR, S2R_UNIFORM };
template <int READ> __global__ void s2r_kernel(u64 *times, u32 *sink, u32 never) {
    u32 x = sink[threadIdx.x], mine = x;
#pragma unroll 1
    for (int r = 0; r < REPEATS + 1; r++) {
        u64 t0 = clk();
        if (READ != S2R_NONE) asm volatile("mov.u32 %0, %%smid;" : "=r"(x));
        if ((READ == S2R_UNIFORM ? x : x ^ mine) == never) sink[64] = (u32)t0;
        u64 t1 = clk();
        times[r] = t1 - t0;
    }
    sink[threadIdx.x] = 0;
}
template <int READ> static void s2r_case(const char *variant) {
    u64 *t = device_alloc<u64>(64);
    u32 *s = device_alloc<u32>(128);
    s2r_kernel<READ><<<1, 32>>>(t, s, 0xfffffffeu);
    CK(cudaDeviceSynchronize());
    auto a = to_host(t, REPEATS + 1);
    rows("S2R", variant, std::vector<double>(a.begin() + 1, a.end()), "cycles");
}
static void s2r() {
    s2r_case<S2R_NONE>("clock_to_branch_on_register");
    s2r_case<S2R_VECTOR>("clock_to_branch_on_s2r");
    s2r_case<S2R_UNIFORM>("clock_to_branch_on_s2ur");
}

int main(int argc, char **argv) { return dispatch(argc, argv, {{"int", ints}, {"mix", mixes}, {"s2r", s2r}}); }
