"""Correlation plot and error bars: PNG (matplotlib), and one self-contained HTML page with the same two as SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from archsim.errors import RunError
from archsim.validate.comparison import Comparison, Verdict
from archsim.validate.quantities import QUANTITIES
from archsim.validate.tables import (
    KERNEL_HEADER,
    SUMMARY_HEADER,
    VERDICT_HEADER,
    kernel_rows,
    percent,
    summary_rows,
    verdict_rows,
)

_COLOURS = {"tune": "#1f77b4", "report": "#d62728", "": "#444444"}
_LEGEND = {"tune": "tuning half", "report": "reported half", "": "kernels"}

Point = tuple[str, str, float, float, float]  # name, half, simulated, measured, error


def points(comparison: Comparison, name: str = "cycles") -> list[Point]:
    """Kernels with both values of a quantity above 0, in the order of the comparison."""
    quantity = QUANTITIES[name]
    found = []
    for k in comparison.kernels:
        pair, error = k.pair(quantity), k.error(quantity)
        if pair and error is not None and min(pair) > 0:
            found.append((k.name, k.half, pair[0], pair[1], error))
    return found


def write_png(comparison: Comparison, folder: Path) -> list[Path]:
    """``correlation.png`` (log-log) and ``errors.png`` (bars, worst first). RunError when they can't be made."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RunError("pictures need matplotlib: pip install matplotlib") from None
    shown = points(comparison)
    if not shown:
        return []
    figure = Figure(figsize=(6.4, 6.0), dpi=120, layout="constrained")
    axes = figure.subplots()
    for half in sorted({p[1] for p in shown}):
        mine = [p for p in shown if p[1] == half]
        axes.scatter([p[3] for p in mine], [p[2] for p in mine], s=18, c=_COLOURS[half], label=_LEGEND[half])
    low, high = _range(shown)
    for factor, style in ((1.0, "-"), (1.1, ":"), (1 / 1.1, ":")):
        axes.plot([low, high], [low * factor, high * factor], style, c="#888888", lw=0.8)
    axes.set(xscale="log", yscale="log", xlabel="measured cycles", ylabel="simulated cycles", title=comparison.title)
    axes.legend()
    bars = Figure(figsize=(7.0, 0.17 * len(shown) + 1.2), dpi=120, layout="constrained")
    ordered = sorted(shown, key=lambda p: p[4])
    axes = bars.subplots()
    axes.barh([p[0] for p in ordered], [100 * p[4] for p in ordered], color=[_COLOURS[p[1]] for p in ordered])
    axes.tick_params(axis="y", labelsize=6)
    axes.set(xlabel="error of cycles, %", title=comparison.title, ylim=(-0.6, len(ordered) - 0.4))
    axes.grid(axis="x", lw=0.4)
    paths = [folder / "correlation.png", folder / "errors.png"]
    for one, path in zip((figure, bars), paths, strict=True):
        one.savefig(path)
    return paths


def _range(shown: Sequence[Point]) -> tuple[float, float]:
    values = [v for p in shown for v in p[2:4]]
    return 0.7 * min(values), 1.4 * max(values)


def _ticks(low: float, high: float) -> list[float]:
    return [m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            for m in (1, 2, 5) if low <= m * 10.0**e <= high]  # fmt: skip


