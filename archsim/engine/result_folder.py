"""The folder that a run leaves: run.h5, stats.txt, config.resolved.yaml, run.json. See docs/running.md.

It is written beside its place and renamed, so it is either whole or not there.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from archsim.config import MachineConfig, content_hash, load_config, to_yaml
from archsim.engine.run import KernelResult, ListingLine, RunResult
from archsim.engine.timeline import Timeline
from archsim.errors import RunError
from archsim.kernels import layout as lay
from archsim.model.machine import Residency
from archsim.trace.layout import LaunchInfo

FORMAT = "archsim run"
VERSION = 1
FILES = ("run.json", "run.h5", "stats.txt", "config.resolved.yaml")


class ResultFolder:
    """A place for a result, claimed before the run so that an unwritable one is found in time.

    Use: ``folder = ResultFolder(path)``, run, ``folder.save(result)``. ``path`` may be absent, empty, or hold an
    earlier result of archsim, which is then replaced. RunError if it cannot be written or holds anything else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._check_place()
            parent = self.path.resolve().parent
            parent.mkdir(parents=True, exist_ok=True)
            self._temporary = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.", dir=parent))
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def _check_place(self) -> None:
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise RunError(f"{self.path}: cannot hold a result: it is a file")
        if any(self.path.iterdir()) and not (self.path / FILES[0]).is_file():
            raise RunError(f"{self.path}: holds other files, and no earlier result; choose another folder")

    def save(self, result: RunResult, extra: dict[str, Any] | None = None) -> Path:
        """Write the result and put it in its place; returns the folder. ``extra``: further entries of run.json.

        RunError naming the folder and the cause (full disk, no permission); nothing is left behind then.
        """
        try:
            for name, content in _contents(result, extra or {}):
                (self._temporary / name).write_bytes(content)
            self._temporary.chmod(0o777 & ~_umask())
            self._put_in_place()
        except OSError as error:
            self.discard()
            raise _unwritable(self.path, error) from None
        return self.path

    def _put_in_place(self) -> None:
        if not self.path.exists():
            os.rename(self._temporary, self.path)
            return
        old = Path(tempfile.mkdtemp(prefix=f".{self.path.name}.old.", dir=self._temporary.parent))
        os.rename(self.path, old / "result")
        os.rename(self._temporary, self.path)
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Give up the place."""
        shutil.rmtree(self._temporary, ignore_errors=True)


def save_run(result: RunResult, path: str | Path) -> Path:
    """Write a result folder; see :class:`ResultFolder`."""
    return ResultFolder(path).save(result)


def load_run(path: str | Path) -> RunResult:
    """Read a result folder back: equal to the result that was saved, except for the event log.

    RunError when the folder or a file of it is missing, damaged or of another version.
    """
    import h5py

    folder = Path(path)
    for name in FILES:
        if not (folder / name).is_file():
            raise RunError(f"{folder}: not a result folder: {name} is missing")
    try:
        meta = json.loads((folder / "run.json").read_text())
    except ValueError as error:
        raise RunError(f"{folder / 'run.json'}: damaged: {error}") from None
    if meta.get("format") != FORMAT or meta.get("version") != VERSION:
        raise RunError(f"{folder / 'run.json'}: {meta.get('format')!r} version {meta.get('version')}, not {VERSION}")
    try:
        with h5py.File(folder / "run.h5", "r") as file:
            kernels = [_read_kernel(entry, file[f"kernels/{i}"]) for i, entry in enumerate(meta["kernels"])]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / 'run.h5'}: damaged: {error}") from None
    return RunResult(
        load_config(folder / "config.resolved.yaml"),
        meta["trace"]["sha256"],
        meta["trace"]["source"],
        meta["trace"]["arch"],
        kernels,
        meta["wall_seconds"],
        meta["complete"],
        meta["notes"],
        meta["stop_reason"],
    )


def versions() -> dict[str, str]:
    """Versions of everything that can change a result."""
    import numba

    from archsim import __version__

    return {
        "archsim": __version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def plugin_names(config: MachineConfig) -> dict[str, str]:
    """Which plug-in of each kind a machine uses."""
    sm = config.sm
    return {"scheduler": sm.issue.scheduler, "prefetcher": sm.prefetcher.kind, "rfc": sm.rfc.kind}


def metadata(result: RunResult, extra: dict[str, Any]) -> dict[str, Any]:
    """Content of run.json."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "complete": result.complete,
        "stop_reason": result.stop_reason,
        "notes": result.notes,
        "versions": versions(),
        "trace": {"sha256": result.trace_sha256, "source": result.trace_source, "arch": result.arch},
        "config": {"name": result.config.name, "sha256": content_hash(result.config)},
        "plugins": plugin_names(result.config),
        "wall_seconds": result.wall_seconds,
        "simulation_seconds": result.simulation_seconds,
        "compile_seconds": sum(k.compile_seconds for k in result.kernels),
        "kilo_warp_instructions_per_second": result.kilo_warp_instructions_per_second,
        **extra,
        "kernels": [_scalars(kernel) for kernel in result.kernels],
    }


_ARRAYS = ("per_sm", "stalls_per_subcore", "log", "timeline", "per_pc", "listing")


