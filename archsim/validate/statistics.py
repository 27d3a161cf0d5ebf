"""Error statistics of simulated against measured values (DESIGN.md section 9): never of ratios or logarithms."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class ErrorStats:
    """Relative errors as fractions of the measured value; ``pearson_r`` is None for fewer than two different pairs."""

    n: int
    mape: float  # mean of |sim - hw| / hw
    median: float
    p90: float
    max: float
    mean_signed: float
    pearson_r: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values by name."""
        return asdict(self)


def relative_error(simulated: float, measured: float) -> float:
    """(simulated - measured) / measured. ``measured`` must not be 0."""
    return (simulated - measured) / measured


def percentile(values: Sequence[float], fraction: float) -> float:
    """Linear interpolation between the closest ranks, as numpy's default; ``values`` must not be empty."""
    ordered = sorted(values)
    place = fraction * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Correlation coefficient of the pairs, None when one side does not vary."""
    if len(pairs) < 2:
        return None
    xs, ys = zip(*pairs, strict=True)
    if len(set(xs)) < 2 or len(set(ys)) < 2:
        return None
    return statistics.correlation(xs, ys)


def error_stats(pairs: Iterable[tuple[float, float]]) -> ErrorStats | None:
    """Statistics of (simulated, measured) pairs; pairs whose measured value is 0 are left out. None without pairs."""
    kept = [(s, m) for s, m in pairs if m != 0]
    if not kept:
        return None
    signed = [relative_error(s, m) for s, m in kept]
    sizes = [abs(e) for e in signed]
    return ErrorStats(
        n=len(kept),
        mape=statistics.fmean(sizes),
        median=statistics.median(sizes),
        p90=percentile(sizes, 0.9),
        max=max(sizes),
        mean_signed=statistics.fmean(signed),
        pearson_r=pearson(kept),
    )


def share_within(errors: Sequence[float], limit: float) -> float | None:
    """Share of errors whose size is at most ``limit``; None without errors."""
    return sum(abs(e) <= limit for e in errors) / len(errors) if errors else None
