/* Device memory: allocations (owned by the parent), copies and fills (done here, in the shared memory). */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core.h"

#define PAGE 4096ull

static as_allocation *table; /* sorted by address; mirrors are found by host address with a scan (there are few) */
static size_t count, capacity;

static uint64_t page_up(uint64_t n) { return (n + PAGE - 1) & ~(PAGE - 1); }

static int host_visible(uint32_t kind) { return kind == AS_MANAGED || kind == AS_PINNED; }

/* Index of the first allocation that starts after the address. */
static size_t upper(uint64_t address) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (table[middle].address <= address) low = middle + 1;
        else high = middle;
    }
    return low;
}

static as_allocation *owner_of(uint64_t address) {
    size_t i = upper(address);
    if (!i || address - table[i - 1].address >= table[i - 1].bytes) return NULL;
    return &table[i - 1];
}

static int insert(as_allocation allocation) {
    if (count == capacity) {
        size_t wanted = capacity ? capacity * 2 : 64;
        as_allocation *grown = realloc(table, wanted * sizeof *table);
        if (!grown) return AS_OUT_OF_MEMORY;
        table = grown;
        capacity = wanted;
    }
    size_t i = upper(allocation.address);
    memmove(table + i + 1, table + i, (count - i) * sizeof *table);
    table[i] = allocation;
    count++;
    return AS_OK;
}

static void drop(size_t i) {
    if (host_visible(table[i].kind)) mprotect((void *)table[i].address, page_up(table[i].bytes), PROT_NONE);
    memmove(table + i, table + i + 1, (count - i - 1) * sizeof *table);
    count--;
}

static int allocate(uint64_t bytes, uint32_t kind, uint32_t flags, char *host, uint64_t *address) {
    int pages = host_visible(kind);
    struct { uint64_t bytes; uint32_t kind, align; } request = {pages ? page_up(bytes) : bytes, kind, pages ? (uint32_t)PAGE : 512};
    as_reply reply;
    int error = as_request(AS_OP_ALLOC, &request, sizeof request, NULL, 0, &reply);
    if (error) return error;
    memcpy(address, reply.data, sizeof *address);
    free(reply.data);
    if (pages && mprotect((void *)*address, page_up(bytes), PROT_READ | PROT_WRITE)) return AS_OUT_OF_MEMORY;
    return insert((as_allocation){*address, bytes, kind, flags, pages ? (char *)*address : host, 0});
}

int as_alloc(uint64_t bytes, uint32_t kind, uint32_t flags, uint64_t *address) {
    *address = 0;
    if (!bytes) return as_enter();
    as_lock();
    int error = allocate(bytes, kind, flags, NULL, address);
    as_unlock();
    return error;
}

int as_free(uint64_t address, int host) {
    int error = as_enter();
    if (error || !address) return error;
    as_lock();
    size_t i = upper(address);
    error = AS_INVALID_VALUE;
    if (i && table[i - 1].address == address) {
        uint32_t kind = table[i - 1].kind;
        if (host ? kind == AS_PINNED : kind == AS_DEVICE || kind == AS_MANAGED) {
            drop(i - 1);
            error = as_request(AS_OP_FREE, &address, sizeof address, NULL, 0, NULL);
        }
    }
    as_unlock();
    return error;
}

/* ---- registered host memory: a mirror in device memory, copied in and out around launches ---- */

static as_allocation *mirror_of(const char *host) {
    for (size_t i = 0; i < count; ++i)
        if (table[i].kind == AS_MIRROR && host >= table[i].host && host < table[i].host + table[i].bytes) return &table[i];
    return NULL;
}

int as_register_host(void *host, uint64_t bytes, uint32_t flags) {
    if (!host || !bytes) return AS_INVALID_VALUE;
    uint64_t address;
    as_lock();
    int error = as_enter();
    if (!error && (mirror_of(host) || mirror_of((char *)host + bytes - 1) || owner_of((uint64_t)host))) error = AS_ALREADY_REGISTERED;
    if (!error) error = allocate(bytes, AS_MIRROR, flags, host, &address);
    as_unlock();
    return error;
}

