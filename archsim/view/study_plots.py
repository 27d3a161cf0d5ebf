"""Pictures of studies as PNG, PDF or SVG: lines and heat maps of a sweep, Pareto fronts, sensitivity charts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from archsim.config.yaml_marks import Marked, Origin
from archsim.engine.sweep.axes import plain
from archsim.engine.sweep.expressions import Expression, parse_expression
from archsim.engine.sweep.extras import need
from archsim.engine.sweep.table import SweepTable
from archsim.errors import ConfigError, RunError

KINDS = ("lines", "heatmap", "pareto", "sensitivity")
SUFFIXES = (".png", ".pdf", ".svg")
_MEAN = "geomean"
Row = dict[str, Any]


@dataclass(frozen=True)
class PlotSpec:
    """One picture.

    ``x``: an axis (pareto: an expression); ``y``: an expression over the table's columns (heatmap: an axis);
    ``value``: what a heat map shows; ``by``: one line (or panel) for each value of this column; ``show``: ``value``
    itself, ``relative`` to the first x, or ``speedup`` (first x over value). Columns that are neither x, y nor by are
    averaged (geometric mean).
    """

    kind: str
    x: str = ""
    y: str = ""
    value: str = ""
    by: str = "trace"
    show: str = "value"
    file: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"plots: kind: {', '.join(KINDS)}, not {self.kind!r}")
        if self.show not in ("value", "relative", "speedup"):
            raise ConfigError(f"plots: show: value, relative or speedup, not {self.show!r}")
        needed = {"lines": ("x", "y"), "heatmap": ("x", "y", "value"), "pareto": ("x", "y"), "sensitivity": ()}
        for name in needed[self.kind]:
            if not getattr(self, name):
                raise ConfigError(f"plots: a {self.kind} plot needs {name}")
        for name in ("y", "value") if self.kind != "heatmap" else ("value",):
            if getattr(self, name):
                parse_expression(getattr(self, name))
        if self.file and Path(self.file).suffix not in SUFFIXES:
            raise ConfigError(f"plots: file: {self.file!r} does not end in {', '.join(SUFFIXES)}")

    @property
    def filename(self) -> str:
        """Where it goes, when the study does not say."""
        return self.file or f"{self.kind}-{_safe(self.value or self.y or 'all')}.png"


def specs_of(nodes: Sequence[Marked]) -> list[PlotSpec]:
    """A study's ``plots:``. ConfigError naming the line."""
    known = {item.name for item in fields(PlotSpec)}
    specs = []
    for node in nodes:
        origin: Origin = node.origin
        if not isinstance(node.value, dict):
            raise ConfigError(f"{origin}: plots: a plot is a mapping with kind:, x:, y: ...")
        for key, item in node.value.items():
            if key not in known or not isinstance(item.value, str):
                raise ConfigError(f"{item.origin}: plots: {key}: expected text for one of {', '.join(sorted(known))}")
        try:
            specs.append(PlotSpec(**({"kind": ""} | plain(node))))
        except ConfigError as error:
            raise ConfigError(f"{origin}: {error}") from None
    return specs


def draw(table: SweepTable, spec: PlotSpec, path: str | Path) -> Path:
    """Draw one picture. ConfigError: a column that is not there, nothing to draw. RunError: unwritable."""
    place = Path(path)
    if place.suffix not in SUFFIXES:
        raise ConfigError(f"{place}: a picture is one of {', '.join(SUFFIXES)}")
    need("matplotlib", "a picture")
    from matplotlib.figure import Figure  # without pyplot: no window system, no global state

    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    painters: dict[str, Callable[[Any, SweepTable, PlotSpec], None]] = {
        "lines": _lines,
        "heatmap": _heatmap,
        "pareto": _pareto,
        "sensitivity": _sensitivity,
    }
    painters[spec.kind](figure, table, spec)
    title = spec.title or str(table.meta.get("name", ""))
    if title:
        figure.suptitle(title)
    try:
        figure.savefig(place, dpi=150, metadata={"Software": None} if place.suffix == ".png" else None)
    except OSError as error:
        raise RunError(f"{place}: cannot be written: {error.strerror or error}") from None
    return place


def _values(table: SweepTable, text: str) -> list[float | None]:
    """An expression for every row; None where a part has no value."""
    expression: Expression = parse_expression(text)
    for name in expression.names:
        _need_column(table, name)
    result: list[float | None] = []
    for row in table.rows():
        if any(row[name] is None for name in expression.names):
            result.append(None)
            continue
        result.append(float(expression(row.__getitem__)))
    return result


