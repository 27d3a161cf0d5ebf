"""Configuration of one memory: a standard (levels, commands, constraints), a timing preset and a controller.

A file of ``configs/dram`` describes a standard; a variant ``extends`` it and adds commands, constraints or presets.
docs/dram.md explains the keys and how to add a standard.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from archsim import resources
from archsim.config.memory import DramSpec
from archsim.dram.expressions import Number, evaluate, resolve
from archsim.errors import ConfigError

LEVELS = ("channel", "pseudochannel", "rank", "bankgroup", "bank")
BASE_COMMANDS = ("ACT", "PRE", "PREA", "RD", "WR", "RDA", "WRA", "REFAB", "REFPB")
_TOP = {
    "extends", "name", "description", "source", "organization", "commands", "constraints", "timing", "presets",
    "preset", "ticks_per_clock", "transfers_per_clock", "refresh_scope", "read_latency", "write_latency", "mapping",
    "xor", "channels", "controller", "power", "pim", "switches",
}  # fmt: skip
_ORGANIZATION = {
    "pseudochannel",
    "rank",
    "bankgroup",
    "bank",
    "rows",
    "columns",
    "width_bits",
    "burst_length",
    "devices",
}
_COMMAND = {
    "clocks", "bus", "scope", "align", "doc", "opens", "closes", "row", "mode", "latency", "bytes_in", "bytes_out",
    "macs", "posted", "table", "reads", "writes", "buffer",
    "route", "lockstep",
}  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """``before`` may follow ``after`` on the same node of ``level`` no earlier than ``latency`` clocks later.

    ``window``: the latency counts from the window-th last of the ``after`` commands (tFAW: 4). ``sibling``: it holds
    for the other nodes of the level under the same parent instead (rank switching).
    """

    level: str
    after: tuple[str, ...]
    before: tuple[str, ...]
    latency: str
    window: int = 1
    sibling: bool = False


@dataclass(frozen=True)
class Command:
    """A command: clocks that it occupies on its bus, and the level whose banks it addresses all at once (or bank).

    The rest is for the in-order executor of PIM programs (archsim/dram/pim.py): whether it ``opens`` or ``closes`` the
    rows of those banks or needs its ``row`` open; the access ``mode`` it needs; ``latency`` (expression, clocks) from
    its issue to its completion, which only the end of the program waits for if ``posted``; bytes over the pins;
    multiply-accumulates in all its banks together; ``table``: its row lies in a look-up table beside the array. For
    the energy: plain column ``reads`` and ``writes`` of banks, and accesses of the global ``buffer``. Commands of one
    ``route`` (0 or 1) go out in program order, those of two routes only in the order that fences ask for. ``lockstep``:
    it addresses the same bank of every unit of this level instead of the banks of ``scope``.
    """

    name: str
    clocks: float = 1.0
    bus: str = "command"
    scope: str = "bank"
    align: bool = False
    opens: bool = False
    closes: bool = False
    row: bool = False
    mode: str = "plain"
    latency: str = "1"
    bytes_in: int = 0
    bytes_out: int = 0
    macs: int = 0
    posted: bool = True
    table: bool = False
    reads: int = 0
    writes: int = 0
    buffer: int = 0
    route: int = 0
    lockstep: str = ""


@dataclass(frozen=True)
class Controller:
    """Controller of one channel. Times in clocks of the command clock."""

    scheduler: str = "frfcfs_row_hit"
    page: str = "open"
    read_queue: int = 64
    write_queue: int = 64
    write_high_watermark: float = 0.8
    write_low_watermark: float = 0.2
    row_hit_cap: int = 64
    page_timeout: int = 200
    forward_writes: bool = True
    serial_arrivals: bool = False  # admit at most one request a tick
    refresh: str = "all_bank"
    refresh_postpone: int = 0
    power_down: bool = False
    power_down_idle: int = 200
    page_timeout_ticks: int = 0  # filled in by the compiler


@dataclass(frozen=True)
class DramConfig:
    """A validated memory configuration; ``timing`` in clocks of ``tCK_ps`` picoseconds."""

    name: str
    description: str
    source: str
    preset: str
    preset_source: str
    organization: Mapping[str, int]
    commands: tuple[Command, ...]
    constraints: tuple[Constraint, ...]
    timing: Mapping[str, Number]
    ticks_per_clock: int
    transfers_per_clock: int
    refresh_scope: str
    read_latency: str
    write_latency: str
    mapping: str
    xor: tuple[tuple[str, str, int], ...]
    channels: int
    controller: Controller
    power: Mapping[str, Any] = field(default_factory=dict)
    pim: Mapping[str, Any] = field(default_factory=dict)

    @property
    def burst_bytes(self) -> int:
        """Bytes of one column command."""
        return self.organization["width_bits"] * self.organization["burst_length"] // 8

    @property
    def clock_ns(self) -> float:
        """Period of the command clock."""
        return float(self.timing["tCK_ps"]) / 1000

    @property
    def peak_bytes_per_ns(self) -> float:
        """Peak bandwidth of all channels and pseudo-channels, GB/s."""
        units = self.channels * self.organization["pseudochannel"]
        return units * self.burst_bytes / (float(self.timing["nBL"]) * self.clock_ns)

    @property
    def banks(self) -> int:
        """Banks of one channel."""
        o = self.organization
        return o["pseudochannel"] * o["rank"] * o["bankgroup"] * o["bank"]


def load_dram(name: str | Path, overrides: Mapping[str, Any] | Sequence[str] = ()) -> DramConfig:
    """Load a memory configuration.

    Args:
        name: shipped name (``hbm3``, also with a preset: ``hbm3:HBM3_6400``) or a YAML file.
        overrides: mapping of dotted keys to values, or ``key=value`` strings: ``channels=8``, ``preset=...``,
            ``timing.nRCD=20``, ``controller.page=closed``, ``organization.rank=2``.

    Raises:
        ConfigError: unknown name, key, command or level; parameter without a value; impossible organization.
    """
    text = str(name)
    preset = None
    if ":" in text and not Path(text).exists():
        text, preset = text.rsplit(":", 1)
    tree = _load_tree(text, None, 0)
    if preset is not None:
        tree["preset"] = preset
    for key, value in _pairs(overrides):
        _set(tree, key, value)
    return _build(tree, text)


def load_dram_for_gpu(spec: DramSpec) -> DramConfig:
    """The memory of a GPU configuration: its standard with the board's channels, width and data rate.

    The clock follows the data rate; timings given in nanoseconds keep their duration.
    """
    tree = _load_tree(spec.standard.lower(), None, 0)
    organization = tree["organization"]
    pins = int(organization["width_bits"]) * int(organization.get("pseudochannel", 1))
    if spec.channel_width_bits != pins:
        raise ConfigError(
            f"dram.channel_width_bits: a {spec.standard} channel has {pins} data pins, not {spec.channel_width_bits}"
        )
    tree["channels"] = spec.channels
    tree["mapping"] = spec.address_mapping
    _set(tree, "timing.tCK_ps", 1e6 * int(tree["transfers_per_clock"]) / spec.data_rate_mtps)
    _set(tree, "controller.read_queue", spec.scheduler_queue_entries)
    if spec.refresh != "standard":
        _set(tree, "controller.refresh", spec.refresh)
    for key, value in spec.timing_overrides.items():
        _set(tree, f"timing.{key}", value)
    return _build(tree, spec.standard.lower())


def _pairs(overrides: Mapping[str, Any] | Sequence[str]) -> list[tuple[str, Any]]:
    if isinstance(overrides, Mapping):
        return list(overrides.items())
    pairs = []
    for item in overrides:
        key, sign, value = item.partition("=")
        if not sign:
            raise ConfigError(f"--set {item}: expected key=value")
        pairs.append((key.strip(), yaml.safe_load(value)))
    return pairs


def _load_tree(name: str, relative_to: Path | None, depth: int) -> dict[str, Any]:
    if depth > 16:
        raise ConfigError(f"{name}: extends itself")
    kind = "pim" if name in resources.list_configs("pim") else "dram"
    path = resources.find_config(name, relative_to, kind=kind)
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping at the top")
    for key in tree:
        _known(str(key), _TOP, str(path))
    base = tree.pop("extends", None)
    if base is None:
        return tree
    below = _load_tree(str(base), path.parent, depth + 1)
    tree["constraints"] = list(below.pop("constraints", [])) + list(tree.pop("constraints", []))
    return _merge(below, tree)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            below[key] = _merge(below[key], value)
        else:
            below[key] = value
    return below


def _set(tree: dict[str, Any], key: str, value: Any) -> None:
    parts = key.split(".")
    _known(parts[0], _TOP - {"extends"}, f"override {key}")
    node = tree
    for part in parts[:-1]:
        node = node.setdefault(part, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {key}: {part} has no parts")
    # Overridden timings win over the preset's.
    if parts[0] == "timing":
        tree.setdefault("timing", {}).setdefault("_overrides", {})[parts[-1]] = value
    else:
        node[parts[-1]] = value


def _known(key: str, known: set[str], where: str) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, sorted(known), n=1)
        raise ConfigError(f"{where}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))


def _need(tree: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in tree:
        raise ConfigError(f"{where}: {key} is missing")
    return tree[key]


def _build(tree: dict[str, Any], where: str) -> DramConfig:
    organization = _organization(_need(tree, "organization", where), where)
    preset, preset_source, timing = _timing(tree, organization, where)
    commands = _commands(tree.get("commands") or {}, where)
    switches = _switches(tree.get("switches") or {}, where)
    rows = [_constraint(row, commands, switches, where) for row in tree.get("constraints") or []]
    constraints = tuple(row for row in rows if row is not None)
    scope = str(_need(tree, "refresh_scope", where))
    if scope not in LEVELS[:3]:
        raise ConfigError(f"{where}: refresh_scope is one of {', '.join(LEVELS[:3])}, not {scope!r}")
    channels = _positive(tree.get("channels", 1), f"{where}: channels")
    return DramConfig(
        name=str(tree.get("name", where)),
        description=str(tree.get("description", "")),
        source=str(tree.get("source", "")),
        preset=preset,
        preset_source=preset_source,
        organization=organization,
        commands=commands,
        constraints=constraints,
        timing=timing,
        ticks_per_clock=_positive(tree.get("ticks_per_clock", 1), f"{where}: ticks_per_clock"),
        transfers_per_clock=_positive(_need(tree, "transfers_per_clock", where), f"{where}: transfers_per_clock"),
        refresh_scope=scope,
        read_latency=str(tree.get("read_latency", "nCL + nBL")),
        write_latency=str(tree.get("write_latency", "nCWL + nBL")),
        mapping=str(tree.get("mapping", "RoBaRaCoBgPcCh")),
        xor=tuple((str(a), str(b), int(c)) for a, b, c in tree.get("xor") or []),
        channels=channels,
        controller=_controller(tree.get("controller") or {}, where),
        power=tree.get("power") or {},
        pim=tree.get("pim") or {},
    )


def _positive(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where}: expected a whole number of at least 1, got {value!r}")
    return value


def _organization(tree: Mapping[str, Any], where: str) -> dict[str, int]:
    result = {"pseudochannel": 1, "rank": 1, "bankgroup": 1, "devices": 1}
    for key, value in tree.items():
        _known(key, _ORGANIZATION, f"{where}: organization")
        result[key] = _positive(value, f"{where}: organization.{key}")
    for key in ("bank", "rows", "columns", "width_bits", "burst_length"):
        _need(result, key, f"{where}: organization")
    return result


def _timing(tree: Mapping[str, Any], organization: Mapping[str, int], where: str) -> tuple[str, str, dict[str, Number]]:
    presets = _need(tree, "presets", where)
    preset = str(_need(tree, "preset", where))
    if preset not in presets:
        near = difflib.get_close_matches(preset, list(presets), n=3, cutoff=0.3) or list(presets)
        raise ConfigError(f"{where}: no preset {preset!r}; known: {', '.join(near)}")
    table = dict(tree.get("timing") or {})
    above = dict(table.pop("_overrides", {}))
    values = dict(presets[preset])
    source = str(values.pop("source", ""))
    table.update(values)
    for key in above:
        _known(key, set(table), f"{where}: timing")
    table.update(above)
    clock = evaluate(table.pop("tCK_ps", None), {}, f"{where}: timing.tCK_ps")
    if clock <= 0:
        raise ConfigError(f"{where}: timing.tCK_ps must be positive, got {clock}")
    given: dict[str, Number] = {**organization, "tCK_ps": clock}
    known = resolve(table, given, f"{where}: timing", clock)
    for name in table:
        if known[name] < 0:
            raise ConfigError(f"{where}: timing.{name} is negative ({known[name]})")
    return preset, source, {"tCK_ps": clock, **{name: known[name] for name in table}}


def _commands(tree: Mapping[str, Any], where: str) -> tuple[Command, ...]:
    found: dict[str, Command] = {name: Command(name) for name in BASE_COMMANDS}
    for name, values in tree.items():
        v = dict(values or {})
        for key, value in v.items():
            at = f"{where}: commands.{name}.{key}"
            _known(key, _COMMAND, f"{where}: commands.{name}")
            if key in ("scope", "lockstep") and value not in LEVELS:
                raise ConfigError(f"{at}: {value!r} is not a level ({', '.join(LEVELS)})")
            default = getattr(Command, key, "")
            if isinstance(default, bool) != isinstance(value, bool):
                raise ConfigError(f"{at}: expected {'true or false' if isinstance(default, bool) else 'a value'}")
            if isinstance(default, int | float) and (not isinstance(value, int | float) or value < 0):
                raise ConfigError(f"{at}: expected a number of at least 0, got {value!r}")
            v[key] = type(default)(value)
        v.pop("doc", None)
        found[name] = Command(name, **v)
    return tuple(found.values())


def _switches(tree: Mapping[str, Any], where: str) -> dict[str, bool]:
    for key, value in tree.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{where}: switches.{key}: expected true or false, got {value!r}")
    return dict(tree)


def _constraint(
    row: object, commands: Sequence[Command], switches: Mapping[str, bool], where: str
) -> Constraint | None:
    """One row: [level, "after commands", "before commands", latency, options...]; None if a switch turns it off."""
    if not isinstance(row, list) or len(row) < 4:
        raise ConfigError(f"{where}: constraint {row!r}: expected [level, after, before, latency, options...]")
    level, after, before, latency = (str(x) for x in row[:4])
    text = f"{where}: constraint [{level}, {after}, {before}, {latency}]"
    if level not in LEVELS:
        raise ConfigError(f"{text}: {level!r} is not a level ({', '.join(LEVELS)})")
    known = {command.name for command in commands}
    for name in (after + " " + before).split():
        _known(name, known, text)
    window, sibling = 1, False
    for option in row[4:]:
        words = str(option).split()
        if words[0] == "window" and len(words) == 2 and words[1].isdigit() and int(words[1]) > 0:
            window = int(words[1])
        elif words == ["sibling"]:
            sibling = True
        elif words[0] == "if" and len(words) == 2:
            _known(words[1], set(switches), f"{text}: switch")
            if not switches[words[1]]:
                return None
        else:
            raise ConfigError(f"{text}: unknown option {option!r}; known: 'window N', 'sibling', 'if SWITCH'")
    return Constraint(level, tuple(after.split()), tuple(before.split()), latency, window, sibling)


def _controller(tree: Mapping[str, Any], where: str) -> Controller:
    fields = Controller.__dataclass_fields__
    for key, value in tree.items():
        _known(key, set(fields) - {"page_timeout_ticks"}, f"{where}: controller")
        kind = type(fields[key].default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            continue
        if type(value) is not kind:
            raise ConfigError(f"{where}: controller.{key}: expected {kind.__name__}, got {value!r}")
    c = Controller(**tree)
    if c.read_queue < 1 or c.write_queue < 1:
        raise ConfigError(f"{where}: controller: queues need at least one entry")
    if c.refresh not in ("none", "all_bank", "per_bank"):
        raise ConfigError(f"{where}: controller.refresh: none, all_bank or per_bank, not {c.refresh!r}")
    if not 0 <= c.write_low_watermark <= c.write_high_watermark <= 1:
        raise ConfigError(f"{where}: controller: 0 <= write_low_watermark <= write_high_watermark <= 1 does not hold")
    if not 0 <= c.refresh_postpone <= 8:
        raise ConfigError(f"{where}: controller.refresh_postpone: 0 to 8 refreshes, not {c.refresh_postpone}")
    if c.power_down and c.page == "timeout" and c.power_down_idle <= c.page_timeout:
        raise ConfigError(f"{where}: controller.power_down_idle must exceed page_timeout: rows close before power-down")
    return c
