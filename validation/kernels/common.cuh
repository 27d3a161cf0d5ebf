// Shared host-side helpers of the archsim kernel suite: options, inputs, device buffers, checks, one report line.
// Everything is deterministic: inputs come from a fixed-seed generator, checksums are FNV-1a over the output bytes.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#ifdef ARCHSIM_POWER  // validation/hw/h100/measure_power.sh: repeat the measured kernel and print its power
#include "../hw/h100/power.cuh"
#endif

#define SUITE_CHECK(call)                                                                                            \
    do {                                                                                                             \
        cudaError_t suite_error_ = (call);                                                                           \
        if (suite_error_ != cudaSuccess) {                                                                           \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(suite_error_));    \
            std::exit(2);                                                                                            \
        }                                                                                                            \
    } while (0)

namespace suite {

struct Options {
    bool large = false;  // --size large: at least one wave of a 132-SM chip
    int repeat = 1;      // --repeat N: the whole sequence N times, same result each time
};

inline Options parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        bool has_value = i + 1 < argc;
        if (!std::strcmp(argv[i], "--size") && has_value && !std::strcmp(argv[i + 1], "small")) {
            options.large = false, ++i;
        } else if (!std::strcmp(argv[i], "--size") && has_value && !std::strcmp(argv[i + 1], "large")) {
            options.large = true, ++i;
        } else if (!std::strcmp(argv[i], "--repeat") && has_value && std::atoi(argv[i + 1]) > 0) {
            options.repeat = std::atoi(argv[++i]);
        } else {
            std::fprintf(stderr, "usage: %s [--size small|large] [--repeat N]; bad argument: %s\n", argv[0], argv[i]);
            std::exit(2);
        }
    }
    return options;
}

// splitmix64 (Steele, Lea, Flood 2014): the same inputs on every host.
class Rng {
  public:
    explicit Rng(uint64_t seed) : state_(seed) {}
    uint64_t u64() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    uint32_t u32() { return static_cast<uint32_t>(u64() >> 32); }
    uint32_t below(uint32_t n) { return static_cast<uint32_t>((static_cast<uint64_t>(u32()) * n) >> 32); }
    float uniform() { return static_cast<float>(u32() >> 8) * (1.0f / 16777216.0f); }  // [0, 1), exact multiples of 2^-24
    float range(float low, float high) { return low + (high - low) * uniform(); }

  private:
    uint64_t state_;
};

inline std::vector<float> random_floats(Rng& rng, size_t n, float low = -1.0f, float high = 1.0f) {
    std::vector<float> values(n);
    for (float& v : values) v = rng.range(low, high);
    return values;
}

// A device array: allocated once, filled from the host or from another device array (the reset before each repeat).
template <class T>
class Device {
  public:
    explicit Device(size_t n) : n_(n) {
        SUITE_CHECK(cudaMalloc(reinterpret_cast<void**>(&data_), bytes()));
        zero();
    }
    explicit Device(const std::vector<T>& host) : n_(host.size()) {
        SUITE_CHECK(cudaMalloc(reinterpret_cast<void**>(&data_), bytes()));
        SUITE_CHECK(cudaMemcpy(data_, host.data(), bytes(), cudaMemcpyHostToDevice));
    }
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    ~Device() { cudaFree(data_); }
    void zero() { SUITE_CHECK(cudaMemset(data_, 0, bytes())); }
    void copy_from(const Device& other) {
        SUITE_CHECK(cudaMemcpy(data_, other.data_, bytes(), cudaMemcpyDeviceToDevice));
    }
    std::vector<T> host() const {
#ifdef ARCHSIM_POWER
        power::measure_pending();
#endif
        std::vector<T> out(n_);
        SUITE_CHECK(cudaMemcpy(out.data(), data_, bytes(), cudaMemcpyDeviceToHost));
        return out;
    }
    // The same bytes as another type (float2 as float, say).
    template <class U>
    std::vector<U> host_as() const {
#ifdef ARCHSIM_POWER
        power::measure_pending();
#endif
        std::vector<U> out(bytes() / sizeof(U));
        SUITE_CHECK(cudaMemcpy(out.data(), data_, out.size() * sizeof(U), cudaMemcpyDeviceToHost));
        return out;
    }
    T* get() const { return data_; }
    size_t size() const { return n_; }

