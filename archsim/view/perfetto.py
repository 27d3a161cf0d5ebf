"""Trace events for ui.perfetto.dev and chrome://tracing. One cycle is shown as one microsecond.

A process is an SM. Its tracks: one a sub-core (what it issued in each cycle), one a warp slot (each instruction until
the warp's next one: its length is what the warp waited), lifetimes of thread blocks and of warps, and memory accesses
in flight as overlapping spans.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archsim.view.pipeline import UNKNOWN, Pipeline

_WARP_TRACKS = 100  # thread ids of warp tracks start here, sub-cores are below


def perfetto_events(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The list of trace events."""
    nsub = pipeline.config.sm.num_subcores
    events: list[dict[str, Any]] = []
    followers = _next_issues(pipeline)
    for number, one in enumerate(pipeline.instructions):
        text = pipeline.texts[one.pc].split(";")[0]
        common = {"pid": one.sm, "ts": one.issue, "name": text}
        details = {"pc": one.pc, "mask": f"{one.mask:#010x}", "warp": one.warp, "writeback": one.writeback}
        events.append({**common, "ph": "X", "dur": 1, "tid": one.warp % nsub, "args": details})
        events.append({**common, "ph": "X", "dur": followers[number], "tid": _WARP_TRACKS + one.warp, "args": details})
        if one.read != UNKNOWN:
            events += _access(number, one, text)
    for sm, slot, cta, first, last in pipeline.ctas:
        events += _span(f"CTA {cta}", "CTAs", sm, f"c{sm}.{slot}.{cta}", first, last)
    for sm, warp, first, last in pipeline.warps:
        events += _span(f"warp {warp}", "warps", sm, f"w{sm}.{warp}.{first}", first, last)
    return _names(pipeline) + sorted(events, key=lambda e: e["ts"])


def _next_issues(pipeline: Pipeline) -> list[int]:
    """Cycles from each instruction to the next one of its warp slot (to its own end for the last one)."""
    gaps = [one.end - one.issue for one in pipeline.instructions]
    latest: dict[tuple[int, int], int] = {}
    for number, one in enumerate(pipeline.instructions):
        before = latest.get((one.sm, one.warp))
        if before is not None:
            gaps[before] = one.issue - pipeline.instructions[before].issue
        latest[one.sm, one.warp] = number
    return gaps


def _access(number: int, one: Any, name: str) -> list[dict[str, Any]]:
    events = _span(name, "memory", one.sm, f"m{number}", one.issue, one.end)
    if one.accept != UNKNOWN:
        mark = {"ph": "n", "cat": "memory", "name": "accepted", "pid": one.sm, "id": f"m{number}", "ts": one.accept}
        events.insert(1, mark | {"tid": 0})
    return events


def _span(name: str, kind: str, sm: int, key: str, first: int, last: int) -> list[dict[str, Any]]:
    """An asynchronous span: such spans may overlap on one track."""
    common = {"cat": kind, "name": name, "pid": sm, "tid": 0, "id": key}
    return [{**common, "ph": "b", "ts": first}, {**common, "ph": "e", "ts": last}]


def _names(pipeline: Pipeline) -> list[dict[str, Any]]:
    def name(kind: str, sm: int, thread: int, text: str) -> dict[str, Any]:
        return {"ph": "M", "ts": 0, "name": kind, "pid": sm, "tid": thread, "args": {"name": text}}

    nsub = pipeline.config.sm.num_subcores
    used = sorted({(one.sm, one.warp) for one in pipeline.instructions})
    events = [name("process_name", sm, 0, f"SM {sm}") for sm in sorted({sm for sm, _ in used})]
    for sm, sub in sorted({(sm, warp % nsub) for sm, warp in used}):
        events.append(name("thread_name", sm, sub, f"sub-core {sub}"))
    for sm, warp in used:
        events.append(name("thread_name", sm, _WARP_TRACKS + warp, f"warp {warp}"))
    return events


def write_perfetto(pipeline: Pipeline, path: str | Path) -> None:
    """Write the JSON file; OSError when that fails."""
    other = {"kernel": pipeline.name, "machine": pipeline.config.name, "unit": "1 us = 1 SM cycle"}
    content = {"traceEvents": perfetto_events(pipeline), "displayTimeUnit": "ms", "otherData": other}
    Path(path).write_text(json.dumps(content))
