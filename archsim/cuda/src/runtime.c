/* The exported CUDA runtime functions, compiled once for each major version (CUDART_MAJOR = 12 or 13).
 * Names that are listed in names_cudart_*.txt and not defined here get a stub that returns cudaErrorNotSupported. */
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

/* ---- registration ---- */

void **__cudaRegisterFatBinary(void *wrapper) { return (void **)as_module_register(wrapper); }
void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; } /* global destructors may still call: keep everything */

void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name, int limit, void *tid, void *bid,
                            dim3 *block, dim3 *grid, int *warp) {
    (void)device, (void)limit, (void)tid, (void)bid, (void)block, (void)grid, (void)warp;
    as_register_kernel((as_module *)handle, host, name);
}

void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int ext, size_t size, int constant, int global) {
    (void)device, (void)ext, (void)constant, (void)global;
    as_register_variable((as_module *)handle, host, name, size, 0);
}

void __cudaRegisterManagedVar(void **handle, void **host, char *device, const char *name, int ext, size_t size, int constant, int global) {
    (void)device, (void)ext, (void)constant, (void)global;
    as_register_variable((as_module *)handle, host, name, size, 1);
}

char __cudaInitModule(void **handle) { return (char)!as_note(as_module_prepare((as_module *)handle)); }
void __cudaRegisterHostVar(void **handle, const char *name, char *host, size_t size) { (void)handle, (void)name, (void)host, (void)size; }

/* ---- launches ---- */

typedef struct pushed { dim3 grid, block; size_t shared; void *stream; struct pushed *next; } pushed;
static __thread pushed *configurations;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
    pushed *entry = malloc(sizeof *entry);
    if (!entry) return 1;
    *entry = (pushed){grid, block, shared, stream, configurations};
    configurations = entry;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
    pushed *entry = configurations;
    if (!entry) CALL(AS_MISSING_CONFIGURATION);
    configurations = entry->next;
    *grid = entry->grid;
    *block = entry->block;
    *shared = entry->shared;
    *(void **)stream = entry->stream;
    free(entry);
    return AS_OK;
}

static int launch(const void *function, as_config config, void **args) {
    as_kernel *kernel = as_kernel_of(function, 0);
    if (!kernel) return AS_INVALID_DEVICE_FUNCTION;
    return as_launch(kernel, &config, args, NULL, 0);
}

cudaError_t __cudaGetKernel(void **out, const void *host) {
    if (!out) CALL(AS_INVALID_VALUE);
    *out = as_kernel_of(host, 1); /* before its registration too: see module.c */
    return *out ? AS_OK : as_note(AS_INVALID_DEVICE_FUNCTION);
}

cudaError_t cudaLaunchKernel(const void *host, dim3 grid, dim3 block, void **args, size_t shared, cudaStream_t stream) {
    CALL(launch(host, (as_config){grid, block, {0, 0, 0}, shared, stream, 0}, args));
}
PTSZ(cudaLaunchKernel);

cudaError_t __cudaLaunchKernel(void *kernel, dim3 grid, dim3 block, void **args, size_t shared, cudaStream_t stream) {
    return cudaLaunchKernel(kernel, grid, block, args, shared, stream);
}
PTSZ(__cudaLaunchKernel);

cudaError_t cudaLaunchCooperativeKernel(const void *host, dim3 grid, dim3 block, void **args, size_t shared, cudaStream_t stream) {
    CALL(launch(host, (as_config){grid, block, {0, 0, 0}, shared, stream, 1}, args));
}
PTSZ(cudaLaunchCooperativeKernel);

typedef struct { uint32_t id, pad; union { char bytes[64]; uint32_t words[16]; } value; } launch_attribute;
typedef struct { dim3 grid, block; size_t shared; cudaStream_t stream; launch_attribute *attributes; uint32_t count; } launch_config;
enum { ATTRIBUTE_COOPERATIVE = 2, ATTRIBUTE_CLUSTER = 4 };