  private:
    size_t bytes() const { return n_ * sizeof(T); }
    T* data_ = nullptr;
    size_t n_;
};

#ifdef __CUDACC__
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t dynamic_shared_bytes, A... args) {
    kernel<<<grid, block, dynamic_shared_bytes>>>(static_cast<P>(args)...);
    SUITE_CHECK(cudaGetLastError());
#ifdef ARCHSIM_POWER
    power::remember(reinterpret_cast<const void*>(kernel), grid, block, [=](cudaStream_t stream) {
        kernel<<<grid, block, dynamic_shared_bytes, stream>>>(static_cast<P>(args)...);
        POWER_CHECK(cudaGetLastError());
    });
#endif
}
#endif

inline unsigned blocks_for(size_t items, unsigned per_block) {
    return static_cast<unsigned>((items + per_block - 1) / per_block);
}

inline uint64_t fnv1a(const void* data, size_t bytes) {
    const unsigned char* p = static_cast<const unsigned char*>(data);
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < bytes; ++i) hash = (hash ^ p[i]) * 0x100000001b3ull;
    return hash;
}

// The xor-shuffle tree every warp sum of the suite uses, on the host: p[l] += p[l ^ offset], offset 16..1.
template <class T>
T host_warp_sum(const T* lanes) {
    T p[32], q[32];
    std::memcpy(p, lanes, sizeof p);
    for (int offset = 16; offset > 0; offset /= 2) {
        for (int l = 0; l < 32; ++l) q[l] = p[l] + p[l ^ offset];
        std::memcpy(p, q, sizeof p);
    }
    return p[0];
}

// Distance in units in the last place between two finite floats of the output format.
inline uint64_t ulp_distance(float a, float b) {
    int32_t x, y;
    std::memcpy(&x, &a, 4), std::memcpy(&y, &b, 4);
    int64_t i = x < 0 ? -static_cast<int64_t>(x & 0x7fffffff) : x, j = y < 0 ? -static_cast<int64_t>(y & 0x7fffffff) : y;
    return static_cast<uint64_t>(i > j ? i - j : j - i);
}

// Prints the report line of a bit-exact result; returns the process exit code (0 pass, 1 fail).
template <class T>
int finish_exact(const char* name, const std::vector<T>& got, const std::vector<T>& want) {
    size_t wrong = got.size() == want.size() ? 0 : 1, first = 0;
    for (size_t i = 0; i < got.size() && i < want.size(); ++i) {
        if (std::memcmp(&got[i], &want[i], sizeof(T)) && wrong++ == 0) first = i;
    }
    unsigned long long sum = fnv1a(got.data(), got.size() * sizeof(T));
    std::printf("%s checksum=%016llx exact mismatches=%zu of %zu", name, sum, wrong, got.size());
    if (wrong) std::printf(" (first at %zu)", first);
    std::printf(" %s\n", wrong ? "FAIL" : "PASS");
    return wrong ? 1 : 0;
}

// As finish_exact, for results that may differ in rounding: |got - want| <= absolute + relative * |want| everywhere.
// `whole` is the device's complete output where got and want are samples of it: then the checksum is of all of it.
inline int finish_close(const char* name, const std::vector<float>& got, const std::vector<float>& want, double absolute,
                        double relative, const std::vector<float>* whole = nullptr) {
    size_t wrong = got.size() == want.size() ? 0 : 1;
    double worst = 0;
    uint64_t worst_ulp = 0;
    for (size_t i = 0; i < got.size() && i < want.size(); ++i) {
        double error = std::fabs(static_cast<double>(got[i]) - want[i]);
        if (!(error <= absolute + relative * std::fabs(static_cast<double>(want[i])))) ++wrong;
        if (error > worst) worst = error;
        uint64_t ulp = ulp_distance(got[i], want[i]);
        if (ulp > worst_ulp) worst_ulp = ulp;
    }
    const std::vector<float>& output = whole ? *whole : got;
    unsigned long long sum = fnv1a(output.data(), output.size() * sizeof(float));
    std::printf("%s checksum=%016llx max_abs_err=%.3g max_ulp=%llu tolerance=%g+%g*|x| mismatches=%zu of %zu %s\n", name,
                sum, worst, static_cast<unsigned long long>(worst_ulp), absolute, relative, wrong, got.size(),
                wrong ? "FAIL" : "PASS");
    return wrong ? 1 : 0;
}

}  // namespace suite
