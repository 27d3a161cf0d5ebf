// Dynamic programming: global alignment of two sequences of 48 a CTA, anti-diagonals with a barrier each.
#include "common.cuh"

constexpr int kLength = 48, kMatch = 3, kMismatch = -2, kGap = -4;

extern "C" __global__ void needleman_wunsch_kernel(const unsigned char* a, const unsigned char* b, int* last_row) {
    __shared__ int score[kLength + 1][kLength + 1];
    __shared__ unsigned char sa[kLength], sb[kLength];
    int t = threadIdx.x, base = blockIdx.x * kLength;  // 64 threads, thread t owns row t + 1
    if (t < kLength) sa[t] = a[base + t], sb[t] = b[base + t];
    if (t <= kLength) score[t][0] = t * kGap, score[0][t] = t * kGap;
    __syncthreads();
    for (int diagonal = 0; diagonal < 2 * kLength - 1; ++diagonal) {
        int col = diagonal - t;
        if (t < kLength && col >= 0 && col < kLength) {
            int best = score[t][col] + (sa[t] == sb[col] ? kMatch : kMismatch);
            best = max(best, max(score[t][col + 1], score[t + 1][col]) + kGap);
            score[t + 1][col + 1] = best;
        }
        __syncthreads();
    }
    if (t < kLength) last_row[base + t] = score[kLength][t + 1];
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int pairs = opt.large ? 1056 : 66;
    suite::Rng rng(37);
    std::vector<unsigned char> a(size_t(pairs) * kLength), b(a.size());
    for (size_t i = 0; i < a.size(); ++i) a[i] = rng.below(4), b[i] = rng.below(10) < 7 ? a[i] : rng.below(4);
    std::vector<int> want(a.size());
    suite::Device<unsigned char> da(a), db(b);
    suite::Device<int> out(a.size());
    for (int r = 0; r < opt.repeat; ++r) suite::launch(needleman_wunsch_kernel, pairs, 64, 0, da.get(), db.get(), out.get());
    for (int pair = 0; pair < pairs; ++pair) {
        int row[kLength + 1];
        for (int j = 0; j <= kLength; ++j) row[j] = j * kGap;
        for (int i = 0; i < kLength; ++i) {
            int diagonal = row[0];
            row[0] = (i + 1) * kGap;
            for (int j = 0; j < kLength; ++j) {
                int best = diagonal + (a[pair * kLength + i] == b[pair * kLength + j] ? kMatch : kMismatch);
                diagonal = row[j + 1];
                if (row[j + 1] + kGap > best) best = row[j + 1] + kGap;
                if (row[j] + kGap > best) best = row[j] + kGap;
                row[j + 1] = best;
            }
        }
        for (int j = 0; j < kLength; ++j) want[pair * kLength + j] = row[j + 1];
    }
    return suite::finish_exact("needleman_wunsch", out.host(), want);
}
