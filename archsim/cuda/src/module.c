/* Modules (fat binaries), kernels, variables, launches. Registration only stores; a module reaches the parent at its first use. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

#define FATBIN_WRAPPER 0x466243B1u
#define FATBIN_CONTAINER 0xBA55ED50u
#define ELF_MAGIC 0x464C457Fu

typedef struct variable {
    const void *host;
    char *name;
    as_module *module;
    int managed;
    uint64_t address, bytes;
    uint32_t generation; /* the module generation that `address` belongs to */
    struct variable *next;
} variable;

struct as_module {
    const void *image; /* fatbin container, ELF or PTX text, without its wrapper */
    uint64_t bytes;
    uint32_t id, generation; /* generation 0: not loaded */
    int error;               /* why the last load failed */
    variable *variables;
};

typedef struct { uint32_t offset, bytes; } parameter;

struct as_kernel {
    as_module *module; /* NULL: asked for before its registration */
    char *name;
    uint32_t id, generation, parameters;
    as_kernel_info info;
    parameter *layout;
};

static as_map kernels, variables; /* by host address; kernels also by their own handle */

/* ---- images ---- */

static uint64_t elf_bytes(const unsigned char *elf) {
    uint64_t sections, programs;
    uint16_t section_size, section_count, program_size, program_count;
    memcpy(&programs, elf + 32, 8);
    memcpy(&sections, elf + 40, 8);
    memcpy(&program_size, elf + 54, 2);
    memcpy(&program_count, elf + 56, 2);
    memcpy(&section_size, elf + 58, 2);
    memcpy(&section_count, elf + 60, 2);
    uint64_t a = sections + (uint64_t)section_size * section_count, b = programs + (uint64_t)program_size * program_count;
    return a > b ? a : b;
}

/* Unwraps an image and finds its length: a fatbin wrapper, a fatbin container, a bare cubin, or PTX text. */
static int measure(const void *image, const void **data, uint64_t *bytes) {
    uint32_t magic;
    memcpy(&magic, image, 4);
    if (magic == FATBIN_WRAPPER) {
        memcpy(&image, (const char *)image + 8, sizeof image);
        memcpy(&magic, image, 4);
    }
    *data = image;
    if (magic == FATBIN_CONTAINER) {
        uint16_t header;
        memcpy(&header, (const char *)image + 6, 2);
        memcpy(bytes, (const char *)image + 8, 8);
        *bytes += header;
    } else if (magic == ELF_MAGIC) {
        *bytes = elf_bytes(image);
    } else {
        *bytes = strlen(image);
    }
    return *bytes ? AS_OK : AS_INVALID_VALUE;
}

as_module *as_module_register(const void *wrapper) {
    as_module *module = calloc(1, sizeof *module);
    if (module && measure(wrapper, &module->image, &module->bytes)) module->error = AS_NO_KERNEL_IMAGE;
    return module;
}

static int fill_managed(as_module *module);

int as_module_prepare(as_module *module) {
    int error = as_enter();
    if (error) return error;
    as_lock();
    if (module->generation != as_generation()) {
        as_reply reply;
        error = as_request(AS_OP_MODULE_LOAD, NULL, 0, module->image, module->bytes, &reply);
        if (!error) {
            memcpy(&module->id, reply.data, sizeof module->id);
            free(reply.data);
            module->generation = as_generation();
            error = fill_managed(module);
        }
    }
    as_unlock();
    return error;
}

int as_module_load_image(const void *image, as_module **out) {
    as_module *module = calloc(1, sizeof *module);
    if (!module) return AS_OUT_OF_MEMORY;
    const void *data;
    int error = measure(image, &data, &module->bytes);
    void *copy = error ? NULL : malloc(module->bytes); /* the program may free its image after loading */
    if (copy) memcpy(copy, data, module->bytes);
    module->image = copy;
    if (!error) error = as_module_prepare(module);
    if (error) {
        free(copy);
        free(module);
        return error;
    }
    *out = module;
    return AS_OK;
}

int as_module_unload(as_module *module) {
    int error = as_request(AS_OP_MODULE_UNLOAD, &module->id, sizeof module->id, NULL, 0, NULL);
    module->generation = 0;
    return error;
}

/* ---- variables ---- */

