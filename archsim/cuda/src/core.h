/* archsim: stand-in for the CUDA runtime. Shared state of one captured process: the connection to the parent process
 * (`archsim capture`, which owns the emulated GPU), device memory, modules, kernels, streams and events.
 *
 * Every function returns a CUDA error number (0 = success); runtime and driver numbers agree for all codes used here.
 * Nothing here includes a CUDA header: users need not have the toolkit installed. */
#ifndef ARCHSIM_CUDA_CORE_H
#define ARCHSIM_CUDA_CORE_H

#include <stddef.h>
#include <stdint.h>

#define AS_PROTOCOL 1

enum {
    AS_OK = 0,
    AS_INVALID_VALUE = 1,
    AS_OUT_OF_MEMORY = 2,
    AS_INITIALIZATION = 3,
    AS_INVALID_CONFIGURATION = 9,
    AS_INVALID_PITCH = 12,
    AS_INVALID_SYMBOL = 13,
    AS_INVALID_DEVICE_POINTER = 17,
    AS_INVALID_DIRECTION = 21,
    AS_INSUFFICIENT_DRIVER = 35,
    AS_MISSING_CONFIGURATION = 52,
    AS_INVALID_DEVICE_FUNCTION = 98,
    AS_INVALID_DEVICE = 101,
    AS_NO_KERNEL_IMAGE = 209,
    AS_INVALID_HANDLE = 400,
    AS_NOT_FOUND = 500,
    AS_NOT_READY = 600,
    AS_ALREADY_REGISTERED = 712,
    AS_NOT_REGISTERED = 713,
    AS_LAUNCH_FAILURE = 719,
    AS_NOT_SUPPORTED = 801,
};

/* Requests to the parent; the same numbers as in archsim/cuda/protocol.py. */
enum {
    AS_OP_HELLO = 1,
    AS_OP_PROPERTIES = 2,
    AS_OP_ALLOC = 3,
    AS_OP_FREE = 4,
    AS_OP_MEM_INFO = 5,
    AS_OP_MODULE_LOAD = 6,
    AS_OP_MODULE_UNLOAD = 7,
    AS_OP_KERNEL = 8,
    AS_OP_GLOBAL = 9,
    AS_OP_LAUNCH = 10,
    AS_OP_EVENT = 11,
    AS_OP_OCCUPANCY = 12,
    AS_OP_FUNC_SET = 13,
    AS_OP_UNSUPPORTED = 14,
    AS_OP_RESET = 15,
    AS_OP_LIMIT = 16,
};

enum { AS_DEVICE = 1, AS_MANAGED = 2, AS_PINNED = 3, AS_MIRROR = 4, AS_VARIABLE = 5 };
enum { AS_COPY_H2H = 0, AS_COPY_H2D = 1, AS_COPY_D2H = 2, AS_COPY_D2D = 3, AS_COPY_DEFAULT = 4, AS_SET = 5 };

typedef struct { uint32_t x, y, z; } as_dim3;

typedef struct { void *data; size_t bytes; } as_reply; /* data is malloc'ed, freed by the caller */

typedef struct {
    uint64_t base, bytes; /* of the device address range, mapped at these addresses in this process */
    char *alias;          /* a second, always readable and writable mapping of the same memory */
    char *hello;          /* name of the device, NUL-terminated */
    const int32_t *attributes;
    uint32_t attribute_count;
} as_arena;

typedef struct {
    uint64_t address, bytes; /* device address range */
    uint32_t kind, flags;
    char *host; /* AS_MIRROR: the program's own memory; AS_PINNED, AS_MANAGED: (char *)address */
    int used;   /* AS_MIRROR: the program asked for the device address, so kernels may touch it */
} as_allocation;

typedef struct as_module as_module;
typedef struct as_kernel as_kernel;

typedef struct { int32_t registers, static_shared, local_bytes, const_bytes, max_threads, max_dynamic_shared, arch, param_bytes; } as_kernel_info;

typedef struct { uint32_t id, flags; int32_t priority; } as_stream;
typedef struct { uint32_t flags, recorded; uint64_t time_ns; } as_event;

typedef struct {
    as_dim3 grid, block, cluster;
    uint64_t shared;
    void *stream;
    uint32_t cooperative;
} as_config;

