/* Host code as nvcc makes it, without nvcc: registers a fat binary and calls the runtime. One behaviour per argument;
 * prints what it saw, which test_capture_runtime.py compares. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct { unsigned x, y, z; } dim3;
typedef int cudaError_t;
extern void **__cudaRegisterFatBinary(void *);
extern void __cudaRegisterFatBinaryEnd(void **);
extern void __cudaRegisterFunction(void **, const char *, char *, const char *, int, void *, void *, dim3 *, dim3 *, int *);
extern void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int);
extern void __cudaRegisterManagedVar(void **, void **, char *, const char *, int, size_t, int, int);
extern char __cudaInitModule(void **);
extern unsigned __cudaPushCallConfiguration(dim3, dim3, size_t, void *);
extern cudaError_t __cudaPopCallConfiguration(dim3 *, dim3 *, size_t *, void *);
extern cudaError_t __cudaGetKernel(void **, const void *), __cudaLaunchKernel(void *, dim3, dim3, void **, size_t, void *);
extern cudaError_t cudaLaunchKernel(const void *, dim3, dim3, void **, size_t, void *);
extern cudaError_t cudaMalloc(void **, size_t), cudaFree(void *), cudaMemcpy(void *, const void *, size_t, int), cudaMemset(void *, int, size_t);
extern cudaError_t cudaMallocManaged(void **, size_t, unsigned), cudaMallocHost(void **, size_t), cudaFreeHost(void *), cudaMallocPitch(void **, size_t *, size_t, size_t);
extern cudaError_t cudaMemcpy2D(void *, size_t, const void *, size_t, size_t, size_t, int), cudaMemcpyToSymbol(const void *, const void *, size_t, size_t, int);
extern cudaError_t cudaMemcpyFromSymbol(void *, const void *, size_t, size_t, int), cudaGetSymbolSize(size_t *, const void *);
extern cudaError_t cudaHostRegister(void *, size_t, unsigned), cudaHostUnregister(void *), cudaHostGetDevicePointer(void **, void *, unsigned);
extern cudaError_t cudaGetLastError(void), cudaPeekAtLastError(void), cudaDeviceSynchronize(void), cudaDeviceReset(void), cudaMemGetInfo(size_t *, size_t *);
extern cudaError_t cudaStreamCreate(void **), cudaStreamDestroy(void *), cudaStreamQuery(void *), cudaEventCreate(void **), cudaEventRecord(void *, void *);
extern cudaError_t cudaEventElapsedTime(float *, void *, void *), cudaGraphCreate(void **, unsigned), cudaDeviceGetAttribute(int *, int, int), cudaGetDeviceProperties(void *, int);
extern cudaError_t cudaFuncGetAttributes(void *, const void *), cudaFuncSetAttribute(const void *, int, int), cudaPointerGetAttributes(void *, const void *);
extern cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *, const void *, int, size_t), cudaSetDevice(int);
extern cudaError_t cudaDeviceSetLimit(int, size_t), cudaDeviceGetLimit(size_t *, int);
extern const char *cudaGetErrorName(cudaError_t), *cudaGetErrorString(cudaError_t);

static struct { uint32_t magic; uint16_t version, header; uint64_t bytes; unsigned char entry[64]; unsigned char elf[16]; } fatbin = {
    0xBA55ED50u, 1, 16, 80, {0}, "\x7f" "ELFpayload"};
static struct { uint32_t magic, version; const void *data; void *extra; } wrapper = {0x466243B1u, 1, &fatbin, NULL};
static char host_stub, host_missing, shadow[16];
static int *managed;
static void **module;

__attribute__((constructor)) static void registration(void) {
    uint16_t kind = 2, pair = 0x0101;
    uint32_t header = 64, arch = 90;
    uint64_t payload = 16, flags = 0x11;
    memcpy(fatbin.entry, &kind, 2), memcpy(fatbin.entry + 2, &pair, 2), memcpy(fatbin.entry + 4, &header, 4);
    memcpy(fatbin.entry + 8, &payload, 8), memcpy(fatbin.entry + 28, &arch, 4), memcpy(fatbin.entry + 40, &flags, 8);
    module = __cudaRegisterFatBinary(&wrapper);
    __cudaRegisterFunction(module, &host_stub, NULL, "scale", -1, 0, 0, 0, 0, 0);
    __cudaRegisterFunction(module, &host_missing, NULL, "not_in_module", -1, 0, 0, 0, 0, 0);
    __cudaRegisterVar(module, shadow, NULL, "table", 0, 16, 1, 0);
    __cudaRegisterManagedVar(module, (void **)&managed, NULL, "counter", 0, 4, 0, 0);
    __cudaRegisterFatBinaryEnd(module);
}

/* void scale(float *data, char fill, float factor, int n): offsets 0, 8, 12, 16 */
static cudaError_t scale(float *data, float factor, int n, unsigned blocks, unsigned threads, size_t shared) {
    static void *handle;
    char fill = 7;
    void *args[] = {&data, &fill, &factor, &n};
    dim3 grid, block;
    void *stream;
    if (__cudaPushCallConfiguration((dim3){blocks, 1, 1}, (dim3){threads, 1, 1}, shared, NULL)) return -1;
    if (!handle) __cudaGetKernel(&handle, &host_stub);
    __cudaPopCallConfiguration(&grid, &block, &shared, &stream);
    return __cudaLaunchKernel(handle, grid, block, args, shared, stream);
}

