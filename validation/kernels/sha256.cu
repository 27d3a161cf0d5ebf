// Integer: SHA-256 of one 64-byte message block a thread (FIPS 180-4); rotates, three-input logic, constants.
#include "common.cuh"

#define SHA_CONSTANTS                                                                                                       \
    {0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, \
     0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, \
     0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, \
     0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, \
     0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, \
     0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, \
     0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2}
#define SHA_START {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

__constant__ unsigned device_k[64] = SHA_CONSTANTS;
static const unsigned host_k[64] = SHA_CONSTANTS;

__device__ __forceinline__ unsigned rotate(unsigned x, int n) { return __funnelshift_r(x, x, n); }

extern "C" __global__ void sha256_kernel(const unsigned* message, unsigned* digest, int count) {
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= count) return;
    unsigned w[16], s[8] = SHA_START, start[8] = SHA_START;
#pragma unroll
    for (int i = 0; i < 16; ++i) w[i] = message[i * count + id];
#pragma unroll
    for (int i = 0; i < 64; ++i) {
        if (i >= 16) {
            unsigned a = w[(i + 1) % 16], b = w[(i + 14) % 16];
            w[i % 16] += (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + w[(i + 9) % 16] + (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
        }
        unsigned a = s[0], e = s[4];
        unsigned t1 = s[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + device_k[i] + w[i % 16];
        unsigned t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
#pragma unroll
        for (int j = 7; j > 0; --j) s[j] = s[j - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) digest[i * count + id] = s[i] + start[i];
}

static unsigned host_rotate(unsigned x, int n) { return x >> n | x << (32 - n); }

static void host_block(const unsigned* message, unsigned* digest) {
    unsigned w[64], v[8] = SHA_START, start[8] = SHA_START;
    for (int i = 0; i < 16; ++i) w[i] = message[i];
    for (int i = 16; i < 64; ++i)
        w[i] = w[i - 16] + (host_rotate(w[i - 15], 7) ^ host_rotate(w[i - 15], 18) ^ (w[i - 15] >> 3)) + w[i - 7] +
               (host_rotate(w[i - 2], 17) ^ host_rotate(w[i - 2], 19) ^ (w[i - 2] >> 10));
    for (int i = 0; i < 64; ++i) {
        unsigned big1 = host_rotate(v[4], 6) ^ host_rotate(v[4], 11) ^ host_rotate(v[4], 25);
        unsigned t1 = v[7] + big1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + host_k[i] + w[i];
        unsigned big0 = host_rotate(v[0], 2) ^ host_rotate(v[0], 13) ^ host_rotate(v[0], 22);
        unsigned t2 = big0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6], v[6] = v[5], v[5] = v[4], v[4] = v[3] + t1, v[3] = v[2], v[2] = v[1], v[1] = v[0], v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; ++i) digest[i] = v[i] + start[i];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    // Known answer: SHA-256("abc"), FIPS 180-4 example.
    unsigned abc[16] = {0x61626380}, known[8];
    abc[15] = 24;
    host_block(abc, known);
    if (known[0] != 0xba7816bf || known[7] != 0xf20015ad) {
        std::printf("sha256 host check is wrong FAIL\n");
        return 1;
    }
    const int count = opt.large ? 132 * 1024 : 66 * 64 - 5;
    suite::Rng rng(44);
    std::vector<unsigned> message(size_t(count) * 16), want(size_t(count) * 8);
    for (unsigned& v : message) v = rng.u32();
    for (int i = 0; i < 16; ++i) message[size_t(i) * count] = abc[i];
    suite::Device<unsigned> dm(message), out(want.size());
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(sha256_kernel, suite::blocks_for(count, 64), 64, 0, dm.get(), out.get(), count);
    for (int id = 0; id < count; ++id) {
        unsigned block[16], digest[8];
        for (int i = 0; i < 16; ++i) block[i] = message[size_t(i) * count + id];
        host_block(block, digest);
        for (int i = 0; i < 8; ++i) want[size_t(i) * count + id] = digest[i];
    }
    return suite::finish_exact("sha256", out.host(), want);
}