cudaError_t cudaLaunchKernelExC(const launch_config *config, const void *host, void **args) {
    if (!config) CALL(AS_INVALID_VALUE);
    as_config full = {config->grid, config->block, {0, 0, 0}, config->shared, config->stream, 0};
    for (uint32_t i = 0; i < config->count; ++i) {
        const launch_attribute *a = &config->attributes[i];
        if (a->id == ATTRIBUTE_COOPERATIVE) full.cooperative = a->value.words[0] != 0;
        if (a->id == ATTRIBUTE_CLUSTER) full.cluster = (dim3){a->value.words[0], a->value.words[1], a->value.words[2]};
    }
    CALL(launch(host, full, args));
}
PTSZ(cudaLaunchKernelExC);

static void call_host(void (*function)(void *), void *data) { as_flush(); function(data); }

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void *), void *data) {
    int error = as_enter();
    if (!error) error = as_stream_check(stream, NULL);
    if (!error && !function) error = AS_INVALID_VALUE;
    if (!error) call_host(function, data); /* the stream is idle: everything before has run */
    CALL(error);
}
PTSZ(cudaLaunchHostFunc);

cudaError_t cudaStreamAddCallback(cudaStream_t stream, void (*function)(cudaStream_t, cudaError_t, void *), void *data, unsigned flags) {
    int error = as_enter();
    if (!error) error = as_stream_check(stream, NULL);
    if (!error && (!function || flags)) error = AS_INVALID_VALUE;
    if (!error) as_flush(), function(stream, AS_OK, data);
    CALL(error);
}
PTSZ(cudaStreamAddCallback);

/* ---- functions ---- */

typedef struct {
    size_t shared, constant, local;
    int max_threads, registers, ptx_version, binary_version, cache_mode, max_dynamic_shared, carveout;
    int cluster_dim_must_be_set, cluster_width, cluster_height, cluster_depth, cluster_policy, non_portable_cluster, reserved[16];
} func_attributes;

cudaError_t cudaFuncGetAttributes(func_attributes *out, const void *function) {
    as_kernel_info info;
    as_kernel *kernel = as_kernel_of(function, 0);
    int error = !out ? AS_INVALID_VALUE : kernel ? as_kernel_info_get(kernel, &info) : AS_INVALID_DEVICE_FUNCTION;
    if (error) CALL(error);
    memset(out, 0, sizeof *out);
    out->shared = (size_t)info.static_shared;
    out->constant = (size_t)info.const_bytes;
    out->local = (size_t)info.local_bytes;
    out->max_threads = info.max_threads;
    out->registers = info.registers;
    out->ptx_version = out->binary_version = info.arch;
    out->max_dynamic_shared = info.max_dynamic_shared;
    out->carveout = -1;
    return AS_OK;
}

cudaError_t cudaFuncSetAttribute(const void *function, int attribute, int value) {
    as_kernel *kernel = as_kernel_of(function, 0);
    CALL(kernel ? as_kernel_set(kernel, attribute, value) : AS_INVALID_DEVICE_FUNCTION);
}

cudaError_t cudaFuncSetCacheConfig(const void *function, int config) { (void)config; CALL(as_kernel_of(function, 0) ? AS_OK : AS_INVALID_DEVICE_FUNCTION); }
cudaError_t cudaFuncSetSharedMemConfig(const void *function, int config) { (void)config; CALL(as_kernel_of(function, 0) ? AS_OK : AS_INVALID_DEVICE_FUNCTION); }

cudaError_t cudaFuncGetName(const char **name, const void *function) {
    as_kernel *kernel = as_kernel_of(function, 0);
    if (!name || !kernel) CALL(name ? AS_INVALID_DEVICE_FUNCTION : AS_INVALID_VALUE);
    *name = as_kernel_name(kernel);
    return AS_OK;
}

cudaError_t cudaFuncGetParamInfo(const void *function, size_t index, size_t *offset, size_t *bytes) {
    uint64_t at, n;
    as_kernel *kernel = as_kernel_of(function, 0);
    int error = !offset ? AS_INVALID_VALUE : kernel ? as_kernel_param(kernel, index, &at, &n) : AS_INVALID_DEVICE_FUNCTION;
    if (error) CALL(error);
    *offset = at;
    if (bytes) *bytes = n;
    return AS_OK;
}

enum { OCCUPANCY_BLOCKS = 0, OCCUPANCY_SHARED = 1, OCCUPANCY_CLUSTERS = 2, OCCUPANCY_CLUSTER_SIZE = 3 };