def _need_column(table: SweepTable, name: str) -> None:
    if name not in table.columns:
        import difflib

        near = difflib.get_close_matches(name, list(table.columns), n=3, cutoff=0.4)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise ConfigError(f"the table has no column {name!r}{hint}")


def geomean(values: Sequence[float]) -> float:
    """Geometric mean; arithmetic where a value is not positive."""
    if len(values) == 1:
        return values[0]
    if min(values) <= 0:
        return sum(values) / len(values)
    return math.exp(sum(map(math.log, values)) / len(values))


def curves(table: SweepTable, spec: PlotSpec) -> tuple[list[Any], dict[str, list[float | None]]]:
    """Positions on x, and a value at each of them for every line: what a lines plot shows.

    With several traces, the line ``geomean`` is their mean. Failed runs are gaps.
    """
    for name in (spec.x, spec.by):
        _need_column(table, name)
    xs = _positions(table, spec.x)
    cells: dict[tuple[str, Any], list[float]] = {}
    for x, by, value in zip(table.columns[spec.x], table.columns[spec.by], _values(table, spec.y), strict=True):
        if value is not None:
            cells.setdefault((str(by), x), []).append(value)
    if not cells:
        raise ConfigError(f"nothing to draw: no run has {spec.y!r}")
    lines = {}
    for by in dict.fromkeys(map(str, table.columns[spec.by])):
        line = [geomean(cells[by, x]) if (by, x) in cells else None for x in xs]
        lines[by] = _shown(line, spec.show)
    if len(lines) > 1:
        columns = [[line[i] for line in lines.values()] for i in range(len(xs))]
        mean = [geomean([v for v in c if v is not None]) if None not in c else None for c in columns]
        lines[_MEAN] = mean
    return xs, lines


def _shown(line: list[float | None], show: str) -> list[float | None]:
    first = next((v for v in line if v is not None), None)
    if show == "value" or first is None:
        return line
    if show == "relative":
        return [None if v is None or not first else v / first for v in line]
    return [None if not v else first / v for v in line]


def _positions(table: SweepTable, name: str) -> list[Any]:
    """Values of an axis: numbers in ascending order, others in the study's."""
    listed = [axis["values"] for axis in table.meta.get("axes", []) if axis["name"] == name and "values" in axis]
    values = list(listed[0]) if listed else list(dict.fromkeys(table.columns[name]))
    numeric = all(isinstance(value, int | float) for value in values)
    return sorted(values) if numeric else values


def _lines(figure: Any, table: SweepTable, spec: PlotSpec) -> None:
    xs, lines = curves(table, spec)
    axes = figure.subplots()
    numeric = all(isinstance(x, int | float) and not isinstance(x, bool) for x in xs)
    places = xs if numeric else list(range(len(xs)))
    for name, line in lines.items():
        style = {"color": "black", "linewidth": 2.2} if name == _MEAN else {"linewidth": 1.2}
        axes.plot(places, [math.nan if v is None else v for v in line], marker="o", markersize=3, label=name, **style)
    if not numeric:
        axes.set_xticks(places, [str(x) for x in xs], rotation=20, ha="right")
    elif len(xs) > 2 and min(xs) > 0 and max(xs) / min(xs) >= 8:
        axes.set_xscale("log", base=2)
        axes.set_xticks(places, [f"{x:g}" for x in xs])
        axes.minorticks_off()
    axes.set_xlabel(spec.x)
    what = {"value": spec.y, "relative": f"{spec.y}, relative to the first", "speedup": f"speed-up in {spec.y}"}
    axes.set_ylabel(what[spec.show] + _unit(table, spec))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _unit(table: SweepTable, spec: PlotSpec) -> str:
    unit = table.docs.get(spec.y, ("", ""))[0] if spec.show == "value" else ""
    return f" ({unit})" if unit and unit != spec.y else ""


def grid_of(table: SweepTable, spec: PlotSpec, by: str | None) -> tuple[list[Any], list[Any], list[list[float]]]:
    """x positions, y positions and ``values[y][x]`` of a heat map; NaN where nothing ran. ``by``: None for all."""
    for name in (spec.x, spec.y, spec.by):
        _need_column(table, name)
    xs, ys = _positions(table, spec.x), _positions(table, spec.y)
    cells: dict[tuple[Any, Any], list[float]] = {}
    columns = (table.columns[spec.x], table.columns[spec.y], table.columns[spec.by], _values(table, spec.value))
    for x, y, group, value in zip(*columns, strict=True):
        if value is not None and by in (None, str(group)):
            cells.setdefault((x, y), []).append(value)
    grid = [[geomean(cells[x, y]) if (x, y) in cells else math.nan for x in xs] for y in ys]
    if spec.show != "value":
        first = next((v for row in grid for v in row if not math.isnan(v)), math.nan)
        grid = [[v / first if spec.show == "relative" else first / v for v in row] for row in grid]
    return xs, ys, grid


