"""Simulated against measured, kernel by kernel: pairs, errors, statistics, and the margins that are committed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archsim.errors import ConfigError
from archsim.validate.quantities import (
    QUANTITIES,
    Quantity,
    measured_stalls,
    mix_distance,
    simulated_stalls,
)
from archsim.validate.statistics import ErrorStats, error_stats, relative_error, share_within

HALVES = ("tune", "report")
STATISTICS = ("mape", "median", "p90", "max", "mean_signed", "pearson_r", "within_limit", "mean_points")


@dataclass(frozen=True)
class Kernel:
    """One kernel on both sides. ``half``: "tune", "report", or "" where there is no split.

    ``counts_differ``: the executed instructions are known to differ (DEVIATIONS.md EMU-1), or vary on the card itself.
    """

    name: str
    half: str
    simulated: Mapping[str, float]
    measured: Mapping[str, float]
    simulated_stalls: Mapping[str, int] = field(default_factory=dict)
    spread: float = 0.0
    counts_differ: bool = False

    def pair(self, quantity: Quantity) -> tuple[float, float] | None:
        """(simulated, measured), None when one side does not have it."""
        if quantity.name == "stall mix":
            distance = mix_distance(simulated_stalls(self.simulated_stalls), measured_stalls(self.measured))
            return None if distance is None else (distance, 0.0)
        pair = quantity.simulated(self.simulated), quantity.measured(self.measured)
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])

    def error(self, quantity: Quantity) -> float | None:
        """Relative error, or difference of shares; None when it can't be said (measured value 0)."""
        pair = self.pair(quantity)
        if pair is None:
            return None
        if quantity.kind == "points":
            return pair[0] - pair[1]
        return relative_error(*pair) if pair[1] else (0.0 if pair[0] == 0 else None)


@dataclass(frozen=True)
class Summary:
    """One quantity over several kernels. ``stats``: of relative errors; ``mean_points``: mean size of differences."""

    quantity: str
    half: str
    n: int
    stats: ErrorStats | None = None
    mean_points: float | None = None
    within_limit: float | None = None

    def value(self, statistic: str) -> float | None:
        """A statistic by its name in margins.yaml."""
        if statistic in ("within_limit", "mean_points"):
            return getattr(self, statistic)  # type: ignore[no-any-return]
        return None if self.stats is None else getattr(self.stats, statistic)


@dataclass
class Comparison:
    """All kernels of one comparison, and what was said about the measurements."""

    title: str
    machine: str
    kernels: list[Kernel]
    notes: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # kernels without a result: name -> why

    def halves(self) -> list[str]:
        """The halves present, then "all"."""
        return [h for h in HALVES if any(k.half == h for k in self.kernels)] + ["all"]

    def summary(self, name: str, half: str = "all") -> Summary:
        """One quantity over the kernels of a half ("all": every kernel)."""
        quantity = QUANTITIES[name]
        kernels = [k for k in self.kernels if half in ("all", k.half)]
        if quantity.limit == 0:
            kernels = [k for k in kernels if not k.counts_differ]
        errors = [e for e in (k.error(quantity) for k in kernels) if e is not None]
        within = None if quantity.limit is None else share_within(errors, quantity.limit)
        if quantity.kind == "points":
            points = sum(map(abs, errors)) / len(errors) if errors else None
            return Summary(name, half, len(errors), None, points, within)
        stats = error_stats(p for p in (k.pair(quantity) for k in kernels) if p is not None)
        return Summary(name, half, len(errors), stats, None, within)

    def worst(self, name: str = "cycles", count: int = 5) -> list[tuple[str, float]]:
        """Kernels with the largest errors of a quantity, worst first."""
        quantity = QUANTITIES[name]
        errors = [(k.name, e) for k in self.kernels if (e := k.error(quantity)) is not None]
        return sorted(errors, key=lambda item: -abs(item[1]))[:count]


@dataclass(frozen=True)
class Margin:
    """One row of margins.yaml: a statistic of a quantity over a half must not cross a bound. ``goal``: of the issue."""

    quantity: str
    half: str
    statistic: str
    at_most: float | None = None
    at_least: float | None = None
    goal: float | None = None

    @property
    def text(self) -> str:
        """``cycles, tune: mape <= 0.1``."""
        bound = f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"
        return f"{self.quantity}, {self.half}: {self.statistic} {bound}"

    def holds(self, value: float | None) -> bool:
        """Whether a value is within; a value that is missing is not."""
        if value is None:
            return False
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)

    def reaches_goal(self, value: float | None) -> bool | None:
        """Whether a value reaches the goal; None without goal."""
        if self.goal is None:
            return None
        if value is None:
            return False
        return value <= self.goal if self.at_most is not None else value >= self.goal


def load_margins(path: Path, name: str) -> list[Margin]:
    """The margins of one comparison ("h100_flushed", ...). ConfigError naming file, list, row and field."""
    import yaml

    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: can't be read: {str(error).splitlines()[0]}") from None
    rows = tree.get(name) if isinstance(tree, dict) else None
    if not isinstance(rows, list):
        raise ConfigError(f"{path}: no list of margins named {name!r}")
    return [_margin(f"{path}: {name}[{i}]", row) for i, row in enumerate(rows)]


def _margin(where: str, row: Any) -> Margin:
    fields = {"quantity", "half", "statistic", "at_most", "at_least", "goal"}
    if not isinstance(row, dict) or not set(row) <= fields or not {"quantity", "half", "statistic"} <= set(row):
        raise ConfigError(f"{where}: expected quantity, half, statistic, at_most or at_least, goal")
    if row["quantity"] not in QUANTITIES:
        raise ConfigError(f"{where}.quantity: {row['quantity']!r} is none of {', '.join(QUANTITIES)}")
    if row["half"] not in (*HALVES, "all") or row["statistic"] not in STATISTICS:
        raise ConfigError(f"{where}: half is one of {', '.join(HALVES)}, all; statistic of {', '.join(STATISTICS)}")
    if ("at_most" in row) == ("at_least" in row):
        raise ConfigError(f"{where}: give at_most or at_least")
    for key in ("at_most", "at_least", "goal"):
        if key in row and not isinstance(row[key], int | float):
            raise ConfigError(f"{where}.{key}: not a number: {row[key]!r}")
    return Margin(**row)


@dataclass(frozen=True)
class Verdict:
    """A margin and the value that it was held against."""

    margin: Margin
    value: float | None

    @property
    def holds(self) -> bool:
        """True when the margin is kept."""
        return self.margin.holds(self.value)


def judge(comparison: Comparison, margins: Iterable[Margin]) -> list[Verdict]:
    """Every margin with its value."""
    return [Verdict(m, comparison.summary(m.quantity, m.half).value(m.statistic)) for m in margins]
