"""The kernel suite of ``validation/kernels``: its list, its traces (captured once), the card's measurements."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.errors import RunError
from archsim.resources import list_traces
from archsim.validate.ncu_csv import HardwareDataError

_PACKAGE = Path(__file__).resolve().parents[1]
ARCH = 90
#: Ten programs with a committed trace, both halves of the split, for `--quick`.
QUICK = (
    "saxpy", "gemm_tiled", "gemm_fp16_mma", "sgemm_regblock", "reduce_shuffle", "transpose_tiled", "hist_shared",
    "spmv_csr_vector", "softmax", "cp_async",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """One program of the suite (a row of suite.yaml). ``kernel``: regular expression for the measured kernel's name."""

    name: str
    file: str
    kernel: str
    args_small: tuple[str, ...]
    args_large: tuple[str, ...]
    nvcc_flags: tuple[str, ...]
    exact: bool
    varies: str | None

    @property
    def concurrent(self) -> bool:
        """Whether its CTAs wait for each other, so that it is captured with them all running (capture --concurrent)."""
        return self.varies is not None and self.varies.startswith("instructions")

    @property
    def split(self) -> str:
        """ "tune" or "report": fixed for ever by the name (first byte of its SHA-256, even or odd)."""
        return "report" if hashlib.sha256(self.name.encode()).digest()[0] & 1 else "tune"

    def arguments(self, size: str) -> tuple[str, ...]:
        """Command line of one size."""
        return self.args_large if size == "large" else self.args_small


def validation_folder() -> Path:
    """The checkout's ``validation`` folder. RunError when archsim runs from an installed package elsewhere."""
    for root in (_PACKAGE.parent, Path.cwd()):
        if (root / "validation" / "kernels" / "suite.yaml").is_file():
            return root / "validation"
    raise RunError(
        "validation/kernels/suite.yaml: not found: the suite and the card's measurements are part of the source "
        "checkout; run the command from its root"
    )


def load_programs(folder: Path) -> list[Program]:
    """The suite in the order of its file. RunError naming the file when it is damaged."""
    import yaml

    path = folder / "kernels" / "suite.yaml"
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))
        names = ("name", "file", "kernel", "args_small", "args_large", "nvcc_flags", "exact", "varies")
        fields: list[dict[str, Any]] = [
            {n: tuple(r[n]) if isinstance(r[n], list) else r[n] for n in names} for r in rows
        ]
        return [Program(**values) for values in fields]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise RunError(f"{path}: can't be used: {error}") from None


def select(programs: list[Program], pattern: str, quick: bool) -> list[Program]:
    """Programs whose whole name matches ``pattern`` (all when empty), of those of QUICK if ``quick``. RunError."""
    try:
        wanted = re.compile(pattern or ".*")
    except re.error as error:
        raise RunError(f"--suite {pattern!r}: not a regular expression: {error}") from None
    found = [p for p in programs if wanted.fullmatch(p.name) and (not quick or p.name in QUICK)]
    if not found:
        raise RunError(
            f"--suite {pattern!r}: no program of the suite has such a name{' and is quick' if quick else ''}"
        )
    return found


def latest(folder: Path, stem: str) -> Path:
    """The newest measurement ``STEM_YYYY-MM-DD.csv``. HardwareDataError when there is none."""
    files = sorted(folder.glob(f"{stem}_????-??-??.csv"))
    if not files:
        raise HardwareDataError(f"{folder}: no measurement named {stem}_DATE.csv")
    return files[-1]