def _heatmap(figure: Any, table: SweepTable, spec: PlotSpec) -> None:
    groups = list(dict.fromkeys(map(str, table.columns.get(spec.by, ["all"]))))
    columns = min(len(groups), 3)
    rows = math.ceil(len(groups) / columns)
    figure.set_size_inches(3.4 * columns + 1, 2.9 * rows + 0.6)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, group in zip(panels, groups, strict=False):
        xs, ys, grid = grid_of(table, spec, group)
        image = panel.imshow(grid, origin="lower", aspect="auto", cmap="viridis")
        panel.set_xticks(range(len(xs)), [str(x) for x in xs], rotation=30, ha="right", fontsize="small")
        panel.set_yticks(range(len(ys)), [str(y) for y in ys], fontsize="small")
        panel.set_xlabel(spec.x, fontsize="small")
        panel.set_ylabel(spec.y, fontsize="small")
        panel.set_title(group, fontsize="small")
        figure.colorbar(image, ax=panel)
    for panel in panels[len(groups) :]:
        panel.set_axis_off()


def _pareto(figure: Any, table: SweepTable, spec: PlotSpec) -> None:
    axes = figure.subplots()
    pairs = list(zip(_values(table, _quoted(table, spec.x)), _values(table, _quoted(table, spec.y)), strict=True))
    feasible = table.columns.get("feasible", [True] * len(pairs))
    best = table.columns.get("pareto") or _front(pairs)
    groups: tuple[tuple[tuple[bool, bool | None], str, dict[str, Any]], ...] = (
        ((False, None), "beyond a limit", {"color": "lightgrey", "marker": "x"}),
        ((True, False), "tried", {"color": "tab:blue", "alpha": 0.6}),
        ((True, True), "Pareto front", {"color": "tab:red", "zorder": 3}),
    )
    for wanted, label, style in groups:
        chosen = [
            p
            for p, f, b in zip(pairs, feasible, best, strict=True)
            if (f, b if f else None) == wanted and None not in p
        ]
        if chosen:
            axes.scatter([p[0] for p in chosen], [p[1] for p in chosen], label=label, s=24, **style)
    front = sorted(p for p, f, b in zip(pairs, feasible, best, strict=True) if f and b and None not in p)
    axes.step([p[0] for p in front], [p[1] for p in front], where="post", color="tab:red", alpha=0.5)
    axes.set_xlabel(spec.x)
    axes.set_ylabel(spec.y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _quoted(table: SweepTable, text: str) -> str:
    """A column whose name is itself an expression (an objective) is read, not computed."""
    return f"`{text}`" if text in table.columns else text


def _front(pairs: Sequence[tuple[float | None, float | None]]) -> list[bool]:
    from archsim.engine.optimize import pareto

    known = [(x, y) for x, y in pairs if x is not None and y is not None]
    best = dict(zip(known, pareto(known), strict=True))
    return [x is not None and y is not None and best[x, y] for x, y in pairs]


def _sensitivity(figure: Any, table: SweepTable, spec: PlotSpec) -> None:
    """Parameters by traces: effect relative to the base (one at a time) or to the mean output (Morris)."""
    for name in ("parameter", "trace", "output", "effect_relative"):
        _need_column(table, name)
    outputs = list(dict.fromkeys(table.columns["output"]))
    output = spec.y or outputs[0]
    if output not in outputs:
        raise ConfigError(f"no output {output!r} in the table; it has {', '.join(outputs)}")
    rows = [row for row in table.rows() if row["output"] == output]
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    size = {(row["trace"], row["parameter"]): row["effect_relative"] for row in rows}
    names = list(dict.fromkeys(row["parameter"] for row in rows))
    names.sort(key=lambda name: max(size[t, name] or 0.0 for t in traces))
    figure.set_size_inches(1.1 * len(traces) + 4, 0.4 * len(names) + 1.8)
    axes = figure.subplots()
    grid = [[100 * (size[t, name] or 0.0) for t in traces] for name in names]
    image = axes.imshow(grid, origin="lower", aspect="auto", cmap="magma_r", vmin=0)
    axes.set_xticks(range(len(traces)), traces, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    top = max(map(max, grid))
    for y, row in enumerate(grid):
        for x, value in enumerate(row):
            axes.text(x, y, f"{value:.1f}", ha="center", va="center", color="white" if value > top / 2 else "black")
    figure.colorbar(image, ax=axes, label=f"effect on {output} (%)")


def _safe(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).strip("_")