def _scalars(kernel: KernelResult) -> dict[str, Any]:
    """Everything of a kernel but its arrays."""
    entry = {name: value for name, value in vars(kernel).items() if name not in _ARRAYS}
    return entry | {"launch": asdict(kernel.launch), "residency": asdict(kernel.residency)}


def _contents(result: RunResult, extra: dict[str, Any]) -> list[tuple[str, bytes]]:
    from archsim.stats import stats_text

    meta = metadata(result, extra)
    header = {
        "complete": result.complete,
        **{f"version of {name}": version for name, version in meta["versions"].items()},
        "trace": f"{result.trace_source} sha256 {result.trace_sha256}",
        "machine": f"{result.config.name} sha256 {meta['config']['sha256']}",
        "plugins": ", ".join(f"{kind} {name}" for kind, name in meta["plugins"].items()),
        "simulation_seconds": f"{result.simulation_seconds:.3f}",
        "kilo_warp_instructions_per_second": f"{result.kilo_warp_instructions_per_second:.1f}",
        **{f"note {i}": note for i, note in enumerate(result.notes)},
    }
    return [
        ("run.json", (json.dumps(meta, indent=1) + "\n").encode()),
        ("run.h5", _hdf5(result)),
        ("stats.txt", stats_text(result.kernels, result.config, header, _energy_rows(result.config)).encode()),
        ("config.resolved.yaml", to_yaml(result.config).encode()),
    ]


def _energy_rows(config: MachineConfig) -> Callable[[KernelResult], Iterable[tuple[str, float, str, str]]]:
    """Rows of a kernel's energy, none for a machine without a table."""
    from archsim.energy import config_table, energy_rows, kernel_energy

    table = config_table(config)
    if table is None:
        return lambda kernel: ()
    return lambda kernel: energy_rows(kernel_energy(kernel, config, table))


def _hdf5(result: RunResult) -> bytes:
    """run.h5, built in memory: a full disk is then an ordinary error of writing."""
    import h5py

    from archsim.stats import COUNTERS, derived_metrics, ncu_metrics

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, complete=result.complete, trace_sha256=result.trace_sha256)
        file.attrs["counter_docs"] = json.dumps({c.name: [c.unit, c.doc] for c in COUNTERS.values()})
        for i, kernel in enumerate(result.kernels):
            group = file.create_group(f"kernels/{i}")
            group.attrs.update(name=kernel.name, complete=kernel.complete, cycles=kernel.cycles)
            group.create_dataset("per_sm", data=kernel.per_sm, compression="gzip")
            stalls = group.create_dataset("stalls_per_subcore", data=kernel.stalls_per_subcore, compression="gzip")
            stalls.attrs["reasons"] = list(kernel.stalls)
            _write_optional(group, kernel)
            known = {n: v for n, v in derived_metrics(kernel, result.config).items() if v is not None}
            tables = {"counters": kernel.counters, "stalls": kernel.stalls, "derived": known}
            for name, table in {**tables, "ncu": ncu_metrics(kernel, result.config)}.items():
                group.create_group(name).attrs.update(table)
    return buffer.getvalue()


def _write_optional(group: Any, kernel: KernelResult) -> None:
    """Windowed counters and slots by instruction, where they were kept."""
    if kernel.timeline is not None:
        lines = group.create_group("timeline")
        lines.attrs.update(reasons=list(kernel.stalls), counters=list(kernel.counters))
        for name in ("edges", "stalls", "counters"):
            lines.create_dataset(name, data=getattr(kernel.timeline, name), compression="gzip", shuffle=True)
    if kernel.per_pc is not None:
        code = group.create_group("per_pc")
        code.attrs["reasons"] = list(kernel.stalls)
        code.create_dataset("slots", data=kernel.per_pc, compression="gzip", shuffle=True)
        text = json.dumps([list(line) for line in kernel.listing or []]).encode()
        code.create_dataset("listing", data=np.frombuffer(text, np.uint8), compression="gzip")


def _read_optional(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "timeline" in group:
        lines = group["timeline"]
        if list(lines.attrs["counters"]) == list(lay.COUNTERS):  # written by a version with the same counters
            found["timeline"] = Timeline(*(lines[name][...] for name in ("edges", "stalls", "counters")))
    if "per_pc" in group:
        found["per_pc"] = group["per_pc/slots"][...]
        text = json.loads(group["per_pc/listing"][...].tobytes())
        found["listing"] = [ListingLine(*line) for line in text]
    return found


def _read_kernel(entry: dict[str, Any], group: Any) -> KernelResult:
    launch: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["launch"].items()}
    per_sm = group["per_sm"][...]
    if per_sm.dtype != lay.STATS:
        aligned = np.zeros(per_sm.shape, lay.STATS)
        for name in lay.STATS.names or ():
            aligned[name] = per_sm[name]
        per_sm = aligned
    return KernelResult(
        **entry
        | {
            "launch": LaunchInfo(**launch),
            "residency": Residency(**entry["residency"]),
            "per_sm": per_sm,
            "stalls_per_subcore": group["stalls_per_subcore"][...],
            **_read_optional(group),
        }
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(path: Path, error: OSError) -> RunError:
    where = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
    return RunError(f"{path}: the result cannot be written: {error.strerror or error}{where}")
