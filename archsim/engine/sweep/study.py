"""A study as written: YAML file or command line, checked for form. See docs/sweeps.md for the keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsim import resources
from archsim.config.yaml_marks import Marked, Origin, parse_scalar, read
from archsim.engine.sweep.axes import CONFIG_AXIS, Axis, AxisValue, parse_axis, parse_axis_option, plain
from archsim.engine.sweep.expressions import Expression, parse_expression
from archsim.engine.sweep.targets import RunOptions
from archsim.errors import ConfigError

_KEYS = {
    "name", "description", "base", "set", "traces", "models", "tokens", "prompt", "batch", "plugins", "kernel",
    "launches", "max_cycles", "axes", "points", "sample", "constraints", "impossible", "per_kernel", "plots",
    "optimize", "sensitivity",
}  # fmt: skip
Setting = tuple[Any, Origin]


@dataclass(frozen=True)
class Constraint:
    """A condition on parameters that every point has to meet."""

    expression: Expression
    origin: Origin


@dataclass(frozen=True)
class Sample:
    """Random points instead of the whole grid."""

    points: int
    seed: int
    origin: Origin


@dataclass
class Study:
    """What to run. ``folder``: what paths in it are relative to (besides the working folder)."""

    name: str
    origin: Origin
    description: str = ""
    folder: Path | None = None
    base: tuple[str, ...] = ()
    base_origin: Origin = Origin("defaults")
    settings: dict[str, Setting] = field(default_factory=dict)
    traces: list[tuple[str, Origin]] = field(default_factory=list)
    models: list[tuple[str, Origin]] = field(default_factory=list)
    plugins: list[tuple[str, Origin]] = field(default_factory=list)
    options: RunOptions = RunOptions()
    axes: list[Axis] = field(default_factory=list)
    points: list[dict[str, AxisValue]] | None = None
    sample: Sample | None = None
    constraints: list[Constraint] = field(default_factory=list)
    skip_impossible: bool = False
    per_kernel: bool = False
    plots: list[Marked] = field(default_factory=list)
    sections: dict[str, Marked] = field(default_factory=dict)

    def section(self, name: str, known: set[str], changes: Mapping[str, Any] | None) -> tuple[Origin, dict[str, Any]]:
        """Place and content of a section, with ``changes`` (those that are not empty) on top. ConfigError."""
        section = self.sections.get(name)
        keys: dict[str, Marked] = dict(section.value) if section and isinstance(section.value, dict) else {}
        for key, node in keys.items():
            if key not in known:
                raise ConfigError(f"{node.origin}: {name}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        given = {key: plain(node) for key, node in keys.items()} | {k: v for k, v in (changes or {}).items() if v}
        return section.origin if section else self.origin, given


def check_whole_numbers(spec: Any, section: str, origin: Origin, **least: int) -> None:
    """ConfigError unless each of these fields of ``spec`` is a whole number that is large enough."""
    for key, low in least.items():
        value = getattr(spec, key)
        if type(value) is not int or value < low:
            raise ConfigError(f"{origin}: {section}: {key}: expected a whole number from {low}, got {value!r}")


def find_study(name: str | Path) -> Path:
    """Path of a study: a file, or a shipped name (``configs/sweep``). ConfigError."""
    return resources.find_config(name, kind="sweep")


def load_study(name_or_path: str | Path, changes: Marked | None = None) -> Study:
    """Read a study file. ``changes``: keys from the command line, which replace those of the file. ConfigError."""
    path = find_study(name_or_path)
    tree = read(path, items=True)
    if not isinstance(tree.value, dict):
        raise ConfigError(f"{tree.origin}: a study is a mapping of keys")
    merged = dict(tree.value)
    for key, node in (changes.value if changes else {}).items():
        old = merged.get(key)
        both = key in ("axes", "set") and old is not None and isinstance(old.value, dict)
        merged[key] = Marked({**old.value, **node.value}, old.origin) if both and old else node
    return parse_study(Marked(merged, tree.origin), path.stem, path.parent)


def study_from_options(
    *,
    base: Sequence[str] = (),
    overrides: Sequence[str] = (),
    traces: Sequence[str] = (),
    axes: Sequence[str] = (),
    constraints: Sequence[str] = (),
    plugins: Sequence[str] = (),
    kernel: str | None = None,
    launches: str | None = None,
    max_cycles: int | None = None,
    sample: int | None = None,
    seed: int | None = None,
) -> Marked:
    """Command-line options as the keys of a study; only those that are given."""

    def listed(option: str, values: Sequence[str]) -> Marked:
        return Marked(tuple(Marked(v, Origin(f"{option} {v}")) for v in values), Origin(option))

    tree: dict[str, Marked] = {}
    for key, option, values in (
        ("base", "--config", base),
        ("traces", "--traces", traces),
        ("constraints", "--constraint", constraints),
        ("plugins", "--plugin", plugins),
    ):
        if values:
            tree[key] = listed(option, values)
    if overrides:
        settings = {}
        for text in overrides:
            name, sign, value = text.partition("=")
            if not sign:
                raise ConfigError(f"--set {text!r}: expected component.param=value")
            settings[name.strip()] = Marked(parse_scalar(value), Origin(f"--set {text}"))
        tree["set"] = Marked(settings, Origin("--set"))
    if axes:
        pairs = [parse_axis_option(text) for text in axes]
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"--axis {name}: given twice")
        tree["axes"] = Marked(dict(pairs), Origin("--axis"))
    words: tuple[tuple[str, str, Any], ...] = (
        ("kernel", "--kernel", kernel),
        ("launches", "--launches", launches),
        ("max_cycles", "--max-cycles", max_cycles),
    )
    for key, option, value in words:
        if value is not None:
            tree[key] = Marked(value, Origin(f"{option} {value}"))
    if sample is not None:
        origin = Origin(f"--sample {sample}")
        tree["sample"] = Marked({"points": Marked(sample, origin), "seed": Marked(seed or 0, origin)}, origin)
    return Marked(tree, Origin("the command line"))


def parse_study(tree: Marked, name: str, folder: Path | None) -> Study:
    """A study from its keys. ConfigError naming the line of what is wrong."""
    keys: dict[str, Marked] = tree.value
    for key, node in keys.items():
        if key not in _KEYS:
            near = difflib.get_close_matches(key, sorted(_KEYS), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(_KEYS))}"
            raise ConfigError(f"{node.origin}: unknown key {key!r}{hint}")
    study = Study(str(plain(keys["name"])) if "name" in keys else name, tree.origin, folder=folder)
    study.description = str(plain(keys["description"])) if "description" in keys else ""
    study.base = tuple(text for text, _ in _texts(keys, "base"))
    study.base_origin = keys["base"].origin if "base" in keys else tree.origin
    study.traces = _texts(keys, "traces")
    study.models = _texts(keys, "models")
    if study.models and study.traces:
        raise ConfigError(f"{keys['models'].origin}: models: run on accelerators, traces: do not; sweep them apart")
    study.plugins = _texts(keys, "plugins")
    study.options = _options(keys)
    study.settings = {k: (plain(v), v.origin) for k, v in _mapping(keys, "set").items()}
    study.axes = [parse_axis(axis, node) for axis, node in _mapping(keys, "axes").items()]
    study.points = _points(keys) if "points" in keys else None
    if study.points is not None and study.axes:
        raise ConfigError(f"{keys['points'].origin}: points: lists whole points, so axes: has no meaning beside it")
    study.sample = _sample(keys)
    study.constraints = [_constraint(text, origin) for text, origin in _texts(keys, "constraints")]
    study.skip_impossible = _word(keys, "impossible", ("error", "skip"), "error") == "skip"
    study.per_kernel = bool(_typed(keys, "per_kernel", bool, False))
    study.plots = list(keys["plots"].value) if "plots" in keys and isinstance(keys["plots"].value, tuple) else []
    study.sections = {k: keys[k] for k in ("optimize", "sensitivity") if k in keys}
    return study


def _texts(keys: dict[str, Marked], key: str) -> list[tuple[str, Origin]]:
    """A list of words (or a single one) with their places."""
    node = keys.get(key)
    if node is None or node.value is None:
        return []
    items = node.value if isinstance(node.value, tuple) else (node,)
    found = []
    for item in items:
        value, origin = (item.value, item.origin) if isinstance(item, Marked) else (item, node.origin)
        if not isinstance(value, str):
            raise ConfigError(f"{origin}: {key}: expected text, got {plain(value)!r}")
        found.append((value, origin))
    return found


def _mapping(keys: dict[str, Marked], key: str) -> dict[str, Marked]:
    node = keys.get(key)
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        raise ConfigError(f"{node.origin}: {key}: expected a mapping of parameters, got {plain(node)!r}")
    return dict(node.value)


def _typed(keys: dict[str, Marked], key: str, kind: type, default: Any) -> Any:
    node = keys.get(key)
    if node is None:
        return default
    if type(node.value) is not kind:
        raise ConfigError(f"{node.origin}: {key}: expected {kind.__name__}, got {plain(node)!r}")
    return node.value


def _word(keys: dict[str, Marked], key: str, known: tuple[str, ...], default: str) -> str:
    node = keys.get(key)
    if node is None:
        return default
    if node.value not in known:
        raise ConfigError(f"{node.origin}: {key}: {' or '.join(known)}, not {plain(node)!r}")
    return str(node.value)


def _options(keys: dict[str, Marked]) -> RunOptions:
    cycles = _typed(keys, "max_cycles", int, 0)
    if cycles < 0:
        raise ConfigError(f"{keys['max_cycles'].origin}: max_cycles: must not be negative, got {cycles}")
    launches = None
    if "launches" in keys:
        text = str(plain(keys["launches"]))
        first, sign, last = text.partition(":")
        if not sign or not (first + last).isdigit():
            raise ConfigError(f"{keys['launches'].origin}: launches: two numbers, FIRST:LAST, not {text!r}")
        launches = (int(first or 0), int(last) if last else None)
    return RunOptions(_typed(keys, "kernel", str, None), launches, cycles, *_tokens(keys))


def _tokens(keys: dict[str, Marked]) -> tuple[int, int, int]:
    """tokens, prompt, batch: keys of studies with models."""
    numbers = []
    for key, least, default in (("tokens", 1, 1024), ("prompt", 0, 0), ("batch", 1, 1)):
        value = _typed(keys, key, int, default)
        if key in keys and "models" not in keys:
            raise ConfigError(f"{keys[key].origin}: {key}: belongs to models:, the study has none")
        if value < least:
            raise ConfigError(f"{keys[key].origin}: {key}: at least {least}, got {value}")
        numbers.append(value)
    return (numbers[0], numbers[1], numbers[2]) if "models" in keys else (0, 0, 1)


def _points(keys: dict[str, Marked]) -> list[dict[str, AxisValue]]:
    node = keys["points"]
    if not isinstance(node.value, tuple) or not node.value:
        raise ConfigError(f"{node.origin}: points: expected a list of mappings of parameters to values")
    points = []
    for item in node.value:
        if not isinstance(item.value, dict) or not item.value:
            raise ConfigError(f"{item.origin}: points: a point is a mapping of parameters to values")
        values = {}
        for name, entry in item.value.items():
            value = plain(entry)
            settings = {} if name == CONFIG_AXIS else {name: value}
            values[name] = AxisValue(repr(list(value)) if isinstance(value, tuple) else value, settings, entry.origin)
        points.append(values)
    return points


def _sample(keys: dict[str, Marked]) -> Sample | None:
    node = keys.get("sample")
    if node is None:
        return None
    inner = node.value if isinstance(node.value, dict) else {"points": node}
    for key, item in inner.items():
        if key not in ("points", "seed"):
            raise ConfigError(f"{item.origin}: sample: unknown key {key!r}; known: points, seed")
    points, seed = _typed(inner, "points", int, 0), _typed(inner, "seed", int, 0)
    if points < 1:
        raise ConfigError(f"{node.origin}: sample: points: expected at least 1, got {points}")
    return Sample(points, seed, node.origin)


def _constraint(text: str, origin: Origin) -> Constraint:
    try:
        return Constraint(parse_expression(text), origin)
    except ConfigError as error:
        raise ConfigError(f"{origin}: constraint {error}") from None
