"""Pictures of a run for papers: matplotlib figures, written as PNG, PDF or SVG."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from archsim.engine.run import KernelResult, RunResult
from archsim.errors import RunError
from archsim.kernels import layout as lay
from archsim.view.page import COLOURS
from archsim.view.roofline import roofline

STACKED_KERNELS = 30
TIMELINES = 8  # launches drawn over time: the longest ones
DPI = 160


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise RunError("pictures need matplotlib: pip install 'archsim[report]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def write_pictures(result: RunResult, folder: str | Path, kind: str = "png") -> list[Path]:
    """Write every picture of a run into ``folder``; returns their paths. RunError if it cannot be written."""
    place = Path(folder)
    written = []
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, figure in _pictures(result):
            written.append(place / f"{name}.{kind}")
            figure.savefig(written[-1], dpi=DPI)
    except OSError as error:
        raise RunError(f"{place}: the pictures cannot be written: {error.strerror or error}") from None
    return written


def _pictures(result: RunResult) -> Iterator[tuple[str, Any]]:
    yield "roofline", roofline_figure(result)
    yield "stalls", stall_figure(result)
    longest = sorted(result.kernels, key=lambda k: -k.cycles)[:TIMELINES]
    for kernel in sorted(longest, key=lambda k: k.index):
        if kernel.timeline is not None and len(kernel.timeline.cycles):
            name = re.sub(r"\W+", "_", kernel.name)[:40]
            yield f"timeline-{kernel.index}-{name}", timeline_figure(kernel, result.config.num_sms)


def roofline_figure(result: RunResult) -> Any:
    """Instruction roofline at L1, L2 and DRAM (`archsim.view.roofline`). A matplotlib Figure."""
    roof = roofline(result)
    figure = _figure(7, 4.6)
    axes = figure.subplots()
    reach = [point.intensity for point in roof.points] or [1.0]
    low, high = min(0.01, *reach) / 2, max(100.0, *reach) * 2
    peak = roof.peak_instructions_per_ns
    marks = {"L1": "o", "L2": "s", "DRAM": "D"}
    for number, (level, rate) in enumerate(roof.transactions_per_ns.items()):
        axes.plot([low, peak / rate], [low * rate, peak], color=f"C{number}", label=f"{level} {rate:,.1f} G trans./s")
        points = [p for p in roof.points if p.level == level]
        axes.scatter(
            [p.intensity for p in points],
            [p.instructions_per_ns for p in points],
            s=22,
            color=f"C{number}",
            marker=marks[level],
        )
    axes.axhline(peak, color="0.2", label=f"issue {peak:,.0f} G inst./s")
    axes.set(xscale="log", yscale="log", xlim=(low, high), title=f"Instruction roofline, {result.config.name}")
    axes.set(xlabel="warp-instructions per 32-byte transaction", ylabel="G warp-instructions/s")
    axes.legend(fontsize="small")
    return figure


def stall_figure(result: RunResult) -> Any:
    """Issue slots by fate, one bar a launch (the longest ones). A matplotlib Figure."""
    kernels = sorted(result.kernels, key=lambda k: -k.cycles)[:STACKED_KERNELS]
    kernels = sorted((k for k in kernels if k.issue_slots), key=lambda k: k.index)
    figure = _figure(8, 2.2 + 0.28 * len(kernels))
    axes = figure.subplots()
    names = [f"{k.index}: {k.name[:34]}" for k in kernels]
    left = np.zeros(len(kernels))
    for reason in lay.REASON_NAMES:
        width = np.array([100 * k.stalls[reason] / k.issue_slots for k in kernels])
        if width.any():
            axes.barh(names, width, left=left, color=COLOURS[reason], label=reason)
            left += width
    axes.invert_yaxis()
    axes.set(xlim=(0, 100), xlabel="% of issue slots", title=f"Issue slots by fate, {result.config.name}")
    figure.legend(loc="outside right upper", fontsize="small")
    return figure


def timeline_figure(kernel: KernelResult, num_sms: int) -> Any:
    """Issue slots, issue and occupancy, cache hits, traffic of one launch over time. A matplotlib Figure.

    RunError if the launch was run without a timeline.
    """
    lines = kernel.timeline
    if lines is None:
        raise RunError(f"{kernel.name}: has no timeline: it was run with --timeline 0")
    figure = _figure(9, 8)
    slots, issue, hits, traffic = figure.subplots(4, 1, sharex=True, height_ratios=(3, 1.3, 1.3, 1.3))
    _slots_over_time(slots, lines)

    def line(axes: Any, values: Any, label: str) -> None:
        axes.stairs(values, lines.edges, label=label, baseline=None)

    def share(part: Any, whole: Any) -> Any:
        return np.divide(100.0 * part, whole, out=np.full(len(whole), np.nan), where=whole > 0)

    get, cycles = lines.counter, lines.cycles
    line(issue, get("warp_instructions") / cycles, "IPC of the chip")
    line(issue, get("warp_cycles") / cycles / num_sms, "resident warps of an SM")
    line(hits, share(get("load_sector_hits") + get("load_sector_pending"), get("load_sectors")), "L1D hits")
    line(hits, share(get("l2_read_hits"), get("l2_read_sectors")), "L2 read hits")
    line(traffic, 32 * get("l2_read_sectors") / cycles, "L2 read")
    line(traffic, 32 * get("l2_write_sectors") / cycles, "L2 written")
    line(traffic, get("dram_read_bytes") / cycles, "DRAM read")
    line(traffic, get("dram_write_bytes") / cycles, "DRAM written")
    hits.set(ylim=(0, 101), ylabel="%")
    traffic.set(xlabel="cycles since launch", ylabel="bytes/cycle", xlim=(0, lines.edges[-1]))
    slots.set_title(f"{kernel.index}: {kernel.name}")
    for axes in (issue, hits, traffic):
        axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _slots_over_time(axes: Any, lines: Any) -> None:
    total = lines.stalls.sum(axis=1)
    base = np.zeros(len(total))
    for number, reason in enumerate(lay.REASON_NAMES):
        top = base + 100 * lines.stalls[:, number] / total
        if (top > base).any():
            axes.stairs(top, lines.edges, baseline=base, fill=True, color=COLOURS[reason], label=reason)
        base = top
    axes.set(ylim=(0, 100), ylabel="% of issue slots")
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))


def correlation_figure(measured: Any, simulated: Any, *, quantity: str = "cycles", title: str = "") -> Any:
    """Simulated against measured values, one point a kernel, with the mean of |simulated - measured| / measured.

    ``measured``, ``simulated``: positive numbers, same length. RunError otherwise. A matplotlib Figure.
    """
    x, y = np.asarray(measured, float), np.asarray(simulated, float)
    if x.shape != y.shape or x.ndim != 1 or not len(x) or (x <= 0).any() or (y <= 0).any():
        raise RunError("a correlation picture needs two lists of the same length, of positive numbers")
    figure = _figure(5.4, 5.2)
    axes = figure.subplots()
    ends = np.array([min(x.min(), y.min()) / 1.5, max(x.max(), y.max()) * 1.5])
    axes.plot(ends, ends, color="0.3", linewidth=1)
    axes.fill_between(ends, 0.8 * ends, 1.2 * ends, color="0.9", label="within 20 %")
    axes.scatter(x, y, 16)
    mape = float(np.mean(np.abs(y - x) / x))
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.set(xlabel=f"measured {quantity}", ylabel=f"simulated {quantity}")
    axes.set_title(f"{title}  n = {len(x)}, MAPE {100 * mape:.1f} %".strip())
    axes.legend(fontsize="small", loc="upper left")
    return figure
