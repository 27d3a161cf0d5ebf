/* The CUDA driver calls that common programs make (libcuda.so.1). It shares modules, memory and the connection with the
 * runtime stand-in. Names of cuda.h that are not defined here get a stub that returns CUDA_ERROR_NOT_SUPPORTED. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

typedef int CUresult;
typedef uint64_t CUdeviceptr;
typedef void *CUstream, *CUevent, *CUcontext;
typedef as_dim3 dim3;

#define SAME(name, other) extern __typeof__(name) other __attribute__((alias(#name)))

/* ---- initialisation, device, context ---- */

CUresult cuInit(unsigned flags) { return flags ? AS_INVALID_VALUE : as_enter(); }
CUresult cuDriverGetVersion(int *version) { if (version) *version = 13000; return version ? AS_OK : AS_INVALID_VALUE; }

CUresult cuDeviceGetCount(int *count) { if (count) *count = 1; return count ? as_enter() : AS_INVALID_VALUE; }

static int device_zero(int device) { return device ? AS_INVALID_DEVICE : as_enter(); }

CUresult cuDeviceGet(int *device, int ordinal) { if (device) *device = 0; return device ? device_zero(ordinal) : AS_INVALID_VALUE; }

CUresult cuDeviceGetName(char *name, int length, int device) {
    int error = name && length > 0 ? device_zero(device) : AS_INVALID_VALUE;
    if (!error) snprintf(name, (size_t)length, "%s", as_arena_get()->hello);
    return error;
}

CUresult cuDeviceGetUuid(void *uuid, int device) {
    int error = uuid ? device_zero(device) : AS_INVALID_VALUE;
    if (!error) memcpy(uuid, "archsim emulated", 16);
    return error;
}
SAME(cuDeviceGetUuid, cuDeviceGetUuid_v2);

CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
    uint64_t total = 0;
    int error = bytes ? device_zero(device) : AS_INVALID_VALUE;
    if (!error) error = as_mem_info(NULL, &total);
    if (!error) *bytes = total;
    return error;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    int error = value ? device_zero(device) : AS_INVALID_VALUE;
    if (!error && (attribute < 1 || (uint32_t)attribute >= as_arena_get()->attribute_count)) error = AS_INVALID_VALUE;
    if (!error) *value = as_arena_get()->attributes[attribute];
    return error;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, int device) {
    int error = cuDeviceGetAttribute(major, 75, device);
    return error ? error : cuDeviceGetAttribute(minor, 76, device);
}

CUresult cuDeviceGetPCIBusId(char *text, int length, int device) {
    if (!text || length < 13) return AS_INVALID_VALUE;
    strcpy(text, "0000:01:00.0");
    return device_zero(device);
}

static char the_context; /* one device, one context: its address is the handle */
static __thread void *current;

static int give_context(CUcontext *out) {
    int error = out ? as_enter() : AS_INVALID_VALUE;
    if (!error) *out = &the_context;
    return error;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, int device) { return device ? AS_INVALID_DEVICE : give_context(out); }
CUresult cuDevicePrimaryCtxRelease_v2(int device) { return device_zero(device); }
SAME(cuDevicePrimaryCtxRelease_v2, cuDevicePrimaryCtxRelease);
CUresult cuDevicePrimaryCtxReset_v2(int device) { return device ? AS_INVALID_DEVICE : as_reset(); }
SAME(cuDevicePrimaryCtxReset_v2, cuDevicePrimaryCtxReset);
CUresult cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) { (void)flags; return device_zero(device); }
SAME(cuDevicePrimaryCtxSetFlags_v2, cuDevicePrimaryCtxSetFlags);

CUresult cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) {
    if (flags) *flags = 0;
    if (active) *active = 1;
    return device_zero(device);
}

static int create_context(CUcontext *out, int device) {
    int error = device ? AS_INVALID_DEVICE : give_context(out);
    if (!error) current = &the_context;
    return error;
}

