"""Speed of the functional machine: warp-instructions per second on an ALU-heavy kernel, without and with a trace.

    python validation/bench/bench_emulator.py [--arch 90] [--millions 8] [--repeat 3]

The time of a fixed reference loop (integer work on 32 adjacent words, compiled by the same Numba) is measured in the
same run, before and after every measurement, so that numbers from a loaded or another machine can be compared: `ratio`
is warp-instructions per reference iteration. Best of `--repeat`; the load average is printed, numbers from a loaded
machine are lower bounds. Needs nvcc.
"""

from __future__ import annotations

import argparse
import os
import resource
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import numba
import numpy as np

from archsim.emulator import Machine
from archsim.trace import TraceWriter

SOURCE = r"""
extern "C" __global__ void alu(unsigned* out, int n) {
  unsigned a = threadIdx.x * 2654435761u + 1, b = blockIdx.x * 40503u + 7, c = 12345u;
  float x = threadIdx.x * 0.001f, y = 0.5f;
  #pragma unroll 8
  for (int i = 0; i < n; i++) {
    x = x * y + 0.25f; y = y * 0.999f + 0.001f;
    a = a * 1664525u + 1013904223u; b ^= a >> 7; c += b + i; b = (b & c) | (a & ~c);
    if (c > a) x += 1.0f;
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = a ^ b ^ c ^ __float_as_uint(x + y);
}
"""
GRID, BLOCK = 16, 256
REFERENCE_ITERATIONS = 3_000_000


@numba.njit
def reference(x: np.ndarray, n: int) -> None:
    """The fixed loop: one multiply-add and one shift-xor on 32 words per iteration."""
    for _ in range(n):
        for j in range(32):
            v = x[j] * np.uint32(1664525) + np.uint32(1013904223)
            x[j] = v ^ (v >> np.uint32(7))


def reference_rate() -> float:
    """Iterations per second of the reference loop."""
    x = np.arange(32, dtype=np.uint32)
    reference(x, 1)
    begin = time.process_time()
    reference(x, REFERENCE_ITERATIONS)
    return REFERENCE_ITERATIONS / (time.process_time() - begin)


def measure(machine: Machine, kernel: object, loops: int, arch: int, folder: Path, traced: bool) -> tuple[int, float]:
    """Warp-instructions and CPU seconds of one launch, the trace file included."""
    out = machine.memory.alloc(4 * GRID * BLOCK)
    params = struct.pack("<Qi", out, loops)
    grid, block = (GRID, 1, 1), (BLOCK, 1, 1)
    begin = time.process_time()
    if traced:
        with TraceWriter(folder / "bench.h5", arch=f"sm_{arch}", source="bench_emulator") as writer:
            decoded = kernel.decoded  # type: ignore[attr-defined]
            program = writer.add_program(decoded.program, decoded.mem_records)
            recorder = writer.begin_kernel(program, machine.launch_info(kernel, grid, block))  # type: ignore[arg-type]
            result = machine.launch(kernel, grid, block, params, recorder=recorder)  # type: ignore[arg-type]
            recorder.end()
    else:
        result = machine.launch(kernel, grid, block, params)  # type: ignore[arg-type]
    seconds = time.process_time() - begin
    machine.memory.free(out)
    return result.warp_instructions, seconds


def main() -> None:
    """Compile, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, default=90)
    parser.add_argument("--millions", type=float, default=8.0, help="warp-instructions of one launch, about")
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "k.cu").write_text(SOURCE)
        cubin = folder / "k.cubin"
        subprocess.run(
            ["nvcc", "-cubin", f"-arch=sm_{args.arch}", "-O3", "-o", str(cubin), str(folder / "k.cu")], check=True
        )
        machine = Machine(args.arch, num_sms=4, memory_bytes=1 << 24)
        kernel = machine.load_module(cubin.read_bytes()).kernels["alu"]
        begin, cpu = time.time(), time.process_time()
        few, _ = measure(machine, kernel, 8, args.arch, folder, False)
        print(f"first launch (compile or load): {time.time() - begin:.1f} s, {time.process_time() - cpu:.1f} s CPU")
        more, _ = measure(machine, kernel, 1008, args.arch, folder, False)
        loops = int(args.millions * 1e6 / ((more - few) / 1000)) // 8 * 8
        print(f"load average before: {os.getloadavg()[0]:.2f}")
        for traced in (False, True):
            best, ratio = 0.0, 0.0
            for _ in range(args.repeat):
                first = reference_rate()
                count, seconds = measure(machine, kernel, loops, args.arch, folder, traced)
                rate = count / seconds
                best, ratio = max(best, rate), max(ratio, rate / max(first, reference_rate()))
            print(
                f"{'traced  ' if traced else 'untraced'}: {best / 1e6:.2f} M warp-instructions/s, "
                f"ratio to the reference loop {ratio:.4f} ({count} warp-instructions)"
            )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"load average after: {os.getloadavg()[0]:.2f}; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
