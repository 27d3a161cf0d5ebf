"""From a study to its runs: every point resolved and checked, every trace opened, before the first run starts."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from archsim import resources
from archsim.config.yaml_marks import Origin
from archsim.engine.sweep.axes import CONFIG_AXIS, Axis, AxisValue
from archsim.engine.sweep.cache import code_version
from archsim.engine.sweep.study import Constraint, Setting, Study
from archsim.engine.sweep.targets import RunOptions, Target, TraceInfo, kind_of, target
from archsim.errors import ArchsimError, ConfigError, TraceError

MAX_POINTS = 1_000_000
_CHECKED_VALUES = 500  # axis values that are tried alone, before whole points are
_SAMPLE_TRIES = 1000  # candidates per wanted point before constraints are called contradictory


@dataclass(frozen=True)
class Task:
    """One run: picklable, complete. ``key`` identifies trace, configuration, options and version by content."""

    key: str
    kind: str
    trace: str
    trace_sha256: str
    config: Any
    options: RunOptions
    plugins: tuple[str, ...]
    size: int
    use_cache: bool = True
    per_kernel: bool = False
    folder: str | None = None


@dataclass
class Point:
    """One resolved position of a study. ``labels``: value of each axis as the table shows it."""

    index: int
    labels: dict[str, Any]
    config: Any
    config_sha256: str


@dataclass
class Plan:
    """All runs of a study, in the order of its table."""

    study: Study
    target: Target
    traces: list[TraceInfo]
    points: list[Point]
    rows: list[tuple[Point, TraceInfo, str]]  # with the key of the run
    tasks: dict[str, Task]  # by key: points with equal configurations share a run
    excluded: int = 0  # points that constraints took away
    impossible: int = 0  # points that are no possible machine (impossible: skip)
    axes: list[str] = field(default_factory=list)


class Space:
    """The parameters of a study: checks candidates against constraints, resolves them to configurations."""

    def __init__(self, study: Study, kind: str) -> None:
        self.study = study
        self.target = target(kind)
        self._layers: dict[tuple[str, ...], Any] = {}
        self._bases: dict[tuple[str, ...], Any] = {}
        self._base = study.base or self.target.default_base
        for item, origin in study.plugins:
            _load_plugin(item, origin, study.folder)
        self._check_parameters()

    def _layers_of(self, base: tuple[str, ...], origin: Origin) -> Any:
        if base not in self._layers:
            try:
                self._layers[base] = self.target.layers(base, self.study.folder)
            except ConfigError as error:
                raise ConfigError(f"{origin}: {error}") from None
        return self._layers[base]

    def base_of(self, labels: Mapping[str, AxisValue]) -> tuple[tuple[str, ...], Origin]:
        """Layers below a point: the study's, or those that its ``config`` axis names."""
        if CONFIG_AXIS in labels:
            return (str(labels[CONFIG_AXIS].label),), labels[CONFIG_AXIS].origin
        return self._base, self.study.base_origin

    def _check_parameters(self) -> None:
        """Unknown configurations and parameters, and constraints over unknown names."""
        places = [v for axis in self.study.axes for v in axis.values] + [
            v for point in self.study.points or () for v in point.values()
        ]
        bases = [self.base_of({CONFIG_AXIS: v}) for v in places if v.origin and not v.settings and _is_config(v)]
        for axis in self.study.axes:
            if axis.name == CONFIG_AXIS:
                bases += [self.base_of({CONFIG_AXIS: v}) for v in axis.values]
        for base, origin in bases or [(self._base, self.study.base_origin)]:
            layers = self._layers_of(base, origin)
            for path, (value, place) in self.study.settings.items():
                self.target.check(layers, path, value, place)
            seen: set[str] = set()
            for value in places:
                for path, item in value.settings.items():
                    if path not in seen:
                        seen.add(path)
                        self.target.check(layers, path, item, value.origin)
            self._check_values(layers, places)
            config = self._base_config(base, origin)
            for constraint in self.study.constraints:
                self._check_names(constraint, config)

    def _check_values(self, layers: Any, places: list[AxisValue]) -> None:
        """Type and range of every value; whether the machine is possible depends on the whole point."""
        for value in places[:_CHECKED_VALUES]:
            settings = self.settings_of({"": value})
            try:
                self.target.resolve(layers, settings)
            except ConfigError as error:
                if "impossible machine" not in str(error):
                    raise

    def _base_config(self, base: tuple[str, ...], origin: Origin) -> Any:
        if base not in self._bases:
            layers = self._layers_of(base, origin)
            try:
                self._bases[base] = self.target.resolve(layers, self.study.settings)
            except ConfigError as error:
                text = str(error)
                raise ConfigError(text if str(origin) in text else f"{origin}: {text}") from None
        return self._bases[base]

    def _check_names(self, constraint: Constraint, config: Any) -> None:
        axes = {axis.name for axis in self.study.axes} | {n for p in self.study.points or () for n in p}
        for name in constraint.expression.names:
            if name in axes:
                continue
            try:
                self.target.lookup(config, name)
            except ConfigError as error:
                near = difflib.get_close_matches(name, sorted(axes), n=1)
                hint = f"; did you mean the axis {near[0]!r}?" if near else ""
                text = f"constraint {constraint.expression.text!r}: {error}{hint}"
                raise ConfigError(f"{constraint.origin}: {text}") from None

    def settings_of(self, values: Mapping[str, AxisValue]) -> dict[str, Setting]:
        """Parameters of a point: the study's own, then its axes in order."""
        settings = dict(self.study.settings)
        for value in values.values():
            for path, item in value.settings.items():
                settings[path] = (item, value.origin)
        return settings

    def broken(self, values: Mapping[str, AxisValue]) -> Constraint | None:
        """The first constraint that a point does not meet."""
        base, origin = self.base_of(values)
        settings = self.settings_of(values)

        def lookup(name: str) -> Any:
            if name in settings:
                return settings[name][0]
            if name in values:
                return values[name].label
            return self.target.lookup(self._base_config(base, origin), name)

        for constraint in self.study.constraints:
            try:
                if not constraint.expression(lookup):
                    return constraint
            except ConfigError as error:
                raise ConfigError(f"{constraint.origin}: constraint {error}") from None
        return None

    def resolve(self, values: Mapping[str, AxisValue]) -> Any:
        """Configuration of a point. ConfigError where there is no such machine."""
        base, origin = self.base_of(values)
        return self.target.resolve(self._layers_of(base, origin), self.settings_of(values))


