"""The ASIC's arithmetic in BF16: Taylor series, Newton-Raphson reciprocal, fast inverse square root.

Every operation rounds its result to BF16 (round to nearest even), as a BF16 unit does; values are float32 arrays.
"""

from __future__ import annotations

from functools import cache
from math import erf, exp, factorial, pi, sqrt

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from archsim.pim.system import Asic

Array = NDArray[np.float32]

_EXP_CENTRES = np.arange(-24.0, 0.25, 0.5)  # nearest centre at most 1/4 away; below, exp is 0 in BF16 sums
_GELU_CENTRES = np.arange(-4.0, 4.25, 0.5)
_MAGIC = np.uint32(0x5F3759DF)  # seed of the fast inverse square root


def bf16(x: NDArray[np.floating]) -> Array:
    """Round to the nearest BF16 value, ties to even. NaN stays NaN."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), np.float32(np.nan), rounded.view(np.float32))


class BfloatUnit:
    """Functions of the ASIC with the terms and steps of a configuration."""

    def __init__(self, asic: Asic) -> None:
        self.asic = asic

    def exp(self, x: Array) -> Array:
        """exp(x), x <= 0: Taylor series about the nearest centre, times exp of the centre; without centres, about 0."""
        terms = [1 / factorial(k) for k in range(self.asic.taylor_terms)]
        if not self.asic.range_reduction:
            return np.maximum(self._horner([np.float32(t) for t in terms], x), np.float32(0))
        low = np.clip(x, _EXP_CENTRES[0], 0)
        index = np.rint((low - _EXP_CENTRES[0]) * 2).astype(np.int64)
        series = self._horner([np.float32(t) for t in terms], bf16(low - _EXP_CENTRES[index]))
        scale = bf16(np.array([exp(c) for c in _EXP_CENTRES]))
        return np.where(x < _EXP_CENTRES[0], np.float32(0), bf16(series * scale[index]))

    def gelu(self, x: Array) -> Array:
        """GELU by its Taylor series about the nearest centre; x itself or 0 beyond the outer centres."""
        return self._piecewise("gelu", x)

    def silu(self, x: Array) -> Array:
        """x times the logistic function, by its Taylor series about the nearest centre."""
        return self._piecewise("silu", x)

    def activation(self, name: str, x: Array) -> Array:
        """GELU, SiLU or ReLU."""
        return np.maximum(x, np.float32(0)) if name == "relu" else self._piecewise(name, x)

    def _piecewise(self, name: str, x: Array) -> Array:
        centres, table = _series(name, self.asic.taylor_terms)
        if not self.asic.range_reduction:
            middle = len(centres) // 2
            return self._horner(list(table[middle]), x)
        inside = np.clip(x, centres[0], centres[-1])
        index = np.rint((inside - centres[0]) * 2).astype(np.int64)
        value = self._horner([table[index, k] for k in range(table.shape[1])], bf16(inside - centres[index]))
        value = np.where(x > centres[-1], x, value)
        return np.where(x < centres[0], np.float32(0), value)

    def _horner(self, coefficients: list[Array] | list[np.float32], r: Array) -> Array:
        total = np.broadcast_to(bf16(np.asarray(coefficients[-1])), r.shape)
        for c in coefficients[-2::-1]:
            total = bf16(bf16(total * r) + bf16(np.asarray(c)))
        return total

    def reciprocal(self, a: Array) -> Array:
        """1 / a, a > 0: seed by subtracting the bits from a constant, then Newton steps x (2 - a x)."""
        seed = (np.uint32(0x7EF311C7) - np.asarray(a, np.float32).view(np.uint32)).view(np.float32)
        x = bf16(seed)
        for _ in range(self.asic.newton_iterations):
            x = bf16(x * bf16(2 - bf16(a * x)))
        return x

    def rsqrt(self, a: Array) -> Array:
        """1 / sqrt(a), a > 0: the seed of Quake III, then Newton steps x (1.5 - a/2 x x)."""
        x = bf16((_MAGIC - (np.asarray(a, np.float32).view(np.uint32) >> np.uint32(1))).view(np.float32))
        half = bf16(a * np.float32(0.5))
        for _ in range(self.asic.rsqrt_iterations):
            x = bf16(x * bf16(np.float32(1.5) - bf16(half * bf16(x * x))))
        return x

    def norm(self, x: Array, kind: str) -> Array:
        """Layer norm or RMS norm without gain and offset; sums in float32 accumulators, their results in BF16."""
        n = np.float32(1 / x.size)
        mean = bf16(x.sum(dtype=np.float32) * n) if kind == "layernorm" else np.float32(0)
        square = (x * x).sum(dtype=np.float32) * n - mean * mean
        return bf16(bf16(x - mean) * self.rsqrt(bf16(np.array([square + np.float32(1e-5)], np.float32))))

    def softmax_parts(self, scores: Array) -> tuple[Array, Array]:
        """exp(score - max), and the reciprocal of their sum: the product with V comes between the two."""
        weights = self.exp(bf16(scores - scores.max(axis=-1, keepdims=True)))
        return weights, self.reciprocal(bf16(weights.sum(axis=-1, dtype=np.float32)))


def _function(name: str, x: float) -> float:
    return 0.5 * x * (1 + erf(x / sqrt(2))) if name == "gelu" else x / (1 + exp(-x))


@cache
def _series(name: str, terms: int) -> tuple[NDArray[np.float64], Array]:
    """Centres and Taylor coefficients ``[centre, term]`` of GELU or SiLU, from exact derivatives."""
    centres = _GELU_CENTRES if name == "gelu" else np.arange(-16.0, 16.25, 0.5)
    rows = [_gelu_taylor(c, terms) if name == "gelu" else _silu_taylor(c, terms) for c in centres]
    return centres, np.array(rows, np.float32)


def _gelu_taylor(c: float, terms: int) -> list[float]:
    """Of x Phi(x): Phi^(k) follows from phi' = -x phi, by Hermite polynomials."""
    phi = exp(-c * c / 2) / sqrt(2 * pi)
    cdf = [0.5 * (1 + erf(c / sqrt(2))), phi]
    for k in range(2, terms + 1):  # phi^(k) = -(c phi^(k-1) + (k-1) phi^(k-2))
        cdf.append(-(c * cdf[k - 1] + (k - 2) * (cdf[k - 2] if k > 2 else 0.0)))
    taylor = [d / factorial(k) for k, d in enumerate(cdf)]
    return [float(v) for v in polynomial.polymul([c, 1.0], taylor)[:terms]]


