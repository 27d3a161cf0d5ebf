"""Compiles the kernel suite: one binary per program and architecture, real machine code only.

    python validation/kernels/build.py [--arch sm_75 --arch sm_86 --arch sm_90] [--jobs 2] [--out DIR] [NAME ...]

Needs only nvcc on PATH and the Python standard library, so that it also runs on a bare machine with a GPU.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import manifest

HERE = Path(__file__).resolve().parent
ARCHS = ("sm_75", "sm_86", "sm_90")


class BuildError(Exception):
    """A program did not compile, or its name or architecture is unknown; the text holds nvcc's own message."""


def nvcc_command(program: manifest.Program, arch: str, out_dir: Path) -> list[str]:
    """The nvcc command line that makes `<out_dir>/<name>.<arch>`."""
    number = arch.removeprefix("sm_")
    return [
        "nvcc", "-std=c++17", "-O3", "-lineinfo", "-cudart", "shared",
        "-gencode", f"arch=compute_{number},code=sm_{number}",
        # Host checks emulate the device's fused operations by hand: the host compiler must not add its own.
        "-Xcompiler", "-ffp-contract=off,-Wall,-Wextra",
        *program.nvcc_flags,
        "-o", str(out_dir / f"{program.name}.{arch}"), str(HERE / program.file),
    ]  # fmt: skip


def is_fresh(target: Path, source: Path, command: list[str]) -> bool:
    """True when the binary is newer than its source and the shared header, and was made by the same command."""
    note = target.with_name(target.name + ".command")
    if not (target.exists() and note.exists()) or note.read_text(encoding="utf-8") != shlex.join(command):
        return False
    return all(target.stat().st_mtime >= path.stat().st_mtime for path in (source, HERE / "common.cuh"))


def build(
    names: Iterable[str] | None = None,
    archs: Iterable[str] = ARCHS,
    out_dir: Path | str = HERE / "build",
    jobs: int = 2,
    force: bool = False,
) -> dict[tuple[str, str], Path]:
    """Compiles `names` (default: all) for `archs`; returns {(name, arch): binary path}. Fresh binaries are kept.

    Raises BuildError on an unknown name, an unsupported architecture, a compiler error or a compiler warning.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    programs = manifest.select(names)
    pairs = [(program, arch) for program in programs for arch in archs if arch in program.archs]

    def compile_one(pair: tuple[manifest.Program, str]) -> str:
        program, arch = pair
        target, command = out / f"{program.name}.{arch}", nvcc_command(program, arch, out)
        if not force and is_fresh(target, HERE / program.file, command):
            return ""
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        message = (done.stdout + done.stderr).strip()
        if done.returncode or message:
            return f"{program.file} for {arch}:\n{message}"
        target.with_name(target.name + ".command").write_text(shlex.join(command), encoding="utf-8")
        return ""

    with ThreadPoolExecutor(jobs) as pool:
        failures = [text for text in pool.map(compile_one, pairs) if text]
    if failures:
        raise BuildError("\n".join(failures))
    return {(program.name, arch): out / f"{program.name}.{arch}" for program, arch in pairs}


def main() -> int:
    parser = argparse.ArgumentParser(description="Compile the kernel suite.")
    parser.add_argument("names", nargs="*", help="programs (default: all)")
    parser.add_argument("--arch", action="append", help="sm_NN, repeatable (default: sm_75 sm_86 sm_90)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", default=str(HERE / "build"))
    parser.add_argument("--force", action="store_true", help="compile even what is up to date")
    args = parser.parse_args()
    try:
        made = build(args.names or None, args.arch or ARCHS, args.out, args.jobs, args.force)
    except (BuildError, manifest.ManifestError) as error:
        print(f"build: {error}", file=sys.stderr)
        return 1
    print(f"{len(made)} binaries in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
