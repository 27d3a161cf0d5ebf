/* A program of the driver API (libcuda.so.1): loads an image, launches with both forms of parameters. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef int CUresult;
typedef uint64_t CUdeviceptr;
extern CUresult cuInit(unsigned), cuDeviceGet(int *, int), cuDeviceGetName(char *, int, int), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *);
extern CUresult cuModuleLoadData(void **, const void *), cuModuleGetFunction(void **, void *, const char *), cuModuleGetGlobal_v2(CUdeviceptr *, size_t *, void *, const char *);
extern CUresult cuMemAlloc_v2(CUdeviceptr *, size_t), cuMemFree_v2(CUdeviceptr), cuMemcpyHtoD_v2(CUdeviceptr, const void *, size_t), cuMemcpyDtoH_v2(void *, CUdeviceptr, size_t);
extern CUresult cuMemsetD32_v2(CUdeviceptr, unsigned, size_t), cuCtxSynchronize(void), cuGetErrorName(CUresult, const char **), cuFuncGetAttribute(int *, int, void *);
extern CUresult cuLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
extern CUresult cuGetProcAddress_v2(const char *, void **, int, uint64_t, int *), cuGraphCreate(void **, unsigned);

static void show(CUresult result) {
    const char *name = "?";
    cuGetErrorName(result, &name);
    printf("%s\n", name);
}

int main(void) {
    static const unsigned char cubin[64] = "\x7f" "ELF"; /* no tables: its size is 0 + 64 by the header below */
    unsigned char image[64];
    void *context, *module, *function, *entry;
    int device, value, status;
    char name[64];
    CUdeviceptr data, counter;
    size_t bytes;
    memcpy(image, cubin, sizeof image);
    image[40] = 64; /* section table at the end, no entries */
    show(cuInit(0));
    show(cuDeviceGet(&device, 0));
    show(cuDeviceGetName(name, sizeof name, device));
    printf("%s\n", name);
    show(cuDevicePrimaryCtxRetain(&context, device));
    show(cuCtxSetCurrent(context));
    show(cuModuleLoadData(&module, image));
    show(cuModuleGetFunction(&function, module, "absent"));
    show(cuModuleGetFunction(&function, module, "scale"));
    show(cuFuncGetAttribute(&value, 4, function));
    printf("%d\n", value);
    show(cuMemAlloc_v2(&data, 16));
    show(cuMemsetD32_v2(data, 0x40000000, 4)); /* 2.0f */
    char fill = 7;
    float factor = 5.0f, back[4];
    int n = 4;
    void *params[] = {&data, &fill, &factor, &n};
    show(cuLaunchKernel(function, 1, 1, 1, 4, 1, 1, 0, NULL, params, NULL));
    struct { CUdeviceptr data; char fill; float factor; int n; } packed = {data, 7, 0.5f, 2};
    size_t size = 20;
    void *extra[] = {(void *)1, &packed, (void *)2, &size, NULL};
    show(cuLaunchKernel(function, 1, 1, 1, 4, 1, 1, 0, NULL, NULL, extra));
    show(cuMemcpyDtoH_v2(back, data, 16));
    printf("%g %g\n", back[0], back[3]);
    show(cuModuleGetGlobal_v2(&counter, &bytes, module, "counter"));
    show(cuMemcpyDtoH_v2(&value, counter, bytes));
    printf("%d\n", value);
    show(cuGetProcAddress_v2("cuMemAlloc", &entry, 13000, 0, &status));
    printf("%d %d\n", status, entry == (void *)cuMemAlloc_v2);
    show(cuGetProcAddress_v2("cuNothing", &entry, 13000, 0, &status));
    show(cuGraphCreate(&entry, 0));
    show(cuMemFree_v2(data));
    show(cuMemFree_v2(data));
    show(cuCtxSynchronize());
    return 0;
}
