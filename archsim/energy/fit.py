"""Least squares without negative coefficients (Lawson and Hanson, Solving Least Squares Problems, 1974)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


def nnls(matrix: Array, target: Array) -> Array:
    """x >= 0 that minimises |matrix x - target|. ``matrix``: f8[m, n], ``target``: f8[m]. Active-set method.

    Raises ValueError on shapes that don't fit or values that aren't finite.
    """
    if matrix.ndim != 2 or target.shape != (matrix.shape[0],):
        raise ValueError(f"matrix {matrix.shape} and target {target.shape} do not fit")
    if not (np.isfinite(matrix).all() and np.isfinite(target).all()):
        raise ValueError("values must be finite")
    count = matrix.shape[1]
    x = np.zeros(count)
    free = np.zeros(count, bool)
    tolerance = 1e-12 * max(float(np.abs(matrix.T @ target).max(initial=0.0)), 1e-300)
    for _ in range(10 * count + 10):
        gradient = matrix.T @ (target - matrix @ x)
        gradient[free] = -np.inf
        best = int(np.argmax(gradient)) if count else 0
        if not count or free.all() or gradient[best] <= tolerance:
            return x
        free[best] = True
        while True:
            trial = np.zeros(count)
            trial[free] = np.linalg.lstsq(matrix[:, free], target, rcond=None)[0]
            if (trial[free] > 0).all():
                x = trial
                break
            falling = free & (trial <= 0)
            step = float((x[falling] / (x[falling] - trial[falling])).min())
            x += step * (trial - x)
            free &= x > 1e-15 * max(float(x.max()), 1e-300)
            x[~free] = 0.0
            if not free.any():
                break
    return x


@dataclass(frozen=True)
class Fit:
    """``values``: coefficient by name; ``residuals``: (predicted - target) / target by row."""

    values: dict[str, float]
    predicted: dict[str, float]
    residuals: dict[str, float]

    @property
    def mape(self) -> float:
        """Mean size of the residuals."""
        return sum(map(abs, self.residuals.values())) / len(self.residuals)


def fit_nonnegative(
    rows: Sequence[str], names: Sequence[str], matrix: Array, target: Array, offset: float | Array = 0.0
) -> Fit:
    """Fit target = offset + matrix x with x >= 0, every row weighted by 1 / target: relative errors count.

    ``rows``: a label for each row; ``names``: one for each column; ``offset``: known part of the target, for all rows
    or for each. Columns are scaled first.
    """
    weights = 1.0 / target
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    x = nnls(matrix / scale * weights[:, None], (target - offset) * weights) / scale
    predicted = offset + matrix @ x
    return Fit(
        dict(zip(names, map(float, x), strict=True)),
        dict(zip(rows, map(float, predicted), strict=True)),
        dict(zip(rows, map(float, (predicted - target) / target), strict=True)),
    )
