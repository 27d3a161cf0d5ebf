"""Standalone DRAM runs: a stream of requests through the channels of one memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from archsim.dram.compiler import CompiledDram, compile_dram
from archsim.dram.config import DramConfig, load_dram
from archsim.dram.energy import DramEnergy, dram_energy
from archsim.dram.mapping import FIELDS, flat_bank, make_mapping
from archsim.dram.state import make_state
from archsim.errors import RunError, TraceError
from archsim.kernels.dram_layout import Dram
from archsim.model.compile import entry

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Requests:
    """Decoded requests, sorted by nothing: ``time_cycles`` in command clocks, ``bank`` within the channel."""

    time_cycles: Ints
    channel: Ints
    bank: Ints
    row: Ints
    column: Ints
    is_write: NDArray[np.bool_]


@dataclass(frozen=True)
class DramResult:
    """What a run of requests did. Cycles are command clocks of ``config.clock_ns`` nanoseconds."""

    config: DramConfig
    requests: int
    cycles: float
    last_column_cycle: float
    last_admit_cycle: float
    done_cycle: NDArray[np.float64]
    latency_cycles: NDArray[np.float64]
    is_write: NDArray[np.bool_]
    counts: dict[str, int]
    row_hits: int
    row_misses: int
    row_conflicts: int
    forwarded: int
    mode_switches: int
    bank_data_share: NDArray[np.float64]
    bank_open_share: NDArray[np.float64]
    bank_activates: Ints
    state_ns: dict[str, float]
    energy: DramEnergy | None
    log: list[NDArray[Any]] = field(default_factory=list)

    @property
    def ns(self) -> float:
        """Time from 0 to the last completion."""
        return self.cycles * self.config.clock_ns

    @property
    def bytes(self) -> int:
        """Bytes that went over the pins."""
        return sum(self.counts[name] for name in ("RD", "RDA", "WR", "WRA")) * self.config.burst_bytes

    @property
    def bandwidth_gbps(self) -> float:
        """Bytes per nanosecond."""
        return self.bytes / self.ns if self.ns else 0.0

    @property
    def efficiency(self) -> float:
        """Share of the peak bandwidth."""
        return self.bandwidth_gbps / self.config.peak_bytes_per_ns

    @property
    def row_hit_rate(self) -> float:
        """Row hits per request that reached the banks."""
        total = self.row_hits + self.row_misses + self.row_conflicts
        return self.row_hits / total if total else 0.0

    def latency_histogram(self, *, writes: bool = False) -> tuple[Ints, NDArray[np.float64]]:
        """Requests by latency: (counts, bin edges in cycles), edges growing by a quarter octave."""
        latency = self.latency_cycles[self.is_write == writes]
        top = max(float(latency.max(initial=1.0)), 1.0)
        edges = np.unique(np.ceil(2.0 ** np.arange(0, np.log2(top) + 0.5, 0.25)))
        edges = np.concatenate(([0.0], edges, [top + 1])) if edges[-1] <= top else np.concatenate(([0.0], edges))
        counts, edges = np.histogram(latency, edges)
        return counts.astype(np.int64), edges

    def summary(self) -> dict[str, float]:
        """The numbers of a report, by name with unit."""
        reads = self.latency_cycles[~self.is_write]
        percentiles = np.percentile(reads, [50, 99]) if reads.size else (0.0, 0.0)
        result = {
            "requests": float(self.requests),
            "cycles": self.cycles,
            "time_ns": self.ns,
            "bandwidth_gbps": self.bandwidth_gbps,
            "efficiency": self.efficiency,
            "row_hits": float(self.row_hits),
            "row_misses": float(self.row_misses),
            "row_conflicts": float(self.row_conflicts),
            "row_hit_rate": self.row_hit_rate,
            "read_latency_mean_cycles": float(reads.mean()) if reads.size else 0.0,
            "read_latency_median_cycles": float(percentiles[0]),
            "read_latency_p99_cycles": float(percentiles[1]),
            "read_latency_max_cycles": float(reads.max(initial=0.0)),
            "forwarded_reads": float(self.forwarded),
            **{f"commands_{name}": float(n) for name, n in self.counts.items()},
        }
        if self.energy is not None:
            result |= {f"energy_{name}_pj": value for name, value in self.energy.components.items()}
            result["energy_total_pj"] = self.energy.total_pj
            result["energy_guessed_share"] = self.energy.guessed_share
        return result


def run_requests(
    trace: str | Path | tuple[ArrayLike, ArrayLike, ArrayLike],
    config: str | Path | DramConfig = "hbm3",
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    log: int = 0,
) -> DramResult:
    """Run a request stream to the end.

    Args:
        trace: text trace (docs/dram.md lists the formats), or arrays (cycle, byte address, is_write). A request enters
            the channel's queue at its cycle, or when there is room; requests of one channel enter in order of cycle.
        config: shipped name, file, or loaded configuration.
        overrides: see `load_dram`; not with a loaded configuration.
        log: commands to keep per channel.

    Raises:
        TraceError, ConfigError: unreadable trace, wrong configuration.
        RunError: nothing to run, or requests outside of time.
    """
    if not isinstance(config, DramConfig):
        config = load_dram(config, overrides)
    elif overrides:
        raise RunError("overrides need a configuration name or file, not a loaded configuration")
    if isinstance(trace, str | Path):
        from archsim.trace.requests import read_requests

        loaded = read_requests(trace)
        trace = (loaded.cycle, loaded.address, loaded.is_write)
    return run_decoded(decode(config, *trace), config, log=log)


def decode(config: DramConfig, cycle: ArrayLike, address: ArrayLike, is_write: ArrayLike) -> Requests:
    """Map byte addresses to channel, bank, row and column."""
    address = np.asarray(address)
    if address.ndim != 1 or address.dtype.kind not in "iu":
        raise TraceError(f"addresses: expected one dimension of integers, got {address.dtype} {address.shape}")
    fields = make_mapping(config).decode(address)
    time = np.asarray(cycle, np.int64)
    write = np.asarray(is_write, bool)
    if time.shape != address.shape or write.shape != address.shape:
        raise TraceError(f"requests: {time.size} cycles, {address.size} addresses and {write.size} directions")
    return Requests(time, fields["channel"], flat_bank(config, fields), fields["row"], fields["column"], write)


def requests_from_fields(config: DramConfig, time: ArrayLike, is_write: ArrayLike, **fields: ArrayLike) -> Requests:
    """Requests by channel, pseudochannel, rank, bankgroup, bank, row and column (missing ones are 0)."""
    write = np.asarray(is_write, bool)
    full = {name: np.broadcast_to(np.asarray(fields.get(name, 0), np.int64), write.shape) for name in FIELDS.values()}
    time = np.broadcast_to(np.asarray(time, np.int64), write.shape)
    return Requests(time, full["channel"], flat_bank(config, full), full["row"], full["column"], write)


def run_decoded(requests: Requests, config: DramConfig, *, log: int = 0) -> DramResult:
    """Run decoded requests. See `run_requests`."""
    n = requests.time_cycles.size
    if n == 0:
        raise RunError("the trace has no requests")
    if int(requests.time_cycles.min()) < 0:
        raise RunError("requests start before cycle 0")
    dram = compile_dram(config)
    state = make_state(dram, log=log)
    done = np.zeros(n, np.int64)
    admit = np.zeros(n, np.int64)
    ticks = config.ticks_per_clock
    run = entry("dram_run", "run_stream")
    order = np.lexsort((requests.time_cycles, requests.channel))
    ends = np.searchsorted(requests.channel[order], np.arange(config.channels + 1))
    for channel in range(config.channels):
        pick = order[ends[channel] : ends[channel + 1]]
        run(
            state,
            channel,
            np.ascontiguousarray(requests.time_cycles[pick] * ticks),
            np.ascontiguousarray(requests.bank[pick]),
            np.ascontiguousarray(requests.row[pick]),
            np.ascontiguousarray(requests.column[pick]),
            np.ascontiguousarray(requests.is_write[pick].astype(np.int64)),
            np.ascontiguousarray(pick),
            done,
            admit,
        )
    return _result(requests, dram, state, done)


def _result(requests: Requests, dram: CompiledDram, state: Dram, done: Ints) -> DramResult:
    config, ticks = dram.config, dram.config.ticks_per_clock
    channel = state.channel
    end = int(channel["last_time"].max())
    counts = {name: int(total) for name, total in zip(dram.names, state.count.sum(axis=0), strict=True)}
    bank_data = (state.bank["reads"] + state.bank["writes"]) * int(dram.par[0]["burst"])
    open_ticks = state.bank["open_ticks"] + np.where(state.bank["row"] >= 0, end - state.bank["opened"], 0)
    state_ns = _state_times(dram, state, end)
    total = {
        kind: int(channel[f"read_{kind}"].sum() + channel[f"write_{kind}"].sum())
        for kind in ("hits", "misses", "conflicts")
    }
    return DramResult(
        config=config,
        requests=requests.time_cycles.size,
        cycles=end / ticks,
        last_column_cycle=int(channel["last_column"].max()) / ticks,
        last_admit_cycle=int(channel["last_admit"].max()) / ticks,
        done_cycle=done / ticks,
        latency_cycles=done / ticks - requests.time_cycles,
        is_write=requests.is_write,
        counts=counts,
        row_hits=total["hits"],
        row_misses=total["misses"],
        row_conflicts=total["conflicts"],
        forwarded=int(channel["forwarded"].sum()),
        mode_switches=int(channel["mode_switches"].sum()),
        bank_data_share=bank_data / max(end, 1),
        bank_open_share=open_ticks / max(end, 1),
        bank_activates=state.bank["activates"].astype(np.int64),
        state_ns=state_ns,
        energy=dram_energy(config, counts, state_ns),
        log=[state.log[c, : channel[c]["log_count"]] for c in range(config.channels)],
    )


def _state_times(dram: CompiledDram, state: Dram, end: int) -> dict[str, float]:
    """Nanoseconds in each background state, summed over scopes; channels that finish early idle to the end."""
    scope = state.scope
    rest = end - scope["since"]
    active = scope["active_ticks"] + np.where(scope["open"] > 0, rest, 0)
    idle = scope["idle_ticks"] + np.where(scope["open"] > 0, 0, rest)
    tick_ns = dram.config.clock_ns / dram.config.ticks_per_clock
    refreshes = int(scope["refreshes"].sum()) if dram.config.controller.refresh == "all_bank" else 0
    return {
        "active_standby": float(active.sum()) * tick_ns,
        "precharge_standby": float(idle.sum()) * tick_ns,
        "active_power_down": float(scope["active_down_ticks"].sum()) * tick_ns,
        "precharge_power_down": float(scope["idle_down_ticks"].sum()) * tick_ns,
        "refresh": refreshes * int(dram.par[0]["refresh_ticks"]) * tick_ns,
    }