int as_unregister_host(void *host) {
    as_lock();
    int error = as_enter();
    as_allocation *mirror = error ? NULL : mirror_of(host);
    if (!error && (!mirror || mirror->host != host)) error = AS_NOT_REGISTERED;
    if (!error) {
        uint64_t address = mirror->address;
        drop((size_t)(mirror - table));
        error = as_request(AS_OP_FREE, &address, sizeof address, NULL, 0, NULL);
    }
    as_unlock();
    return error;
}

int as_device_pointer(void *host, uint64_t *address, uint32_t *flags) {
    as_lock();
    int error = as_enter();
    as_allocation *found = error ? NULL : owner_of((uint64_t)host);
    if (!error && found && found->kind == AS_PINNED) {
        *address = (uint64_t)host;
        if (flags) *flags = found->flags;
    } else if (!error && (found = mirror_of(host))) {
        *address = found->address + (uint64_t)((char *)host - found->host);
        if (flags) *flags = found->flags;
        found->used = 1;
    } else if (!error) {
        error = AS_INVALID_VALUE;
    }
    as_unlock();
    return error;
}

static char *alias_of(uint64_t address) { return as_arena_get()->alias + (address - as_arena_get()->base); }

void as_mirrors(int to_device) {
    for (size_t i = 0; i < count; ++i) {
        if (table[i].kind != AS_MIRROR || !table[i].used) continue;
        char *device = alias_of(table[i].address);
        if (to_device) memcpy(device, table[i].host, table[i].bytes);
        else memcpy(table[i].host, device, table[i].bytes);
    }
}

int as_add_variable(uint64_t address, uint64_t bytes, int visible) {
    as_lock();
    int error = AS_OK;
    if (!owner_of(address) && bytes)
        error = insert((as_allocation){address, bytes, AS_VARIABLE, (uint32_t)visible, visible ? (char *)address : NULL, 0});
    if (!error && visible) {
        uint64_t first = address & ~(PAGE - 1);
        if (mprotect((void *)first, page_up(address + bytes) - first, PROT_READ | PROT_WRITE)) error = AS_OUT_OF_MEMORY;
    }
    as_unlock();
    return error;
}

int as_find(const void *pointer, as_allocation *found) {
    as_lock();
    as_allocation *hit = owner_of((uint64_t)pointer);
    if (!hit) hit = mirror_of(pointer);
    if (hit) *found = *hit;
    as_unlock();
    return hit != NULL;
}

void as_memory_reset(void) {
    while (count) drop(count - 1);
}

int as_mem_info(uint64_t *free_bytes, uint64_t *total_bytes) {
    as_reply reply;
    int error = as_request(AS_OP_MEM_INFO, NULL, 0, NULL, 0, &reply);
    if (error) return error;
    uint64_t values[2];
    memcpy(values, reply.data, sizeof values);
    free(reply.data);
    if (free_bytes) *free_bytes = values[0];
    if (total_bytes) *total_bytes = values[1];
    return AS_OK;
}

/* ---- copies ---- */

enum { HOST_ONLY, DEVICE_ONLY, BOTH, BAD };

/* Which side a range is on and where this process can touch it. */
static int side_of(const void *pointer, uint64_t bytes, char **view) {
    const as_arena *arena = as_arena_get();
    uint64_t address = (uint64_t)pointer;
    *view = (char *)pointer;
    if (address - arena->base >= arena->bytes) return HOST_ONLY;
    as_allocation *found = owner_of(address);
    if (!found || bytes > found->bytes - (address - found->address)) return BAD;
    *view = alias_of(address);
    if (host_visible(found->kind) || (found->kind == AS_VARIABLE && found->flags)) return BOTH;
    return DEVICE_ONLY;
}

static int direction(int kind, int dst, int src, int *resolved) {
    if (kind < AS_COPY_H2H || kind > AS_COPY_DEFAULT) return AS_INVALID_DIRECTION;
    if (dst == BAD || src == BAD) return AS_INVALID_VALUE;
    int wrong = 0;
    if (kind == AS_COPY_H2H) wrong = dst == DEVICE_ONLY || src == DEVICE_ONLY;
    if (kind == AS_COPY_H2D) wrong = dst == HOST_ONLY || src == DEVICE_ONLY;
    if (kind == AS_COPY_D2H) wrong = dst == DEVICE_ONLY || src == HOST_ONLY;
    if (kind == AS_COPY_D2D) wrong = dst == HOST_ONLY || src == HOST_ONLY;
    *resolved = kind;
    if (kind == AS_COPY_DEFAULT) *resolved = (dst == DEVICE_ONLY ? AS_COPY_H2D : 0) | (src == DEVICE_ONLY ? AS_COPY_D2H : 0);
    return wrong ? AS_INVALID_VALUE : AS_OK;
}