def _is_config(value: AxisValue) -> bool:
    return isinstance(value.label, str) and not value.settings


def make_plan(study: Study, *, force: bool = False, folder: Path | None = None) -> Plan:
    """Check everything, then list the runs. ``folder``: where run folders go, None for none. ArchsimError."""
    kind, paths = find_traces(study)
    space = Space(study, kind)
    names = [axis.name for axis in study.axes] or list(dict.fromkeys(n for p in study.points or () for n in p))
    if not names:
        raise ConfigError(f"{study.origin}: an empty grid: the study has neither axes: nor points:")
    check_options(study, kind)
    traces = [space.target.inspect(path, name, study.options, origin) for name, path, origin in located(paths)]
    plan = Plan(study, space.target, traces, [], [], {}, axes=names)
    for values in _candidates(study, space, plan):
        _add_point(plan, space, values)
    if not plan.points:
        raise ConfigError(f"{study.origin}: no point is left: all {plan.impossible} are impossible machines")
    if folder is not None and not space.target.folders:
        raise ConfigError(f"{study.origin}: a {kind} run has no run folder to keep")
    factory = TaskFactory(space, force=force, folder=folder)
    for point in plan.points:
        for trace in traces:
            task = factory(point.config, trace)
            plan.rows.append((point, trace, task.key))
            plan.tasks.setdefault(task.key, task)
    return plan


