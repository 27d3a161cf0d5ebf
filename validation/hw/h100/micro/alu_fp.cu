// Floating point, half, double, special-function and conversion chains.
#include "chain.cuh"

#define FP_OPS(X)                                                                                                  \
    X(FADD, float, float, "f", "f", "add.f32 %0,%0,%1;")                                                           \
    X(FMUL, float, float, "f", "f", "mul.f32 %0,%0,%1;")                                                           \
    X(FFMA, float, float, "f", "f", "fma.rn.f32 %0,%0,%1,%2;")                                                     \
    X(FMNMX_pair, float, float, "f", "f", "min.f32 %0,%0,%1; max.f32 %0,%0,%2;")                                        \
    X(FSETP_FSEL_pair, float, float, "f", "f", "{.reg .pred p; setp.lt.f32 p,%0,%1; selp.f32 %0,%2,%1,p;}")              \
    X(FADD_FFMA_pair, float, float, "f", "f", "add.f32 %0,%0,%1; fma.rn.f32 %0,%0,%1,%2;")                         \
    X(HADD2_f16, u32, u32, "r", "r", "add.rn.f16x2 %0,%0,%1;")                                                     \
    X(HMUL2_f16, u32, u32, "r", "r", "mul.rn.f16x2 %0,%0,%1;")                                                     \
    X(HFMA2_f16, u32, u32, "r", "r", "fma.rn.f16x2 %0,%0,%1,%2;")                                                  \
    X(HFMA2_sat_f16, u32, u32, "r", "r", "fma.rn.sat.f16x2 %0,%0,%1,%2;")                                          \
    X(HADD2_sat_f16, u32, u32, "r", "r", "add.rn.sat.f16x2 %0,%0,%1;")                                             \
    X(HFMA2_relu_f16, u32, u32, "r", "r", "fma.rn.relu.f16x2 %0,%0,%1,%2;")                                        \
    X(HMNMX2_pair_f16, u32, u32, "r", "r", "min.f16x2 %0,%0,%1; max.f16x2 %0,%0,%2;")                                   \
    X(HADD2_bf16, u32, u32, "r", "r", "add.rn.bf16x2 %0,%0,%1;")                                                   \
    X(HFMA2_bf16, u32, u32, "r", "r", "fma.rn.bf16x2 %0,%0,%1,%2;")                                                \
    X(F2FP_HADD2_pair, float, float, "f", "f",                                                                     \
      "{.reg .b16 h; cvt.rn.f16.f32 h,%0; cvt.f32.f16 %0,h;}")                                                     \
    X(DADD, double, double, "d", "d", "add.rn.f64 %0,%0,%1;")                                                      \
    X(DMUL, double, double, "d", "d", "mul.rn.f64 %0,%0,%1;")                                                      \
    X(DFMA, double, double, "d", "d", "fma.rn.f64 %0,%0,%1,%2;")                                                   \
    X(MUFU_RCP_FADD_pair, float, float, "f", "f", "rcp.approx.ftz.f32 %0,%0; add.ftz.f32 %0,%0,%1;")               \
    X(MUFU_RSQ, float, float, "f", "f", "rsqrt.approx.ftz.f32 %0,%0;")                                             \
    X(MUFU_EX2, float, float, "f", "f", "ex2.approx.ftz.f32 %0,%0;")                                               \
    X(MUFU_LG2, float, float, "f", "f", "lg2.approx.ftz.f32 %0,%0;")                                               \
    X(FMUL_MUFU_SIN, float, float, "f", "f", "sin.approx.ftz.f32 %0,%0;")                                          \
    X(MUFU_SQRT, float, float, "f", "f", "sqrt.approx.ftz.f32 %0,%0;")                                             \
    X(MUFU_TANH, float, float, "f", "f", "tanh.approx.f32 %0,%0;")                                                 \
    X(FFMA_MUFU_EX2_pair, float, float, "f", "f", "fma.rn.f32 %0,%0,%1,%2; ex2.approx.ftz.f32 %0,%0;")             \
    X(F2I_I2FP_pair, float, float, "f", "f", "{.reg .s32 i; cvt.rni.s32.f32 i,%0; cvt.rn.f32.s32 %0,i;}")          \
    X(F2I_I2F_s64_pair, float, float, "f", "f", "{.reg .s64 i; cvt.rni.s64.f32 i,%0; cvt.rn.f32.s64 %0,i;}")       \
    X(F2I_I2F_f64_pair, double, double, "d", "d", "{.reg .s32 i; cvt.rni.s32.f64 i,%0; cvt.rn.f64.s32 %0,i;}")     \
    X(F2F_f64_f32_pair, double, double, "d", "d", "{.reg .f32 f; cvt.rn.f32.f64 f,%0; cvt.f64.f32 %0,f;}")         \
    X(FRND_FADD_pair, float, float, "f", "f", "cvt.rni.f32.f32 %0,%0; add.f32 %0,%0,%1;")

FP_OPS(DEFINE_OP)

static void fp() {
    FP_OPS(TIME_OP)
}

int main(int argc, char **argv) { return dispatch(argc, argv, {{"fp", fp}}); }