static void report(int kind, const void *dst, const void *src, uint64_t bytes, void *stream) {
    struct { uint32_t kind, stream; uint64_t dst, src, bytes; } event = {(uint32_t)kind, as_stream_id(stream), (uint64_t)dst, (uint64_t)src, bytes};
    as_post(AS_OP_EVENT, &event, sizeof event, NULL, 0);
}

int as_copy_3d(void *dst, uint64_t dst_pitch, uint64_t dst_rows, const void *src, uint64_t src_pitch, uint64_t src_rows,
               uint64_t width, uint64_t height, uint64_t depth, int kind, void *stream) {
    int error = as_enter(), resolved;
    if (!error) error = as_stream_check(stream, NULL);
    if (error) return error;
    if (kind < AS_COPY_H2H || kind > AS_COPY_DEFAULT) return AS_INVALID_DIRECTION;
    if (!width || !height || !depth) return AS_OK;
    if ((height > 1 || depth > 1) && (width > dst_pitch || width > src_pitch)) return AS_INVALID_PITCH;
    if (depth > 1 && (height > dst_rows || height > src_rows)) return AS_INVALID_VALUE;
    if (!dst || !src) return AS_INVALID_VALUE;
    uint64_t dst_bytes = ((depth - 1) * dst_rows + height - 1) * dst_pitch + width;
    uint64_t src_bytes = ((depth - 1) * src_rows + height - 1) * src_pitch + width;
    char *to, *from;
    as_lock();
    int to_side = side_of(dst, dst_bytes, &to), from_side = side_of(src, src_bytes, &from);
    error = direction(kind, to_side, from_side, &resolved);
    if (!error) {
        for (uint64_t z = 0; z < depth; ++z)
            for (uint64_t y = 0; y < height; ++y)
                memmove(to + (z * dst_rows + y) * dst_pitch, from + (z * src_rows + y) * src_pitch, width);
        report(resolved, dst, src, width * height * depth, stream);
    }
    as_unlock();
    return error;
}

int as_copy_2d(void *dst, uint64_t dst_pitch, const void *src, uint64_t src_pitch, uint64_t width, uint64_t height, int kind, void *stream) {
    if (width > dst_pitch || width > src_pitch) return AS_INVALID_PITCH;
    return as_copy_3d(dst, dst_pitch, height, src, src_pitch, height, width, height, 1, kind, stream);
}

int as_copy(void *dst, const void *src, uint64_t bytes, int kind, void *stream) {
    return as_copy_3d(dst, bytes, 1, src, bytes, 1, bytes, 1, 1, kind, stream);
}

int as_set(void *dst, uint64_t pitch, uint32_t value, uint32_t element, uint64_t width, uint64_t height, void *stream) {
    int error = as_enter();
    if (!error) error = as_stream_check(stream, NULL);
    if (error || !width || !height) return error;
    uint64_t row_bytes = width * element;
    if (height > 1 && row_bytes > pitch) return AS_INVALID_PITCH;
    char *to;
    as_lock();
    int side = side_of(dst, (height - 1) * pitch + row_bytes, &to);
    if (side == HOST_ONLY || side == BAD) error = AS_INVALID_VALUE;
    for (uint64_t y = 0; !error && y < height; ++y, to += pitch) {
        if (element == 1) memset(to, (int)value, row_bytes);
        else if (element == 2) for (uint64_t i = 0; i < width; ++i) ((uint16_t *)to)[i] = (uint16_t)value;
        else for (uint64_t i = 0; i < width; ++i) ((uint32_t *)to)[i] = value;
    }
    if (!error) report(AS_SET, dst, NULL, row_bytes * height, stream);
    as_unlock();
    return error;
}