static int resolve(variable *v) {
    if (v->generation == as_generation()) return AS_OK;
    as_reply reply;
    int error = as_request(AS_OP_GLOBAL, &v->module->id, sizeof v->module->id, v->name, strlen(v->name), &reply);
    if (error) return error;
    memcpy(&v->address, reply.data, 8);
    memcpy(&v->bytes, (char *)reply.data + 8, 8);
    free(reply.data);
    v->generation = as_generation();
    return as_add_variable(v->address, v->bytes, v->managed);
}

static int fill_managed(as_module *module) {
    for (variable *v = module->variables; v; v = v->next) {
        if (!v->managed) continue;
        int error = resolve(v);
        if (error) return error;
        *(void **)v->host = (void *)v->address;
        as_map_put(&variables, (void *)v->address, v); /* programs may name it by its value too */
    }
    return AS_OK;
}

void as_register_variable(as_module *module, const void *host, const char *name, uint64_t bytes, int managed) {
    variable *v = calloc(1, sizeof *v);
    if (!v) return;
    *v = (variable){host, strdup(name), module, managed, 0, bytes, 0, module->variables};
    as_lock();
    module->variables = v;
    as_map_put(&variables, host, v);
    as_unlock();
}

int as_symbol(const void *symbol, uint64_t *address, uint64_t *bytes) {
    as_lock();
    int error = as_enter();
    variable *v = as_map_get(&variables, symbol);
    if (!error && !v) error = AS_INVALID_SYMBOL;
    if (!error) error = as_module_prepare(v->module);
    if (!error) error = resolve(v);
    if (!error) *address = v->address, *bytes = v->bytes;
    as_unlock();
    return error;
}

int as_global_named(as_module *module, const char *name, uint64_t *address, uint64_t *bytes) {
    variable *v = module->variables;
    while (v && strcmp(v->name, name)) v = v->next;
    if (!v) {
        if (!(v = calloc(1, sizeof *v))) return AS_OUT_OF_MEMORY;
        *v = (variable){NULL, strdup(name), module, 0, 0, 0, 0, NULL};
        int error = as_module_prepare(module);
        if (!error) error = resolve(v);
        if (error) {
            free(v->name);
            free(v);
            return error == AS_INVALID_SYMBOL ? AS_NOT_FOUND : error;
        }
        v->next = module->variables;
        module->variables = v;
    }
    int error = as_module_prepare(module);
    if (!error) error = resolve(v);
    if (!error) *address = v->address, *bytes = v->bytes;
    return error;
}

/* ---- kernels ---- */

/* The kernel of a host stub's address or of a handle; `create` makes a placeholder for a stub not registered yet
 * (a launch from a global constructor): its handle is cached by the program for ever, so it must become valid later. */
as_kernel *as_kernel_of(const void *host, int create) {
    as_lock();
    as_kernel *kernel = as_map_get(&kernels, host);
    if (!kernel && create && host && (kernel = calloc(1, sizeof *kernel))) {
        as_map_put(&kernels, host, kernel);
        as_map_put(&kernels, kernel, kernel);
    }
    as_unlock();
    return kernel;
}

void as_register_kernel(as_module *module, const void *host, const char *name) {
    as_kernel *kernel = as_kernel_of(host, 1);
    if (!kernel) return;
    kernel->module = module;
    kernel->name = strdup(name);
}

int as_kernel_named(as_module *module, const char *name, as_kernel **out) {
    as_kernel *kernel = calloc(1, sizeof *kernel);
    if (!kernel) return AS_OUT_OF_MEMORY;
    kernel->module = module;
    kernel->name = strdup(name);
    int error = as_kernel_prepare(kernel);
    if (error) {
        free(kernel->name);
        free(kernel);
        return error == AS_INVALID_DEVICE_FUNCTION ? AS_NOT_FOUND : error;
    }
    as_lock();
    as_map_put(&kernels, kernel, kernel);
    as_unlock();
    *out = kernel;
    return AS_OK;
}

