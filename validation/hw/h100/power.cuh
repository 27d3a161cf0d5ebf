// Steady-state board power of a suite program's measured kernel; included by common.cuh when ARCHSIM_POWER is defined.
// The last launch of the kernel before its output is read is repeated (as a CUDA graph, so that launch gaps are short)
// until the board's energy counter has moved over at least ARCHSIM_POWER_S seconds; then one CSV row is printed and the
// program ends. The counter moves every 20 to 100 ms: the interval begins and ends at such a move. Clocks are untouched.
#pragma once

#include <cuda_runtime.h>
#include <cxxabi.h>
#include <dlfcn.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <regex>
#include <string>

namespace power {

#define POWER_CHECK(call)                                                                                        \
    do {                                                                                                         \
        cudaError_t power_error_ = (call);                                                                       \
        if (power_error_ != cudaSuccess) {                                                                       \
            std::fprintf(stderr, "power: %s: %s\n", #call, cudaGetErrorString(power_error_));                    \
            std::_Exit(2);                                                                                       \
        }                                                                                                        \
    } while (0)

inline double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The few NVML entry points that are needed, by dlopen: the toolkit's stub library is not needed to link.
class Nvml {
  public:
    Nvml() {
        void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW);
        if (!library) fail("libnvidia-ml.so.1 cannot be loaded");
        auto init = reinterpret_cast<int (*)()>(symbol(library, "nvmlInit_v2"));
        energy_ = reinterpret_cast<int (*)(void*, unsigned long long*)>(
            symbol(library, "nvmlDeviceGetTotalEnergyConsumption"));
        clock_ = reinterpret_cast<int (*)(void*, int, unsigned*)>(symbol(library, "nvmlDeviceGetClockInfo"));
        temperature_ = reinterpret_cast<int (*)(void*, int, unsigned*)>(symbol(library, "nvmlDeviceGetTemperature"));
        auto by_bus =
            reinterpret_cast<int (*)(const char*, void**)>(symbol(library, "nvmlDeviceGetHandleByPciBusId_v2"));
        char bus[32];
        POWER_CHECK(cudaDeviceGetPCIBusId(bus, sizeof bus, 0));
        if (init() || by_bus(bus, &device_)) fail("NVML cannot open the device");
    }
    double joules() const {
        unsigned long long millijoules = 0;
        if (energy_(device_, &millijoules)) fail("no energy counter");
        return millijoules * 1e-3;
    }
    unsigned clock_mhz(int domain) const {  // 1: SM, 2: memory
        unsigned mhz = 0;
        return clock_(device_, domain, &mhz) ? 0 : mhz;
    }
    unsigned temperature_c() const {
        unsigned celsius = 0;
        return temperature_(device_, 0, &celsius) ? 0 : celsius;
    }

  private:
    [[noreturn]] static void fail(const char* what) {
        std::fprintf(stderr, "power: %s\n", what);
        std::_Exit(2);
    }
    static void* symbol(void* library, const char* name) {
        void* found = dlsym(library, name);
        if (!found) fail(name);
        return found;
    }
    int (*energy_)(void*, unsigned long long*) = nullptr;
    int (*clock_)(void*, int, unsigned*) = nullptr;
    int (*temperature_)(void*, int, unsigned*) = nullptr;
    void* device_ = nullptr;
};

inline double seconds_wanted() {
    const char* text = std::getenv("ARCHSIM_POWER_S");
    return text ? std::atof(text) : 3.0;
}

// Calls step() again and again; returns through the references what happened between two moves of the energy counter
// that lie at least `seconds` apart, after `warm` seconds. step() returns how many launches have ended so far.
template <class Step>
void between_moves(const Nvml& nvml, double warm, double seconds, Step step, double& joules, double& elapsed,
                   double& launches) {
    double begin = now_s();
    double last = nvml.joules(), start_j = 0, start_t = 0, start_n = 0;
    for (bool started = false;;) {
        double done = step(), t = now_s(), j = nvml.joules();
        if (j == last) continue;
        last = j;
        if (!started && t - begin >= warm) {
            started = true, start_j = j, start_t = t, start_n = done;
        } else if (started && t - start_t >= seconds) {
            joules = j - start_j, elapsed = t - start_t, launches = done - start_n;
            return;
        }
    }
}

inline void print_row(const char* kernel, dim3 grid, dim3 block, double launches, double seconds, double joules,
                      const Nvml& nvml, unsigned temperature_before, double busy_s) {
    std::printf("POWER,%s,%u,%u,%.0f,%.6f,%.3f,%.3f,%.9g,%.9g,%u,%u,%u,%u\n", kernel, grid.x * grid.y * grid.z,
                block.x * block.y * block.z, launches, seconds, joules, joules / seconds,
                launches ? seconds / launches : 0.0, busy_s, nvml.clock_mhz(1), nvml.clock_mhz(2), temperature_before,
                nvml.temperature_c());
    std::fflush(stdout);
}

inline void idle_row(const char* name) {
    POWER_CHECK(cudaFree(nullptr));
    Nvml nvml;
    unsigned before = nvml.temperature_c();
    double joules, seconds, launches;
    between_moves(nvml, 1.0, seconds_wanted(), [] { usleep(2000); return 0.0; }, joules, seconds, launches);
    print_row(name, dim3(0), dim3(0), 0, seconds, joules, nvml, before, 0);
}

// Repeats launch(stream) and prints the row.
inline void steady_row(const char* kernel, dim3 grid, dim3 block, const std::function<void(cudaStream_t)>& launch) {
    cudaStream_t stream;
    cudaEvent_t begin, end, ring[2];
    POWER_CHECK(cudaDeviceSynchronize());
    POWER_CHECK(cudaStreamCreate(&stream));
    POWER_CHECK(cudaEventCreate(&begin));
    POWER_CHECK(cudaEventCreate(&end));
    for (cudaEvent_t& event : ring) POWER_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    const int probe = 8;
    for (int i = 0; i < 3; ++i) launch(stream);
    POWER_CHECK(cudaEventRecord(begin, stream));
    for (int i = 0; i < probe; ++i) launch(stream);
    POWER_CHECK(cudaEventRecord(end, stream));
    POWER_CHECK(cudaEventSynchronize(end));
    float ms;
    POWER_CHECK(cudaEventElapsedTime(&ms, begin, end));
    int nodes = static_cast<int>(6.0 / (ms / probe)) + 1;  // a graph of about 6 ms
    if (nodes > 1000) nodes = 1000;
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    POWER_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < nodes; ++i) launch(stream);
    POWER_CHECK(cudaStreamEndCapture(stream, &graph));
    POWER_CHECK(cudaGraphInstantiate(&executable, graph, 0));
    Nvml nvml;
    unsigned before = nvml.temperature_c();
    long graphs = 0;
    double joules, seconds, launches;
    auto step = [&] {  // two graphs in flight; the one before the last has ended when this returns
        POWER_CHECK(cudaGraphLaunch(executable, stream));
        POWER_CHECK(cudaEventRecord(ring[graphs % 2], stream));
        ++graphs;
        if (graphs > 1) POWER_CHECK(cudaEventSynchronize(ring[graphs % 2]));
        return static_cast<double>(graphs - 1) * nodes;
    };
    between_moves(nvml, 0.6, seconds_wanted(), step, joules, seconds, launches);
    POWER_CHECK(cudaStreamSynchronize(stream));
    POWER_CHECK(cudaEventRecord(begin, stream));  // the same graph once more: device time of one launch
    POWER_CHECK(cudaGraphLaunch(executable, stream));
    POWER_CHECK(cudaEventRecord(end, stream));
    POWER_CHECK(cudaEventSynchronize(end));
    POWER_CHECK(cudaEventElapsedTime(&ms, begin, end));
    print_row(kernel, grid, block, launches, seconds, joules, nvml, before, ms * 1e-3 / nodes);
}

struct Pending {
    std::string kernel;
    dim3 grid, block;
    std::function<void(cudaStream_t)> launch;
};

inline Pending& pending() {
    static Pending last;
    return last;
}

// Remembers the launch if its kernel's name matches ARCHSIM_POWER_KERNEL (a regular expression for the whole name).
inline void remember(const void* kernel, dim3 grid, dim3 block, std::function<void(cudaStream_t)> launch) {
    const char* wanted = std::getenv("ARCHSIM_POWER_KERNEL");
    const char* mangled = nullptr;
    POWER_CHECK(cudaFuncGetName(&mangled, kernel));
    int status = 0;
    char* plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string name = status == 0 && plain ? plain : mangled;
    std::free(plain);
    name = name.substr(0, name.find_first_of("(<"));
    name = name.substr(name.rfind(' ') == std::string::npos ? 0 : name.rfind(' ') + 1);
    if (wanted && std::regex_match(name, std::regex(wanted))) pending() = {name, grid, block, std::move(launch)};
}

// Called where a program reads its output.
inline void measure_pending() {
    if (!pending().launch) return;
    steady_row(pending().kernel.c_str(), pending().grid, pending().block, pending().launch);
    std::_Exit(0);
}

}  // namespace power
