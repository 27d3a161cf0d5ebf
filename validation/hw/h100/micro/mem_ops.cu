// Memory operations that hit, as chains of self-pointing addresses: shared loads and conflicts, LDSM, L1 loads by stride and width,
// stores, shared and global atomics, fences, asynchronous copies. A chain's value is its own address, so that every step is dependent.
#include "chain.cuh"

static __device__ __forceinline__ u32 shared_address(const void *p) { return (u32)__cvta_generic_to_shared(p); }

// Lane's offset so that each phase of 128 bytes needs `ways` rows of the 32 banks (bytes = access size of a lane).
static __device__ __forceinline__ u32 conflict_offset(u32 lane, u32 bytes, u32 ways) {
    u32 units = 128 / bytes, group = lane / units, j = lane % units, per_row = units / ways;
    return group * 128 * ways + (j / per_row) * 128 + (j % per_row) * bytes;
}

// ---- shared loads: 32, 64, 128 bits; `ways` different rows of each bank
template <int BYTES, int WAYS> struct Lds : OpBase<u32, u32> {
    static __device__ __forceinline__ void init(u32 &a, const u32 *, int, char *smem) {
        u32 off = conflict_offset(threadIdx.x & 31, BYTES, WAYS);
        a = shared_address(smem) + off;
        for (int i = 0; i < BYTES / 4; i++) ((u32 *)(smem + off))[i] = a;
    }
    static __device__ __forceinline__ void op(u32 &a, u32, u32) {
        u32 x, y, z;
        if (BYTES == 4) asm volatile("ld.volatile.shared.u32 %0,[%0];" : "+r"(a));
        if (BYTES == 8) asm volatile("ld.volatile.shared.v2.u32 {%0,%1},[%0];" : "+r"(a), "=r"(x));
        if (BYTES == 16) asm volatile("ld.volatile.shared.v4.u32 {%0,%1,%2,%3},[%0];" : "+r"(a), "=r"(x), "=r"(y), "=r"(z));
    }
};
// ---- shared stores
template <int BYTES, int WAYS> struct Sts : Lds<BYTES, WAYS> {
    static __device__ __forceinline__ void op(u32 &a, u32 b, u32 c) {
        if (BYTES == 4) asm volatile("st.volatile.shared.u32 [%0],%1;" ::"r"(a), "r"(b));
        if (BYTES == 8) asm volatile("st.volatile.shared.v2.u32 [%0],{%1,%2};" ::"r"(a), "r"(b), "r"(c));
        if (BYTES == 16) asm volatile("st.volatile.shared.v4.u32 [%0],{%1,%2,%1,%2};" ::"r"(a), "r"(b), "r"(c));
    }
};
// ---- ldmatrix: word w of row r goes to lane 4r+w, so it holds that lane's row address
template <int COUNT> struct Ldsm : OpBase<u32, u32> {
    static __device__ __forceinline__ void init(u32 &a, const u32 *, int, char *smem) {
        u32 lane = threadIdx.x & 31;
        a = shared_address(smem) + lane * 16;
        for (int m = 0; m < 4; m++) ((u32 *)smem)[m * 32 + lane] = shared_address(smem) + lane * 16;
    }
    static __device__ __forceinline__ void op(u32 &a, u32, u32) {
        u32 x, y, z;
        if (COUNT == 1) asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0},[%0];" : "+r"(a)::"memory");
        if (COUNT == 2) asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1},[%0];" : "+r"(a), "=r"(x)::"memory");
        if (COUNT == 4)
            asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%0];"
                         : "+r"(a), "=r"(x), "=r"(y), "=r"(z)::"memory");
    }
};
// ---- shared atomics that leave memory as it is: add of a zero the compiler cannot see
template <class TT> struct ZeroOperand : OpBase<TT, u32> {
    static __device__ __forceinline__ void load(u32 &b, const u32 *in) { b = in[0] == 0xdeadbeefu; }
};
enum { ADD, CAS, EXCH, MAX };
// SAME = lanes that share one word; else WAYS rows of each bank
template <int KIND, int SAME, int WAYS> struct Atoms : ZeroOperand<u32> {
    static __device__ __forceinline__ void init(u32 &a, const u32 *, int, char *smem) {
        u32 lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
        u32 off = warp * 4096 + (SAME > 1 ? (lane / SAME) * 4 : conflict_offset(lane, 4, WAYS));
        a = shared_address(smem) + off;
        *(u32 *)(smem + off) = a;
    }
    static __device__ __forceinline__ void op(u32 &a, u32 b, u32) {
        if (KIND == ADD) asm volatile("atom.shared.add.u32 %0,[%0],%1;" : "+r"(a) : "r"(b) : "memory");
        if (KIND == CAS) asm volatile("atom.shared.cas.b32 %0,[%0],%0,%0;" : "+r"(a)::"memory");
        if (KIND == EXCH) asm volatile("atom.shared.exch.b32 %0,[%0],%0;" : "+r"(a)::"memory");
        if (KIND == MAX) asm volatile("atom.shared.max.u32 %0,[%0],%1;" : "+r"(a) : "r"(b) : "memory");
    }
};
// ---- global: weak loads (cached in L1). 32-bit loads replace the low half of the address only. Zeros and the store step come from
// memory (words from 7 M on), so that the compiler cannot see that the chains share addresses or that an address is uniform.
static constexpr int ZEROS = 7 << 20, STEP = (7 << 20) + 4096;
struct Ptr {
    u32 lo, hi;
};
static __device__ __forceinline__ u64 self_pointer(const u32 *in, int k, u32 stride_words, int bytes) {
    u64 p = (u64)in + (u64)threadIdx.x * stride_words * 4 + in[ZEROS + threadIdx.x + k];
    if (bytes == 4) *(u32 *)p = (u32)p;
    else *(u64 *)p = p;
    return p;
}
template <int BYTES, int STRIDE> struct Ldg : OpBase<Ptr, u32> {
    static __device__ __forceinline__ void init(Ptr &a, const u32 *in, int k, char *) {
        u64 p = self_pointer(in, k, STRIDE, 4);
        a.lo = (u32)p, a.hi = (u32)(p >> 32);
    }
    static __device__ __forceinline__ void op(Ptr &a, u32, u32) {
        asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; ld.global.u32 %0,[p];}" : "+r"(a.lo) : "r"(a.hi) : "memory");
    }
};
template <int STRIDE> struct Ldg<8, STRIDE> : OpBase<u64, u32> {
    static __device__ __forceinline__ void init(u64 &a, const u32 *in, int k, char *) { a = self_pointer(in, k, STRIDE, 8); }
    static __device__ __forceinline__ void op(u64 &a, u32, u32) { asm volatile("ld.global.u64 %0,[%0];" : "+l"(a)::"memory"); }
};
struct PtrAndSum {
    u64 p, sum;
};
// the second half is summed off the chain, or the compiler would narrow the load
template <int STRIDE> struct Ldg<16, STRIDE> : OpBase<PtrAndSum, u32> {
    static __device__ __forceinline__ void init(PtrAndSum &a, const u32 *in, int k, char *) {
        a.p = self_pointer(in, k, STRIDE, 8), a.sum = 0;
    }
    static __device__ __forceinline__ void op(PtrAndSum &a, u32, u32) {
        asm volatile("{.reg .b64 q; ld.global.v2.u64 {%0,q},[%0]; xor.b64 %1,%1,q;}" : "+l"(a.p), "+l"(a.sum)::"memory");
    }
};
// stores to ever new lines: the address steps by 16 KB, 1344 times at most: 21 MB, short of the zeros
template <int BYTES, int STRIDE> struct Stg : OpBase<Ptr, u32> {
    static __device__ __forceinline__ void load(u32 &b, const u32 *in) { b = in[STEP]; }
    static __device__ __forceinline__ void init(Ptr &a, const u32 *in, int k, char *) {
        u64 p = (u64)in + (u64)threadIdx.x * STRIDE * 4 + in[ZEROS + threadIdx.x + k];
        a.lo = (u32)p, a.hi = (u32)(p >> 32);
    }
    static __device__ __forceinline__ void op(Ptr &a, u32 b, u32 c) {
        if (BYTES == 4)
            asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; st.global.u32 [p],%2; add.u32 %0,%0,%2;}" : "+r"(a.lo) : "r"(a.hi), "r"(b) : "memory");
        if (BYTES == 16)
            asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; st.global.v4.u32 [p],{%2,%3,%2,%3}; add.u32 %0,%0,%2;}"
                         : "+r"(a.lo)
                         : "r"(a.hi), "r"(b), "r"(c)
                         : "memory");
    }
};
template <int KIND, int STRIDE> struct Atomg : ZeroOperand<Ptr> {
    static __device__ __forceinline__ void init(Ptr &a, const u32 *in, int k, char *) {
        u64 p = self_pointer(in, k, STRIDE, 4);
        a.lo = (u32)p, a.hi = (u32)(p >> 32);
    }
    static __device__ __forceinline__ void op(Ptr &a, u32 b, u32) {
        if (KIND == ADD)
            asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; atom.global.add.u32 %0,[p],%2;}" : "+r"(a.lo) : "r"(a.hi), "r"(b) : "memory");
        if (KIND == CAS)
            asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; atom.global.cas.b32 %0,[p],%0,%0;}" : "+r"(a.lo) : "r"(a.hi) : "memory");
    }
};
template <int STRIDE> struct Redg : Atomg<ADD, STRIDE> {
    static __device__ __forceinline__ void op(Ptr &a, u32 b, u32) {
        asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; red.global.add.u32 [p],%2;}" ::"r"(a.lo), "r"(a.hi), "r"(b) : "memory");
    }
};
// ---- fences: alone, and after STORES coalesced stores of the warp (one line)
enum { CTA, GPU, SYS };
template <int SCOPE, int STORES> struct Fence : Ldg<4, 1> {
    static __device__ __forceinline__ void op(Ptr &a, u32 b, u32) {
#pragma unroll
        for (int i = 0; i < STORES; i++)
            asm volatile("{.reg .b64 p; mov.b64 p,{%0,%1}; st.global.u32 [p],%2;}" ::"r"(a.lo + i * 4096), "r"(a.hi), "r"(b)
                         : "memory");
        if (SCOPE == CTA) __threadfence_block();
        if (SCOPE == GPU) __threadfence();
        if (SCOPE == SYS) __threadfence_system();
    }
};
// ---- asynchronous copy of one warp, waited for at once
struct CopyAddresses {
    u32 shared, lo, hi;
};
template <int BYTES> struct CpAsync : OpBase<CopyAddresses, u32> {
    static __device__ __forceinline__ void init(CopyAddresses &a, const u32 *in, int, char *smem) {
        u64 p = (u64)in + (threadIdx.x & 31) * BYTES;
        a.shared = shared_address(smem) + (threadIdx.x & 31) * BYTES, a.lo = (u32)p, a.hi = (u32)(p >> 32);
    }
    static __device__ __forceinline__ void op(CopyAddresses &a, u32, u32) {
        asm volatile("{.reg .b64 p; mov.b64 p,{%1,%2}; cp.async.ca.shared.global [%0],[p],%3; cp.async.commit_group;"
                     "cp.async.wait_group 0;}" ::"r"(a.shared),
                     "r"(a.lo), "r"(a.hi), "n"(BYTES)
                     : "memory");
    }
};

