"""From a standard's table to the flat arrays of the engine (archsim/kernels/dram_layout.py).

Levels with a single child per parent are merged with the parent. Constraints between the same commands are folded to
their maximum, commands that every constraint treats alike as followers share a column of ready times, and a constraint
that a wider level already implies is dropped: the hot loop then touches some ten numbers per command.

Times are counted from the first cycle of each command, while a standard counts them from the last: a command of n
cycles starts n - 1 cycles later as predecessor and, as successor, that much earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from archsim.dram.config import BASE_COMMANDS, LEVELS, DramConfig
from archsim.dram.expressions import evaluate
from archsim.errors import ConfigError
from archsim.kernels import dram_layout as layout

_REFRESH = {"none": layout.REFRESH_NONE, "all_bank": layout.REFRESH_ALL_BANK, "per_bank": layout.REFRESH_PER_BANK}


@dataclass(frozen=True)
class CompiledDram:
    """Tables of one configuration. ``names``: command names by number; ``level_of``: merged level of each level."""

    config: DramConfig
    names: tuple[str, ...]
    level_of: dict[str, int]
    nodes: tuple[int, ...]
    scope_of_command: tuple[str, ...]
    command: np.ndarray
    update: np.ndarray
    window: np.ndarray
    path: np.ndarray
    fanout: np.ndarray
    par: np.ndarray
    ring_entries: int

    def number(self, name: str) -> int:
        """Number of a command. ConfigError if the standard has none of that name."""
        if name not in self.names:
            raise ConfigError(f"{self.config.name}: no command {name!r}; known: {', '.join(self.names)}")
        return self.names.index(name)


def compile_dram(config: DramConfig) -> CompiledDram:
    """Compile a configuration. ConfigError on constraints that can't be evaluated."""
    counts = [1, *(config.organization[level] for level in LEVELS[1:])]
    level_of, nodes, fanouts = _merge_levels(counts)
    names = tuple(command.name for command in config.commands)
    assert names[: len(BASE_COMMANDS)] == BASE_COMMANDS
    table = _Table(config, names, level_of, nodes)
    columns, column_of = table.columns()
    update, begins = table.updates(column_of, columns)
    window, window_begins, ring_entries = table.windows(column_of)
    command = np.zeros(len(names), layout.COMMAND_DT)
    command["column"] = column_of
    command["align"] = [config.ticks_per_clock - 1 if c.align else 0 for c in config.commands]
    command["update_begin"], command["update_end"] = begins[:-1], begins[1:]
    command["window_begin"], command["window_end"] = window_begins[:-1], window_begins[1:]
    firsts = np.cumsum([0, *nodes])[:-1]
    banks = config.banks
    path = np.zeros((banks, len(nodes)), np.int64)
    fanout = np.zeros((len(nodes), 2), np.int64)
    for level, n in enumerate(nodes):
        path[:, level] = (firsts[level] + np.arange(banks) // (banks // n)) * columns
        fanout[level] = (fanouts[level], firsts[level] * columns)
    scopes = tuple(config.refresh_scope if c.name in ("PREA", "REFAB") else c.scope for c in config.commands)
    par = _parameters(config, level_of, nodes, columns, len(names), table)
    return CompiledDram(
        config, names, level_of, tuple(nodes), scopes, command, update, window, path, fanout, par, ring_entries
    )


def _merge_levels(counts: list[int]) -> tuple[dict[str, int], list[int], list[int]]:
    """Merged level of each level, nodes of each merged level, and its fan-out."""
    level_of = {LEVELS[0]: 0}
    nodes, fanouts = [1], [1]
    for level, count in zip(LEVELS[1:], counts[1:], strict=True):
        if count > 1:
            nodes.append(nodes[-1] * count)
            fanouts.append(count)
        level_of[level] = len(nodes) - 1
    return level_of, nodes, fanouts


class _Table:
    """Constraints as dense arrays [level, after, before] in ticks; 0 where there is none."""

    def __init__(self, config: DramConfig, names: tuple[str, ...], level_of: dict[str, int], nodes: list[int]) -> None:
        self.names, self.nodes, self.config = names, nodes, config
        self.level_of = level_of
        n = len(names)
        self.same = np.zeros((len(nodes), n, n), np.int64)
        self.sibling = np.zeros((len(nodes), n, n), np.int64)
        self.spans: list[tuple[int, int, dict[int, dict[int, int]]]] = []  # level, window, {after: {before: ticks}}
        self.late = [self.ticks(c.clocks) - 1 for c in config.commands]
        self._buses()
        for row in config.constraints:
            self._add(row)

    def ticks(self, clocks: float) -> int:
        return math.ceil(clocks * self.config.ticks_per_clock - 1e-6)

    def value(self, expression: str, where: str) -> float:
        timing = self.config.timing
        return evaluate(expression, timing, f"{self.config.name}: {where}", timing["tCK_ps"])

    def _buses(self) -> None:
        for i, first in enumerate(self.config.commands):
            for j, second in enumerate(self.config.commands):
                if first.bus == second.bus:
                    self.same[0, i, j] = self.late[i] + 1

    def _add(self, row: object) -> None:
        from archsim.dram.config import Constraint

        assert isinstance(row, Constraint)
        clocks = self.value(row.latency, f"constraint {row.level}: {' '.join(row.after)} -> {' '.join(row.before)}")
        level = self.level_of[row.level]
        if row.sibling and self.config.organization.get(row.level, 1) == 1:
            return
        pairs: dict[int, dict[int, int]] = {}
        for first in map(self.names.index, row.after):
            for second in map(self.names.index, row.before):
                latency = self.ticks(clocks) + self.late[first] - self.late[second]
                pairs.setdefault(first, {})[second] = latency
                if row.window == 1 and latency > 0:
                    target = self.sibling if row.sibling else self.same
                    target[level, first, second] = max(target[level, first, second], latency)
        if row.window > 1:
            self.spans.append((level, row.window, pairs))

    def columns(self) -> tuple[int, list[int]]:
        """Number of columns of ready times, and each command's column."""
        found: dict[bytes, int] = {}
        column_of = []
        for j in range(len(self.names)):
            spans = repr([sorted((i, p[j]) for i, p in pairs.items() if j in p) for _, _, pairs in self.spans])
            key = self.same[:, :, j].tobytes() + self.sibling[:, :, j].tobytes() + spans.encode()
            column_of.append(found.setdefault(key, len(found)))
        return len(found), column_of

    def updates(self, column_of: list[int], columns: int) -> tuple[np.ndarray, list[int]]:
        """Update rows of all commands, and where each command's begin."""
        rows: list[tuple[int, int, int, int]] = []
        begins = [0]
        for i in range(len(self.names)):
            for column in range(columns):
                j = column_of.index(column)
                widest = 0
                for level in range(len(self.nodes)):
                    latency = int(self.same[level, i, j])
                    if latency > widest:
                        widest = latency
                        rows.append((level, column, latency, 0))
                    if self.sibling[level, i, j] > 0:
                        rows.append((level, column, int(self.sibling[level, i, j]), 1))
            begins.append(len(rows))
        return np.array(rows, layout.UPDATE_DT), begins

    def windows(self, column_of: list[int]) -> tuple[np.ndarray, list[int], int]:
        """Window rows of all commands, where each command's begin, and the length of the ring store."""
        rows: list[tuple[int, int, int, int, int, int]] = []
        begins = [0]
        bases, entries = [], 0
        for level, size, _ in self.spans:
            bases.append(entries)
            entries += self.nodes[level] * (size + 1)
        for i in range(len(self.names)):
            for (level, size, pairs), base in zip(self.spans, bases, strict=True):
                followers: dict[int, int] = {}
                for j, latency in pairs.get(i, {}).items():
                    followers[column_of[j]] = max(latency, followers.get(column_of[j], 0))
                for k, (column, latency) in enumerate(followers.items()):
                    rows.append((level, size, base, latency, column, int(k == 0)))
            begins.append(len(rows))
        return np.array(rows, layout.WINDOW_DT), begins, max(entries, 1)


def _parameters(
    config: DramConfig, level_of: dict[str, int], nodes: list[int], columns: int, commands: int, table: _Table
) -> np.ndarray:
    """The scalar parameters of the engine, in ticks."""
    par = np.zeros(1, layout.PAR_DT)
    p = par[0]
    c, timing = config.controller, config.timing
    scope_level = level_of[config.refresh_scope]
    scopes = nodes[scope_level]
    ticks = table.ticks
    p["banks"], p["levels"], p["columns"], p["commands"] = config.banks, len(nodes), columns, commands
    p["scopes"], p["banks_per_scope"], p["scope_level"] = scopes, config.banks // scopes, scope_level
    p["read_capacity"], p["write_capacity"] = c.read_queue, c.write_queue
    p["read_latency"] = ticks(table.value(config.read_latency, "read_latency")) + ticks(
        max(config.commands[layout.RD].clocks - 1, 0)
    )
    p["write_latency"] = ticks(table.value(config.write_latency, "write_latency")) + ticks(
        max(config.commands[layout.WR].clocks - 1, 0)
    )
    p["burst"] = ticks(float(timing["nBL"]))
    p["forward_writes"], p["serial_arrivals"] = int(c.forward_writes), int(c.serial_arrivals)
    p["refresh"] = _REFRESH[c.refresh]
    if c.refresh != "none":
        _refresh_parameters(config, p, ticks)
    p["power_down"] = int(c.power_down)
    if c.power_down:
        busy = max(table.value("nCL + nBL + 1", "power-down"), table.value("nCWL + nBL + nWR + 1", "power-down"))
        p["power_down_idle"] = ticks(max(c.power_down_idle, busy))
        p["power_down_exit"] = ticks(table.value("nXP", "power-down exit"))
    return par


def _refresh_parameters(config: DramConfig, p: np.void, ticks: object) -> None:
    assert callable(ticks)
    timing, c = config.timing, config.controller
    per_bank = c.refresh == "per_bank"
    name = "nRFCpb" if per_bank else "nRFCab"
    for needed in ("nREFI", name):
        if not timing.get(needed):
            raise ConfigError(f"{config.name}: {c.refresh} refresh needs timing.{needed}; this standard has none")
    interval = int(ticks(float(timing["nREFI"])))
    p["refresh_interval"] = interval // int(p["banks_per_scope"]) if per_bank else interval
    p["refresh_ticks"] = int(ticks(float(timing[name])))
    p["refresh_postpone"] = c.refresh_postpone
    if p["refresh_interval"] < 1:
        raise ConfigError(f"{config.name}: timing.nREFI: refresh interval below one tick")
