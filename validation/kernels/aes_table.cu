// Integer: AES-128 encryption of one 16-byte block a thread (FIPS 197) with four 256-entry tables in shared memory and
// round keys in constant memory. The host encrypts byte by byte instead.
#include "common.cuh"

__constant__ unsigned round_keys[44];

struct Aes {
    unsigned char sbox[256];
    unsigned tables[4 * 256];
    unsigned keys[44];
};

// tables: [0, 1024) the four T-tables, then the S-box in the low byte of 256 words; words are big-endian columns.
extern "C" __global__ void aes_table_kernel(const uint4* in, uint4* out, const unsigned* tables, const unsigned* sbox, int blocks) {
    __shared__ unsigned t[4 * 256], last[256];
    for (int i = threadIdx.x; i < 4 * 256; i += blockDim.x) t[i] = tables[i];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) last[i] = sbox[i];
    __syncthreads();
    int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= blocks) return;
    uint4 v = in[id];
    unsigned s[4] = {v.x ^ round_keys[0], v.y ^ round_keys[1], v.z ^ round_keys[2], v.w ^ round_keys[3]}, n[4];
#pragma unroll
    for (int round = 1; round < 10; ++round) {
#pragma unroll
        for (int c = 0; c < 4; ++c)
            n[c] = t[s[c] >> 24] ^ t[256 + (s[(c + 1) % 4] >> 16 & 255)] ^ t[512 + (s[(c + 2) % 4] >> 8 & 255)] ^
                   t[768 + (s[(c + 3) % 4] & 255)] ^ round_keys[round * 4 + c];
#pragma unroll
        for (int c = 0; c < 4; ++c) s[c] = n[c];
    }
#pragma unroll
    for (int c = 0; c < 4; ++c)
        n[c] = (last[s[c] >> 24] << 24 | last[s[(c + 1) % 4] >> 16 & 255] << 16 | last[s[(c + 2) % 4] >> 8 & 255] << 8 |
                last[s[(c + 3) % 4] & 255]) ^
               round_keys[40 + c];
    out[id] = make_uint4(n[0], n[1], n[2], n[3]);
}

static unsigned char gf_mul(unsigned char a, unsigned char b) {
    unsigned char product = 0;
    for (; b; b >>= 1) {
        if (b & 1) product ^= a;
        a = static_cast<unsigned char>(a << 1 ^ (a & 0x80 ? 0x1b : 0));
    }
    return product;
}

static void prepare(Aes& aes, const unsigned char* key) {
    for (int x = 0; x < 256; ++x) {
        unsigned inverse = 0;
        for (int y = 1; y < 256 && x; ++y)
            if (gf_mul(x, y) == 1) inverse = y;
        unsigned s = inverse;
        for (int i = 1; i < 5; ++i) s ^= (inverse << i | inverse >> (8 - i)) & 255;
        aes.sbox[x] = static_cast<unsigned char>(s ^ 0x63);
    }
    for (int x = 0; x < 256; ++x) {
        unsigned s = aes.sbox[x], t = unsigned(gf_mul(s, 2)) << 24 | s << 16 | s << 8 | gf_mul(s, 3);
        for (int i = 0; i < 4; ++i) aes.tables[i * 256 + x] = i ? t >> (8 * i) | t << (32 - 8 * i) : t;
    }
    unsigned char rcon = 1;
    for (int i = 0; i < 44; ++i) {
        if (i < 4) {
            aes.keys[i] = unsigned(key[4 * i]) << 24 | key[4 * i + 1] << 16 | key[4 * i + 2] << 8 | key[4 * i + 3];
            continue;
        }
        unsigned w = aes.keys[i - 1];
        if (i % 4 == 0) {
            w = w << 8 | w >> 24;
            w = unsigned(aes.sbox[w >> 24]) << 24 | aes.sbox[w >> 16 & 255] << 16 | aes.sbox[w >> 8 & 255] << 8 | aes.sbox[w & 255];
            w ^= unsigned(rcon) << 24;
            rcon = gf_mul(rcon, 2);
        }
        aes.keys[i] = aes.keys[i - 4] ^ w;
    }
}

// The cipher as the standard writes it: state[row][column] of bytes.
static void host_encrypt(const Aes& aes, const unsigned* in, unsigned* out) {
    unsigned char s[4][4], n[4][4];
    auto add_key = [&](int round) {
        for (int c = 0; c < 4; ++c)
            for (int r = 0; r < 4; ++r) s[r][c] ^= aes.keys[round * 4 + c] >> (24 - 8 * r) & 255;
    };
    for (int c = 0; c < 4; ++c)
        for (int r = 0; r < 4; ++r) s[r][c] = in[c] >> (24 - 8 * r) & 255;
    add_key(0);
    for (int round = 1; round <= 10; ++round) {
        for (int r = 0; r < 4; ++r)
            for (int c = 0; c < 4; ++c) n[r][c] = aes.sbox[s[r][(c + r) % 4]];
        for (int c = 0; c < 4; ++c)
            for (int r = 0; r < 4; ++r)
                s[r][c] = round == 10 ? n[r][c]
                                      : gf_mul(n[r][c], 2) ^ gf_mul(n[(r + 1) % 4][c], 3) ^ n[(r + 2) % 4][c] ^ n[(r + 3) % 4][c];
        add_key(round);
    }
    for (int c = 0; c < 4; ++c) out[c] = unsigned(s[0][c]) << 24 | s[1][c] << 16 | s[2][c] << 8 | s[3][c];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    static Aes aes;
    unsigned char key[16];
    for (int i = 0; i < 16; ++i) key[i] = static_cast<unsigned char>(i);
    prepare(aes, key);
    unsigned plain[4] = {0x00112233, 0x44556677, 0x8899aabb, 0xccddeeff}, known[4];
    host_encrypt(aes, plain, known);
    if (known[0] != 0x69c4e0d8 || known[3] != 0x70b4c55a) {  // FIPS 197, appendix C.1
        std::printf("aes_table host check is wrong FAIL\n");
        return 1;
    }
    const int blocks = opt.large ? 132 * 1024 : 132 * 64 - 3;
    suite::Rng rng(45);
    std::vector<unsigned> in(size_t(blocks) * 4), want(in.size()), tables(aes.tables, aes.tables + 1024), sbox(aes.sbox, aes.sbox + 256);
    for (unsigned& v : in) v = rng.u32();
    suite::Device<unsigned> din(in), out(in.size()), dt(tables), ds(sbox);
    SUITE_CHECK(cudaMemcpyToSymbol(round_keys, aes.keys, sizeof aes.keys));
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(aes_table_kernel, suite::blocks_for(blocks, 64), 64, 0, reinterpret_cast<const uint4*>(din.get()),
                      reinterpret_cast<uint4*>(out.get()), dt.get(), ds.get(), blocks);
    for (int id = 0; id < blocks; ++id) host_encrypt(aes, &in[size_t(id) * 4], &want[size_t(id) * 4]);
    return suite::finish_exact("aes_table", out.host(), want);
}
