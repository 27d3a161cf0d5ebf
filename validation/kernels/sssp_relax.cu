// Graph: one Bellman-Ford round, one thread a vertex, atomicMin on the neighbours' distances (double-buffered).
#include "common.cuh"

constexpr int kFar = 1 << 28;

extern "C" __global__ void sssp_relax_kernel(const int* begin, const int* edge, const int* weight, const int* distance, int* next,
                                             int vertices) {
    int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= vertices) return;
    int d = distance[v];
    if (d >= kFar) return;
    for (int i = begin[v]; i < begin[v + 1]; ++i) {
        int u = edge[i], candidate = d + weight[i];
        if (candidate < distance[u]) atomicMin(&next[u], candidate);
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int vertices = opt.large ? 264 * 1024 : 132 * 128 - 3, rounds = 5;
    suite::Rng rng(35);
    std::vector<int> begin{0}, edge, weight;
    for (int v = 0; v < vertices; ++v) {
        int degree = 1 + static_cast<int>(rng.below(v % 100 == 0 ? 60 : 8));
        for (int i = 0; i < degree; ++i) edge.push_back(rng.below(vertices)), weight.push_back(1 + rng.below(100));
        begin.push_back(static_cast<int>(edge.size()));
    }
    std::vector<int> distance(vertices, kFar), want;
    for (int v = 0; v < vertices; v += vertices / 50) distance[v] = 0;
    want = distance;
    for (int round = 0; round < rounds; ++round) {
        distance = want;
        for (int v = 0; v < vertices; ++v)
            if (distance[v] < kFar)
                for (int i = begin[v]; i < begin[v + 1]; ++i) {
                    int candidate = distance[v] + weight[i];
                    if (candidate < want[edge[i]]) want[edge[i]] = candidate;
                }
    }
    suite::Device<int> db(begin), de(edge), dw(weight), dd(distance), next(distance);
    for (int r = 0; r < opt.repeat; ++r) {
        next.copy_from(dd);
        suite::launch(sssp_relax_kernel, suite::blocks_for(vertices, 128), 128, 0, db.get(), de.get(), dw.get(), dd.get(),
                      next.get(), vertices);
    }
    return suite::finish_exact("sssp_relax", next.host(), want);
}
