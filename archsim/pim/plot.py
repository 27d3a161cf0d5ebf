"""Pictures (SVG): latency by operation and unit, and energy by component at both ends of the band."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from archsim.pim.energy import COMPONENTS
from archsim.pim.program import OPERATIONS
from archsim.pim.run import UNITS, PimResult

_COLOURS = ("#4e79a7", "#f28e2b", "#59a14f", "#bab0ac", "#e15759", "#76b7b2", "#edc948", "#b07aa1")
_LEFT, _WIDTH, _BAR, _STEP = 120, 560, 18, 26


def breakdown_svg(result: PimResult) -> str:
    """The picture: microseconds of a layer by operation, then millijoules of a token by component."""
    layers, tokens = result.model.layers, result.tokens
    rows = [
        (
            op,
            [
                float(t) * 1e-6 / tokens / (layers if op not in ("final_norm", "head", "embedding") else 1)
                for t in times
            ],
        )
        for op, times in zip(OPERATIONS, result.busy_ps, strict=True)
        if times.any()
    ]
    title = f"{result.model.name} on {result.system.name}, mode {result.mode}, {tokens} tokens"
    top, parts = _bars(f"{title}: time of a layer for one token", rows, UNITS, "us", 30)
    per_token = 1e-9 / (tokens * result.batch)  # pJ to mJ
    ends = [
        (end, [table[name] * per_token for name in COMPONENTS])
        for end, table in (("low", result.energy.low_pj), ("high", result.energy.high_pj))
    ]
    bottom, more = _bars("energy of a token, both ends of the band", ends, COMPONENTS, "mJ", top + 30)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 90}" height="{bottom + 10}"'
    return "\n".join([head + ' font-family="sans-serif" font-size="12">', *parts, *more, "</svg>"]) + "\n"


def _bars(
    title: str, rows: Sequence[tuple[str, Sequence[float]]], names: Sequence[str], unit: str, top: int
) -> tuple[int, list[str]]:
    """Stacked horizontal bars with a legend; returns the y below them and the SVG elements."""
    longest = max((sum(values) for _, values in rows), default=1.0) or 1.0
    parts = [f'<text x="10" y="{top}" font-weight="bold">{escape(title)}</text>']
    y = top + 10
    for name, values in rows:
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        x = float(_LEFT)
        for colour, part, value in zip(_COLOURS, names, values, strict=False):
            width = _WIDTH * value / longest
            tip = f"<title>{escape(f'{name}, {part}: {value:.4g} {unit}')}</title>"
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}">{tip}</rect>')
            x += width
        parts.append(f'<text x="{x + 4:.1f}" y="{y + 13}">{sum(values):.3g} {unit}</text>')
        y += _STEP
    x = _LEFT
    for colour, part in zip(_COLOURS, names, strict=False):
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 13}" y="{y + 9}" font-size="10">{escape(part)}</text>')
        x += 22 + 7 * len(part)
    return y + 20, parts


def write_breakdown(result: PimResult, path: str | Path) -> None:
    """Write the picture; OSError when that fails."""
    Path(path).write_text(breakdown_svg(result), encoding="utf-8")