int as_kernel_prepare(as_kernel *kernel) {
    if (!kernel || !kernel->module) return AS_INVALID_DEVICE_FUNCTION;
    int error = as_module_prepare(kernel->module);
    if (error || kernel->generation == as_generation()) return error;
    as_reply reply;
    error = as_request(AS_OP_KERNEL, &kernel->module->id, 4, kernel->name, strlen(kernel->name), &reply);
    if (error) return error;
    struct { uint32_t id, parameters; as_kernel_info info; } head;
    memcpy(&head, reply.data, sizeof head);
    kernel->id = head.id;
    kernel->info = head.info;
    kernel->parameters = head.parameters;
    free(kernel->layout);
    kernel->layout = malloc(head.parameters * sizeof(parameter) + 1);
    if (kernel->layout) memcpy(kernel->layout, (char *)reply.data + sizeof head, head.parameters * sizeof(parameter));
    free(reply.data);
    kernel->generation = as_generation();
    return kernel->layout ? AS_OK : AS_OUT_OF_MEMORY;
}

const char *as_kernel_name(as_kernel *kernel) { return kernel->name ? kernel->name : ""; }

int as_kernel_info_get(as_kernel *kernel, as_kernel_info *info) {
    int error = as_kernel_prepare(kernel);
    if (!error) *info = kernel->info;
    return error;
}

int as_kernel_param(as_kernel *kernel, uint64_t index, uint64_t *offset, uint64_t *bytes) {
    int error = as_kernel_prepare(kernel);
    if (error) return error;
    if (index >= kernel->parameters) return AS_INVALID_VALUE;
    *offset = kernel->layout[index].offset;
    if (bytes) *bytes = kernel->layout[index].bytes;
    return AS_OK;
}

int as_kernel_set(as_kernel *kernel, int attribute, int value) {
    int error = as_kernel_prepare(kernel);
    if (error) return error;
    struct { uint32_t kernel; int32_t attribute, value; } request = {kernel->id, attribute, value};
    error = as_request(AS_OP_FUNC_SET, &request, sizeof request, NULL, 0, NULL);
    if (!error && attribute == 8) kernel->info.max_dynamic_shared = value;
    return error;
}

int as_occupancy(as_kernel *kernel, uint32_t block, uint64_t shared, uint32_t cluster, int query, int *value) {
    int error = as_kernel_prepare(kernel);
    if (error) return error;
    struct { uint32_t kernel, block; uint64_t shared; uint32_t cluster, query; } request = {kernel->id, block, shared, cluster, (uint32_t)query};
    as_reply reply;
    error = as_request(AS_OP_OCCUPANCY, &request, sizeof request, NULL, 0, &reply);
    if (error) return error;
    memcpy(value, reply.data, sizeof *value);
    free(reply.data);
    return AS_OK;
}

/* ---- launch ---- */

typedef struct {
    uint32_t kernel, stream;
    as_dim3 grid, block, cluster;
    uint32_t cooperative;
    uint64_t shared;
} launch_request;

static int submit(as_kernel *kernel, const as_config *config, const void *params, uint64_t bytes) {
    launch_request request = {kernel->id, as_stream_id(config->stream), config->grid, config->block, config->cluster,
                              config->cooperative, config->shared};
    as_reply reply;
    as_mirrors(1);
    int error = as_request(AS_OP_LAUNCH, &request, sizeof request, params, bytes, &reply);
    if (error) return error;
    as_mirrors(0);
    uint64_t now;
    memcpy(&now, reply.data, sizeof now);
    as_set_now(now);
    as_text((char *)reply.data + sizeof now, reply.bytes - sizeof now);
    free(reply.data);
    return AS_OK;
}

int as_launch(as_kernel *kernel, const as_config *config, void **args, const void *packed, uint64_t packed_bytes) {
    int error = as_kernel_prepare(kernel);
    if (!error) error = as_stream_check(config->stream, NULL);
    if (error) return error;
    uint64_t bytes = (uint64_t)kernel->info.param_bytes;
    char *params = calloc(1, bytes + 1);
    if (!params) return AS_OUT_OF_MEMORY;
    if (packed)
        memcpy(params, packed, packed_bytes < bytes ? packed_bytes : bytes);
    else if (kernel->parameters && !args)
        error = AS_INVALID_VALUE;
    else
        for (uint32_t i = 0; i < kernel->parameters; ++i)
            memcpy(params + kernel->layout[i].offset, args[i], kernel->layout[i].bytes);
    if (!error) {
        as_lock();
        error = submit(kernel, config, params, bytes);
        as_unlock();
    }
    free(params);
    return error;
}
