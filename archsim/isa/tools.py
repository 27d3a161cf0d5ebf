"""Where NVIDIA's binary tools are: inside the PyPI wheels, under ``CUDA_HOME``, or on ``PATH``.

archsim never ships these programs; ``pip install archsim[cuda]`` fetches NVIDIA's own wheels.
"""

from __future__ import annotations

import functools
import os
import shutil
import site
import sys
import sysconfig
from pathlib import Path

from archsim.errors import IsaError

_WHEEL_BIN_GLOBS = ("nvidia/*/bin", "nvidia/*/nvvm/bin")
_WHEELS = {
    "nvdisasm": "nvidia-cuda-nvdisasm",
    "cuobjdump": "nvidia-cuda-cuobjdump",
    "nvcc": "nvidia-cuda-nvcc",
    "ptxas": "nvidia-cuda-nvcc",
}


def find_nvdisasm() -> Path:
    """Path of ``nvdisasm``; IsaError with the way to install it when there is none."""
    return find_tool("nvdisasm")


def find_cuobjdump() -> Path:
    """Path of ``cuobjdump``; IsaError with the way to install it when there is none."""
    return find_tool("cuobjdump")


def find_nvcc() -> Path:
    """Path of ``nvcc``; IsaError with the way to install it when there is none."""
    return find_tool("nvcc")


@functools.cache
def find_tool(name: str) -> Path:
    """Path of one CUDA tool. Order: ``ARCHSIM_<NAME>``, wheels in site-packages, ``CUDA_HOME/bin``, ``PATH``."""
    for candidate in _candidates(name):
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    wheel = _WHEELS.get(name, "the CUDA toolkit")
    raise IsaError(f"{name} was not found (looked in site-packages for {wheel}, in CUDA_HOME and on PATH): "
                   f"pip install archsim[cuda]")  # fmt: skip


def have_tool(name: str) -> bool:
    """True when :func:`find_tool` would succeed."""
    try:
        find_tool(name)
    except IsaError:
        return False
    return True


def _candidates(name: str) -> list[Path]:
    found: list[Path] = []
    override = os.environ.get(f"ARCHSIM_{name.upper()}")
    if override:
        found.append(Path(override))
    for root in _site_packages():
        for pattern in _WHEEL_BIN_GLOBS:
            found.extend(sorted((d / name for d in root.glob(pattern)), reverse=True))
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if os.environ.get(variable):
            found.append(Path(os.environ[variable]) / "bin" / name)
    on_path = shutil.which(name)
    if on_path:
        found.append(Path(on_path))
    return found


def _site_packages() -> list[Path]:
    roots = [sysconfig.get_paths()["purelib"], *site.getsitepackages(), site.getusersitepackages(), *sys.path]
    unique = dict.fromkeys(Path(r) for r in roots if r)
    return [r for r in unique if (r / "nvidia").is_dir()]
