// Big code: straight-line code of more than 128 KB (over 8192 instructions of 16 bytes), run once a warp.
#include "common.cuh"

__host__ __device__ constexpr unsigned constant(unsigned i) { return (i * 2654435761u ^ 0x9e3779b9u) | 1u; }

#define ROUND(i)                                     \
    x = (x ^ y) * constant(i) + z;                   \
    y = (y << (1 + (i) % 13) | y >> (31 - (i) % 13)) ^ x; \
    z = z + (x & constant((i) + 7777));
#define ROUND4(i) ROUND(i) ROUND((i) + 1) ROUND((i) + 2) ROUND((i) + 3)
#define ROUND16(i) ROUND4(i) ROUND4((i) + 4) ROUND4((i) + 8) ROUND4((i) + 12)
#define ROUND64(i) ROUND16(i) ROUND16((i) + 16) ROUND16((i) + 32) ROUND16((i) + 48)
#define ROUND256(i) ROUND64(i) ROUND64((i) + 64) ROUND64((i) + 128) ROUND64((i) + 192)
#define ROUND1024(i) ROUND256(i) ROUND256((i) + 256) ROUND256((i) + 512) ROUND256((i) + 768)

extern "C" __global__ void bigcode_kernel(const unsigned* in, unsigned* out) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned x = in[id], y = ~x, z = x >> 3;
    ROUND1024(0)
    ROUND1024(1024)
    out[id] = x ^ y ^ z;
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int grid = opt.large ? 264 : 33, threads = opt.large ? 128 : 32, n = grid * threads;
    suite::Rng rng(62);
    std::vector<unsigned> in(n), want(n);
    for (unsigned& v : in) v = rng.u32();
    suite::Device<unsigned> din(in), out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(bigcode_kernel, grid, threads, 0, din.get(), out.get());
    for (int id = 0; id < n; ++id) {
        unsigned x = in[id], y = ~x, z = x >> 3;
        for (unsigned i = 0; i < 2048; ++i) {
            unsigned turn = 1 + i % 13;
            x = (x ^ y) * constant(i) + z;
            y = (y << turn | y >> (32 - turn)) ^ x;
            z += x & constant(i + 7777);
        }
        want[id] = x ^ y ^ z;
    }
    return suite::finish_exact("bigcode", out.host(), want);
}
