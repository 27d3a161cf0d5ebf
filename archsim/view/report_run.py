"""What the report page of a run shows, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from archsim.config.output import flatten
from archsim.engine.run import KernelResult, RunResult
from archsim.kernels import layout as lay
from archsim.stats import derived_metrics
from archsim.stats.text import kernel_rows
from archsim.view.page import reasons
from archsim.view.roofline import roofline

DETAILED_KERNELS = 40  # launches with timeline, listing and metrics on the page: the longest ones
SERIES = (
    "warp_instructions",
    "warp_cycles",
    "load_sectors",
    "load_sector_hits",
    "load_sector_pending",
    "l2_read_sectors",
    "l2_read_hits",
    "l2_write_sectors",
    "dram_read_bytes",
    "dram_write_bytes",
)


def run_data(result: RunResult, path: str | Path, other: RunResult | None = None, other_path: str | Path = "") -> Any:
    """Data of `page.page_html` for a run, or for two of them side by side."""
    docs: dict[str, tuple[str, str]] = {}
    results = [(result, path)] + ([(other, other_path)] if other is not None else [])
    runs = [_run(one, str(place), docs, detailed=number == 0) for number, (one, place) in enumerate(results)]
    title = f"{Path(result.trace_source or str(path)).name} on {result.config.name}"
    facts = [f"{place}: {_facts(one)}" for one, place in results]
    notes = [note for one, _ in results for note in one.notes]
    return {
        "kind": "run",
        "title": title if other is None else f"{title}, compared with {Path(other_path).name}",
        "facts": facts,
        "notes": notes,
        "reasons": reasons(),
        "metric_docs": docs,
        "runs": runs,
    }


def _facts(result: RunResult) -> str:
    state = "" if result.complete else f"; partial ({result.stop_reason})"
    return (
        f"{len(result.kernels)} launches, {result.cycles:,} elapsed cycles, {result.warp_instructions:,} "
        f"warp-instructions; sm_{result.arch} trace {result.trace_sha256[:12]}{state}"
    )


def _run(result: RunResult, label: str, docs: dict[str, tuple[str, str]], *, detailed: bool) -> dict[str, Any]:
    longest = (
        {k.index for k in sorted(result.kernels, key=lambda k: -k.cycles)[:DETAILED_KERNELS]} if detailed else set()
    )
    return {
        "label": label,
        "num_sms": result.config.num_sms,
        "kernels": [_kernel(k, result.config, docs, k.index in longest) for k in result.kernels],
        "config": {name: str(value) for name, value in flatten(result.config).items()},
        "roofline": asdict(roofline(result)),
    }


def _kernel(kernel: KernelResult, config: Any, docs: dict[str, tuple[str, str]], detail: bool) -> dict[str, Any]:
    grid, block = ("x".join(map(str, d)) for d in (kernel.launch.grid, kernel.launch.block))
    data: dict[str, Any] = {
        "index": kernel.index,
        "name": kernel.name,
        "grid": grid,
        "block": block,
        "cycles": kernel.cycles,
        "warp_instructions": kernel.warp_instructions,
        "issue_slots": kernel.issue_slots,
        "stalls": kernel.stalls,
        "derived": derived_metrics(kernel, config),
        "detail": detail,
        "timeline": None,
        "source": None,
    }
    if detail:
        data["metrics"] = {}
        for name, value, unit, doc in kernel_rows(kernel, config):
            data["metrics"][name] = value
            docs[name] = (unit, doc)
        data["timeline"] = _timeline(kernel)
        data["source"] = _source(kernel)
    return data


def _timeline(kernel: KernelResult) -> dict[str, Any] | None:
    lines = kernel.timeline
    if lines is None or not len(lines.cycles):
        return None
    return {
        "edges": lines.edges,
        "stalls": {name: lines.stalls[:, number] for number, name in enumerate(lay.REASON_NAMES)},
        "counters": {name: lines.counter(name) for name in SERIES},
    }


def _source(kernel: KernelResult) -> dict[str, Any] | None:
    if kernel.per_pc is None or not kernel.listing:
        return None
    rows, columns = np.nonzero(kernel.per_pc)
    slots = np.stack([rows, columns, kernel.per_pc[rows, columns]], axis=1)
    return {"listing": [list(line) for line in kernel.listing], "slots": slots}