CUresult cuCtxCreate_v2(CUcontext *out, unsigned flags, int device) { (void)flags; return create_context(out, device); }
CUresult cuCtxCreate_v3(CUcontext *out, void *params, int n, unsigned flags, int device) { (void)params, (void)n, (void)flags; return create_context(out, device); }
CUresult cuCtxCreate_v4(CUcontext *out, void *params, unsigned flags, int device) { (void)params, (void)flags; return create_context(out, device); }
CUresult cuCtxDestroy_v2(CUcontext context) { current = NULL; return context == &the_context ? AS_OK : 201; }
CUresult cuCtxSetCurrent(CUcontext context) { current = context; return as_enter(); }
CUresult cuCtxGetCurrent(CUcontext *out) { if (out) *out = current; return out ? as_enter() : AS_INVALID_VALUE; }
CUresult cuCtxPushCurrent_v2(CUcontext context) { current = context; return as_enter(); }
CUresult cuCtxPopCurrent_v2(CUcontext *out) { if (out) *out = current; return as_enter(); }
CUresult cuCtxGetDevice(int *device) { if (device) *device = 0; return device ? as_enter() : AS_INVALID_VALUE; }
CUresult cuCtxGetApiVersion(CUcontext context, unsigned *version) { (void)context; if (version) *version = 3020; return version ? AS_OK : AS_INVALID_VALUE; }
CUresult cuCtxGetFlags(unsigned *flags) { if (flags) *flags = 0; return flags ? as_enter() : AS_INVALID_VALUE; }
CUresult cuCtxSynchronize(void) { as_flush(); return as_enter(); }
CUresult cuCtxSetCacheConfig(int config) { (void)config; return as_enter(); }
CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) { if (least) *least = 0; if (greatest) *greatest = -5; return as_enter(); }

CUresult cuCtxGetLimit(size_t *value, int limit) { return as_limit_get(limit, value); }
CUresult cuCtxSetLimit(int limit, size_t value) { return as_limit_set(limit, value); }

CUresult cuGetErrorString(int error, const char **text) { return text && (*text = as_error_string(error)) ? AS_OK : AS_INVALID_VALUE; }

CUresult cuGetErrorName(int error, const char **text) { return text && (*text = as_driver_error_name(error)) ? AS_OK : AS_INVALID_VALUE; }

/* ---- modules ---- */

CUresult cuModuleLoadData(void **module, const void *image) { return module && image ? as_module_load_image(image, (as_module **)module) : AS_INVALID_VALUE; }
CUresult cuModuleLoadDataEx(void **module, const void *image, unsigned n, int *options, void **values) { (void)n, (void)options, (void)values; return cuModuleLoadData(module, image); }
CUresult cuModuleLoadFatBinary(void **module, const void *image) { return cuModuleLoadData(module, image); }

CUresult cuModuleLoad(void **module, const char *path) {
    FILE *file = module && path ? fopen(path, "rb") : NULL;
    if (!file) return 301; /* CUDA_ERROR_FILE_NOT_FOUND */
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    rewind(file);
    char *image = bytes > 4 ? calloc(1, (size_t)bytes + 1) : NULL;
    int error = image && fread(image, 1, (size_t)bytes, file) == (size_t)bytes ? cuModuleLoadData(module, image) : AS_INVALID_VALUE;
    free(image);
    fclose(file);
    return error;
}

CUresult cuModuleUnload(void *module) { return module ? as_module_unload(module) : AS_INVALID_HANDLE; }
CUresult cuModuleGetFunction(void **function, void *module, const char *name) { return function && module && name ? as_kernel_named(module, name, (as_kernel **)function) : AS_INVALID_VALUE; }

CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, void *module, const char *name) {
    uint64_t at, n;
    int error = module && name ? as_global_named(module, name, &at, &n) : AS_INVALID_VALUE;
    if (!error && address) *address = at;
    if (!error && bytes) *bytes = n;
    return error;
}

CUresult cuLibraryLoadData(void **library, const void *image, int *jo, void **jv, unsigned nj, int *lo, void **lv, unsigned nl) {
    (void)jo, (void)jv, (void)nj, (void)lo, (void)lv, (void)nl;
    return cuModuleLoadData(library, image);
}

CUresult cuLibraryUnload(void *library) { return cuModuleUnload(library); }
CUresult cuLibraryGetKernel(void **kernel, void *library, const char *name) { return cuModuleGetFunction(kernel, library, name); }
CUresult cuLibraryGetModule(void **module, void *library) { if (module) *module = library; return module ? AS_OK : AS_INVALID_VALUE; }
CUresult cuLibraryGetGlobal(CUdeviceptr *address, size_t *bytes, void *library, const char *name) { return cuModuleGetGlobal_v2(address, bytes, library, name); }
CUresult cuKernelGetFunction(void **function, void *kernel) { if (function) *function = kernel; return function && kernel ? AS_OK : AS_INVALID_VALUE; }

