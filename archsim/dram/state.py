"""Initial state of the DRAM engine for one compiled configuration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import archsim.plugins.dram  # noqa: F401 - registers the built-in schedulers and page policies
from archsim.dram.compiler import CompiledDram
from archsim.errors import ConfigError
from archsim.kernels import dram_layout as layout
from archsim.kernels.slots import REGISTRY

LONG_AGO = -(1 << 40)


def make_state(
    dram: CompiledDram, *, channels: int | None = None, arrivals: int = 1024, completions: int = 2048, log: int = 0
) -> layout.Dram:
    """State with all banks closed at tick 0.

    Args:
        dram: compiled configuration.
        channels: number of channels; the configuration's by default.
        arrivals: places in the arrival queue of a channel (requests pushed and not yet admitted).
        completions: places for completions that the caller has not collected.
        log: commands to keep per channel (0: none).

    Raises:
        ConfigError: unknown scheduler or page policy.
    """
    config, par = dram.config, dram.par
    n = config.channels if channels is None else channels
    p = par[0]
    banks, scopes = int(p["banks"]), int(p["scopes"])
    groups = dram.nodes[-2] if len(dram.nodes) > 1 else 1  # nodes of the level just above the banks
    controller = replace(config.controller, page_timeout_ticks=config.controller.page_timeout * config.ticks_per_clock)
    state = layout.Dram(
        par=par,
        channel=np.zeros(n, layout.CHANNEL_DT),
        bank=np.zeros((n, banks), layout.BANK_DT),
        queue=np.zeros((n, banks, 2), layout.QUEUE_DT),
        fresh=np.zeros((n, banks), np.int64),
        candidate=np.zeros((n, banks, 2), layout.CANDIDATE_DT),
        upper=np.zeros((n, groups, 4), np.int64),
        group=np.arange(banks) // (banks // groups),
        occupied=np.zeros((n, banks), np.int64),
        ready=np.zeros((n, sum(dram.nodes) * int(p["columns"])), np.int64),
        path=dram.path,
        fanout=dram.fanout,
        command=dram.command,
        update=dram.update,
        window=dram.window,
        ring=np.full((n, dram.ring_entries), LONG_AGO, np.int64),
        scope=np.zeros((n, scopes), layout.SCOPE_DT),
        request=np.zeros((n, int(p["read_capacity"] + p["write_capacity"]) + banks + 1), layout.REQUEST_DT),
        arrival=np.zeros((n, arrivals), layout.ARRIVAL_DT),
        done=np.zeros((n, completions), layout.DONE_DT),
        count=np.zeros((n, len(dram.names)), np.int64),
        log=np.zeros((n, log), layout.LOG_DT),
        scheduler=_plugin("dram_scheduler", controller.scheduler).create(controller, n),  # type: ignore[attr-defined]
        page=_plugin("dram_page", controller.page).create(controller, n),  # type: ignore[attr-defined]
    )
    for field in ("row", "active", "place"):
        state.bank[field] = -1
    state.channel["stale"] = -1
    state.bank["scope"] = np.arange(banks) // int(p["banks_per_scope"])
    for field in ("head", "tail", "hit", "miss"):
        state.queue[field] = -1
    state.request["next"] = np.arange(1, state.request.shape[1] + 1)
    refreshes = p["refresh"] != layout.REFRESH_NONE
    state.scope["due"] = p["refresh_interval"] if refreshes else layout.NEVER
    state.channel["next_refresh"] = state.scope["due"][0, 0]
    for w in dram.window:  # the first number of each ring is its position
        nodes = dram.nodes[w["level"]]
        state.ring[:, w["base"] + np.arange(nodes) * (w["size"] + 1)] = 0
    return state


def _plugin(kind: str, name: str) -> type:
    try:
        return REGISTRY[kind, name]
    except KeyError:
        known = ", ".join(sorted(n for k, n in REGISTRY if k == kind))
        raise ConfigError(f"controller.{kind.removeprefix('dram_')}: no {kind} {name!r}; known: {known}") from None
