/* The exported CUDA runtime functions about memory: allocation, copies, symbols, pools. Built for CUDART_MAJOR 12 and 13. */
#include <string.h>

#include "runtime.h"

/* ---- memory ---- */

static int allocate(void **out, size_t bytes, uint32_t kind, uint32_t flags) {
    uint64_t address = 0;
    if (!out) return AS_INVALID_VALUE;
    int error = as_alloc(bytes, kind, flags, &address);
    *out = (void *)address;
    return error;
}

cudaError_t cudaMalloc(void **out, size_t bytes) { CALL(allocate(out, bytes, AS_DEVICE, 0)); }
cudaError_t cudaMallocHost(void **out, size_t bytes) { CALL(allocate(out, bytes, AS_PINNED, 0)); }
cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned flags) { CALL(flags & ~15u ? AS_INVALID_VALUE : allocate(out, bytes, AS_PINNED, flags)); }

cudaError_t cudaMallocManaged(void **out, size_t bytes, unsigned flags) {
    CALL(!bytes || (flags != 1 && flags != 2) ? AS_INVALID_VALUE : allocate(out, bytes, AS_MANAGED, flags));
}

cudaError_t cudaFree(void *pointer) { as_flush(); CALL(as_free((uint64_t)pointer, 0)); }
cudaError_t cudaFreeHost(void *pointer) { as_flush(); CALL(as_free((uint64_t)pointer, 1)); }

cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream) {
    int error = as_stream_check(stream, NULL);
    CALL(error ? error : allocate(out, bytes, AS_DEVICE, 0));
}
PTSZ(cudaMallocAsync);

cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream) {
    int error = as_stream_check(stream, NULL);
    CALL(error ? error : as_free((uint64_t)pointer, 0));
}
PTSZ(cudaFreeAsync);

#define PITCH 512ull

static int allocate_pitched(void **out, size_t *pitch, size_t width, size_t rows) {
    if (!out || !pitch) return AS_INVALID_VALUE;
    *pitch = (width + PITCH - 1) / PITCH * PITCH;
    return allocate(out, *pitch * rows, AS_DEVICE, 0);
}

cudaError_t cudaMallocPitch(void **out, size_t *pitch, size_t width, size_t height) { CALL(allocate_pitched(out, pitch, width, height)); }

typedef struct { void *pointer; size_t pitch, xsize, ysize; } pitched;
typedef struct { size_t width, height, depth; } extent;
typedef struct { size_t x, y, z; } position;

cudaError_t cudaMalloc3D(pitched *out, extent size) {
    if (!out) CALL(AS_INVALID_VALUE);
    out->xsize = size.width;
    out->ysize = size.height;
    CALL(allocate_pitched(&out->pointer, &out->pitch, size.width, size.height * size.depth));
}

cudaError_t cudaHostRegister(void *host, size_t bytes, unsigned flags) { CALL(as_register_host(host, bytes, flags)); }
cudaError_t cudaHostUnregister(void *host) { CALL(as_unregister_host(host)); }

cudaError_t cudaHostGetDevicePointer(void **out, void *host, unsigned flags) {
    uint64_t address = 0;
    int error = !out || flags ? AS_INVALID_VALUE : as_device_pointer(host, &address, NULL);
    if (!error) *out = (void *)address;
    CALL(error);
}

cudaError_t cudaHostGetFlags(unsigned *flags, void *host) {
    uint64_t address;
    CALL(flags ? as_device_pointer(host, &address, flags) : AS_INVALID_VALUE);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    uint64_t available = 0, all = 0;
    int error = as_mem_info(&available, &all);
    if (!error && free_bytes) *free_bytes = available;
    if (!error && total) *total = all;
    CALL(error);
}

typedef struct { int type, device; void *device_pointer, *host_pointer; } pointer_attributes;

cudaError_t cudaPointerGetAttributes(pointer_attributes *out, const void *pointer) {
    static const int types[] = {0, 2, 3, 1, 1, 2}; /* by AS_DEVICE... : unregistered 0, host 1, device 2, managed 3 */
    as_allocation found;
    int error = out ? as_enter() : AS_INVALID_VALUE;
    if (error) CALL(error);
    memset(out, 0, CUDART_MAJOR >= 13 ? 88 : 24);
    if (!as_find(pointer, &found)) {
        out->device = -2; /* cudaInvalidDeviceId */
        out->host_pointer = (void *)pointer;
        return AS_OK;
    }
    out->type = found.kind == AS_VARIABLE && found.flags ? 3 : types[found.kind];
    out->device_pointer = (void *)pointer;
    if (found.kind == AS_MIRROR) out->device_pointer = (void *)(found.address + (uint64_t)((char *)pointer - found.host));
    if (found.kind != AS_DEVICE && !(found.kind == AS_VARIABLE && !found.flags)) out->host_pointer = (void *)pointer;
    return AS_OK;
}