def read_table(path: Path, *needed: str) -> tuple[list[dict[str, str]], list[str]]:
    """Rows and comment lines of one of our CSV files. HardwareDataError naming file and column."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise HardwareDataError(f"{path}: can't be read: {error.strerror or error}") from None
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    for column in needed:
        if rows and column not in rows[0]:
            raise HardwareDataError(f"{path}: column {column!r} is missing")
    return rows, [line[1:].strip() for line in lines if line.startswith("#")]


@dataclass(frozen=True)
class Measured:
    """One program on the card. ``metrics``: by ncu's name; cycles are the protocol's median."""

    metrics: dict[str, float]
    spread: float  # (largest - smallest) / median cycles of the launches


def load_measured(folder: Path, card: str, protocol: str) -> tuple[dict[str, Measured], list[str]]:
    """The card's numbers by program, and the header lines that say how they were taken.

    Counters were taken with caches flushed; with caches kept only the cycles are comparable.
    """
    place = folder / "hw" / card
    cycles, notes = read_table(
        latest(place, "suite_cycles_small"), "program", "protocol", "sm_active_max_median_cycles"
    )
    counters: dict[str, dict[str, str]] = {}
    if protocol == "flushed" and not any(place.glob("suite_counters_small_*.csv")):
        notes.append(f"no counters were measured on this card ({card}): cycles only")
    elif protocol == "flushed":
        rows, _ = read_table(latest(place, "suite_counters_small"), "program")
        counters = {row["program"]: row for row in rows}
    found = {}
    for row in cycles:
        if row["protocol"] != protocol:
            continue
        metrics = {k: float(v) for k, v in counters.get(row["program"], {}).items() if "__" in k and v != ""}
        metrics["sm__cycles_active.max"] = float(row["sm_active_max_median_cycles"])
        metrics["gpc__cycles_elapsed.max"] = float(row["gpc_elapsed_max_median_cycles"])
        found[row["program"]] = Measured(metrics, float(row["sm_active_max_spread"]))
    return found, notes


# ---------------------------------------------------------------------------- traces


def cache_folder() -> Path:
    """Where captured traces and finished simulations are kept: beside the compiled code."""
    root = os.environ.get("ARCHSIM_CACHE")
    if root:
        return Path(root) / "validate"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "archsim" / "validate"


def source_hash(*packages: str) -> str:
    """Hash of the Python, Cython and C sources of archsim's packages: what a cached result depends on."""
    digest = hashlib.sha256()
    for package in packages:
        place = _PACKAGE / package
        for path in sorted(place.rglob("*")) if place.is_dir() else [place.with_suffix(".py")]:
            if path.suffix in (".py", ".pyx", ".c", ".h"):
                digest.update(f"{path.relative_to(_PACKAGE)}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def trace_key(folder: Path, program: Program, size: str, arch: int) -> str:
    """Names the trace of a program by what makes it: program, emulator, trace format."""
    from archsim.trace.store import VERSION

    digest = hashlib.sha256(f"{VERSION} {source_hash('emulator')}".encode())
    for path in (folder / "kernels" / program.file, folder / "kernels" / "common.cuh"):
        digest.update(path.read_bytes())
    digest.update(
        repr((program.kernel, program.arguments(size), program.nvcc_flags, arch, program.concurrent)).encode()
    )
    return digest.hexdigest()[:24]


def shipped_trace(program: Program, arch: int) -> str | None:
    """Name of the committed trace of a program (small size), None without one."""
    name = f"{program.name}_sm{arch}"
    return name if name in list_traces() else None


def captured_trace(folder: Path, program: Program, size: str, arch: int = ARCH) -> Path:
    """The program's trace from the cache, captured first if it is not there: needs nvcc. RunError when that fails."""
    place = cache_folder() / "traces"
    out = place / f"{program.name}-{size}-sm{arch}-{trace_key(folder, program, size, arch)}.h5"
    if out.is_file():
        return out
    place.mkdir(parents=True, exist_ok=True)
    binary = _build(folder, program, arch)
    temporary = out.with_suffix(f".{os.getpid()}.tmp.h5")
    command = [
        sys.executable, "-m", "archsim", "capture", "--arch", f"sm_{arch}", "-o", str(temporary),
        *(["--concurrent"] if program.concurrent else []), "--kernel", program.kernel,
        "--", str(binary), *program.arguments(size),
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(_PACKAGE.parent), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0 or not temporary.is_file():
        temporary.unlink(missing_ok=True)
        raise RunError(f"{program.name}: capture failed ({done.returncode}): {done.stderr.strip()[-300:]}")
    os.replace(temporary, out)
    return out


def _build(folder: Path, program: Program, arch: int) -> Path:
    kernels = folder / "kernels"
    command = [sys.executable, str(kernels / "build.py"), "--arch", f"sm_{arch}", "--jobs", "1", program.name]
    done: Any = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RunError(f"{program.name}: does not build: {done.stderr.strip()[-300:]}")
    return kernels / "build" / f"{program.name}.sm_{arch}"
