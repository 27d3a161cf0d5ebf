// Graph: one level of a breadth-first search, one thread a vertex; reads the old levels, writes the new ones, so that
// the result does not depend on the order of threads.
#include "common.cuh"

extern "C" __global__ void bfs_level_kernel(const int* begin, const int* edge, const int* level, int* next, int* found, int vertices,
                                            int current) {
    int v = blockIdx.x * blockDim.x + threadIdx.x;
    if (v >= vertices || level[v] != current) return;
    for (int i = begin[v]; i < begin[v + 1]; ++i) {
        int u = edge[i];
        if (level[u] < 0) {
            next[u] = current + 1;
            *found = 1;
        }
    }
}

int main(int argc, char** argv) {
    suite::Options opt = suite::parse(argc, argv);
    const int vertices = opt.large ? 528 * 1024 : 132 * 256 - 11, levels = 6;
    suite::Rng rng(34);
    std::vector<int> begin{0}, edge;
    for (int v = 0; v < vertices; ++v) {
        int degree = static_cast<int>(rng.below(v % 64 == 0 ? 100 : 8));
        for (int i = 0; i < degree; ++i) edge.push_back(rng.below(vertices));
        begin.push_back(static_cast<int>(edge.size()));
    }
    // The host walks the first levels; the device repeats the last of them, the widest.
    std::vector<int> level(vertices, -1), want;
    for (int v = 0; v < vertices; v += vertices / 7) level[v] = 0;
    int current = 0, found = 0;
    for (want = level; current < levels; ++current) {
        found = 0;
        level = want;
        for (int v = 0; v < vertices; ++v)
            if (level[v] == current)
                for (int i = begin[v]; i < begin[v + 1]; ++i)
                    if (level[edge[i]] < 0) want[edge[i]] = current + 1, found = 1;
    }
    --current;
    suite::Device<int> db(begin), de(edge), dl(level), next(level), flag(1);
    for (int r = 0; r < opt.repeat; ++r) {
        next.copy_from(dl);
        flag.zero();
        suite::launch(bfs_level_kernel, suite::blocks_for(vertices, 256), 256, 0, db.get(), de.get(), dl.get(), next.get(),
                      flag.get(), vertices, current);
    }
    return suite::finish_exact("bfs_level", next.host(), want) |
           suite::finish_exact("bfs_level.found", flag.host(), std::vector<int>{found});
}