/* ---- copies ---- */

static int copy_now(int error) { as_flush(); return as_note(error); }

cudaError_t cudaMemcpy(void *dst, const void *src, size_t bytes, int kind) { return copy_now(as_copy(dst, src, bytes, kind, NULL)); }
PTDS(cudaMemcpy);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, int kind, cudaStream_t stream) { CALL(as_copy(dst, src, bytes, kind, stream)); }
PTSZ(cudaMemcpyAsync);

cudaError_t cudaMemcpyPeer(void *dst, int to, const void *src, int from, size_t bytes) {
    return copy_now(to || from ? AS_INVALID_DEVICE : as_copy(dst, src, bytes, AS_COPY_D2D, NULL));
}

cudaError_t cudaMemcpyPeerAsync(void *dst, int to, const void *src, int from, size_t bytes, cudaStream_t stream) {
    CALL(to || from ? AS_INVALID_DEVICE : as_copy(dst, src, bytes, AS_COPY_D2D, stream));
}

cudaError_t cudaMemcpy2D(void *dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width, size_t height, int kind) {
    return copy_now(as_copy_2d(dst, dst_pitch, src, src_pitch, width, height, kind, NULL));
}
PTDS(cudaMemcpy2D);

cudaError_t cudaMemcpy2DAsync(void *dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width, size_t height, int kind, cudaStream_t stream) {
    CALL(as_copy_2d(dst, dst_pitch, src, src_pitch, width, height, kind, stream));
}
PTSZ(cudaMemcpy2DAsync);

typedef struct { void *src_array; position src_at; pitched src; void *dst_array; position dst_at; pitched dst; extent size; int kind; } copy_3d;

static char *start_of(const pitched *p, const position *at) { return (char *)p->pointer + (at->z * p->ysize + at->y) * p->pitch + at->x; }

static int do_copy_3d(const copy_3d *c, void *stream) {
    if (!c) return AS_INVALID_VALUE;
    if (c->src_array || c->dst_array) return as_unsupported("cudaMemcpy3D with a cudaArray");
    return as_copy_3d(start_of(&c->dst, &c->dst_at), c->dst.pitch, c->dst.ysize, start_of(&c->src, &c->src_at), c->src.pitch, c->src.ysize,
                      c->size.width, c->size.height, c->size.depth, c->kind, stream);
}

cudaError_t cudaMemcpy3D(const copy_3d *c) { return copy_now(do_copy_3d(c, NULL)); }
PTDS(cudaMemcpy3D);
cudaError_t cudaMemcpy3DAsync(const copy_3d *c, cudaStream_t stream) { CALL(do_copy_3d(c, stream)); }
PTSZ(cudaMemcpy3DAsync);

cudaError_t cudaMemset(void *dst, int value, size_t bytes) { CALL(as_set(dst, bytes, (uint32_t)value, 1, bytes, 1, NULL)); }
PTDS(cudaMemset);
cudaError_t cudaMemsetAsync(void *dst, int value, size_t bytes, cudaStream_t stream) { CALL(as_set(dst, bytes, (uint32_t)value, 1, bytes, 1, stream)); }
PTSZ(cudaMemsetAsync);
cudaError_t cudaMemset2D(void *dst, size_t pitch, int value, size_t width, size_t height) { CALL(as_set(dst, pitch, (uint32_t)value, 1, width, height, NULL)); }
PTDS(cudaMemset2D);

cudaError_t cudaMemset2DAsync(void *dst, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
    CALL(as_set(dst, pitch, (uint32_t)value, 1, width, height, stream));
}
PTSZ(cudaMemset2DAsync);

static int set_3d(pitched p, int value, extent size, void *stream) {
    int error = as_enter();
    for (size_t z = 0; !error && z < size.depth; ++z)
        error = as_set((char *)p.pointer + z * p.ysize * p.pitch, p.pitch, (uint32_t)value, 1, size.width, size.height, stream);
    return error;
}

cudaError_t cudaMemset3D(pitched p, int value, extent size) { CALL(set_3d(p, value, size, NULL)); }
PTDS(cudaMemset3D);
cudaError_t cudaMemset3DAsync(pitched p, int value, extent size, cudaStream_t stream) { CALL(set_3d(p, value, size, stream)); }
PTSZ(cudaMemset3DAsync);

static int symbol_range(const void *symbol, size_t bytes, size_t offset, char **address) {
    uint64_t at, size;
    int error = as_symbol(symbol, &at, &size);
    if (error) return error;
    if (offset > size || bytes > size - offset) return AS_INVALID_VALUE;
    *address = (char *)at + offset;
    return AS_OK;
}