def _silu_taylor(c: float, terms: int) -> list[float]:
    """Of x s(x): s' = s - s^2 gives s's series term by term."""
    s = [1 / (1 + exp(-c))]
    for k in range(terms):
        square = sum(s[i] * s[k - i] for i in range(k + 1))
        s.append((s[k] - square) / (k + 1))
    return [float(v) for v in polynomial.polymul([c, 1.0], s)[:terms]]


def accuracy_report(asic: Asic) -> dict[str, float]:
    """Largest error of every unit over its range, against exact functions of the same BF16 inputs.

    Relative for exp (down to exp(-8)), reciprocal and 1/sqrt (three decades); absolute for GELU and SiLU (-6 to 6).
    A perfect BF16 unit has 0.0039 (half a unit in the last place of an 8-bit significand) relative error.
    """
    unit = BfloatUnit(asic)
    x = np.unique(bf16(-np.linspace(0, 8, 4001)))
    a = np.unique(bf16(np.logspace(-1.5, 1.5, 4001)))
    y = np.unique(bf16(np.linspace(-6, 6, 6001)))

    def worst(got: Array, exact: NDArray[np.float64], relative: bool = True) -> float:
        return float(np.max(np.abs(got - exact) / (np.abs(exact) if relative else 1.0)))

    gelu = np.array([_function("gelu", float(v)) for v in y])
    silu = np.array([_function("silu", float(v)) for v in y])
    return {
        "exp": worst(unit.exp(x), np.exp(x.astype(np.float64))),
        "gelu": worst(unit.gelu(y), gelu, relative=False),
        "silu": worst(unit.silu(y), silu, relative=False),
        "reciprocal": worst(unit.reciprocal(a), 1 / a.astype(np.float64)),
        "rsqrt": worst(unit.rsqrt(a), 1 / np.sqrt(a.astype(np.float64))),
    }
