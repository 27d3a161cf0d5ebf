"""Perfetto timeline of one token: what the pins, the banks and the ASIC do, instruction by instruction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from archsim.model.compile import entry
from archsim.pim.program import ProgramBuilder
from archsim.pim.run import UNITS, PimResult, fresh_state, parameters


def timeline_events(result: PimResult, layers: int | None = None) -> list[dict[str, Any]]:
    """Trace events of the run's last token, from an idle machine on; times in microseconds.

    Args:
        result: the run.
        layers: how many layers (default: all).
    """
    model, batch = result.model, result.batch
    context = result.prompt + result.tokens
    program = ProgramBuilder(result.layout).layer(context)
    count = min(layers or model.layers, model.layers)
    records = program.records()
    log = np.zeros((count * len(records), 2), np.int64)
    par = parameters(result.layout, result.mode)
    state, busy, ready = fresh_state(par, batch)
    first = np.array([[0, len(records), len(records)]], np.int64)
    entry("asic", "run_tokens")(
        records, first, count, par, state, busy, ready, np.zeros(len(records), np.int64), np.zeros(1, np.int64), log
    )
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 0, "tid": 0, "args": {"name": f"{model.name}, token {context}"}}
    ]
    for number, unit in enumerate((*UNITS[:3], "layer")):
        events.append({"ph": "M", "name": "thread_name", "pid": 0, "tid": number, "args": {"name": unit}})
    for k, (start, end) in enumerate(log):
        layer, i = divmod(k, len(records))
        one = program.instructions[i]
        details = {"layer": layer, "operation": one.op, "sequence": one.sequence}
        events.append(
            {"ph": "X", "pid": 0, "tid": one.unit, "name": one.name, "ts": start * 1e-6, "dur": (end - start) * 1e-6,
             "args": details}
        )  # fmt: skip
    for layer in range(count):
        part = log[layer * len(records) : (layer + 1) * len(records)]
        begin, end = int(part[:, 0].min()), int(part[:, 1].max())
        name = f"layer {layer}"
        # Layers overlap where batches do; asynchronous spans may.
        common = {"cat": "layer", "name": name, "pid": 0, "tid": 3, "id": name}
        events += [{**common, "ph": "b", "ts": begin * 1e-6}, {**common, "ph": "e", "ts": end * 1e-6}]
    return events


def write_timeline(result: PimResult, path: str | Path) -> None:
    """Write the JSON file that ui.perfetto.dev reads; OSError when that fails."""
    other = {"model": result.model.name, "config": result.system.name, "mode": result.mode}
    content = {"traceEvents": timeline_events(result), "displayTimeUnit": "ns", "otherData": other}
    Path(path).write_text(json.dumps(content))