static int to_symbol(const void *symbol, const void *src, size_t bytes, size_t offset, int kind, void *stream) {
    char *address;
    int error = kind == AS_COPY_H2D || kind == AS_COPY_D2D || kind == AS_COPY_DEFAULT ? AS_OK : AS_INVALID_DIRECTION;
    if (!error) error = symbol_range(symbol, bytes, offset, &address);
    return error ? error : as_copy(address, src, bytes, kind, stream);
}

static int from_symbol(void *dst, const void *symbol, size_t bytes, size_t offset, int kind, void *stream) {
    char *address;
    int error = kind == AS_COPY_D2H || kind == AS_COPY_D2D || kind == AS_COPY_DEFAULT ? AS_OK : AS_INVALID_DIRECTION;
    if (!error) error = symbol_range(symbol, bytes, offset, &address);
    return error ? error : as_copy(dst, address, bytes, kind, stream);
}

cudaError_t cudaMemcpyToSymbol(const void *symbol, const void *src, size_t bytes, size_t offset, int kind) {
    return copy_now(to_symbol(symbol, src, bytes, offset, kind, NULL));
}
PTDS(cudaMemcpyToSymbol);

cudaError_t cudaMemcpyFromSymbol(void *dst, const void *symbol, size_t bytes, size_t offset, int kind) {
    return copy_now(from_symbol(dst, symbol, bytes, offset, kind, NULL));
}
PTDS(cudaMemcpyFromSymbol);

cudaError_t cudaMemcpyToSymbolAsync(const void *symbol, const void *src, size_t bytes, size_t offset, int kind, cudaStream_t stream) {
    CALL(to_symbol(symbol, src, bytes, offset, kind, stream));
}
PTSZ(cudaMemcpyToSymbolAsync);

cudaError_t cudaMemcpyFromSymbolAsync(void *dst, const void *symbol, size_t bytes, size_t offset, int kind, cudaStream_t stream) {
    CALL(from_symbol(dst, symbol, bytes, offset, kind, stream));
}
PTSZ(cudaMemcpyFromSymbolAsync);

cudaError_t cudaGetSymbolAddress(void **out, const void *symbol) {
    uint64_t address, bytes;
    int error = out ? as_symbol(symbol, &address, &bytes) : AS_INVALID_VALUE;
    if (!error) *out = (void *)address;
    CALL(error);
}

cudaError_t cudaGetSymbolSize(size_t *out, const void *symbol) {
    uint64_t address, bytes;
    int error = out ? as_symbol(symbol, &address, &bytes) : AS_INVALID_VALUE;
    if (!error) *out = bytes;
    CALL(error);
}

/* Placement hints: nothing moves here. */
static int known_range(const void *pointer) {
    as_allocation found;
    int error = as_enter();
    return error ? error : as_find(pointer, &found) ? AS_OK : AS_INVALID_VALUE;
}

cudaError_t cudaMemPrefetchAsync(const void *pointer) { CALL(known_range(pointer)); } /* further arguments differ by version */
PTSZ(cudaMemPrefetchAsync);
cudaError_t cudaMemAdvise(const void *pointer) { CALL(known_range(pointer)); }
cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void *pointer) { (void)stream; CALL(known_range(pointer)); }
PTSZ(cudaStreamAttachMemAsync);

/* ---- memory pools: the default pool only ---- */

static char default_pool;

static int get_pool(void **pool, int device) {
    if (!pool) return AS_INVALID_VALUE;
    *pool = &default_pool;
    return device ? AS_INVALID_DEVICE : AS_OK;
}

cudaError_t cudaDeviceGetDefaultMemPool(void **pool, int device) { CALL(get_pool(pool, device)); }
cudaError_t cudaDeviceGetMemPool(void **pool, int device) { CALL(get_pool(pool, device)); }
cudaError_t cudaMemPoolTrimTo(void *pool, size_t bytes) { (void)bytes; CALL(pool == &default_pool ? AS_OK : AS_INVALID_VALUE); }
static uint64_t release_threshold;
enum { POOL_RELEASE_THRESHOLD = 4 };

cudaError_t cudaMemPoolSetAttribute(void *pool, int attribute, void *value) {
    if (pool != &default_pool || !value) CALL(AS_INVALID_VALUE);
    if (attribute == POOL_RELEASE_THRESHOLD) memcpy(&release_threshold, value, 8);
    return AS_OK;
}

cudaError_t cudaMemPoolGetAttribute(void *pool, int attribute, void *value) {
    if (pool != &default_pool || !value) CALL(AS_INVALID_VALUE);
    if (attribute != POOL_RELEASE_THRESHOLD) CALL(as_unsupported("cudaMemPoolGetAttribute"));
    memcpy(value, &release_threshold, 8);
    return AS_OK;
}

cudaError_t cudaMallocFromPoolAsync(void **out, size_t bytes, void *pool, cudaStream_t stream) {
    if (pool != &default_pool) CALL(AS_INVALID_VALUE);
    return cudaMallocAsync(out, bytes, stream);
}
PTSZ(cudaMallocFromPoolAsync);