/* ---- functions ---- */

CUresult cuFuncGetAttribute(int *value, int attribute, void *function) {
    as_kernel_info i;
    int error = value && function ? as_kernel_info_get(function, &i) : AS_INVALID_VALUE;
    if (error) return error;
    const int values[] = {i.max_threads, i.static_shared, i.const_bytes, i.local_bytes, i.registers, i.arch, i.arch, 0, i.max_dynamic_shared, -1};
    if (attribute < 0 || attribute >= (int)(sizeof values / sizeof *values)) return AS_INVALID_VALUE;
    *value = values[attribute];
    return AS_OK;
}

CUresult cuKernelGetAttribute(int *value, int attribute, void *kernel, int device) { return device ? AS_INVALID_DEVICE : cuFuncGetAttribute(value, attribute, kernel); }
CUresult cuFuncSetAttribute(void *function, int attribute, int value) { return function ? as_kernel_set(function, attribute, value) : AS_INVALID_HANDLE; }
CUresult cuKernelSetAttribute(int attribute, int value, void *kernel, int device) { return device ? AS_INVALID_DEVICE : cuFuncSetAttribute(kernel, attribute, value); }
CUresult cuFuncSetCacheConfig(void *function, int config) { (void)config; return function ? AS_OK : AS_INVALID_HANDLE; }
CUresult cuFuncSetSharedMemConfig(void *function, int config) { (void)config; return function ? AS_OK : AS_INVALID_HANDLE; }
CUresult cuFuncGetModule(void **module, void *function) { (void)module, (void)function; return as_unsupported("cuFuncGetModule"); }

CUresult cuFuncGetParamInfo(void *function, size_t index, size_t *offset, size_t *bytes) {
    uint64_t at, n;
    int error = function && offset ? as_kernel_param(function, index, &at, &n) : AS_INVALID_VALUE;
    if (!error) *offset = at;
    if (!error && bytes) *bytes = n;
    return error;
}
SAME(cuFuncGetParamInfo, cuKernelGetParamInfo);

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void *function, int block, size_t shared) {
    return blocks && function && block > 0 ? as_occupancy(function, (uint32_t)block, shared, 1, 0, blocks) : AS_INVALID_VALUE;
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void *function, int block, size_t shared, unsigned flags) {
    (void)flags;
    return cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, function, block, shared);
}

/* `extra` = {1, buffer, 2, &bytes, 0}: parameters already laid out. */
static int launch(void *function, as_config config, void **params, void **extra) {
    as_kernel *kernel = as_kernel_of(function, 0);
    if (!kernel) return AS_INVALID_HANDLE;
    const void *packed = NULL;
    size_t bytes = 0;
    for (size_t i = 0; extra && extra[i]; i += 2) {
        if (extra[i] == (void *)1) packed = extra[i + 1];
        if (extra[i] == (void *)2) bytes = *(size_t *)extra[i + 1];
    }
    return as_launch(kernel, &config, params, packed, bytes);
}

CUresult cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                        CUstream stream, void **params, void **extra) {
    return launch(function, (as_config){{gx, gy, gz}, {bx, by, bz}, {0, 0, 0}, shared, stream, 0}, params, extra);
}
SAME(cuLaunchKernel, cuLaunchKernel_ptsz);

CUresult cuLaunchCooperativeKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                   unsigned shared, CUstream stream, void **params) {
    return launch(function, (as_config){{gx, gy, gz}, {bx, by, bz}, {0, 0, 0}, shared, stream, 1}, params, NULL);
}
SAME(cuLaunchCooperativeKernel, cuLaunchCooperativeKernel_ptsz);

typedef struct { uint32_t id, pad; union { char bytes[64]; uint32_t words[16]; } value; } launch_attribute;
typedef struct { dim3 grid, block; unsigned shared; CUstream stream; launch_attribute *attributes; unsigned count; } launch_config;

CUresult cuLaunchKernelEx(const launch_config *config, void *function, void **params, void **extra) {
    if (!config) return AS_INVALID_VALUE;
    as_config full = {config->grid, config->block, {0, 0, 0}, config->shared, config->stream, 0};
    for (unsigned i = 0; i < config->count; ++i) {
        const uint32_t *w = config->attributes[i].value.words;
        if (config->attributes[i].id == 2) full.cooperative = w[0] != 0;
        if (config->attributes[i].id == 4) full.cluster = (dim3){w[0], w[1], w[2]};
    }
    return launch(function, full, params, extra);
}
SAME(cuLaunchKernelEx, cuLaunchKernelEx_ptsz);

