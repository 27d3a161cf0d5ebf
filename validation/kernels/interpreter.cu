// Divergence: a byte-code interpreter (jump table), a different program in every thread.
#include "common.cuh"

constexpr int kLength = 20;

__host__ __device__ inline unsigned step(unsigned code, unsigned argument, unsigned acc, unsigned (&reg)[4]) {
    switch (code) {
        case 0: reg[1] ^= acc; return acc + argument;
        case 1: reg[2] += 3u; return acc * (2u * argument + 1u);
        case 2: return acc ^ reg[argument & 1];
        case 3: reg[argument & 1] += acc; return acc;
        case 4: return acc >> (argument & 15) | acc << ((32 - (argument & 15)) & 31);
        case 5:
            for (unsigned i = 0; i < argument % 5; ++i) acc = acc & 1u ? acc * 3u + 1u : acc >> 1;
            return acc;
        case 6: reg[0] = acc - reg[1]; return reg[2] ^ argument;
        case 7: return acc % (argument + 7u) + (acc << 4);
        case 8: reg[3] ^= acc >> 3; return acc + reg[3];
        case 9:
            for (unsigned v = acc & 0x1fu; v; v &= v - 1) reg[1] = reg[1] * 5u + v;
            return ~acc;
        case 10: reg[2] = acc / (argument + 3u); return acc ^ reg[2] << 3;
        case 11: reg[0] += reg[3] * acc; reg[3] = acc; return acc ^ reg[0] >> 7;
        default: return acc - code;
    }
}

extern "C" __global__ void interpreter_kernel(const unsigned char* program, unsigned* out, int n) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= n) return;
    unsigned acc = id, reg[4] = {1u, 2u, 3u, 4u};
#pragma unroll 1
    for (int pc = 0; pc < kLength; ++pc) {
        unsigned byte = program[pc * n + id];
        acc = step(byte & 15u, byte >> 4, acc, reg);
    }
    out[id] = acc ^ reg[0] ^ reg[1] ^ reg[2] ^ reg[3];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int n = opt.large ? 264 * 128 : 33 * 64 - 1;
    suite::Rng rng(68);
    std::vector<unsigned char> program(size_t(n) * kLength);
    std::vector<unsigned> want(n);
    for (unsigned char& v : program) v = static_cast<unsigned char>(rng.below(13) | rng.below(16) << 4);
    for (int id = 0; id < n; ++id) {
        unsigned acc = id, reg[4] = {1u, 2u, 3u, 4u};
        for (int pc = 0; pc < kLength; ++pc) {
            unsigned byte = program[size_t(pc) * n + id];
            acc = step(byte & 15u, byte >> 4, acc, reg);
        }
        want[id] = acc ^ reg[0] ^ reg[1] ^ reg[2] ^ reg[3];
    }
    suite::Device<unsigned char> dp(program);
    suite::Device<unsigned> out(n);
    for (int r = 0; r < opt.repeat; ++r) suite::launch(interpreter_kernel, suite::blocks_for(n, 64), 64, 0, dp.get(), out.get(), n);
    return suite::finish_exact("interpreter", out.host(), want);
}
