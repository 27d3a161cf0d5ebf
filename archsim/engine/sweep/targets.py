"""What a study can run: each kind of trace with the configurations that it runs on. See `target_of`.

A target checks parameters, resolves configurations, says what identifies a run, and runs one. Adding a kind of run is
adding a class here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.config.yaml_marks import Marked, Origin
from archsim.errors import ArchsimError, ConfigError, RunError, TraceError

_HDF5 = b"\x89HDF"
_ACCELSIM = re.compile(r"\.(g|traceg|trace)(\.(xz|zst|gz))?$")
_OPEN_TRACES = 8


@dataclass(frozen=True)
class RunOptions:
    """Which part of a trace runs. ``launches``: (first, last) or None; ``max_cycles``: 0 for no limit.

    ``tokens``, ``prompt``, ``batch``: of models (0 tokens otherwise).
    """

    kernel: str | None = None
    launches: tuple[int, int | None] | None = None
    max_cycles: int = 0
    tokens: int = 0
    prompt: int = 0
    batch: int = 1


@dataclass(frozen=True)
class TraceInfo:
    """A trace of a study. ``size``: how long it takes to run, relative to others of its kind."""

    name: str
    path: str
    sha256: str
    size: int
    origin: Origin


@dataclass
class RunOutcome:
    """One run: totals, one mapping a launch, whether it ran to its end, and what a run folder is made of."""

    stats: dict[str, Any]
    kernels: list[dict[str, Any]]
    complete: bool = True
    note: str = ""
    result: Any = None


class Target(ABC):
    """Base of every kind of run."""

    kind = ""
    default_base: tuple[str, ...] = ()
    folders = False  # whether a run folder can be kept

    @abstractmethod
    def layers(self, base: tuple[str, ...], folder: Path | None) -> Any:
        """Load the layers of a base, once. ConfigError for an unknown name or key."""

    @abstractmethod
    def check(self, layers: Any, path: str, value: Any, origin: Origin) -> None:
        """ConfigError if there is no such parameter."""

    @abstractmethod
    def resolve(self, layers: Any, settings: Mapping[str, tuple[Any, Origin]]) -> Any:
        """The configuration of one point. ConfigError for wrong values and impossible machines."""

    @abstractmethod
    def lookup(self, config: Any, path: str) -> Any:
        """A parameter of a resolved configuration. ConfigError if there is none of that name."""

    def name(self, config: Any) -> str:
        """Name of a resolved configuration."""
        return str(config.name)

    @abstractmethod
    def hash(self, config: Any) -> str:
        """SHA-256 of everything in a configuration that can change a result."""

    @abstractmethod
    def inspect(self, path: Path, name: str, options: RunOptions, origin: Origin) -> TraceInfo:
        """Open a trace and see that something of it is to run. TraceError, RunError."""

    @abstractmethod
    def run(self, path: str, config: Any, options: RunOptions, plugins: tuple[str, ...]) -> RunOutcome:
        """Run. ArchsimError if it fails."""

    def save(self, outcome: RunOutcome, folder: Path) -> None:
        """Write a run folder."""
        raise NotImplementedError

    def form(self, config: Any) -> str:
        """Names the compiled code that a configuration needs: what compiles anew if it differs."""
        return self.kind


class GpuTarget(Target):
    """SASS traces on GPU configurations."""

    kind = "gpu"
    folders = True

    def __init__(self) -> None:
        self._open: OrderedDict[str, Any] = OrderedDict()

    def layers(self, base: tuple[str, ...], folder: Path | None) -> Any:
        from archsim import resources
        from archsim.config.loader import load_layer, merge

        tree = Marked({}, Origin("defaults"))
        for name in base:
            tree = merge(tree, load_layer(resources.find_config(name, relative_to=folder)))
        return tree

    def check(self, layers: Any, path: str, value: Any, origin: Origin) -> None:
        from archsim.config.loader import setting

        setting(path, value, origin)

    def resolve(self, layers: Any, settings: Mapping[str, tuple[Any, Origin]]) -> Any:
        from archsim.config.loader import build, merge, setting

        for path, (value, origin) in settings.items():
            layers = merge(layers, setting(path, value, origin))
        return build(layers)

    def lookup(self, config: Any, path: str) -> Any:
        from archsim.config.loader import nearest
        from archsim.config.machine import get

        try:
            value = get(config, path)
        except (AttributeError, KeyError, TypeError, IndexError):
            raise ConfigError(f"unknown key {path!r}{nearest(path)}") from None
        shorthand = getattr(type(value), "SHORTHAND", None)
        return getattr(value, shorthand) if shorthand else value

    def hash(self, config: Any) -> str:
        """Of the machine, and of the files that it names: its energy table, its DRAM standard."""
        from archsim.config import content_hash
        from archsim.dram.config import load_dram_for_gpu
        from archsim.energy import config_table

        named: list[Any] = [config_table(config)]
        if config.memory.backend == "full":
            named.append(load_dram_for_gpu(config.dram))
        parts = [dataclasses.asdict(item) for item in named if item is not None]
        if not parts:
            return content_hash(config)
        text = json.dumps([content_hash(config), *parts], sort_keys=True, default=_plain)
        return hashlib.sha256(text.encode()).hexdigest()

    def inspect(self, path: Path, name: str, options: RunOptions, origin: Origin) -> TraceInfo:
        trace = self._trace(str(path))
        chosen = choose_launches(trace, name, options)
        size = sum(trace.kernels[i].warp_instructions for i in chosen)
        return TraceInfo(name, str(path), trace.sha256, size, origin)

    def _trace(self, path: str) -> Any:
        """An open trace; the last ones stay open, so that a worker decodes each program once."""
        from archsim.trace import open_trace

        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        trace = open_trace(path)
        self._open[path] = trace
        if len(self._open) > _OPEN_TRACES:
            self._open.popitem(last=False)[1].close()
        return trace

    def run(self, path: str, config: Any, options: RunOptions, plugins: tuple[str, ...]) -> RunOutcome:
        from archsim.engine.run import run as simulate
        from archsim.engine.sweep.gpu_stats import launch_stats, total_stats
        from archsim.model.compile import load_plugin_file

        for file in plugins:
            load_plugin_file(file)
        trace = self._trace(path)
        chosen = choose_launches(trace, Path(path).name, options)
        result = simulate(trace, config, kernels=chosen, max_cycles=options.max_cycles)
        kernels = [launch_stats(kernel, config) for kernel in result.kernels]
        note = "" if result.complete else "; ".join(n for n in result.notes if n.startswith("partial"))
        return RunOutcome(total_stats(result.kernels, config), kernels, result.complete, note, result)

    def form(self, config: Any) -> str:
        from archsim.engine.result_folder import plugin_names

        return "-".join([self.kind, config.memory.backend, *plugin_names(config).values()])

    def save(self, outcome: RunOutcome, folder: Path) -> None:
        from archsim.engine.result_folder import save_run

        save_run(outcome.result, folder)


class DramTarget(Target):
    """Text traces of memory requests on memory configurations."""

    kind = "dram"
    default_base = ("hbm3",)

    def load(self, name: str, overrides: Mapping[str, Any]) -> Any:
        """A memory configuration. ConfigError."""
        from archsim.dram.config import load_dram

        return load_dram(name, overrides)

    def layers(self, base: tuple[str, ...], folder: Path | None) -> Any:
        if len(base) != 1:
            raise ConfigError(f"a memory trace runs on one memory, {len(base)} are given: {', '.join(base)}")
        name = base[0]
        if folder is not None and (folder / name).is_file():
            name = str(folder / name)
        self.load(name, {})
        return name

    def check(self, layers: Any, path: str, value: Any, origin: Origin) -> None:
        try:
            self.load(layers, {path: value})
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from None

    def resolve(self, layers: Any, settings: Mapping[str, tuple[Any, Origin]]) -> Any:
        try:
            return self.load(layers, {path: value for path, (value, _) in settings.items()})
        except ConfigError as error:
            places = ", ".join(dict.fromkeys(str(origin) for _, origin in settings.values()))
            raise ConfigError(f"{places}: {error}" if places else str(error)) from None

    def lookup(self, config: Any, path: str) -> Any:
        value: Any = config
        for part in path.split("."):
            known = value if isinstance(value, Mapping) else getattr(value, "__dataclass_fields__", {})
            if part not in known:
                raise ConfigError(f"unknown key {path!r}; known here: {', '.join(map(str, known)) or 'nothing'}")
            value = value[part] if isinstance(value, Mapping) else getattr(value, part)
        return value

    def hash(self, config: Any) -> str:
        values = dataclasses.asdict(config)
        for name in ("name", "description", "source", "preset_source"):
            del values[name]
        return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()

    def inspect(self, path: Path, name: str, options: RunOptions, origin: Origin) -> TraceInfo:
        if options != RunOptions():
            raise RunError(f"{origin}: {name}: kernel, launches and max_cycles do not apply to it")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise TraceError(f"{path}: can't be read: {error.strerror or error}") from None
        return TraceInfo(name, str(path), hashlib.sha256(data).hexdigest(), len(data), origin)

    def run(self, path: str, config: Any, options: RunOptions, plugins: tuple[str, ...]) -> RunOutcome:
        from archsim.engine.dram import run_requests

        if plugins:
            raise RunError(f"{path}: a memory trace: plugins do not apply to it")
        return RunOutcome(run_requests(path, config).summary(), [])


def _plain(value: Any) -> Any:
    """What JSON has no form for: sets in order, all else as text."""
    return sorted(value) if isinstance(value, set | frozenset) else str(value)


def choose_launches(trace: Any, name: str, options: RunOptions) -> list[int]:
    """Indices of the launches that the options leave. RunError when none is left."""
    total = len(trace.kernels)
    if total == 0:
        raise TraceError(f"{name}: holds no kernel")
    first, last = options.launches or (0, None)
    indices = list(range(total))[first:last]
    if options.kernel:
        try:
            pattern = re.compile(options.kernel)
        except re.error as error:
            raise RunError(f"kernel {options.kernel!r}: not a regular expression: {error}") from None
        indices = [i for i in indices if pattern.search(trace.kernels[i].launch.name)]
    if not indices:
        known = ", ".join(sorted({kernel.launch.name for kernel in trace.kernels})[:5])
        raise RunError(f"{name}: no launch is chosen; it has {total} launches of: {known}")
    return indices


_TARGETS = {
    "gpu": (__name__, "GpuTarget"),
    "dram": (__name__, "DramTarget"),
    "pim": ("archsim.engine.sweep.targets_pim", "PimProgramTarget"),
    "pim_gpt": ("archsim.engine.sweep.targets_pim", "PimGptTarget"),
}
_instances: dict[str, Target] = {}


def target(kind: str) -> Target:
    """The target of a kind; one a process, so that what it keeps open is shared."""
    if kind not in _instances:
        module, name = _TARGETS[kind]
        _instances[kind] = getattr(importlib.import_module(module), name)()
    return _instances[kind]


def kind_of(path: Path, base: tuple[str, ...]) -> str:
    """Kind of run that a trace file asks for, decided as ``archsim run`` does. TraceError if it cannot be read."""
    from archsim.resources import list_configs

    try:
        with path.open("rb") as file:
            hdf5 = file.read(len(_HDF5)) == _HDF5
    except OSError as error:
        raise TraceError(f"{path}: can't be read: {error.strerror or error}") from None
    if path.suffix == ".aim" or (base and base[0].split(":")[0] in list_configs("pim")):
        return "pim"
    if _ACCELSIM.search(path.name):
        raise TraceError(f"{path}: an Accel-Sim trace: `archsim trace import {path} -o FILE.h5` first, sweep FILE.h5")
    return "gpu" if hdf5 or path.suffix in (".h5", ".hdf5") else "dram"


def describe_failure(error: BaseException) -> str:
    """One line for the ``error`` column."""
    if isinstance(error, ArchsimError):
        return " ".join(str(error).split())
    return f"internal error: {type(error).__name__}: {' '.join(str(error).split())}"
