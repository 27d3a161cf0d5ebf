"""PIM memories: a DRAM standard with a ``pim:`` section and more commands, ready for the in-order executor.

Use from Python (times in command clocks of ``machine.config.clock_ns`` nanoseconds)::

    machine = PimMachine("pim_gpt", channels=1)        # or a file; overrides={"timing.nRP": 14}; 1 channel stands for 8
    mac = machine.number("MAC16")
    program = machine.records(                         # a structured array (RECORD_DT); every field may be an array
        command=mac, mask=1, row=np.arange(100), count=64)   # 100 rows of 64 columns in all banks
    outcome = machine.run(program)                     # OUTCOME_DT: taken, first, last, done of each record
    machine.channel["row_hits"], machine.counts()      # counters so far; the state goes on into the next `run`

A record asks for column commands; the rows, modes and refreshes that they need are put in front of them. ``rows=k``
makes one record of k successive rows with ``count`` columns each (the fastest form: about a microsecond a row on one
core). ``not_before`` delays a record to a tick, ``flags=WAIT`` makes the following ones wait for its completion.
Successive records of plain reads and writes (RD, WR) are served out of order over the banks (kernels/pim_plain.py).

From compiled code: ``archsim.kernels.pim_run.step(ref(machine.state), record, outcome)`` runs one record. Identical
channels need to be simulated only once: build the machine with ``channels=1`` and multiply the counters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsim.dram.compiler import CompiledDram, compile_dram
from archsim.dram.config import Command, DramConfig, load_dram
from archsim.dram.expressions import evaluate
from archsim.errors import ConfigError, RunError
from archsim.kernels import dram_layout
from archsim.kernels.dram_layout import LOG_DT
from archsim.kernels.pim_layout import (
    BARRIER,
    BURST_DT,
    FENCE,
    FRONT_DT,
    MODE_ANY,
    NOTHING,
    OUTCOME_DT,
    PIM_BANK_DT,
    PIM_CHANNEL_DT,
    PIM_COMMAND_DT,
    PIM_PAR_DT,
    PLAIN_DT,
    PLAIN_WINDOW,
    RECORD_DT,
    ROUTES,
    RUN,
    WAIT,
    Pim,
)
from archsim.model.compile import entry

__all__ = ["BARRIER", "FENCE", "NOTHING", "RUN", "WAIT", "PimMachine", "PimSpec", "load_pim"]

LONG_AGO = -(1 << 40)
TABLE_ROW = 1 << 29  # rows of look-up tables, beyond those of the array
# What the base commands do; a standard's own commands say it themselves.
_BASE = {
    "ACT": {"opens": True},
    "PRE": {"closes": True},
    "PREA": {"closes": True},
    "RD": {"row": True, "posted": False},
    "RDA": {"row": True, "posted": False, "closes": True},
    "WR": {"row": True},
    "WRA": {"row": True, "closes": True},
    "REFAB": {},
    "REFPB": {},
}


@dataclass(frozen=True)
class PimSpec:
    """The ``pim:`` section of a standard.

    ``lanes`` multiply-accumulate units work on ``data_type`` values beside each of a channel's banks (or at the level
    that the standard's commands name). ``each_bank``: rows of many banks are opened one bank after the other, so that
    tRRD and tFAW hold; without it the all-bank activate is exempt, as in the real parts. ``ahead``: rows are opened as
    soon as the command that needs them is in the channel, not only when it is the next. ``mode_command`` changes
    between the access modes. ``queue`` commands (0: any number) wait in a channel; the front end takes an instruction
    every ``decode_cycles``. ``registers`` and ``instructions``: the assembly language (archsim/dram/pim_program.py).
    """

    lanes: int = 16
    data_type: str = "bf16"
    data_bits: int = 16
    global_buffer_bytes: int = 2048
    each_bank: bool = False
    ahead: bool = False
    mode_command: str = ""
    queue: int = 32
    decode_cycles: int = 1
    registers: tuple[str, ...] = ()
    instructions: Mapping[str, Any] | None = None


def load_pim(name: str | Path | DramConfig, overrides: Mapping[str, Any] | Sequence[str] = ()) -> DramConfig:
    """Load a PIM memory (``gddr6_aim``, ``hbm_pim``, ``hbm3_pim``, ``pim_gpt`` or a file). See `load_dram`.

    Raises:
        ConfigError: also if the file has no ``pim:`` section.
    """
    config = name if isinstance(name, DramConfig) else load_dram(name, overrides)
    if not config.pim:
        raise ConfigError(f"{config.name}: plain memory, it has no pim section; configs/pim has memories with one")
    return config


def pim_spec(config: DramConfig) -> PimSpec:
    """The checked ``pim:`` section. ConfigError names the field."""
    known = {f.name: f for f in fields(PimSpec)}
    told = dict(config.pim)
    if isinstance(told.get("registers"), list):
        told["registers"] = tuple(str(name) for name in told["registers"])
    for key, value in told.items():
        where = f"{config.name}: pim.{key}"
        if key not in known:
            raise ConfigError(f"{where}: unknown key; known: {', '.join(known)}")
        default = known[key].default
        if default is None:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: expected a mapping")
        elif type(value) is not type(default):
            raise ConfigError(f"{where}: expected {type(default).__name__}, got {value!r}")
        elif (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value < (0 if key in ("decode_cycles", "queue") else 1)
        ):
            raise ConfigError(f"{where}: {value} is too small")
    return PimSpec(**told)


class PimMachine:
    """One PIM memory and its state.

    Attributes:
        config, spec, dram: the memory, its ``pim:`` section, its compiled tables.
        state: arrays of the executor (`archsim.kernels.pim_layout.Pim`).
        channel, bank: counters and state per channel and per bank (record arrays, see pim_layout).

    Raises:
        ConfigError: not a PIM memory, or commands that don't fit together.
    """

    def __init__(
        self,
        config: str | Path | DramConfig,
        overrides: Mapping[str, Any] | Sequence[str] = (),
        *,
        channels: int | None = None,
        log: int = 0,
    ) -> None:
        self.config = load_pim(config, overrides)
        self.spec = pim_spec(self.config)
        self.dram = compile_dram(self.config)
        n = self.config.channels if channels is None else channels
        if not 1 <= n <= 62:
            raise ConfigError(f"{self.config.name}: channels: 1 to 62 in one program, not {n}")
        self.state = _make_state(self.dram, self.spec, n, log)

    @property
    def channel(self) -> NDArray[Any]:
        """Counters of the channels (PIM_CHANNEL_DT)."""
        counters: NDArray[Any] = self.state.channel
        return counters

    @property
    def bank(self) -> NDArray[Any]:
        """Counters of the banks, [channel, bank] (PIM_BANK_DT)."""
        counters: NDArray[Any] = self.state.bank
        return counters

    def number(self, command: str) -> int:
        """Number of a command. ConfigError if the standard has none of that name."""
        return self.dram.number(command)

    def counts(self) -> dict[str, int]:
        """Commands issued so far, all channels together."""
        return dict(zip(self.dram.names, (int(x) for x in self.state.count.sum(axis=0)), strict=True))

    def records(self, **columns: ArrayLike) -> NDArray[Any]:
        """Program records from columns that broadcast against each other; see RECORD_DT for the names.

        Defaults: kind RUN, mask 1, bank, row, column, flags, not_before 0, count and rows 1. RunError on a record that
        does not fit the memory.
        """
        for name in columns:
            if name not in RECORD_DT.names:
                raise RunError(f"record field {name!r}: unknown; known: {', '.join(RECORD_DT.names or ())}")
        values = {name: np.asarray(value, np.int64) for name, value in columns.items()}
        shape = np.broadcast_shapes((1,), *(v.shape for v in values.values()))
        program = np.zeros(shape, RECORD_DT)
        for name, default in (("mask", 1), ("count", 1), ("rows", 1)):
            program[name] = default
        for name, value in values.items():
            program[name] = value
        self._check(program)
        return program

    def _check(self, program: NDArray[Any]) -> None:
        o = self.config.organization
        runs = program["kind"] == RUN
        info = self.state.info
        limits = {
            "kind": (RUN, NOTHING),
            "command": (0, len(self.dram.names) - 1),
            "mask": (1, (1 << self.state.channel.shape[0]) - 1),
            "bank": (0, self.config.banks - 1),
            "row": (0, TABLE_ROW + o["rows"]),
            "column": (0, o["columns"] - 1),
            "count": (1, 1 << 40),
            "rows": (1, o["rows"]),
            "not_before": (0, 1 << 60),
        }
        for name, (low, high) in limits.items():
            bad = np.flatnonzero(runs & ((program[name] < low) | (program[name] > high)))
            if bad.size:
                value = int(program[name][bad[0]])
                raise RunError(f"record {bad[0]}: {name} {value} is outside of {low} to {high}")
        command = np.where(runs, program["command"], 0)
        in_table = np.array([c.table for c in self.config.commands])[command]
        uses_row = runs & ~in_table & ((info["row"][command] == 1) | (info["opens"][command] == 1))
        too_far = {
            "columns": (runs & (info["row"][command] == 1), program["column"] + program["count"], o["columns"]),
            "rows": (uses_row, program["row"] + program["rows"], o["rows"]),
        }
        for name, (where, end, limit) in too_far.items():
            bad = np.flatnonzero(where & (end > limit))
            if bad.size:
                raise RunError(f"record {bad[0]}: ends at {name} {int(end[bad[0]])} of {limit}")

    def run(self, program: NDArray[Any]) -> NDArray[Any]:
        """Run checked records after everything run before; returns an OUTCOME_DT array of the same length, in ticks."""
        outcome = np.zeros(program.shape, OUTCOME_DT)
        entry("pim_run", "run_program")(self.state, program, outcome)
        return outcome

    def finish(self, end: int | None = None) -> int:
        """Close the open-row accounts at tick ``end`` (default: the end so far); returns it."""
        tick = int(self.state.front[0]["end"]) if end is None else end
        entry("pim_run", "finish")(self.state, tick)
        return tick


def _make_state(dram: CompiledDram, spec: PimSpec, channels: int, log: int) -> Pim:
    config, p = dram.config, dram.par[0]
    info = _command_info(dram, spec)
    front = np.zeros(1, FRONT_DT)
    front["decode"] = spec.decode_cycles * config.ticks_per_clock
    front["queue"] = spec.queue
    pim = np.zeros(1, PIM_PAR_DT)
    pim["mode_command"] = dram.number(spec.mode_command) if spec.mode_command else -1
    pim["each_bank"], pim["ahead"] = spec.each_bank, spec.ahead
    pim["single_open"], pim["single_close"] = dram_layout.ACT, dram_layout.PRE
    channel = np.zeros(channels, PIM_CHANNEL_DT)
    channel["common_row"] = -1
    channel["due"] = p["refresh_interval"] if p["refresh"] != dram_layout.REFRESH_NONE else dram_layout.NEVER
    bank = np.zeros((channels, config.banks), PIM_BANK_DT)
    bank["row"] = -1
    ring = np.full((channels, dram.ring_entries), LONG_AGO, np.int64)
    for w in dram.window:
        ring[:, w["base"] + np.arange(dram.nodes[w["level"]]) * (w["size"] + 1)] = 0
    burst = np.zeros((channels, spec.queue + 2), BURST_DT)
    return Pim(
        par=dram.par,
        pim=pim,
        front=front,
        info=info,
        command=dram.command,
        update=dram.update,
        window=dram.window,
        path=dram.path,
        fanout=dram.fanout,
        span=np.array([config.banks // n for n in dram.nodes], np.int64),
        channel=channel,
        bank=bank,
        route=np.zeros((channels, ROUTES), np.int64),
        ready=np.zeros((channels, sum(dram.nodes) * int(p["columns"])), np.int64),
        ring=ring,
        burst=burst,
        plain=np.zeros((channels, PLAIN_WINDOW), PLAIN_DT),
        count=np.zeros((channels, len(dram.names)), np.int64),
        log=np.zeros((channels, log), LOG_DT),
        logged=np.zeros(channels, np.int64),
    )


def command_facts(command: Command, config: DramConfig) -> dict[str, Any]:
    """What a command does: of a base command by definition, of another as its table row says."""
    told = {f.name: getattr(command, f.name) for f in fields(Command)}
    if command.name in _BASE:
        told |= _BASE[command.name]
        if command.name in ("RD", "RDA"):
            told |= {"latency": config.read_latency, "bytes_out": config.burst_bytes, "reads": 1}
        if command.name in ("WR", "WRA"):
            told |= {"latency": config.write_latency, "bytes_in": config.burst_bytes, "writes": 1}
        if command.name in ("PREA", "REFAB"):
            told["scope"] = config.refresh_scope
    return told


def _command_info(dram: CompiledDram, spec: PimSpec) -> np.ndarray:
    config = dram.config
    table = [command_facts(command, config) for command in config.commands]
    modes = sorted({t["mode"] for t in table} - {"any", "plain"})
    numbers = {"any": MODE_ANY, "plain": 0, **{name: i + 1 for i, name in enumerate(modes)}}
    if len(numbers) > 2 and not spec.mode_command:
        raise ConfigError(f"{config.name}: commands need mode {modes[0]!r}, but pim.mode_command is not set")
    info = np.zeros(len(table), PIM_COMMAND_DT)
    level = [dram.level_of[t["scope"]] for t in table]
    reach = [(t["lockstep"] or dram.level_of[t["scope"]]) for t in table]
    for i, told in enumerate(table):
        k = info[i]
        where = f"{config.name}: commands.{told['name']}"
        k["level"] = level[i]
        k["banks"] = k["extent"] = config.banks // dram.nodes[level[i]]
        k["stride"] = 1
        if told["lockstep"]:
            k["level"], k["extent"] = 0, config.banks
            k["stride"] = config.banks // dram.nodes[dram.level_of[told["lockstep"]]]
            k["banks"] = k["extent"] // k["stride"]
        k["deepest"] = _deepest(dram, i)
        for name in ("opens", "closes", "row", "posted", "bytes_in", "bytes_out", "macs", "route"):
            k[name] = told[name]
        if told["route"] >= ROUTES:
            raise ConfigError(f"{where}.route: 0 to {ROUTES - 1}, not {told['route']}")
        k["plain"] = told["name"] in ("RD", "WR")
        k["mode"] = MODE_ANY if told["name"] == spec.mode_command else numbers[told["mode"]]
        latency = evaluate(told["latency"], config.timing, f"{where}.latency", config.timing["tCK_ps"])
        k["latency"] = int(np.ceil(latency * config.ticks_per_clock))
        k["period"] = 0 if told["closes"] or told["opens"] else _period(dram, i)
        for field, what in (("open_command", "opens"), ("close_command", "closes")):
            fits = [j for j, t in enumerate(table) if t[what] and reach[j] == reach[i] and not t["row"]]
            k[field] = fits[0] if fits else -1
            needed = told["row"] or told["opens"] or (what == "closes" and told["name"] == "REFAB")
            if needed and not fits and not (what == "opens" and spec.each_bank):
                raise ConfigError(f"{where}: no command {what} the rows that it addresses")
    _check_refresh(dram)
    return info


def _deepest(dram: CompiledDram, command: int) -> int:
    """Deepest level at which any constraint, window or bus can hold up the command."""
    column = dram.command[command]["column"]
    rows = [int(r["level"]) for table in (dram.update, dram.window) for r in table if r["column"] == column]
    return max(rows, default=0)


def _period(dram: CompiledDram, command: int) -> int:
    """Ticks between two of a command to the same banks if nothing else is issued; 0 where a window decides."""
    k = dram.command[command]
    begin, end = int(k["update_begin"]), int(k["update_end"])
    own = [r for r in dram.update[begin:end] if r["column"] == k["column"]]
    windows = dram.window[int(k["window_begin"]) : int(k["window_end"])]
    if any(w["column"] == k["column"] for w in windows) or any(r["sibling"] for r in own):
        return 0
    period = max((int(r["latency"]) for r in own), default=0)
    align = int(k["align"])
    return (period + align) & ~align


def _check_refresh(dram: CompiledDram) -> None:
    """Refreshes must leave time between them, or they would never end."""
    p, timing = dram.par[0], dram.config.timing
    if p["refresh"] != dram_layout.REFRESH_NONE and p["refresh_interval"] <= p["refresh_ticks"]:
        raise ConfigError(
            f"{dram.config.name}: timing.nREFI: a refresh of {int(p['refresh_ticks'])} ticks every "
            f"{int(p['refresh_interval'])} ticks leaves no time for work (tCK {timing['tCK_ps']} ps)"
        )
