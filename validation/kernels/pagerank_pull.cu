// Graph: one PageRank iteration, pulling along incoming edges; one thread a vertex.
#include "common.cuh"

extern "C" __global__ void pagerank_pull_kernel(const int* begin, const int* source, const float* share, float* rank, int vertices,
                                                float base) {
    int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= vertices) return;
    float sum = 0.0f;
    for (int i = begin[v]; i < begin[v + 1]; ++i) sum += share[source[i]];
    rank[v] = fmaf(0.85f, sum, base);
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int vertices = opt.large ? 264 * 1024 : 132 * 128;
    const float base = 0.15f / vertices;
    suite::Rng rng(36);
    std::vector<int> begin{0}, source;
    for (int v = 0; v < vertices; ++v) {
        int degree = static_cast<int>(rng.below(v % 128 == 5 ? 150 : 10));
        for (int i = 0; i < degree; ++i) source.push_back(rng.below(vertices));
        begin.push_back(static_cast<int>(source.size()));
    }
    std::vector<float> share = suite::random_floats(rng, vertices, 0.0f, 1.0f / vertices), want(vertices);
    suite::Device<int> db(begin), ds(source);
    suite::Device<float> dshare(share), rank(vertices);
    for (int r = 0; r < opt.repeat; ++r)
        suite::launch(pagerank_pull_kernel, suite::blocks_for(vertices, 128), 128, 0, db.get(), ds.get(), dshare.get(),
                      rank.get(), vertices, base);
    for (int v = 0; v < vertices; ++v) {
        float sum = 0.0f;
        for (int i = begin[v]; i < begin[v + 1]; ++i) sum += share[source[i]];
        want[v] = std::fmaf(0.85f, sum, base);
    }
    return suite::finish_exact("pagerank_pull", rank.host(), want);
}