/* core.c: connection */
void as_lock(void);
void as_unlock(void);
int as_enter(void);           /* connects on first use; a sticky fault or a fork gives its error */
const as_arena *as_arena_get(void); /* only after as_enter() == 0 */
int as_request(uint32_t op, const void *head, size_t head_bytes, const void *body, size_t body_bytes, as_reply *reply);
int as_post(uint32_t op, const void *head, size_t head_bytes, const void *body, size_t body_bytes); /* no reply */
int as_last(int clear);       /* last error of this thread */
int as_note(int error);       /* stores a failure as last error of this thread; returns it */
int as_unsupported(const char *name); /* reports the name to the parent once; returns AS_NOT_SUPPORTED */
int as_sticky(void);
uint64_t as_now_ns(void);
void as_text(const void *data, size_t bytes); /* device printf output, kept until as_flush */
void as_flush(void);
void as_set_now(uint64_t ns);
int as_reset(void);
int as_limit_get(int limit, size_t *value);
int as_limit_set(int limit, size_t value);
uint32_t as_generation(void); /* grows with every reset: modules of an older generation are gone */

/* map.c: pointer -> pointer hash map */
typedef struct { void **keys, **values; size_t capacity, count; } as_map;
void *as_map_get(const as_map *map, const void *key);
void as_map_put(as_map *map, const void *key, void *value);
void as_map_remove(as_map *map, const void *key);

/* memory.c */
int as_alloc(uint64_t bytes, uint32_t kind, uint32_t flags, uint64_t *address);
int as_free(uint64_t address, int host);
int as_register_host(void *host, uint64_t bytes, uint32_t flags);
int as_unregister_host(void *host);
int as_device_pointer(void *host, uint64_t *address, uint32_t *flags);
int as_add_variable(uint64_t address, uint64_t bytes, int host_visible);
int as_find(const void *pointer, as_allocation *found); /* 1 if inside an allocation or registered memory */
int as_copy(void *dst, const void *src, uint64_t bytes, int kind, void *stream);
int as_copy_2d(void *dst, uint64_t dst_pitch, const void *src, uint64_t src_pitch, uint64_t width, uint64_t height, int kind, void *stream);
int as_copy_3d(void *dst, uint64_t dst_pitch, uint64_t dst_rows, const void *src, uint64_t src_pitch, uint64_t src_rows,
               uint64_t width, uint64_t height, uint64_t depth, int kind, void *stream);
int as_set(void *dst, uint64_t pitch, uint32_t value, uint32_t element, uint64_t width, uint64_t height, void *stream);
int as_mem_info(uint64_t *free_bytes, uint64_t *total_bytes);
void as_mirrors(int to_device);
void as_memory_reset(void);

/* module.c */
as_module *as_module_register(const void *wrapper);
int as_module_load_image(const void *image, as_module **module);
int as_module_unload(as_module *module);
int as_module_prepare(as_module *module);
void as_register_kernel(as_module *module, const void *host, const char *name);
void as_register_variable(as_module *module, const void *host, const char *name, uint64_t bytes, int managed);
as_kernel *as_kernel_of(const void *host_or_handle, int create);
int as_kernel_named(as_module *module, const char *name, as_kernel **kernel);
int as_kernel_prepare(as_kernel *kernel);
const char *as_kernel_name(as_kernel *kernel);
int as_kernel_info_get(as_kernel *kernel, as_kernel_info *info);
int as_kernel_param(as_kernel *kernel, uint64_t index, uint64_t *offset, uint64_t *bytes);
int as_kernel_set(as_kernel *kernel, int attribute, int value);
int as_symbol(const void *symbol, uint64_t *address, uint64_t *bytes);
int as_global_named(as_module *module, const char *name, uint64_t *address, uint64_t *bytes);
int as_occupancy(as_kernel *kernel, uint32_t block, uint64_t shared, uint32_t cluster, int query, int *value);
int as_launch(as_kernel *kernel, const as_config *config, void **args, const void *packed, uint64_t packed_bytes);

/* stream.c */
int as_stream_create(uint32_t flags, int priority, void **stream);
int as_stream_destroy(void *stream);
int as_stream_check(void *stream, as_stream *out);
int as_event_create(uint32_t flags, void **event);
int as_event_destroy(void *event);
int as_event_record(void *event, void *stream);
int as_event_query(void *event);
int as_event_elapsed(float *ms, void *start, void *end);
uint32_t as_stream_id(void *stream);

/* errors.c */
const char *as_error_name(int error);
const char *as_error_string(int error);
const char *as_driver_error_name(int error);

#endif
