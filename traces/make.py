"""Makes every shipped trace anew: `python traces/make.py [NAME ...]`.

Compiles each program from `validation/kernels/` for both architectures, runs it under `archsim capture` (no GPU) and
keeps the launches of the kernel that the suite measures. The program's own check of its results must pass.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent / "validation" / "kernels"
sys.path.insert(0, str(KERNELS))

import build  # noqa: E402
import manifest  # noqa: E402

ARCHS = ("sm_86", "sm_90")
NAMES = (
    "saxpy",
    "gemm_tiled",
    "gemm_fp16_mma",
    "sgemm_regblock",
    "reduce_shuffle",
    "scan_block",
    "transpose_tiled",
    "hist_shared",
    "stencil2d5",
    "spmv_csr_vector",
    "softmax",
    "bigcode",
    "cp_async",
    "bfs_level",
    "mandelbrot",
)


def make(program: manifest.Program, arch: str, binary: Path) -> Path:
    """Capture the launches of the measured kernel. CalledProcessError if the program or its own check fails."""
    out = HERE / f"{program.name}_{arch.replace('_', '')}.h5"
    command = [sys.executable, "-m", "archsim", "capture", "--arch", arch, "-o", str(out), "--kernel", program.kernel]
    subprocess.run([*command, "--", str(binary), *program.args_small], check=True, cwd=KERNELS.parents[1])
    return out


def main(names: list[str]) -> None:
    """Make the named traces (all without names) for every architecture."""
    binaries = build.build(names, ARCHS, KERNELS / "build")
    for program in manifest.select(names):
        for arch in ARCHS:
            binary = binaries[program.name, arch].resolve().relative_to(KERNELS.parents[1])
            print(make(program, arch, binary).name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
