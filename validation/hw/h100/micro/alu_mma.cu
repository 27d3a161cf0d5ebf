// Tensor-core chains through mma.sync (dependent through the accumulator).
#include "chain.cuh"

struct R1 {
    u32 r[1];
};
struct R2 {
    u32 r[2];
};
struct R4 {
    u32 r[4];
};
struct D2 {
    double r[2];
};

#define MMA_4_42(NAME, TEXT)                                                                                  \
    struct NAME : OpBase<R4, R4> {                                                                            \
        static __device__ __forceinline__ void op(R4 &a, const R4 &b, const R4 &c) {                          \
            asm volatile(TEXT " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                           \
                         : "+r"(a.r[0]), "+r"(a.r[1]), "+r"(a.r[2]), "+r"(a.r[3])                             \
                         : "r"(b.r[0]), "r"(b.r[1]), "r"(b.r[2]), "r"(b.r[3]), "r"(c.r[0]), "r"(c.r[1]));     \
        }                                                                                                     \
    };
#define MMA_4F_42(NAME, TEXT)                                                                                 \
    struct NAME : OpBase<R4, R4> {                                                                            \
        static __device__ __forceinline__ void op(R4 &a, const R4 &b, const R4 &c) {                          \
            float *f = reinterpret_cast<float *>(a.r);                                                        \
            asm volatile(TEXT " {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"                           \
                         : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])                                     \
                         : "r"(b.r[0]), "r"(b.r[1]), "r"(b.r[2]), "r"(b.r[3]), "r"(c.r[0]), "r"(c.r[1]));     \
        }                                                                                                     \
    };
#define MMA_4F_21(NAME, TEXT)                                                                                 \
    struct NAME : OpBase<R4, R4> {                                                                            \
        static __device__ __forceinline__ void op(R4 &a, const R4 &b, const R4 &c) {                          \
            float *f = reinterpret_cast<float *>(a.r);                                                        \
            asm volatile(TEXT " {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"                                    \
                         : "+f"(f[0]), "+f"(f[1]), "+f"(f[2]), "+f"(f[3])                                     \
                         : "r"(b.r[0]), "r"(b.r[1]), "r"(c.r[0]));                                            \
        }                                                                                                     \
    };
#define MMA_2_42(NAME, TEXT)                                                                                  \
    struct NAME : OpBase<R2, R4> {                                                                            \
        static __device__ __forceinline__ void op(R2 &a, const R4 &b, const R4 &c) {                          \
            asm volatile(TEXT " {%0,%1},{%2,%3,%4,%5},{%6,%7},{%0,%1};"                                       \
                         : "+r"(a.r[0]), "+r"(a.r[1])                                                         \
                         : "r"(b.r[0]), "r"(b.r[1]), "r"(b.r[2]), "r"(b.r[3]), "r"(c.r[0]), "r"(c.r[1]));     \
        }                                                                                                     \
    };
#define MMA_4_21(NAME, TEXT)                                                                                  \
    struct NAME : OpBase<R4, R4> {                                                                            \
        static __device__ __forceinline__ void op(R4 &a, const R4 &b, const R4 &c) {                          \
            asm volatile(TEXT " {%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"                                    \
                         : "+r"(a.r[0]), "+r"(a.r[1]), "+r"(a.r[2]), "+r"(a.r[3])                             \
                         : "r"(b.r[0]), "r"(b.r[1]), "r"(c.r[0]));                                            \
        }                                                                                                     \
    };

MMA_2_42(HMMA_16816_F16, "mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16")
MMA_4F_42(HMMA_16816_F32, "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32")
MMA_4F_42(HMMA_16816_F32_BF16, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32")
MMA_4F_21(HMMA_1688_F32, "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32")
MMA_4F_21(HMMA_1688_F32_BF16, "mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32")
MMA_4F_42(HMMA_1688_F32_TF32, "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32")
MMA_4F_21(HMMA_1684_F32_TF32, "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32")
MMA_4_42(IMMA_16832_S8, "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32")
MMA_4_42(IMMA_16832_U8, "mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32")
MMA_4_21(IMMA_16816_S8, "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32")

// f16 result fed back as half of the A operand: dependent through A
struct HMMA_16816_F16_chain_A : OpBase<R4, R4> {
    static __device__ __forceinline__ void op(R4 &a, const R4 &b, const R4 &c) {
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16 {%0,%1},{%0,%1,%2,%3},{%4,%5},{%6,%7};"
                     : "+r"(a.r[0]), "+r"(a.r[1])
                     : "r"(a.r[2]), "r"(a.r[3]), "r"(c.r[0]), "r"(c.r[1]), "r"(b.r[0]), "r"(b.r[1]));
    }
};
struct DMMA_884 : OpBase<D2, double> {
    static __device__ __forceinline__ void op(D2 &a, double b, double c) {
        asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0,%1},{%2},{%3},{%0,%1};"
                     : "+d"(a.r[0]), "+d"(a.r[1])
                     : "d"(b), "d"(c));
    }
};
template <class O> static void time_mma(const char *name) {  // ILP 4: eight accumulators of four registers would spill
    time_chain<O, 1>(name, "latency_1warp", 1, false, 0, nullptr);
    time_chain<O, 1>(name, "ilp1_4warps", 4, true, 0, nullptr);
    time_chain<O, 1>(name, "ilp1_32warps", 32, true, 0, nullptr);
    time_chain<O, 4>(name, "ilp4_1warp", 1, false, 0, nullptr);
    time_chain<O, 4>(name, "ilp4_4warps", 4, true, 0, nullptr);
    time_chain<O, 4>(name, "ilp4_16warps", 16, true, 0, nullptr);
    time_chain<O, 4>(name, "ilp4_32warps", 32, true, 0, nullptr);
}
#define TIME_MMA(N) time_mma<N>(#N);
static void mma() {
    TIME_MMA(HMMA_16816_F16)
    TIME_MMA(HMMA_16816_F16_chain_A)
    TIME_MMA(HMMA_16816_F32)
    TIME_MMA(HMMA_16816_F32_BF16)
    TIME_MMA(HMMA_1688_F32)
    TIME_MMA(HMMA_1688_F32_BF16)
    TIME_MMA(HMMA_1688_F32_TF32)
    TIME_MMA(HMMA_1684_F32_TF32)
    TIME_MMA(IMMA_16832_S8)
    TIME_MMA(IMMA_16832_U8)
    TIME_MMA(IMMA_16816_S8)
    TIME_MMA(DMMA_884)
}

int main(int argc, char **argv) { return dispatch(argc, argv, {{"mma", mma}}); }
