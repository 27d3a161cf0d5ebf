"""The comparison as text: tables for the terminal and for RESULTS.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archsim.validate.comparison import Comparison, Summary, Verdict
from archsim.validate.quantities import QUANTITIES


def percent(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """0.123 -> ``12.3 %``."""
    return "-" if value is None else f"{100 * value:{'+' if sign else ''}.{digits}f} %"


def number(value: float | None) -> str:
    """Thousands separated; a fraction with three digits."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10 or float(value).is_integer() else f"{value:.3f}"


def columns(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """Plain text: the first column to the left, the others to the right."""
    body = [list(row) for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *body]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "  ".join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, body)])


def markdown(rows: Iterable[Sequence[str]], header: Sequence[str]) -> str:
    """A table of a Markdown page."""
    align = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, align, *rows])


KERNEL_HEADER = (
    "kernel", "half", "cycles", "card", "error", "spread", "instr.", "L1 sectors", "L1 hits", "L2 reads", "L2 hits",
    "DRAM", "issue", "stall mix",
)  # fmt: skip


def kernel_rows(comparison: Comparison) -> list[list[str]]:
    """One row a kernel: cycles, then the errors of the other quantities."""
    rows = []
    for k in comparison.kernels:
        pair = k.pair(QUANTITIES["cycles"]) or (None, None)
        cells = [
            k.name,
            k.half or "-",
            number(pair[0]),
            number(pair[1]),
            percent(k.error(QUANTITIES["cycles"]), 1, True),
        ]
        cells.append(percent(k.spread) if k.spread else "-")
        for name in ("instructions", "L1 load sectors", "L1 load hit rate", "L2 read sectors", "L2 read hit rate",
                     "DRAM bytes", "issue utilisation"):  # fmt: skip
            error = k.error(QUANTITIES[name])
            text = percent(error, 1, True)
            cells.append("same" if error == 0 else text.replace(" %", " pts") if _points(name) else text)
        mix = k.error(QUANTITIES["stall mix"])
        cells.append(percent(mix, 0))
        rows.append(cells)
    return rows


def _points(name: str) -> bool:
    return QUANTITIES[name].kind == "points"


def _summary_row(s: Summary) -> list[str]:
    quantity = QUANTITIES[s.quantity]
    limit = "-" if quantity.limit is None else f"{percent(s.within_limit, 0)} within {_limit(s.quantity)}"
    if quantity.kind == "points":
        mean = "-" if s.mean_points is None else f"{100 * s.mean_points:.1f} pts"
        return [s.quantity, s.half, str(s.n), mean, "-", "-", "-", "-", "-", limit]
    stats = s.stats
    if stats is None:
        return [s.quantity, s.half, str(s.n), *["-"] * 6, limit]
    r = "-" if stats.pearson_r is None else f"{stats.pearson_r:.4f}"
    return [
        s.quantity, s.half, str(s.n), percent(stats.mape), percent(stats.median), percent(stats.p90),
        percent(stats.max), percent(stats.mean_signed, 1, True), r, limit,
    ]  # fmt: skip


def _limit(name: str) -> str:
    quantity = QUANTITIES[name]
    return f"{100 * (quantity.limit or 0):g} {'pts' if quantity.kind == 'points' else '%'}"


SUMMARY_HEADER = (
    "quantity", "half", "n", "MAPE or mean", "median", "P90", "max", "mean signed", "Pearson r", "tolerance"
)  # fmt: skip


def summary_rows(comparison: Comparison) -> list[list[str]]:
    """Every quantity for every half, those that no kernel has left out."""
    found = [comparison.summary(name, half) for name in QUANTITIES for half in comparison.halves()]
    return [_summary_row(s) for s in found if s.n]


VERDICT_HEADER = ("margin", "value", "kept", "goal", "reached")


def verdict_rows(verdicts: Iterable[Verdict]) -> list[list[str]]:
    """Every margin, its value, and the goal."""
    rows = []
    for v in verdicts:
        goal = v.margin.reaches_goal(v.value)
        value = "-" if v.value is None else f"{v.value:.4f}"
        reached = "-" if goal is None else "yes" if goal else "no"
        target = "-" if v.margin.goal is None else f"{v.margin.goal:g}"
        rows.append([v.margin.text, value, "yes" if v.holds else "BROKEN", target, reached])
    return rows


def text_report(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    """Everything, for the terminal."""
    parts = [comparison.title, columns(kernel_rows(comparison), KERNEL_HEADER)]
    parts += [columns(summary_rows(comparison), SUMMARY_HEADER)]
    if verdicts:
        parts.append(columns(verdict_rows(verdicts), VERDICT_HEADER))
    parts += [f"no result: {name}: {why}" for name, why in comparison.failed.items()]
    parts += [f"note: {note}" for note in comparison.notes]
    return "\n\n".join(parts)
