"""Runs of PIM programs: cycles, row hits, utilisation per bank, pin traffic, energy by command.

Channels that a program treats alike are simulated once and counted as often as there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.dram.config import DramConfig
from archsim.dram.energy import DramEnergy
from archsim.dram.pim import PimMachine, load_pim
from archsim.dram.pim_energy import pim_energy
from archsim.dram.pim_program import PimProgram, read_program
from archsim.kernels.pim_layout import BARRIER


@dataclass(frozen=True)
class PimRun:
    """What a program did. Cycles are command clocks; arrays are over the channels that the program uses.

    ``outcome``: OUTCOME_DT of each record, in ticks. ``bank_busy_share``: [channel, bank], time in which the bank's
    column path is taken. ``log``: LOG_DT of each simulated channel.
    """

    config: DramConfig
    program: PimProgram
    cycles: float
    channels: NDArray[np.int64]
    counts: dict[str, int]
    row_hits: int
    row_misses: int
    row_conflicts: int
    mode_changes: int
    refreshes: int
    macs: int
    bytes_in: int
    bytes_out: int
    pin_share: NDArray[np.float64]
    bank_busy_share: NDArray[np.float64]
    bank_open_share: NDArray[np.float64]
    energy: DramEnergy | None
    outcome: NDArray[Any]
    log: list[NDArray[Any]]

    @property
    def ns(self) -> float:
        """Duration."""
        return self.cycles * self.config.clock_ns

    @property
    def row_hit_rate(self) -> float:
        """Column commands that found their row open."""
        total = self.row_hits + self.row_misses + self.row_conflicts
        return self.row_hits / total if total else 0.0

    def summary(self) -> dict[str, float]:
        """The numbers of a report, by name with unit."""
        ns = max(self.ns, 1e-12)
        result = {
            "cycles": self.cycles,
            "time_ns": self.ns,
            "channels_used": float(self.channels.size),
            "row_hits": float(self.row_hits),
            "row_misses": float(self.row_misses),
            "row_conflicts": float(self.row_conflicts),
            "row_hit_rate": self.row_hit_rate,
            "mode_changes": float(self.mode_changes),
            "refreshes": float(self.refreshes),
            "macs": float(self.macs),
            "gmacs_per_second": self.macs / ns,
            "pin_bytes_in": float(self.bytes_in),
            "pin_bytes_out": float(self.bytes_out),
            "pin_utilisation": float(self.pin_share.mean()) if self.pin_share.size else 0.0,
            "bank_utilisation_mean": float(self.bank_busy_share.mean()) if self.bank_busy_share.size else 0.0,
            "bank_utilisation_min": float(self.bank_busy_share.min(initial=1.0)),
            "bank_utilisation_max": float(self.bank_busy_share.max(initial=0.0)),
            "bank_open_mean": float(self.bank_open_share.mean()) if self.bank_open_share.size else 0.0,
            **{f"commands_{name}": float(n) for name, n in self.counts.items() if n},
        }
        if self.energy is not None:
            result |= {f"energy_{name}_pj": v for name, v in self.energy.components.items() if v}
            result["energy_total_pj"] = self.energy.total_pj
            result["energy_guessed_share"] = self.energy.guessed_share
        return result


def run_program(
    program: str | Path,
    config: str | Path | DramConfig = "gddr6_aim",
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    log: int = 0,
) -> PimRun:
    """Run a program file.

    Args:
        program: text file, see `archsim.dram.pim_program`.
        config: PIM memory: shipped name, file or loaded configuration.
        overrides: see `archsim.dram.load_dram`.
        log: commands to keep per simulated channel.

    Raises:
        TraceError, ConfigError: bad program (file and line) or configuration.
    """
    loaded = load_pim(config, overrides)
    return run_loaded(read_program(program, loaded), loaded, log=log)


def run_loaded(program: PimProgram, config: DramConfig, *, log: int = 0) -> PimRun:
    """Run a program that was read for ``config``."""
    records, members = _fold_channels(program.records, config.channels)
    machine = PimMachine(config, channels=max(len(members), 1), log=log)
    outcome = machine.run(records)
    end = int(outcome["done"].max())
    if (records["kind"] == BARRIER).any():
        end = max(end, int(outcome["done"][records["kind"] == BARRIER].max()) + 1)  # the tick of the last report counts
    machine.finish(end)
    weight = np.array([m.size for m in members], np.int64)
    return _result(program, machine, outcome, end, weight, members)


def _fold_channels(records: NDArray[Any], channels: int) -> tuple[NDArray[Any], list[NDArray[np.int64]]]:
    """Records with a mask bit for each group of channels that the program treats alike, and the groups.

    Channels that only take part in barriers are left out.
    """
    work = records["mask"][records["kind"] != BARRIER]
    masks = np.unique(work[work > 0])
    used = (masks[:, None] >> np.arange(channels)) & 1  # [mask, channel]
    signatures, group = np.unique(used, axis=1, return_inverse=True)
    group = np.asarray(group).reshape(-1)
    keep = [g for g in range(signatures.shape[1]) if signatures[:, g].any()]
    members = [np.flatnonzero(group == g).astype(np.int64) for g in keep]
    table = {int(m): sum(int(signatures[i, g]) << k for k, g in enumerate(keep)) for i, m in enumerate(masks)}
    folded = records.copy()
    everyone = (1 << len(keep)) - 1
    folded["mask"] = [
        everyone if kind == BARRIER else table.get(int(m), 0)
        for kind, m in zip(records["kind"], records["mask"], strict=True)
    ]
    return folded, members


def _result(
    program: PimProgram,
    machine: PimMachine,
    outcome: NDArray[Any],
    end: int,
    weight: NDArray[np.int64],
    members: list[NDArray[np.int64]],
) -> PimRun:
    config, channel, bank = machine.config, machine.channel, machine.bank
    if not members:  # nothing but work of the front end
        weight = np.zeros(1, np.int64)
        members = [np.zeros(0, np.int64)]
    total = {n: int((channel[n] * weight).sum()) for n in channel.dtype.names or ()}
    counts = (machine.state.count * weight[:, None]).sum(axis=0)
    names = machine.dram.names
    order = np.argsort(np.concatenate(members))
    shares = [np.repeat(bank[n] / max(end, 1), weight, axis=0)[order] for n in ("busy_ticks", "open_ticks")]
    tick_ns = config.clock_ns / config.ticks_per_clock
    active = total["active_ticks"] * tick_ns
    everything = int(weight.sum()) * end * tick_ns
    named = {name: int(n) for name, n in zip(names, counts, strict=True)}
    return PimRun(
        config=config,
        program=program,
        cycles=end / config.ticks_per_clock,
        channels=np.sort(np.concatenate(members)),
        counts=named,
        row_hits=total["row_hits"],
        row_misses=total["row_misses"],
        row_conflicts=total["row_conflicts"],
        mode_changes=total["mode_changes"],
        refreshes=total["refreshes"],
        macs=total["macs"],
        bytes_in=total["bytes_in"],
        bytes_out=total["bytes_out"],
        pin_share=np.repeat(channel["pin_ticks"] / max(end, 1), weight)[order],
        bank_busy_share=np.minimum(shares[0], 1.0),
        bank_open_share=shares[1],
        energy=pim_energy(config, named, active, everything - active),
        outcome=outcome,
        log=[machine.state.log[c, : machine.state.logged[c]] for c in range(channel.size)],
    )
