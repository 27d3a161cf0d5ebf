"""The PIM program with numbers in it: weights in bank images, the mapping's addresses, BF16 units; and its reference.

A matrix is written into an image of the banks (`MatrixLayout.address`) and multiplied as the banks do it: chunk after
chunk of the input, every column access of every bank times the global buffer, an accumulator for each output, partial
sums added by the ASIC. Keys and values live in images of their own, spread over channels as `HeadLayout` says. Every
column access is counted, so that reading a weight twice, or never, shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from archsim.pim.bf16 import Array, BfloatUnit, bf16
from archsim.pim.mapping import HeadLayout, MatrixLayout, ModelLayout
from archsim.pim.models import GptModel


@dataclass
class BankedMatrix:
    """Image of a matrix in all banks: [unit, column access, lane]; ``reads`` counts the accesses, [unit, column]."""

    layout: MatrixLayout
    image: Array
    reads: NDArray[np.int64]

    @classmethod
    def write(cls, layout: MatrixLayout, weights: Array, bias: Array | None = None) -> BankedMatrix:
        """Store W (d_in x d_out); a bias becomes the last input row."""
        full = weights if bias is None else np.vstack([weights, bias[None, :]])
        assert full.shape == (layout.d_in, layout.d_out)
        m = layout
        image = np.zeros((m.units, m.columns, m.column_values), np.float32)
        first = 0
        for chunk, size in enumerate(m.chunks):
            piece, outputs, start = m.piece_columns(chunk), m.outputs_per_bank, chunk * m.chunks[0]
            block = np.zeros((piece * m.column_values, outputs * m.units), np.float32)
            block[:size, : m.d_out] = bf16(full[start : start + size])
            # [column, lane, output, unit] to [unit, output, column, lane]: the addresses of MatrixLayout.address
            shaped = block.reshape(piece, m.column_values, outputs, m.units).transpose(3, 2, 0, 1)
            image[:, first : first + outputs * piece] = shaped.reshape(m.units, outputs * piece, m.column_values)
            first += outputs * piece
        return cls(layout, image, np.zeros(image.shape[:2], np.int64))

    def times(self, x: Array) -> Array:
        """x W as the banks compute it: BF16 inputs and products' sums in float32 accumulators, results in BF16."""
        m = self.layout
        vector = np.append(x, np.float32(1)) if len(x) + 1 == m.d_in else x
        total, first = np.zeros(0, np.float32), 0
        for chunk, size in enumerate(m.chunks):
            piece, outputs = m.piece_columns(chunk), m.outputs_per_bank
            start = chunk * m.chunks[0]
            buffer = np.zeros(piece * m.column_values, np.float32)
            buffer[:size] = vector[start : start + size]
            accesses = self.image[:, first : first + outputs * piece]
            self.reads[:, first : first + outputs * piece] += 1
            results = bf16(accesses.reshape(m.units, outputs, -1) @ buffer)  # [unit, output]
            # Output j is the (j // units)-th of unit j mod units.
            part = results.T.ravel()[: m.d_out]
            total = part if chunk == 0 else bf16(total + part)
            first += outputs * piece
        return total