class TaskFactory:
    """Makes tasks of one study."""

    def __init__(self, space: Space, *, force: bool = False, folder: Path | None = None) -> None:
        self._space = space
        self._force = force
        self._folder = folder
        study = space.study
        self._plugins = tuple(str(_plugin_path(item, study.folder)) for item, _ in study.plugins)
        self._version = code_version(self._plugins)

    def __call__(self, config: Any, trace: TraceInfo) -> Task:
        options = self._space.study.options
        identity = [
            self._space.target.kind, trace.sha256, self._space.target.hash(config), asdict(options), self._version,
            *(["launches"] if self._space.study.per_kernel else []),
        ]  # fmt: skip
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]
        return Task(
            key,
            self._space.target.kind,
            trace.path,
            trace.sha256,
            config,
            options,
            self._plugins,
            trace.size,
            not self._force,
            self._space.study.per_kernel,
            str(self._folder / key) if self._folder else None,
        )


def check_options(study: Study, kind: str) -> None:
    """ConfigError for keys that do not apply to a kind of run."""
    if study.plugins and kind != "gpu":
        raise ConfigError(f"{study.plugins[0][1]}: plugins: do not apply to {kind} traces")


def _add_point(plan: Plan, space: Space, values: Mapping[str, AxisValue]) -> None:
    try:
        config = space.resolve(values)
    except ConfigError as error:
        if plan.study.skip_impossible and "impossible machine" in str(error):
            plan.impossible += 1
            return
        shown = ", ".join(f"{name}={value.label}" for name, value in values.items())
        hint = "; exclude it with a constraint, or set impossible: skip" if "impossible" in str(error) else ""
        raise ConfigError(f"{error} (at the point {shown}{hint})") from None
    labels = {name: value.label for name, value in values.items()}
    plan.points.append(Point(len(plan.points), labels, config, space.target.hash(config)))


def _candidates(study: Study, space: Space, plan: Plan) -> Iterator[dict[str, AxisValue]]:
    """Points that meet every constraint. ConfigError when none does."""
    tally: dict[int, int] = {}

    def fits(values: Mapping[str, AxisValue]) -> bool:
        constraint = space.broken(values)
        if constraint is None:
            return True
        place = study.constraints.index(constraint)
        tally[place] = tally.get(place, 0) + 1
        plan.excluded += 1
        return False

    if study.sample is not None and study.axes:
        yield from _sampled(study, fits, tally)
        return
    total = math.prod(len(axis.values) for axis in study.axes) if study.axes else len(study.points or ())
    if total > MAX_POINTS:
        raise ConfigError(f"{study.origin}: {total} points are more than {MAX_POINTS}; use sample:")
    found = False
    for values in _grid(study.axes) if study.axes else study.points or ():
        if fits(values):
            found = True
            yield values
    if not found:
        raise _contradiction(study, tally, total)


def _grid(axes: list[Axis]) -> Iterator[dict[str, AxisValue]]:
    names = [axis.name for axis in axes]
    for values in itertools.product(*(axis.values for axis in axes)):
        yield dict(zip(names, values, strict=True))


def _sampled(
    study: Study, fits: Callable[[Mapping[str, AxisValue]], bool], tally: dict[int, int]
) -> Iterator[dict[str, AxisValue]]:
    sample = study.sample
    assert sample is not None
    rng = random.Random(sample.seed)
    finite = math.prod(len(a.values) if not a.continuous else MAX_POINTS for a in study.axes)
    if finite < sample.points:
        raise ConfigError(f"{sample.origin}: sample: {sample.points} points asked of a grid that has {finite}")
    seen: set[str] = set()
    for tries in itertools.count(1):
        values = {axis.name: axis.at(rng.random()) for axis in study.axes}
        label = repr([value.label for value in values.values()])
        if label not in seen and fits(values):
            seen.add(label)
            yield values
            if len(seen) == sample.points:
                return
        if tries >= _SAMPLE_TRIES * sample.points:
            if not seen:
                raise _contradiction(study, tally, tries)
            raise ConfigError(f"{sample.origin}: sample: only {len(seen)} of {sample.points} points can be found")


