// Shared helpers of the H100 micro-benchmarks: CSV rows `name,variant,value,unit,repeat`, checked CUDA calls, clocks, chains.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

typedef uint32_t u32;
typedef uint64_t u64;

#define CK(call)                                                                                         \
    do {                                                                                                 \
        cudaError_t ck_error = (call);                                                                   \
        if (ck_error != cudaSuccess) {                                                                   \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(ck_error)); \
            exit(1);                                                                                     \
        }                                                                                                \
    } while (0)

// A clock read that volatile asm cannot cross.
static __device__ __forceinline__ u64 clk() {
    u64 t;
    asm volatile("mov.u64 %0, %%clock64;" : "=l"(t)::"memory");
    return t;
}
static __device__ __forceinline__ u64 gtime() {
    u64 t;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)::"memory");
    return t;
}
static __device__ __forceinline__ u32 smid() {
    u32 s;
    asm volatile("mov.u32 %0, %%smid;" : "=r"(s));
    return s;
}

static inline void row(const std::string &name, const std::string &variant, double value, const char *unit,
                       const std::string &repeat) {
    printf("%s,%s,%.6g,%s,%s\n", name.c_str(), variant.c_str(), value, unit, repeat.c_str());
}

// One row per repeat, then their minimum and median.
static inline void rows(const std::string &name, const std::string &variant, std::vector<double> v, const char *unit) {
    if (v.empty()) return;
    for (size_t i = 0; i < v.size(); i++) row(name, variant, v[i], unit, std::to_string(i));
    std::sort(v.begin(), v.end());
    row(name, variant, v[0], unit, "min");
    row(name, variant, v[v.size() / 2], unit, "median");
    fflush(stdout);
}

static inline std::string num(double v) {
    char b[32];
    snprintf(b, sizeof b, "%g", v);
    return b;
}

template <class T> static T *device_alloc(size_t n, bool zero = true) {
    T *p;
    CK(cudaMalloc(&p, n * sizeof(T)));
    if (zero) CK(cudaMemset(p, 0, n * sizeof(T)));
    return p;
}
template <class T> static std::vector<T> to_host(const T *p, size_t n) {
    std::vector<T> h(n);
    CK(cudaMemcpy(h.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost));
    return h;
}

// xorshift: the same chains on every run
struct Random {
    u64 s = 88172645463325252ull;
    u64 next() {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        return s;
    }
};

static inline int sm_count() {
    int n;
    CK(cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, 0));
    return n;
}

// Runs the subcommand named by argv[1], or all of them.
typedef void (*Command)();
static inline int dispatch(int argc, char **argv, std::vector<std::pair<const char *, Command>> commands) {
    if (argc > 1 && !strcmp(argv[1], "--list")) {
        for (auto &c : commands) puts(c.first);
        return 0;
    }
    CK(cudaSetDevice(0));
    bool any = false;
    for (auto &c : commands)
        if (argc < 2 || !strcmp(argv[1], c.first)) {
            c.second();
            any = true;
        }
    if (!any) fprintf(stderr, "no such benchmark: %s\n", argv[1]);
    return any ? 0 : 2;
}