// 32 MB in one 4 GB window: zeros, but for the store step at the four words that OpBase::load reads operands from
static u32 *global_buffer() {
    char *big = device_alloc<char>(96ull << 20);
    u64 p = (u64)big;
    if ((p >> 32) != ((p + (32ull << 20)) >> 32)) p += 32ull << 20;
    std::vector<u32> steps(4096, 16 << 10);
    CK(cudaMemcpy((u32 *)p + STEP, steps.data(), 16384, cudaMemcpyHostToDevice));
    return (u32 *)p;
}

template <template <int, int> class O, int BYTES> static void conflicts(const char *name) {
    std::string n = std::string(name) + "_" + num(BYTES * 8) + "b_ways";
    time_op<O<BYTES, 1>>((n + "1").c_str(), 8192);
    time_op<O<BYTES, 2>>((n + "2").c_str(), 8192);
    time_op<O<BYTES, 4>>((n + "4").c_str(), 8192);
    time_op<O<BYTES, 8>>((n + "8").c_str(), 8192);
    if constexpr (BYTES <= 8) time_op<O<BYTES, 16>>((n + "16").c_str(), 8192);
    if constexpr (BYTES <= 4) time_op<O<BYTES, 32>>((n + "32").c_str(), 8192);
}
static void lds() {
    conflicts<Lds, 4>("LDS");
    conflicts<Lds, 8>("LDS");
    conflicts<Lds, 16>("LDS");
    time_op<Ldsm<1>>("LDSM_x1", 8192);
    time_op<Ldsm<2>>("LDSM_x2", 8192);
    time_op<Ldsm<4>>("LDSM_x4", 8192);
}
static void sts() {
    conflicts<Sts, 4>("STS");
    time_op<Sts<8, 1>>("STS_64b_ways1", 8192);
    time_op<Sts<16, 1>>("STS_128b_ways1", 8192);
}
static void atoms() {
    const int bytes = 32 * 4096;
    time_op<Atoms<ADD, 1, 1>>("ATOMS_ADD_distinct", bytes);
    time_op<Atoms<ADD, 1, 2>>("ATOMS_ADD_bank2", bytes);
    time_op<Atoms<ADD, 1, 8>>("ATOMS_ADD_bank8", bytes);
    time_op<Atoms<ADD, 2, 1>>("ATOMS_ADD_same2", bytes);
    time_op<Atoms<ADD, 4, 1>>("ATOMS_ADD_same4", bytes);
    time_op<Atoms<ADD, 8, 1>>("ATOMS_ADD_same8", bytes);
    time_op<Atoms<ADD, 16, 1>>("ATOMS_ADD_same16", bytes);
    time_op<Atoms<ADD, 32, 1>>("ATOMS_ADD_same32", bytes);
    time_op<Atoms<CAS, 1, 1>>("ATOMS_CAS_distinct", bytes);
    time_op<Atoms<CAS, 32, 1>>("ATOMS_CAS_same32", bytes);
    time_op<Atoms<EXCH, 1, 1>>("ATOMS_EXCH_distinct", bytes);
    time_op<Atoms<MAX, 1, 1>>("ATOMS_MAX_distinct", bytes);
    time_op<Atoms<MAX, 32, 1>>("ATOMS_MAX_same32", bytes);
}
static void ldg() {
    u32 *g = global_buffer();
    time_op<Ldg<4, 0>>("LDG_L1_32b_stride0", 0, g);
    time_op<Ldg<4, 1>>("LDG_L1_32b_stride1", 0, g);
    time_op<Ldg<4, 2>>("LDG_L1_32b_stride2", 0, g);
    time_op<Ldg<4, 3>>("LDG_L1_32b_stride3", 0, g);
    time_op<Ldg<4, 4>>("LDG_L1_32b_stride4", 0, g);
    time_op<Ldg<4, 5>>("LDG_L1_32b_stride5", 0, g);
    time_op<Ldg<4, 7>>("LDG_L1_32b_stride7", 0, g);
    time_op<Ldg<4, 8>>("LDG_L1_32b_stride8", 0, g);
    time_op<Ldg<4, 16>>("LDG_L1_32b_stride16", 0, g);
    time_op<Ldg<4, 32>>("LDG_L1_32b_stride32", 0, g);
    time_op<Ldg<8, 2>>("LDG_L1_64b_stride2", 0, g);
    time_op<Ldg<8, 4>>("LDG_L1_64b_stride4", 0, g);
    time_op<Ldg<8, 32>>("LDG_L1_64b_stride32", 0, g);
    time_op<Ldg<16, 4>>("LDG_L1_128b_stride4", 0, g);
    time_op<Ldg<16, 8>>("LDG_L1_128b_stride8", 0, g);
    time_op<Ldg<16, 32>>("LDG_L1_128b_stride32", 0, g);
}
static void stg() {
    u32 *g = global_buffer();
    time_op<Stg<4, 1>>("STG_32b_stride1", 0, g);
    time_op<Stg<4, 8>>("STG_32b_stride8", 0, g);
    time_op<Stg<4, 32>>("STG_32b_stride32", 0, g);
    time_op<Stg<16, 4>>("STG_128b_stride4", 0, g);
}
static void atomg() {
    u32 *g = global_buffer();
    time_op<Atomg<ADD, 0>>("ATOMG_ADD_one_SM_same", 0, g);
    time_op<Atomg<ADD, 1>>("ATOMG_ADD_one_SM_coalesced", 0, g);
    time_op<Atomg<ADD, 8>>("ATOMG_ADD_one_SM_stride8", 0, g);
    time_op<Atomg<ADD, 32>>("ATOMG_ADD_one_SM_stride32", 0, g);
    time_op<Atomg<CAS, 1>>("ATOMG_CAS_one_SM_coalesced", 0, g);
    time_op<Redg<0>>("RED_ADD_one_SM_same", 0, g);
    time_op<Redg<1>>("RED_ADD_one_SM_coalesced", 0, g);
    time_op<Redg<32>>("RED_ADD_one_SM_stride32", 0, g);
}
template <int SCOPE> static void fences(const char *name, u32 *g) {
    std::string n = std::string("MEMBAR_") + name;
    time_chain<Fence<SCOPE, 0>, 1>((n + "_alone").c_str(), "latency_1warp", 1, false, 0, g);
    time_chain<Fence<SCOPE, 0>, 1>((n + "_alone").c_str(), "ilp1_8warps", 8, true, 0, g);
    time_chain<Fence<SCOPE, 1>, 1>((n + "_after_1_store").c_str(), "latency_1warp", 1, false, 0, g);
    time_chain<Fence<SCOPE, 4>, 1>((n + "_after_4_stores").c_str(), "latency_1warp", 1, false, 0, g);
    time_chain<Fence<SCOPE, 1>, 1>((n + "_after_1_store").c_str(), "ilp1_8warps", 8, true, 0, g);
}
static void fence() {
    u32 *g = global_buffer();
    fences<CTA>("CTA", g);
    fences<GPU>("GPU", g);
    fences<SYS>("SYS", g);
}
static void ldgsts() {
    u32 *g = global_buffer();
    time_chain<CpAsync<4>, 1>("LDGSTS_4B_wait", "latency_1warp", 1, false, 8192, g);
    time_chain<CpAsync<8>, 1>("LDGSTS_8B_wait", "latency_1warp", 1, false, 8192, g);
    time_chain<CpAsync<16>, 1>("LDGSTS_16B_wait", "latency_1warp", 1, false, 8192, g);
    time_chain<CpAsync<16>, 1>("LDGSTS_16B_wait", "ilp1_32warps", 32, true, 8192, g);
}

int main(int argc, char **argv) {
    return dispatch(argc, argv,
                    {{"lds", lds}, {"sts", sts}, {"atoms", atoms}, {"ldg", ldg}, {"stg", stg}, {"atomg", atomg},
                     {"fence", fence}, {"ldgsts", ldgsts}});
}
