"""Which parameter matters for which kernel: one-at-a-time, and Morris's elementary effects.

Morris, Technometrics 33 (1991); mu* after Campolongo, Cariboni and Saltelli, Environ. Model. Softw. 22 (2007).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsim.config.yaml_marks import Origin
from archsim.engine.sweep.axes import Axis, AxisValue
from archsim.engine.sweep.explore import Evaluated, Explorer
from archsim.engine.sweep.expressions import Expression, parse_expression
from archsim.engine.sweep.pool import Executor
from archsim.engine.sweep.runner import Report
from archsim.engine.sweep.study import Study, check_whole_numbers
from archsim.engine.sweep.table import write_table
from archsim.errors import ConfigError, RunError

TABLE = "sensitivity.parquet"
METHODS = ("oat", "morris")
_REDRAWS = 1000  # trajectories that break constraints, before Morris gives up
_KEYS = {"method", "outputs", "trajectories", "levels", "seed"}


@dataclass(frozen=True)
class Screening:
    """What to measure. ``levels``: positions of an axis that Morris visits (even); ``trajectories``: walks."""

    method: str = "oat"
    outputs: tuple[Expression, ...] = ()
    trajectories: int = 10
    levels: int = 4
    seed: int = 0


@dataclass
class SensitivityResult:
    """``rows``: one mapping for each trace, output and parameter (columns: docs/sweeps.md)."""

    folder: Path
    method: str
    rows: list[dict[str, Any]]
    runs: int
    failed: int
    error: str


def screening_of(study: Study, changes: dict[str, Any] | None = None) -> Screening:
    """The study's ``sensitivity:`` section, with ``changes`` from the command line. ConfigError."""
    origin, given = study.section("sensitivity", _KEYS, changes)
    outputs = given.get("outputs") or ["cycles"]
    result = Screening(
        given.get("method", Screening.method),
        tuple(_output(text, origin) for text in ([outputs] if isinstance(outputs, str) else outputs)),
        given.get("trajectories", Screening.trajectories),
        given.get("levels", Screening.levels),
        given.get("seed", Screening.seed),
    )
    if result.method not in METHODS:
        raise ConfigError(f"{origin}: sensitivity: method: oat or morris, not {result.method!r}")
    check_whole_numbers(result, "sensitivity", origin, trajectories=2, levels=2, seed=0)
    if result.levels % 2:
        raise ConfigError(f"{origin}: sensitivity: levels: an even number, got {result.levels}")
    return result


def _output(text: Any, origin: Origin) -> Expression:
    try:
        return parse_expression(str(text))
    except ConfigError as error:
        raise ConfigError(f"{origin}: sensitivity: {error}") from None


def sensitivity(
    study: Study,
    screening: Screening,
    folder: str | Path,
    executor: Executor,
    *,
    report: Report = lambda progress: None,
) -> SensitivityResult:
    """Screen the axes of a study; rows are also written to ``sensitivity.parquet``. Errors as `optimize`."""
    place = Path(folder)
    with Explorer(study, place, executor, report=report) as explorer:
        method = _one_at_a_time if screening.method == "oat" else _morris
        rows = method(explorer, screening)
        progress = explorer.progress
    order = {name: i for i, name in enumerate(t.name for t in explorer.traces)}
    rows.sort(key=lambda row: (order[row["trace"]], row["output"], -(row["effect_relative"] or 0.0)))
    meta = {"format": "archsim sensitivity", "version": 1, "name": study.name, "method": screening.method}
    write_table(rows, place / TABLE, meta, {})
    return SensitivityResult(place, screening.method, rows, progress.done, progress.failed, progress.last_error)


def _outputs(explorer: Explorer, screening: Screening, item: Evaluated, trace: int) -> list[float | None]:
    """Values of the outputs in one run; None where it failed."""
    record = item.records[trace]
    if record["status"] == "failed":
        return [None] * len(screening.outputs)
    return [explorer.value(expression, item, record) for expression in screening.outputs]


def _one_at_a_time(explorer: Explorer, screening: Screening) -> list[dict[str, Any]]:
    """Each axis over its values, all others as the base has them."""
    base: dict[str, AxisValue] = {}
    config = explorer.feasible(base)
    if config is None:
        raise RunError(f"{explorer.study.origin}: the base machine breaks a constraint")
    points: list[tuple[dict[str, AxisValue], Any]] = [(base, config)]
    owners: list[tuple[Axis, AxisValue] | None] = [None]
    for axis in explorer.study.axes:
        for value in axis.values:
            config = explorer.feasible({axis.name: value})
            if config is not None:
                points.append(({axis.name: value}, config))
                owners.append((axis, value))
    explorer.expect(len(points))
    evaluated = explorer.evaluate(points)
    rows = []
    for t, trace in enumerate(explorer.traces):
        table = [_outputs(explorer, screening, item, t) for item in evaluated]
        for o, expression in enumerate(screening.outputs):
            for axis in explorer.study.axes:
                mine = [
                    (owner[1].label, row[o])
                    for owner, row in zip(owners, table, strict=True)
                    if owner is not None and owner[0] is axis and row[o] is not None
                ]
                rows.append(_oat_row(trace.name, expression.text, axis.name, table[0][o], mine))
    return rows