def correlation_svg(comparison: Comparison, size: int = 520) -> str:
    """Log-log plot; hovering over a point names its kernel."""
    shown = points(comparison)
    if not shown:
        return ""
    low, high = _range(shown)
    margin = 56

    def place(value: float) -> float:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low)) * (size - 2 * margin)

    def xy(measured: float, simulated: float) -> tuple[float, float]:
        return margin + place(measured), size - margin - place(simulated)

    parts = [f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="simulated over measured cycles">']
    for tick in _ticks(low, high):
        x, y = xy(tick, tick)
        parts.append(f'<path d="M{x:.1f} {margin}V{size - margin}M{margin} {y:.1f}H{size - margin}" class="grid"/>')
        label = f"{tick:,.0f}"
        parts.append(f'<text x="{x:.1f}" y="{size - margin + 14}" text-anchor="middle">{label}</text>')
        parts.append(f'<text x="{margin - 5}" y="{y + 3:.1f}" text-anchor="end">{label}</text>')
    (x0, y0), (x1, y1) = xy(low, low), xy(high, high)
    parts.append(f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" class="line"/>')
    for name, half, simulated, measured, error in shown:
        x, y = xy(measured, simulated)
        tip = f"{html.escape(name)}: {simulated:,.0f}, card {measured:,.0f} ({percent(error, 1, True)})"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_COLOURS[half]}"><title>{tip}</title></circle>')
    parts.append(f'<text x="{size / 2}" y="{size - 12}" text-anchor="middle">measured cycles</text>')
    turn = f"rotate(-90 14 {size / 2})"
    parts.append(f'<text x="14" y="{size / 2}" text-anchor="middle" transform="{turn}">simulated cycles</text>')
    return "\n".join([*parts, "</svg>"])


def bars_svg(comparison: Comparison, width: int = 720) -> str:
    """Signed error of the cycles of every kernel, largest first."""
    shown = sorted(points(comparison), key=lambda p: -p[4])
    if not shown:
        return ""
    left, row = 150, 13
    span = max(abs(p[4]) for p in shown) or 1.0
    middle = left + (width - left - 60) * 0.5
    scale = (width - left - 60) * 0.5 / span
    height = row * len(shown) + 10
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="error of every kernel">']
    for i, (name, half, simulated, measured, error) in enumerate(shown):
        y, length = 5 + i * row, abs(error) * scale
        x = middle if error >= 0 else middle - length
        tip = f"{html.escape(name)}: {simulated:,.0f}, card {measured:,.0f}"
        parts.append(f'<text x="{left - 4}" y="{y + 9}" text-anchor="end">{html.escape(name)}</text>')
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="{max(length, 0.5):.1f}" height="{row - 3}" '
                     f'fill="{_COLOURS[half]}"><title>{tip}</title></rect>')  # fmt: skip
        text_x, anchor = (x + length + 3, "start") if error >= 0 else (x - 3, "end")
        parts.append(f'<text x="{text_x:.1f}" y="{y + 9}" text-anchor="{anchor}">{percent(error, 1, True)}</text>')
    return "\n".join([*parts, "</svg>"])


_STYLE = """body{font:14px system-ui,sans-serif;margin:2em auto;max-width:1100px;color:#222}
table{border-collapse:collapse;font-size:12px;margin:1em 0}td,th{padding:2px 8px;border-bottom:1px solid #ddd;
text-align:right;white-space:nowrap}td:first-child,th:first-child{text-align:left}.bad{color:#b00;font-weight:bold}
svg text{font:10px system-ui,sans-serif;fill:#333}.grid{stroke:#e4e4e4;fill:none}.line{stroke:#888;fill:none}
.wide{overflow-x:auto}"""


def _table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        marks = {"BROKEN": ' class="bad"'}
        return "".join(f"<{tag}{marks.get(cell, '')}>{html.escape(cell)}</{tag}>" for cell in row)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{cells(header, "th")}</tr></thead><tbody>{body}</tbody></table></div>'


def html_page(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    """The whole comparison as one page that needs nothing else."""
    legend = " ".join(
        f'<span style="color:{_COLOURS[h]}">&#9679; {_LEGEND[h]}</span>'
        for h in sorted({k.half for k in comparison.kernels})
    )
    notes = "".join(f"<li>{html.escape(n)}</li>" for n in comparison.notes)
    failed = "".join(f"<li>{html.escape(n)}: {html.escape(w)}</li>" for n, w in comparison.failed.items())
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(comparison.title)}</title>',
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(comparison.title)}</h1><p>{legend}</p>",
        correlation_svg(comparison),
        "<h2>Margins</h2>" + _table(verdict_rows(verdicts), VERDICT_HEADER) if verdicts else "",
        "<h2>In total</h2>" + _table(summary_rows(comparison), SUMMARY_HEADER),
        "<h2>Cycles, kernel by kernel</h2>" + bars_svg(comparison),
        "<h2>All quantities</h2>" + _table(kernel_rows(comparison), KERNEL_HEADER),
        f"<h2>Without result</h2><ul>{failed}</ul>" if failed else "",
        f"<h2>How it was measured</h2><ul>{notes}</ul></body></html>",
    ]
    return "\n".join(parts) + "\n"


def write_report(comparison: Comparison, verdicts: Sequence[Verdict], folder: Path) -> list[Path]:
    """``report.html`` and the two pictures into a folder (made if missing). RunError when it can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / "report.html"
        page.write_text(html_page(comparison, verdicts), encoding="utf-8")
        return [page, *write_png(comparison, folder)]
    except OSError as error:
        raise RunError(f"{folder}: can't be written: {error.strerror or error}") from None
