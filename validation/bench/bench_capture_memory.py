"""Peak memory and file size of `archsim capture` on a launch of 20 million warp-instructions, regular and irregular.

    python validation/bench/bench_capture_memory.py [--millions 20]

The whole command is measured as a user runs it (nvcc, the program, the emulator, the trace writer): the largest
resident set of any of its processes. Needs nvcc. Exits with 1 when a target of the project is missed: 2 GB, 1 byte a
warp-instruction (regular), 12 bytes (irregular). On 2026-11-24 (two shared cores): regular 20.0 M in 39 s, 232 MB,
0.001 bytes each; irregular 20.1 M in 24 s, 266 MB, 1.47 bytes each.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archsim.trace.inspect import describe

SOURCE = r"""
#include <cstdio>
#include <vector>
__global__ void kernel(const unsigned* in, unsigned* out, int loops) {
    unsigned id = blockIdx.x * blockDim.x + threadIdx.x, x = id, where = id;
    for (int i = 0; i < loops; ++i) {
        x = x * 1664525u + 1013904223u;
#if IRREGULAR
        where = (x >> 8) & 0xfffff;           // every lane anywhere in 4 MB, divergent loops
        for (unsigned k = x >> 30; k > 0; --k) x ^= x >> 3;
#else
        where = (id + i * 4096) & 0xfffff;    // lanes side by side
#endif
        x ^= in[where];
        #pragma unroll
        for (int k = 0; k < 24; ++k) x = x * 5 + (x >> 7);
    }
    out[id] = x;
}
int main() {
    unsigned *in, *out;
    cudaMalloc(&in, 4 << 20);
    cudaMalloc(&out, 4 * GRID * 256);
    std::vector<unsigned> words(1 << 20);
    for (size_t i = 0; i < words.size(); ++i) words[i] = i * 2654435761u;
    cudaMemcpy(in, words.data(), 4 << 20, cudaMemcpyHostToDevice);
    kernel<<<GRID, 256>>>(in, out, LOOPS);
    return cudaDeviceSynchronize() != cudaSuccess;
}
"""
GRID = 264
LIMITS = {"regular": 1.0, "irregular": 12.0}  # bytes a warp-instruction


def capture(folder: Path, kind: str, loops: int) -> tuple[float, int, Path]:
    """(seconds, peak resident bytes, trace) of one capture."""
    source, trace = folder / f"{kind}.cu", folder / f"{kind}.h5"
    defines = f"#define GRID {GRID}\n#define LOOPS {loops}\n#define IRREGULAR {int(kind == 'irregular')}\n"
    source.write_text(defines + SOURCE)
    command = [sys.executable, "-m", "archsim", "capture", str(source), "--arch", "sm_90", "-o", str(trace)]
    begin = time.time()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{kind}: capture ended with exit code {child.returncode}")
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return time.time() - begin, 1024 * max(usage.ru_maxrss, others), trace


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=20.0, help="warp-instructions of the launch, at least")
    options = parser.parse_args()
    missed = False
    with tempfile.TemporaryDirectory() as name:
        for kind, limit in LIMITS.items():
            few = describe(capture(Path(name), kind, 4)[2])["warp_instructions"]
            more = describe(capture(Path(name), kind, 12)[2])["warp_instructions"]
            loops = 4 + int((options.millions * 1e6 - few) / ((more - few) / 8)) + 1
            seconds, peak, trace = capture(Path(name), kind, loops)
            told = describe(trace)
            count, each = told["warp_instructions"], told["bytes_per_warp_instruction"]
            print(
                f"{kind}: {count:,} warp-instructions in {seconds:.0f} s, peak {peak / 1e6:.0f} MB (limit 2000), "
                f"{trace.stat().st_size / 1e6:.1f} MB on disk = {each:.3f} bytes each (limit {limit:g})"
            )
            missed |= peak > 2e9 or each > limit or count < options.millions * 1e6
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