static int occupancy(int *value, const void *function, int block, size_t shared, uint32_t cluster, int query) {
    as_kernel *kernel = as_kernel_of(function, 0);
    if (!value || block <= 0) return AS_INVALID_VALUE;
    return kernel ? as_occupancy(kernel, (uint32_t)block, shared, cluster, query, value) : AS_INVALID_DEVICE_FUNCTION;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *function, int block, size_t shared) {
    CALL(occupancy(blocks, function, block, shared, 1, OCCUPANCY_BLOCKS));
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *function, int block, size_t shared, unsigned flags) {
    (void)flags;
    CALL(occupancy(blocks, function, block, shared, 1, OCCUPANCY_BLOCKS));
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t *shared, const void *function, int blocks, int block) {
    int value = 0;
    int error = shared ? occupancy(&value, function, block, (size_t)blocks, 1, OCCUPANCY_SHARED) : AS_INVALID_VALUE;
    if (!error) *shared = (size_t)value;
    CALL(error);
}

static int cluster_query(int *value, const void *function, const launch_config *config, int query) {
    if (!config) return AS_INVALID_VALUE;
    uint32_t cluster = 1;
    for (uint32_t i = 0; i < config->count; ++i) {
        const uint32_t *w = config->attributes[i].value.words;
        if (config->attributes[i].id == ATTRIBUTE_CLUSTER) cluster = w[0] * w[1] * w[2];
    }
    return occupancy(value, function, (int)(config->block.x * config->block.y * config->block.z), config->shared, cluster, query);
}

cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *function, const launch_config *config) {
    CALL(cluster_query(clusters, function, config, OCCUPANCY_CLUSTERS));
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int *size, const void *function, const launch_config *config) {
    CALL(cluster_query(size, function, config, OCCUPANCY_CLUSTER_SIZE));
}

/* ---- streams ---- */

static int drain(int error) { as_flush(); return as_note(error); }

static int check_stream(void *stream) {
    int error = as_enter();
    return error ? error : as_stream_check(stream, NULL);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) { CALL(as_stream_create(0, 0, stream)); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags) { CALL(flags > 1 ? AS_INVALID_VALUE : as_stream_create(flags, 0, stream)); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority) { CALL(as_stream_create(flags, priority, stream)); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) { CALL(as_stream_destroy(stream)); }
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return drain(check_stream(stream)); }
PTSZ(cudaStreamSynchronize);
cudaError_t cudaStreamQuery(cudaStream_t stream) { return drain(check_stream(stream)); }
PTSZ(cudaStreamQuery);

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    (void)flags;
    int error = check_stream(stream);
    CALL(error ? error : as_event_query(event));
}
PTSZ(cudaStreamWaitEvent);

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned *flags) {
    as_stream known;
    int error = flags ? as_stream_check(stream, &known) : AS_INVALID_VALUE;
    if (!error) *flags = known.flags;
    CALL(error);
}
PTSZ(cudaStreamGetFlags);

cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority) {
    as_stream known;
    int error = priority ? as_stream_check(stream, &known) : AS_INVALID_VALUE;
    if (!error) *priority = known.priority;
    CALL(error);
}
PTSZ(cudaStreamGetPriority);

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *id) {
    as_stream known;
    int error = id ? as_stream_check(stream, &known) : AS_INVALID_VALUE;
    if (!error) *id = known.id;
    CALL(error);
}
PTSZ(cudaStreamGetId);

cudaError_t cudaStreamGetDevice(cudaStream_t stream, int *device) {
    int error = device ? check_stream(stream) : AS_INVALID_VALUE;
    if (!error) *device = 0;
    CALL(error);
}
PTSZ(cudaStreamGetDevice);

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, int *status) {
    int error = status ? check_stream(stream) : AS_INVALID_VALUE;
    if (!error) *status = 0; /* graphs are not supported: nothing is ever being captured */
    CALL(error);
}
PTSZ(cudaStreamIsCapturing);
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, int *status) { return cudaStreamIsCapturing(stream, status); }
PTSZ(cudaStreamGetCaptureInfo);
#if CUDART_MAJOR == 12
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, int *status) { return cudaStreamIsCapturing(stream, status); }
PTSZ(cudaStreamGetCaptureInfo_v2);
cudaError_t cudaStreamGetCaptureInfo_v3(cudaStream_t stream, int *status) { return cudaStreamIsCapturing(stream, status); }
PTSZ(cudaStreamGetCaptureInfo_v3);
#endif

