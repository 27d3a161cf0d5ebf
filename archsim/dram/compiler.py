"""From a standard's table to the flat arrays of the engine (archsim/kernels/dram_layout.py).

Levels with a single child per parent are merged with the parent. Constraints between the same commands are folded to
their maximum, and commands that every constraint treats alike as followers share a column of ready times. The result
has two forms. As a list (``update``): what each command holds up at each level, less what a wider level implies; some
ten numbers per command. As dense rows (``hold_above``, ``hold_bank``): the ticks for which each command holds up
every column of every group of banks, and of its own bank; a few vector instructions apply one.

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

KIND_COMMANDS = (layout.ACT, layout.PRE, layout.RD, layout.WR)  # by kind
MAX_LATENCY = 1 << 29  # ticks; latencies are kept in 32 bits
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
    hold_above: np.ndarray
    hold_bank: np.ndarray
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
    update, begins, sibling_begins = table.updates(column_of)
    window, window_begins, ring_entries = table.windows(column_of)
    command = np.zeros(len(names), layout.COMMAND_DT)
    command["column"] = column_of
    command["align"] = [config.ticks_per_clock - 1 if c.align else 0 for c in config.commands]
    command["update_begin"], command["update_end"] = begins[:-1], begins[1:]
    command["sibling_begin"] = sibling_begins
    command["window_begin"], command["window_end"] = window_begins[:-1], window_begins[1:]
    firsts = np.cumsum([0, *nodes])[:-1]
    path = np.zeros((config.banks, len(nodes)), np.int64)
    fanout = np.zeros((len(nodes), 2), np.int64)
    for level, n in enumerate(nodes):
        path[:, level] = (firsts[level] + np.arange(config.banks) // (config.banks // n)) * columns
        fanout[level] = (fanouts[level], firsts[level] * columns)
    scopes = tuple(config.refresh_scope if c.name in ("PREA", "REFAB") else c.scope for c in config.commands)
    return CompiledDram(
        config=config,
        names=names,
        level_of=level_of,
        nodes=tuple(nodes),
        scope_of_command=scopes,
        command=command,
        hold_above=table.hold_above(column_of, columns),
        hold_bank=table.hold_bank(column_of, columns),
        update=update,
        window=window,
        path=path,
        fanout=fanout,
        par=_parameters(config, level_of, nodes, columns, table),
        ring_entries=ring_entries,
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
        self.groups = nodes[-2] if len(nodes) > 1 else 1
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
                if latency > MAX_LATENCY:
                    raise ConfigError(f"{self.config.name}: constraint {row}: {latency} ticks, at most {MAX_LATENCY}")
                pairs.setdefault(first, {})[second] = latency
                if row.window == 1 and latency > 0:
                    target = self.sibling if row.sibling else self.same
                    target[level, first, second] = max(target[level, first, second], latency)
        if row.window > 1:
            self.spans.append((level, row.window, pairs))

    def columns(self) -> tuple[int, list[int]]:
        """Number of columns of ready times, a multiple of four, and each command's column.

        The commands of the kinds (`KIND_COMMANDS`) have the first four columns.
        """
        found: dict[bytes, int] = {}
        column_of = [-1] * len(self.names)
        columns = 0
        for j in (*KIND_COMMANDS, *range(len(self.names))):
            if column_of[j] >= 0:
                continue
            spans = repr([sorted((i, p[j]) for i, p in pairs.items() if j in p) for _, _, pairs in self.spans])
            key = self.same[:, :, j].tobytes() + self.sibling[:, :, j].tobytes() + spans.encode()
            column_of[j] = columns if j in KIND_COMMANDS else found.get(key, columns)
            columns = max(columns, column_of[j] + 1)
            found.setdefault(key, column_of[j])
        return -(-columns // 4) * 4, column_of  # (vectors of four)

    def hold_above(self, column_of: list[int], columns: int) -> np.ndarray:
        """Ticks for which each command holds up [command, group of its bank, column * groups + group]."""
        groups = np.arange(self.groups)
        table = np.full((len(self.names), self.groups, columns, self.groups), layout.NO_HOLD, np.int32)
        parent = np.zeros(self.groups, np.int64)
        for level, nodes in enumerate(self.nodes[:-1]):
            node = groups // (self.groups // nodes)
            same = node[:, None] == node
            sibling = (parent[:, None] == parent) & ~same
            for column in range(max(column_of) + 1):
                j = column_of.index(column)
                for where, latency in ((same, self.same[level, :, j]), (sibling, self.sibling[level, :, j])):
                    held = np.where(where & (latency > 0)[:, None, None], latency[:, None, None], layout.NO_HOLD)
                    table[:, :, column] = np.maximum(table[:, :, column], held)
            parent = node
        return table.reshape(len(self.names), self.groups, -1)

    def hold_bank(self, column_of: list[int], columns: int) -> np.ndarray:
        """Ticks for which each command holds up its own bank: [command, column]."""
        table = np.full((len(self.names), columns), layout.NO_HOLD, np.int32)
        for column in range(max(column_of) + 1):
            latency = self.same[-1, :, column_of.index(column)]
            table[:, column] = np.where(latency > 0, latency, layout.NO_HOLD)
        return table

    def updates(self, column_of: list[int]) -> tuple[np.ndarray, list[int], list[int]]:
        """Update rows of all commands, where each command's begin, and where its rows for the other banks do (last)."""
        rows: list[tuple[int, int, int, int]] = []
        begins, sibling_begins = [0], []
        deepest = len(self.nodes) - 1
        for i in range(len(self.names)):
            siblings: list[tuple[int, int, int, int]] = []
            for column in range(max(column_of) + 1):
                j = column_of.index(column)
                widest = 0
                for level in range(len(self.nodes)):
                    latency = int(self.same[level, i, j])
                    if latency > widest:
                        widest = latency
                        rows.append((level, column, latency, 0))
                    if self.sibling[level, i, j] > 0:
                        row = (level, column, int(self.sibling[level, i, j]), 1)
                        (siblings if level == deepest else rows).append(row)
            sibling_begins.append(len(rows))
            rows += siblings
            begins.append(len(rows))
        return np.array(rows, layout.UPDATE_DT), begins, sibling_begins

    def windows(self, column_of: list[int]) -> tuple[np.ndarray, list[int], int]:
        """Window rows of all commands, where each command's begin, and the length of the ring store."""
        rows: list[tuple[int, int, int, int, int, int, int]] = []
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
                    groups = self.groups // self.nodes[level] if level < len(self.nodes) - 1 else 0
                    rows.append((level, groups, size, base, latency, column, int(k == 0)))
            begins.append(len(rows))
        return np.array(rows, layout.WINDOW_DT), begins, max(entries, 1)


def _parameters(
    config: DramConfig, level_of: dict[str, int], nodes: list[int], columns: int, table: _Table
) -> np.ndarray:
    """The scalar parameters of the engine, in ticks."""
    par = np.zeros(1, layout.PAR_DT)
    p = par[0]
    c, timing = config.controller, config.timing
    scope_level = level_of[config.refresh_scope]
    scopes = nodes[scope_level]
    ticks = table.ticks
    p["banks"], p["columns"] = config.banks, columns
    p["groups"], p["group_size"] = table.groups, config.banks // table.groups
    p["scopes"], p["banks_per_scope"] = scopes, config.banks // scopes
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
