"""NVIDIA's compiler: where it is, and the two compilations archsim needs (a program, a cubin)."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from archsim.errors import IsaError, RunError
from archsim.isa.tools import find_tool


def _library_flags(nvcc: Path) -> list[str]:
    """Linker flags for an nvcc from a wheel, whose profile points to a lib64 folder that the wheel lacks."""
    try:
        root = nvcc.resolve().parent.parent
    except OSError:
        return []
    library = root / "lib"
    if (root / "lib64").exists() or not library.is_dir():
        return []
    names = sorted(library.glob("libcudart.so.*"))
    return ["-cudart", "none", f"-L{library}", f"-l:{names[-1].name}"] if names else []


def _run(command: Sequence[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"{what} does not compile:\n{(done.stderr + done.stdout).strip()}")


def _nvcc() -> Path:
    try:
        return find_tool("nvcc")
    except IsaError as error:
        raise RunError(str(error)) from None


def compile_program(source: Path, arch: int, target: Path, options: Sequence[str] = ()) -> None:
    """Compile a .cu file to a program with the shared CUDA runtime and real code for ``sm_<arch>``. Raises RunError."""
    _require(source)
    nvcc = _nvcc()
    runtime = _library_flags(nvcc) or ["-cudart", "shared"]
    code = ["-gencode", f"arch=compute_{arch},code=sm_{arch}"]
    _run(
        [str(nvcc), "-O3", "-std=c++17", "-lineinfo", *code, *runtime, *options, "-o", str(target), str(source)],
        str(source),
    )


def compile_cubin(source: Path, arch: int, options: Sequence[str] = ()) -> bytes:
    """Compile a .cu (or .ptx) file to one cubin for ``sm_<arch>``. Raises RunError."""
    _require(source)
    with tempfile.TemporaryDirectory(prefix="archsim-nvcc-") as folder:
        target = Path(folder) / "out.cubin"
        common = ["-cubin", f"-arch=sm_{arch}", "-lineinfo", "-std=c++17"]
        _run([str(_nvcc()), *common, *options, "-o", str(target), str(source)], str(source))
        return target.read_bytes()


def _require(source: Path) -> None:
    if not source.is_file():
        raise RunError(f"{source}: no such file")


_assembled: dict[tuple[bytes, int], bytes] = {}


def assemble_ptx(ptx: bytes, arch: int) -> bytes:
    """PTX text to a cubin for ``sm_<arch>``, as the driver does at load time. Raises IsaError without ptxas."""
    key = (hashlib.sha256(ptx).digest(), arch)
    if key in _assembled:
        return _assembled[key]
    ptxas = find_tool("ptxas")
    with tempfile.TemporaryDirectory(prefix="archsim-ptx-") as folder:
        source, target = Path(folder) / "in.ptx", Path(folder) / "out.cubin"
        source.write_bytes(ptx.rstrip(b"\0"))
        done = subprocess.run(
            [str(ptxas), f"-arch=sm_{arch}", str(source), "-o", str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise IsaError(f"ptxas rejects the program's PTX: {done.stderr.strip()}")
        _assembled[key] = target.read_bytes()
    return _assembled[key]