/* ---- events ---- */

cudaError_t cudaEventCreate(cudaEvent_t *event) { CALL(as_event_create(0, event)); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) { CALL(as_event_create(flags, event)); }
cudaError_t cudaEventDestroy(cudaEvent_t event) { CALL(as_event_destroy(event)); }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) { CALL(as_event_record(event, stream)); }
PTSZ(cudaEventRecord);
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) { (void)flags; CALL(as_event_record(event, stream)); }
PTSZ(cudaEventRecordWithFlags);
cudaError_t cudaEventQuery(cudaEvent_t event) { return drain(as_event_query(event)); }
cudaError_t cudaEventSynchronize(cudaEvent_t event) { return drain(as_event_query(event)); }
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) { CALL(as_event_elapsed(ms, start, end)); }
#if CUDART_MAJOR == 12
cudaError_t cudaEventElapsedTime_v2(float *ms, cudaEvent_t start, cudaEvent_t end) { CALL(as_event_elapsed(ms, start, end)); }
#endif

/* ---- device ---- */

static int one_device(int device) { return device ? AS_INVALID_DEVICE : as_enter(); }

cudaError_t cudaGetDeviceCount(int *count) {
    int error = count ? as_enter() : AS_INVALID_VALUE;
    if (!error) *count = 1;
    CALL(error);
}

cudaError_t cudaGetDevice(int *device) {
    if (!device) CALL(AS_INVALID_VALUE);
    *device = 0;
    CALL(as_enter());
}

cudaError_t cudaSetDevice(int device) { CALL(one_device(device)); }
cudaError_t cudaInitDevice(int device, unsigned a, unsigned b) { (void)a, (void)b; CALL(one_device(device)); }
cudaError_t cudaChooseDevice(int *device, const void *properties) { (void)properties; return cudaGetDevice(device); }
cudaError_t cudaSetValidDevices(int *devices, int n) { CALL(devices && n > 0 ? one_device(devices[0]) : as_enter()); }
static unsigned device_flags;
cudaError_t cudaSetDeviceFlags(unsigned flags) { device_flags = flags; CALL(as_enter()); }

cudaError_t cudaGetDeviceFlags(unsigned *flags) {
    if (!flags) CALL(AS_INVALID_VALUE);
    *flags = device_flags;
    CALL(as_enter());
}

cudaError_t cudaDeviceSynchronize(void) { return drain(as_enter()); }

cudaError_t cudaDeviceReset(void) { as_flush(); CALL(as_reset()); }
cudaError_t cudaDeviceSetCacheConfig(int config) { (void)config; CALL(as_enter()); }
cudaError_t cudaDeviceGetCacheConfig(int *config) { if (config) *config = 0; CALL(config ? as_enter() : AS_INVALID_VALUE); }
cudaError_t cudaDeviceSetSharedMemConfig(int config) { (void)config; CALL(as_enter()); }
cudaError_t cudaDeviceGetSharedMemConfig(int *config) { if (config) *config = 1; CALL(config ? as_enter() : AS_INVALID_VALUE); }

cudaError_t cudaDeviceGetLimit(size_t *value, int limit) { CALL(as_limit_get(limit, value)); }
cudaError_t cudaDeviceSetLimit(int limit, size_t value) { CALL(as_limit_set(limit, value)); }

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    CALL(as_enter());
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer) {
    (void)peer;
    if (!can) CALL(AS_INVALID_VALUE);
    *can = 0;
    CALL(one_device(device));
}

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) { (void)peer, (void)flags; CALL(AS_INVALID_DEVICE); }
cudaError_t cudaDeviceDisablePeerAccess(int peer) { (void)peer; CALL(AS_INVALID_DEVICE); }

cudaError_t cudaDeviceGetPCIBusId(char *text, int length, int device) {
    if (!text || length < 13) CALL(AS_INVALID_VALUE);
    strcpy(text, "0000:01:00.0");
    CALL(one_device(device));
}

cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *text) {
    if (!device || !text) CALL(AS_INVALID_VALUE);
    *device = 0;
    CALL(strcmp(text, "0000:01:00.0") ? AS_INVALID_DEVICE : as_enter());
}

cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device) {
    int error = value ? one_device(device) : AS_INVALID_VALUE;
    if (!error && (attribute < 1 || (uint32_t)attribute >= as_arena_get()->attribute_count)) error = AS_INVALID_VALUE;
    if (!error) *value = as_arena_get()->attributes[attribute];
    CALL(error);
}

static int properties(void *out, int device, uint32_t layout, size_t most) {
    int error = out ? one_device(device) : AS_INVALID_VALUE;
    as_reply reply;
    if (!error) error = as_request(AS_OP_PROPERTIES, &layout, sizeof layout, NULL, 0, &reply);
    if (error) return error;
    memcpy(out, reply.data, reply.bytes < most ? reply.bytes : most);
    free(reply.data);
    return AS_OK;
}

#if CUDART_MAJOR >= 13
cudaError_t cudaGetDeviceProperties(void *out, int device) { CALL(properties(out, device, 13, 1008)); }
#else
cudaError_t cudaGetDeviceProperties_v2(void *out, int device) { CALL(properties(out, device, 12, 1032)); }
/* The older, shorter structure of CUDA 11 agrees with this one up to maxBlocksPerMultiProcessor. */
cudaError_t cudaGetDeviceProperties(void *out, int device) { CALL(properties(out, device, 12, 716)); }
cudaError_t cudaThreadSynchronize(void) { return cudaDeviceSynchronize(); }
cudaError_t cudaThreadExit(void) { return cudaDeviceReset(); }
cudaError_t cudaThreadSetCacheConfig(int config) { return cudaDeviceSetCacheConfig(config); }
cudaError_t cudaThreadGetCacheConfig(int *config) { return cudaDeviceGetCacheConfig(config); }
cudaError_t cudaThreadSetLimit(int limit, size_t value) { return cudaDeviceSetLimit(limit, value); }
cudaError_t cudaThreadGetLimit(size_t *value, int limit) { return cudaDeviceGetLimit(value, limit); }
#endif

/* ---- versions, errors, the rest ---- */

#define VERSION (CUDART_MAJOR * 1000 + (CUDART_MAJOR == 12 ? 90 : 0))

cudaError_t cudaRuntimeGetVersion(int *version) { if (version) *version = VERSION; CALL(version ? AS_OK : AS_INVALID_VALUE); }
cudaError_t cudaDriverGetVersion(int *version) { if (version) *version = 13000; CALL(version ? AS_OK : AS_INVALID_VALUE); }
cudaError_t cudaGetLastError(void) { return as_last(1); }
cudaError_t cudaPeekAtLastError(void) { return as_last(0); }
const char *cudaGetErrorName(cudaError_t error) { const char *text = as_error_name(error); return text ? text : "unrecognized error code"; }
const char *cudaGetErrorString(cudaError_t error) { const char *text = as_error_string(error); return text ? text : "unrecognized error code"; }
cudaError_t cudaProfilerStart(void) { return AS_OK; }
cudaError_t cudaProfilerStop(void) { return AS_OK; }
cudaError_t cudaCtxResetPersistingL2Cache(void) { CALL(as_enter()); }

typedef struct { int x, y, z, w, kind; } channel;
channel cudaCreateChannelDesc(int x, int y, int z, int w, int kind) { return (channel){x, y, z, w, kind}; }

cudaError_t cudaGetDriverEntryPoint(const char *name, void **out, unsigned long long flags, int *status) {
    (void)name, (void)flags;
    if (out) *out = NULL;
    if (status) *status = 1; /* cudaDriverEntryPointSymbolNotFound */
    CALL(out ? AS_OK : AS_INVALID_VALUE);
}
PTSZ(cudaGetDriverEntryPoint);

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version, unsigned long long flags, int *status) {
    (void)version;
    return cudaGetDriverEntryPoint(name, out, flags, status);
}
PTSZ(cudaGetDriverEntryPointByVersion);