#define SHOW(call) printf("%s\n", cudaGetErrorName(call))

static void run_launch(void) {
    float host[64], *device;
    for (int i = 0; i < 64; ++i) host[i] = (float)i;
    SHOW(cudaMalloc((void **)&device, sizeof host));
    SHOW(cudaMemcpy(device, host, sizeof host, 1));
    SHOW(scale(device, 3.0f, 64, 2, 32, 0));
    SHOW(cudaMemcpy(host, device, sizeof host, 2));
    printf("%g %g\n", host[1], host[63]);
    SHOW(cudaFree(device));
}

static void run_managed(void) {
    float *data;
    SHOW(cudaMallocManaged((void **)&data, 256 * sizeof *data, 1));
    for (int i = 0; i < 256; ++i) data[i] = 2.0f;
    SHOW(scale(data, 4.0f, 256, 1, 256, 0));
    SHOW(cudaDeviceSynchronize());
    printf("%g\n", data[255]);
    printf("%d\n", __cudaInitModule(module) != 0);
    *managed = 41; /* a __managed__ variable: the fake kernel adds 1 */
    SHOW(scale(data, 1.0f, 1, 1, 1, 0));
    printf("%d\n", *managed);
    struct { int type, device; void *d, *h; } attributes[4];
    SHOW(cudaPointerGetAttributes(attributes, data + 3));
    printf("%d %d\n", attributes[0].type, attributes[0].h == data + 3);
    SHOW(cudaFree(data));
}

static void run_pinned(void) {
    float *pinned, *mapped, *plain = malloc(4 * sizeof *plain);
    SHOW(cudaMallocHost((void **)&pinned, 16));
    pinned[2] = 5.0f;
    SHOW(scale(pinned, 2.0f, 3, 1, 3, 0));
    printf("%g\n", pinned[2]);
    SHOW(cudaFreeHost(pinned));
    plain[3] = 1.5f;
    SHOW(cudaHostRegister(plain, 16, 2));
    SHOW(cudaHostRegister(plain, 16, 2));
    SHOW(cudaHostGetDevicePointer((void **)&mapped, plain, 0));
    SHOW(scale(mapped, 2.0f, 4, 1, 4, 0));
    printf("%g\n", plain[3]);
    SHOW(cudaHostUnregister(plain));
    SHOW(cudaHostUnregister(plain));
}

static void run_symbols(void) {
    char text[16] = "constant memory", back[16] = "";
    size_t bytes = 0;
    SHOW(cudaMemcpyToSymbol(shadow, text, 16, 0, 1));
    SHOW(cudaMemcpyFromSymbol(back, shadow, 8, 8, 2));
    printf("%s\n", back);
    SHOW(cudaGetSymbolSize(&bytes, shadow));
    printf("%zu\n", bytes);
    SHOW(cudaMemcpyToSymbol(shadow, text, 9, 8, 1));
    SHOW(cudaMemcpyToSymbol(text, text, 1, 0, 1));
}

static void run_errors(void) {
    char host[8], *device, *other;
    SHOW(cudaMalloc((void **)&device, 1000));
    SHOW(cudaMemcpy(device, host, 1001, 1));
    SHOW(cudaMemcpy(device, host, 8, 2));
    SHOW(cudaMemcpy(device, host, 8, 9));
    SHOW(cudaFree(device + 8));
    SHOW(cudaMalloc((void **)&other, (size_t)1 << 50));
    SHOW(scale((float *)device, 1, 0, 1, 2048, 0));
    SHOW(scale((float *)device, 1, 0, 0, 32, 0));
    SHOW(scale((float *)device, 1, 0, 1, 32, 50000));
    SHOW(cudaLaunchKernel(&host_missing, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL));
    SHOW(cudaLaunchKernel(host, (dim3){1, 1, 1}, (dim3){1, 1, 1}, NULL, 0, NULL));
    SHOW(cudaStreamQuery(host));
    SHOW(cudaSetDevice(1));
    SHOW(cudaPeekAtLastError());
    SHOW(cudaGetLastError());
    SHOW(cudaGetLastError());
    printf("%s\n", cudaGetErrorString(700));
}