@dataclass
class BankedCache:
    """Keys and values of one layer: per slot of a channel, K [bank, place, width] and V [bank, element, token]."""

    layout: HeadLayout
    keys: NDArray[np.float32] = field(init=False)
    values: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        h = self.layout
        places = -(-h.reserved // h.banks)
        tokens = h.value_run_columns(1) * h.column_values
        self.keys = np.zeros((h.channels, h.slots, h.banks, places, h.head_columns * h.column_values), np.float32)
        self.values = np.zeros((h.channels, h.slots, h.banks, h.elements_per_bank, tokens), np.float32)

    def store(self, token: int, k: Array, v: Array) -> None:
        """Write K and V of a token, [heads, width], where the mapping puts them."""
        h = self.layout
        for channel in range(h.channels):
            for slot, (head, ways, residue) in enumerate(h.pieces(channel)):
                if token % ways != residue:
                    continue
                t = token // ways
                self.keys[channel, slot, t % h.banks, t // h.banks, : h.width] = k[head]
                padded = np.zeros(h.elements_per_bank * h.banks, np.float32)
                padded[: h.width] = v[head]
                self.values[channel, slot, :, :, t] = padded.reshape(h.elements_per_bank, h.banks).T

    def scores(self, head_query: Array, context: int, group: int) -> Array:
        """q K^T: [query heads, context], collected from the channels."""
        h = self.layout
        result = np.zeros((h.heads * group, context), np.float32)
        for channel in range(h.channels):
            for slot, (head, ways, residue) in enumerate(h.pieces(channel)):
                tokens = np.arange(residue, context, ways)
                t = tokens // ways
                rows = self.keys[channel, slot, t % h.banks, t // h.banks, : h.width]
                for g in range(group):
                    result[head * group + g, tokens] = bf16(rows @ head_query[head * group + g])
        return result

    def weighted(self, weights: Array, context: int, group: int) -> Array:
        """Weights times V: [query heads, width]; the channels' partial sums of shared heads are added in BF16."""
        h = self.layout
        result = np.zeros((h.heads * group, h.width), np.float32)
        chunk = 1024
        for channel in range(h.channels):
            for slot, (head, ways, residue) in enumerate(h.pieces(channel)):
                tokens = np.arange(residue, context, ways)
                for g in range(group):
                    row = head * group + g
                    for first in range(0, len(tokens), chunk):
                        part = tokens[first : first + chunk]
                        values = self.values[channel, slot, :, :, part // ways]  # [token, bank, element]
                        sums = np.tensordot(weights[row, part], values, axes=1).T.ravel()[: h.width]
                        result[row] = bf16(result[row] + bf16(sums))
        return result


class FunctionalModel:
    """A model with random weights, run by the PIM program (``step``) and by float32 reference arithmetic (``exact``).

    Args:
        layout: the mapped model.
        seed: of the weights (normal, 0.02, residual projections scaled by depth, as GPT-2 initialises them).
    """

    def __init__(self, layout: ModelLayout, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.layout, self.model = layout, layout.model
        self.unit = BfloatUnit(layout.system.asic)
        m = self.model
        self.weights: list[dict[str, tuple[Array, Array | None]]] = []
        for _ in range(m.layers):
            block = {}
            for name, (d_in, d_out) in m.matrices.items():
                scale = 0.02 / np.sqrt(2 * m.layers) if name in ("projection", "ffn2") else 0.02
                values = rng.standard_normal((d_in, d_out), dtype=np.float32)
                w = bf16(values * np.float32(scale * np.sqrt(768 / d_in)))
                block[name] = (w, bf16(rng.normal(0, 0.02, d_out)) if m.bias else None)
            self.weights.append(block)
        self.banks = [
            {name: BankedMatrix.write(layout.matrices[name], *pair) for name, pair in block.items()}
            for block in self.weights
        ]
        self.caches = [BankedCache(layout.attention) for _ in range(m.layers)]
        self.exact_keys: list[list[Array]] = [[] for _ in range(m.layers)]
        self.exact_values: list[list[Array]] = [[] for _ in range(m.layers)]
        self.head = bf16(rng.normal(0, 0.02, (m.d_model, m.vocab))) if m.output_head else None
        self.head_bank = BankedMatrix.write(layout.head, self.head) if layout.head and self.head is not None else None

    def step(self, x: Array, token: int) -> Array:
        """One token through all blocks in PIM arithmetic: d_model values in, d_model values (or the logits) out."""
        m, u = self.model, self.unit
        x = bf16(x)
        for banks, cache in zip(self.banks, self.caches, strict=True):
            normed = u.norm(x, m.norm)
            q, k, v = self._split(banks["qkv"].times(normed))
            q, k = bf16(_rotated(m, q, token)), bf16(_rotated(m, k, token))
            cache.store(token, k, v)
            scaled = bf16(q * np.float32(1 / np.sqrt(m.head_width)))
            weights, inverse = u.softmax_parts(cache.scores(scaled, token + 1, m.group))
            attended = bf16(cache.weighted(weights, token + 1, m.group) * inverse[:, None])
            after = bf16(x + banks["projection"].times(attended.ravel()))
            before = normed if m.parallel_residual else u.norm(after, m.norm)
            inner = banks["ffn1"].times(before)
            if m.gated_mlp:
                inner = bf16(u.activation(m.activation, inner[: m.ff]) * inner[m.ff :])
            else:
                inner = u.activation(m.activation, inner)
            x = bf16(after + banks["ffn2"].times(inner))
        return self.head_bank.times(u.norm(x, m.norm)) if self.head_bank else x

    def exact(self, x: Array, token: int) -> Array:
        """The same in float32 with exact functions, plain matrices and the same (BF16) weights."""
        m = self.model
        for layer, block in enumerate(self.weights):
            normed = _exact_norm(x, m.norm)
            q, k, v = self._split(_product(normed, block["qkv"]))
            q, k = _rotated(m, q, token), _rotated(m, k, token)
            self.exact_keys[layer].append(k)
            self.exact_values[layer].append(v)
            keys, values = np.stack(self.exact_keys[layer]), np.stack(self.exact_values[layer])
            owner = np.arange(m.heads) // m.group
            scores = np.einsum("hw,thw->ht", q, keys[:, owner]) / np.sqrt(m.head_width)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            weights /= weights.sum(axis=1, keepdims=True)
            attended = np.einsum("ht,thw->hw", weights, values[:, owner])
            after = x + _product(attended.ravel(), block["projection"])
            before = normed if m.parallel_residual else _exact_norm(after, m.norm)
            inner = _product(before, block["ffn1"])
            if m.gated_mlp:
                inner = _exact_activation(m.activation, inner[: m.ff]) * inner[m.ff :]
            else:
                inner = _exact_activation(m.activation, inner)
            x = after + _product(inner, block["ffn2"])
        return _exact_norm(x, m.norm) @ self.head if self.head is not None else x

    def _split(self, qkv: Array) -> tuple[Array, Array, Array]:
        m = self.model
        q, kv = m.heads * m.head_width, m.kv * m.head_width
        shape = (-1, m.head_width)
        return qkv[:q].reshape(shape), qkv[q : q + kv].reshape(shape), qkv[q + kv :].reshape(shape)


def _product(x: Array, matrix: tuple[Array, Array | None]) -> Array:
    w, bias = matrix
    return x @ w if bias is None else x @ w + bias


def _rotated(m: GptModel, x: Array, token: int) -> Array:
    """Rotary position: pairs (i, i + n/2) of the first n values of each head."""
    n = int(m.rotary_fraction * m.head_width) // 2 * 2
    if n == 0:
        return x
    angle = token * m.rope_theta ** (-np.arange(0, n, 2, dtype=np.float64) / n)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = x[:, : n // 2], x[:, n // 2 : n]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, x[:, n:]], axis=1)


def _exact_norm(x: Array, kind: str) -> Array:
    centred = x - x.mean() if kind == "layernorm" else x
    return np.asarray(centred / np.sqrt((centred * centred).mean() + np.float32(1e-5)), np.float32)


def _exact_activation(name: str, x: Array) -> Array:
    if name == "relu":
        return np.maximum(x, np.float32(0))
    if name == "silu":
        return np.asarray(x / (1 + np.exp(-x)), np.float32)
    from math import erf

    return np.array(0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2))), np.float32)


def relative_error(model: GptModel, layout: ModelLayout, tokens: int = 4, seed: int = 0) -> float:
    """Largest error of the outputs of ``tokens`` tokens, relative to the root mean square of the exact ones."""
    functional, rng = FunctionalModel(layout, seed), np.random.default_rng(seed + 1)
    worst = 0.0
    for token in range(tokens):
        x = bf16(rng.normal(0, 1, model.d_model))
        got, exact = functional.step(x, token), functional.exact(x, token)
        worst = max(worst, float(np.abs(got - exact).max() / np.sqrt((exact * exact).mean())))
    return worst