def _contradiction(study: Study, tally: dict[int, int], total: int) -> ConfigError:
    rows = [
        f"{study.constraints[i].origin}: {study.constraints[i].expression.text!r} takes away {count}"
        for i, count in sorted(tally.items())
    ]
    return ConfigError(f"{rows[0].split(': ')[0]}: the constraints leave none of {total} points: " + "; ".join(rows))


def find_traces(study: Study) -> tuple[str, list[tuple[str, Path, Origin]]]:
    """Kind of run, and (name as written or found, path, origin) of every trace. TraceError naming the line."""
    if study.models:
        return "pim_gpt", [_model(name, origin, study.folder) for name, origin in study.models]
    if not study.traces:
        raise ConfigError(f"{study.origin}: the study has neither traces: nor models:")
    found: list[tuple[str, Path, Origin]] = []
    for text, origin in study.traces:
        matches = _matches(text, study.folder)
        if not matches:
            raise TraceError(f"{origin}: traces: {_why_missing(text)}")
        known = {path.resolve() for _, path, _ in found}
        found += [(name, path, origin) for name, path in matches if path.resolve() not in known]
    kinds: dict[str, tuple[Path, Origin]] = {}
    for _, path, origin in found:
        try:
            kinds.setdefault(kind_of(path, study.base), (path, origin))
        except TraceError as error:
            raise TraceError(f"{origin}: traces: {error}") from None
    if len(kinds) > 1:
        (one, (a, _)), (two, (b, origin)) = list(kinds.items())[:2]
        raise TraceError(f"{origin}: traces: {b.name} is a {two} trace, {a.name} a {one} trace; sweep them apart")
    return next(iter(kinds)), found


def _model(name: str, origin: Origin, folder: Path | None) -> tuple[str, Path, Origin]:
    try:
        return name, resources.find_config(name, relative_to=folder, kind="gpt"), origin
    except ConfigError as error:
        raise ConfigError(f"{origin}: models: {error}") from None


def located(paths: list[tuple[str, Path, Origin]]) -> list[tuple[str, Path, Origin]]:
    """Names made unique: files of the same name in different folders keep their path."""
    names = [name for name, _, _ in paths]
    return [(name if names.count(name) == 1 else str(path), path, origin) for name, path, origin in paths]


def _matches(text: str, folder: Path | None) -> list[tuple[str, Path]]:
    if any(c in text for c in "*?["):
        for root in ([folder] if folder else []) + [Path()]:
            files = sorted(Path(p) for p in _glob(root, text) if Path(p).is_file())
            if files:
                return [(_stem(p), p) for p in files]
        return [(name, resources.find_trace(name)) for name in resources.list_traces() if fnmatch(name, text)]
    if folder is not None and (folder / text).is_file():
        return [(_stem(Path(text)), folder / text)]
    try:
        return [(_stem(Path(text)), resources.find_trace(text))]
    except TraceError:
        return []


def _glob(root: Path, pattern: str) -> list[str]:
    import glob

    return glob.glob(str(root / pattern) if not Path(pattern).is_absolute() else pattern, recursive=True)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".h5") if path.suffix == ".h5" else path.name


def _why_missing(text: str) -> str:
    if any(c in text for c in "*?["):
        return f"nothing matches {text!r}"
    try:
        resources.find_trace(text)
    except ArchsimError as error:
        return str(error)
    return f"{text}: not found"


def _plugin_path(item: str, folder: Path | None) -> Path:
    if folder is not None and (folder / item).is_file():
        return (folder / item).resolve()
    return Path(item).resolve()


def _load_plugin(item: str, origin: Origin, folder: Path | None) -> None:
    from archsim.model.compile import load_plugin_file

    try:
        load_plugin_file(_plugin_path(item, folder))
    except ConfigError as error:
        raise ConfigError(f"{origin}: plugins: {error}") from None