/* ---- memory ---- */

static int allocate(void *out, size_t bytes, uint32_t kind, uint32_t flags) {
    uint64_t address;
    int error = out && bytes ? as_alloc(bytes, kind, flags, &address) : AS_INVALID_VALUE;
    if (!error) memcpy(out, &address, sizeof address);
    return error;
}

CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t bytes) { return allocate(out, bytes, AS_DEVICE, 0); }
CUresult cuMemAllocManaged(CUdeviceptr *out, size_t bytes, unsigned flags) { return allocate(out, bytes, AS_MANAGED, flags); }
CUresult cuMemAllocHost_v2(void **out, size_t bytes) { return allocate(out, bytes, AS_PINNED, 0); }
CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) { return allocate(out, bytes, AS_PINNED, flags); }
CUresult cuMemAllocAsync(CUdeviceptr *out, size_t bytes, CUstream stream) { (void)stream; return allocate(out, bytes, AS_DEVICE, 0); }
CUresult cuMemFree_v2(CUdeviceptr address) { return as_free(address, 0); }
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) { (void)stream; return as_free(address, 0); }
CUresult cuMemFreeHost(void *pointer) { return as_free((uint64_t)pointer, 1); }
CUresult cuMemHostRegister_v2(void *host, size_t bytes, unsigned flags) { return as_register_host(host, bytes, flags); }
CUresult cuMemHostUnregister(void *host) { return as_unregister_host(host); }
CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *out, void *host, unsigned flags) { return out && !flags ? as_device_pointer(host, out, NULL) : AS_INVALID_VALUE; }

CUresult cuMemAllocPitch_v2(CUdeviceptr *out, size_t *pitch, size_t width, size_t height, unsigned element) {
    (void)element;
    if (!out || !pitch) return AS_INVALID_VALUE;
    *pitch = (width + 511) / 512 * 512;
    return allocate(out, *pitch * height, AS_DEVICE, 0);
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { return as_mem_info((uint64_t *)free_bytes, (uint64_t *)total); }

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
    as_allocation found;
    int error = as_enter();
    if (!error && !as_find((void *)address, &found)) error = AS_NOT_FOUND;
    if (!error && base) *base = found.address;
    if (!error && bytes) *bytes = found.bytes;
    return error;
}

enum { POINTER_MEMORY_TYPE = 2, POINTER_DEVICE = 3, POINTER_HOST = 4, POINTER_IS_MANAGED = 8, POINTER_ORDINAL = 9, POINTER_CONTEXT = 1 };

CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr pointer) {
    as_allocation found;
    int error = value ? as_enter() : AS_INVALID_VALUE;
    if (error) return error;
    if (!as_find((void *)pointer, &found)) return AS_INVALID_VALUE;
    void *context = &the_context;
    int host = found.kind == AS_PINNED || found.kind == AS_MIRROR;
    uint64_t device = found.kind == AS_MIRROR ? found.address + (pointer - (uint64_t)found.host) : pointer;
    switch (attribute) {
    case POINTER_CONTEXT: memcpy(value, &context, sizeof context); return AS_OK;
    case POINTER_MEMORY_TYPE: *(unsigned *)value = host ? 1 : 2; return AS_OK;
    case POINTER_DEVICE: memcpy(value, &device, sizeof device); return AS_OK;
    case POINTER_HOST: if (!host && found.kind != AS_MANAGED) return AS_INVALID_VALUE; memcpy(value, &pointer, sizeof pointer); return AS_OK;
    case POINTER_IS_MANAGED: *(unsigned char *)value = found.kind == AS_MANAGED; return AS_OK;
    case POINTER_ORDINAL: *(int *)value = 0; return AS_OK;
    default: return as_unsupported("cuPointerGetAttribute (this attribute)");
    }
}

static int copy(uint64_t dst, uint64_t src, size_t bytes, int kind, void *stream, int wait) {
    if (wait) as_flush();
    return as_copy((void *)dst, (const void *)src, bytes, kind, stream);
}

CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n) { return copy(dst, src, n, AS_COPY_DEFAULT, NULL, 1); }
CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) { return copy(dst, src, n, AS_COPY_DEFAULT, s, 0); }
CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t n) { return copy(dst, (uint64_t)src, n, AS_COPY_H2D, NULL, 1); }
CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t n) { return copy((uint64_t)dst, src, n, AS_COPY_D2H, NULL, 1); }
CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n) { return copy(dst, src, n, AS_COPY_D2D, NULL, 1); }
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, CUstream s) { return copy(dst, (uint64_t)src, n, AS_COPY_H2D, s, 0); }
CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, CUstream s) { return copy((uint64_t)dst, src, n, AS_COPY_D2H, s, 0); }
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s) { return copy(dst, src, n, AS_COPY_D2D, s, 0); }

#define FILL(bits, type, bytes) \
    CUresult cuMemsetD##bits##_v2(CUdeviceptr dst, type value, size_t n) { return as_set((void *)dst, 0, value, bytes, n, 1, NULL); } \
    CUresult cuMemsetD##bits##Async(CUdeviceptr dst, type value, size_t n, CUstream s) { return as_set((void *)dst, 0, value, bytes, n, 1, s); } \
    CUresult cuMemsetD2D##bits##_v2(CUdeviceptr dst, size_t pitch, type value, size_t w, size_t h) { return as_set((void *)dst, pitch, value, bytes, w, h, NULL); } \
    CUresult cuMemsetD2D##bits##Async(CUdeviceptr dst, size_t pitch, type value, size_t w, size_t h, CUstream s) { return as_set((void *)dst, pitch, value, bytes, w, h, s); }
FILL(8, unsigned char, 1)
FILL(16, unsigned short, 2)
FILL(32, unsigned, 4)

/* ---- streams, events ---- */

static int check_stream(void *stream) {
    int error = as_enter();
    return error ? error : as_stream_check(stream, NULL);
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags) { return as_stream_create(flags, 0, stream); }
CUresult cuStreamCreateWithPriority(CUstream *stream, unsigned flags, int priority) { return as_stream_create(flags, priority, stream); }
CUresult cuStreamDestroy_v2(CUstream stream) { return as_stream_destroy(stream); }
CUresult cuStreamSynchronize(CUstream stream) { as_flush(); return check_stream(stream); }
CUresult cuStreamQuery(CUstream stream) { as_flush(); return check_stream(stream); }
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) { (void)flags; int error = check_stream(stream); return error ? error : as_event_query(event); }
CUresult cuStreamGetCtx(CUstream stream, CUcontext *out) { int error = check_stream(stream); return error ? error : give_context(out); }
CUresult cuStreamIsCapturing(CUstream stream, int *status) { if (status) *status = 0; return status ? check_stream(stream) : AS_INVALID_VALUE; }
CUresult cuEventCreate(CUevent *event, unsigned flags) { return as_event_create(flags, event); }
CUresult cuEventDestroy_v2(CUevent event) { return as_event_destroy(event); }
CUresult cuEventRecord(CUevent event, CUstream stream) { return as_event_record(event, stream); }
CUresult cuEventQuery(CUevent event) { as_flush(); return as_event_query(event); }
CUresult cuEventSynchronize(CUevent event) { as_flush(); return as_event_query(event); }
CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) { return as_event_elapsed(ms, start, end); }
SAME(cuEventElapsedTime, cuEventElapsedTime_v2);

CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *data) {
    int error = function ? check_stream(stream) : AS_INVALID_VALUE;
    if (!error) as_flush(), function(data);
    return error;
}

/* ---- entry points by name ---- */

static void *entry(const char *name, int version) {
    static const char *const suffixes[] = {"_v4", "_v3", "_v2", ""};
    static void *self;
    if (!self) self = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    char full[128];
    for (size_t i = 0; self && i < sizeof suffixes / sizeof *suffixes; ++i) {
        if (!strcmp(name, "cuCtxCreate") && (version < 13000 ? i < 2 : i > 0)) continue; /* the one name whose form changed in 13 */
        snprintf(full, sizeof full, "%s%s", name, suffixes[i]);
        void *found = dlsym(self, full);
        if (found) return found;
    }
    return NULL;
}

CUresult cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    (void)flags;
    if (!name || !function) return AS_INVALID_VALUE;
    *function = entry(name, version);
    if (status) *status = *function ? 0 : 1; /* found; not found */
    return *function ? AS_OK : AS_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) { return cuGetProcAddress_v2(name, function, version, flags, NULL); }