static void run_fault(void) {
    float *device;
    SHOW(cudaMalloc((void **)&device, 64));
    SHOW(scale(device, -1.0f, 1, 1, 1, 0)); /* the fake faults on a negative factor */
    SHOW(cudaDeviceSynchronize());
    SHOW(cudaMemset(device, 0, 64));
    SHOW(cudaGetLastError());
    SHOW(cudaGetLastError());
    SHOW(cudaDeviceReset());
    SHOW(cudaMalloc((void **)&device, 64));
    SHOW(scale(device, 2.0f, 1, 1, 1, 0));
}

static void run_streams(void) {
    void *stream, *start, *end;
    float *device, ms;
    SHOW(cudaStreamCreate(&stream));
    SHOW(cudaEventCreate(&start));
    SHOW(cudaEventCreate(&end));
    SHOW(cudaEventElapsedTime(&ms, start, end));
    SHOW(cudaMalloc((void **)&device, 64));
    SHOW(cudaEventRecord(start, stream));
    SHOW(scale(device, 2.0f, 1, 1, 1, 0));
    SHOW(cudaEventRecord(end, stream));
    SHOW(cudaEventElapsedTime(&ms, start, end));
    printf("%.6f\n", ms);
    SHOW(cudaStreamDestroy(stream));
    SHOW(cudaStreamDestroy(stream));
}

static void run_queries(void) {
    char properties[1008];
    size_t available, total, layout[64];
    int value;
    SHOW(cudaDeviceGetAttribute(&value, 16, 0));
    printf("%d\n", value);
    SHOW(cudaGetDeviceProperties(properties, 0));
    memcpy(&value, properties + 360, 4);
    printf("%s|%d\n", properties, value);
    SHOW(cudaMemGetInfo(&available, &total));
    printf("%d\n", available == total);
    SHOW(cudaFuncGetAttributes(layout, &host_stub));
    printf("%zu %d\n", layout[0], ((int *)layout)[7]);
    SHOW(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&value, &host_stub, 256, 0));
    printf("%d\n", value);
    SHOW(cudaFuncSetAttribute(&host_stub, 8, 200000));
    SHOW(cudaFuncSetAttribute(&host_stub, 8, 300000));
    SHOW(cudaDeviceSetLimit(0, 4096));
    SHOW(cudaDeviceSetLimit(0, 1 << 20));
    SHOW(cudaDeviceGetLimit(&total, 0));
    printf("%zu\n", total);
    SHOW(cudaGraphCreate(NULL, 0));
    SHOW(cudaGraphCreate(NULL, 0));
}

static void run_pitched(void) {
    char host[3][5] = {"abcd", "efgh", "ijkl"}, back[3][5] = {{0}}, *device;
    size_t pitch;
    SHOW(cudaMallocPitch((void **)&device, &pitch, 5, 3));
    printf("%zu\n", pitch);
    SHOW(cudaMemcpy2D(device, pitch, host, 5, 5, 3, 1));
    SHOW(cudaMemcpy2D(back, 5, device, pitch, 5, 3, 2));
    printf("%s%s%s\n", back[0], back[1], back[2]);
    SHOW(cudaMemcpy2D(device, 4, host, 5, 5, 3, 1));
}

static void run_fork(void) {
    void *device;
    SHOW(cudaMalloc(&device, 64));
    fflush(stdout);
    if (!fork()) {
        SHOW(cudaMalloc(&device, 64));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    SHOW(cudaMemset(device, 1, 64));
}

static void run_host_read(void) {
    volatile int *device;
    SHOW(cudaMalloc((void **)&device, 64));
    fflush(stdout);
    printf("%d\n", device[4]);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(void); } table[] = {
        {"launch", run_launch}, {"managed", run_managed}, {"pinned", run_pinned}, {"symbols", run_symbols}, {"errors", run_errors},
        {"fault", run_fault}, {"streams", run_streams}, {"queries", run_queries}, {"pitched", run_pitched}, {"fork", run_fork},
        {"host_read", run_host_read},
    };
    for (size_t i = 0; argc > 1 && i < sizeof table / sizeof *table; ++i)
        if (!strcmp(argv[1], table[i].name)) table[i].run();
    return argc > 2 ? atoi(argv[2]) : 0;
}
