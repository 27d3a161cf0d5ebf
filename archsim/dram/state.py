"""Initial state of the DRAM engine for one compiled configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

import archsim.plugins.dram  # noqa: F401 - registers the built-in schedulers and page policies
from archsim.dram.compiler import KIND_COMMANDS, CompiledDram
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
    banks, groups, scopes = int(p["banks"]), int(p["groups"]), int(p["scopes"])
    controller = replace(config.controller, page_timeout_ticks=config.controller.page_timeout * config.ticks_per_clock)
    state = layout.Dram(
        par=par,
        channel=np.zeros(n, layout.CHANNEL_DT),
        bank=np.zeros((n, banks), layout.BANK_DT),
        queue=np.zeros((n, banks, 2), layout.QUEUE_DT),
        fresh=np.ones((n, banks), np.int64),
        changed=np.zeros((n, banks), np.int64),
        first=np.full((n, layout.NUM_KINDS * banks), layout.NEVER),
        key=np.full((n, layout.NUM_KINDS * banks), layout.NEVER),
        offers=np.zeros((n, layout.NUM_KINDS), np.int64),
        group_first=np.full((n, layout.NUM_KINDS * groups), layout.NEVER),
        soonest=np.zeros((n, layout.NUM_KINDS * groups), np.int64),
        align=np.repeat(dram.command["align"][list(KIND_COMMANDS)], groups),
        above=np.zeros((n, int(p["columns"]) * groups), np.int64),
        ready=np.zeros((n, banks, int(p["columns"])), np.int64),
        hold_above=dram.hold_above,
        hold_bank=dram.hold_bank,
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
        scheduler=_plugin("dram_scheduler", controller.scheduler).create(controller, n),
        page=_plugin("dram_page", controller.page).create(controller, n),
    )
    for field in ("row", "active"):
        state.bank[field] = -1
    state.channel["number"] = np.arange(n)
    state.channel["stale"] = -1
    state.bank["group"] = np.arange(banks) // int(p["group_size"])
    state.bank["scope"] = np.arange(banks) // int(p["banks_per_scope"])
    for field in ("head", "tail", "hit", "miss"):
        state.queue[field] = -1
    state.request["next"] = np.arange(1, state.request.shape[1] + 1)
    refreshes = p["refresh"] != layout.REFRESH_NONE
    state.scope["due"] = p["refresh_interval"] if refreshes else layout.NEVER
    state.channel["next_refresh"] = state.scope["due"][0, 0]
    for w in dram.window:  # the first number of each ring is its position
        nodes = groups // w["groups"] if w["groups"] else banks
        state.ring[:, w["base"] + np.arange(nodes) * (w["size"] + 1)] = 0
    return state


def _plugin(kind: str, name: str) -> Any:
    try:
        return REGISTRY[kind, name]
    except KeyError:
        known = ", ".join(sorted(n for k, n in REGISTRY if k == kind))
        raise ConfigError(f"controller.{kind.removeprefix('dram_')}: no {kind} {name!r}; known: {known}") from None