def _oat_row(trace: str, output: str, name: str, base: float | None, found: list[tuple[Any, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"trace": trace, "output": output, "parameter": name, "base": base}
    if not found or base is None:
        return row | dict.fromkeys(("low", "high", "low_at", "high_at", "effect", "effect_relative"))
    low, high = min(found, key=lambda pair: pair[1]), max(found, key=lambda pair: pair[1])
    effect = max(high[1], base) - min(low[1], base)
    return row | {
        "low": low[1],
        "high": high[1],
        "low_at": str(low[0]),
        "high_at": str(high[0]),
        "effect": effect,
        "effect_relative": effect / abs(base) if base else None,
    }


def trajectory(parameters: int, levels: int, rng: random.Random) -> tuple[list[list[int]], list[int]]:
    """A walk over the grid {0..levels-1}^parameters that moves every coordinate once, by levels/2 steps.

    Returns its parameters+1 positions, and which coordinate each step moved.
    """
    jump = levels // 2
    position = [rng.randrange(levels) for _ in range(parameters)]
    order = list(range(parameters))
    rng.shuffle(order)
    walk = [list(position)]
    for index in order:
        position[index] += jump if position[index] < jump else -jump
        walk.append(list(position))
    return walk, order


def elementary_effects(
    walk: Sequence[Sequence[int]], order: Sequence[int], values: Sequence[float], levels: int
) -> dict[int, float]:
    """Effect of each coordinate along a walk: difference quotient on the unit cube."""
    effects = {}
    for step, index in enumerate(order):
        moved = (walk[step + 1][index] - walk[step][index]) / (levels - 1)
        effects[index] = (values[step + 1] - values[step]) / moved
    return effects


def _morris(explorer: Explorer, screening: Screening) -> list[dict[str, Any]]:
    """Mean absolute elementary effect (mu*), mean (mu) and spread (sigma) of each parameter."""
    axes, levels = explorer.study.axes, screening.levels
    rng = random.Random(screening.seed)
    walks: list[tuple[list[list[int]], list[int]]] = []
    points: list[tuple[dict[str, AxisValue], Any]] = []
    redraws = 0
    while len(walks) < screening.trajectories:
        walk, order = trajectory(len(axes), levels, rng)
        values = [{axis.name: _level(axis, k, levels) for axis, k in zip(axes, step, strict=True)} for step in walk]
        configs = [explorer.feasible(point) for point in values]
        if any(config is None for config in configs):
            redraws += 1
            if redraws > _REDRAWS:
                raise RunError(
                    f"{explorer.study.origin}: {redraws} walks break the constraints; Morris needs axes "
                    "that can be moved one by one"
                )
            continue
        walks.append((walk, order))
        points += list(zip(values, configs, strict=True))
    explorer.expect(len(points))
    evaluated = explorer.evaluate(points)
    size = len(axes) + 1
    rows = []
    for t, trace in enumerate(explorer.traces):
        table = [_outputs(explorer, screening, item, t) for item in evaluated]
        for o, expression in enumerate(screening.outputs):
            effects: dict[int, list[float]] = {i: [] for i in range(len(axes))}
            for w, (walk, order) in enumerate(walks):
                column = [row[o] for row in table[w * size : (w + 1) * size]]
                if all(value is not None for value in column):
                    found = elementary_effects(walk, order, [float(v) for v in column if v is not None], levels)
                    for index, effect in found.items():
                        effects[index].append(effect)
            known = [value for row in table if (value := row[o]) is not None]
            mean = sum(known) / len(known) if known else None
            rows += [
                {"trace": trace.name, "output": expression.text, "parameter": axis.name}
                | statistics_of(effects[i], mean)
                for i, axis in enumerate(axes)
            ]
    return rows


def statistics_of(effects: Sequence[float], mean: float | None) -> dict[str, Any]:
    """mu, mu*, sigma of elementary effects; mu* over the mean output as ``effect_relative``."""
    if not effects:
        return dict.fromkeys(("mu", "mu_star", "sigma", "walks", "effect", "effect_relative"))
    values = np.asarray(effects)
    star = float(np.abs(values).mean())
    return {
        "mu": float(values.mean()),
        "mu_star": star,
        "sigma": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        "walks": len(values),
        "effect": star,
        "effect_relative": star / abs(mean) if mean else None,
    }


def _level(axis: Axis, level: int, levels: int) -> AxisValue:
    """Position ``level`` of ``levels`` on an axis, both ends included."""
    share = level / (levels - 1)
    if axis.bounds is None:
        return axis.values[round(share * (len(axis.values) - 1))]
    return axis.at(share)
