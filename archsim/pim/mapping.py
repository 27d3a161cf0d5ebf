"""Where every weight, key and value lives: matrices over all banks, heads over channels.

Weights (pim-gpt sheet D): output column j of a matrix belongs to unit ``j mod units`` (unit = channel * banks + bank).
The input is cut into chunks that fit the global buffer; a bank holds, chunk after chunk, the pieces of its output
columns, packed column access by column access without gaps.

Attention: key/value heads are dealt to whole channels; heads that are left over are shared by tokens (a head that p
channels share keeps token t in the channel of residue ``t mod p``), so that every channel holds the same amount. Inside
a channel tokens go round its banks. K is row-major: the heads of a token side by side in one bank. V is column-major:
one element's values of all tokens of the sequence lie in a row, with room reserved for the tokens to come.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from archsim.errors import ConfigError
from archsim.pim import buffers
from archsim.pim.models import GptModel
from archsim.pim.system import VALUE_BYTES, PimSystem


@dataclass(frozen=True)
class MatrixLayout:
    """A d_in x d_out matrix over all units. Columns and rows are those of one bank; all banks hold the same layout."""

    name: str
    d_in: int  # with the bias row, if there is one
    d_out: int
    units: int
    column_values: int
    row_columns: int
    chunks: tuple[int, ...]  # values of each input chunk

    @property
    def outputs_per_bank(self) -> int:
        """Output columns of a bank (the last ones may be missing in some banks)."""
        return -(-self.d_out // self.units)

    def piece_columns(self, chunk: int) -> int:
        """Column accesses of one output's piece of a chunk."""
        return -(-self.chunks[chunk] // self.column_values)

    @property
    def chunk_columns(self) -> tuple[int, ...]:
        """Column accesses of a bank for each chunk."""
        return tuple(self.outputs_per_bank * self.piece_columns(c) for c in range(len(self.chunks)))

    @property
    def columns(self) -> int:
        """Column accesses of a bank for the whole matrix."""
        return sum(self.chunk_columns)

    @property
    def rows(self) -> int:
        """Rows of a bank."""
        return -(-self.columns // self.row_columns)

    def address(self, i: np.ndarray, j: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of W[i, j]: unit (channel * banks + bank), column access counted from the matrix's first, lane."""
        size = self.chunks[0]
        chunk = i // size
        base = np.concatenate(([0], np.cumsum(self.chunk_columns)))[chunk]
        piece = np.array([self.piece_columns(c) for c in range(len(self.chunks))])[chunk]
        within = i - chunk * size
        column = base + (j // self.units) * piece + within // self.column_values
        return j % self.units, column, within % self.column_values


def matrix_layout(name: str, d_in: int, d_out: int, system: PimSystem, bias: bool = False) -> MatrixLayout:
    """Layout of a matrix; a bias is one more input row, fed with the constant 1."""
    total, size = d_in + bias, system.buffer_values
    chunks = tuple(min(size, total - start) for start in range(0, total, size))
    return MatrixLayout(name, total, d_out, system.units, system.column_values, system.row_columns, chunks)


@dataclass(frozen=True)
class HeadLayout:
    """Key/value heads over channels. ``full``: heads that a channel holds alone; ``shared``: pieces of shared heads."""

    heads: int
    channels: int
    banks: int
    width: int  # values of a head
    column_values: int
    row_columns: int
    full: int
    shared: int
    ways: int  # channels that share a head
    reserved: int  # tokens of one sequence that there is room for

    @property
    def slots(self) -> int:
        """Heads and pieces of heads on every channel."""
        return self.full + self.shared

    @property
    def head_columns(self) -> int:
        """Column accesses of one head of one token of K."""
        return -(-self.width // self.column_values)

    @property
    def elements_per_bank(self) -> int:
        """Elements of one head's V in a bank."""
        return -(-self.width // self.banks)

    def tokens(self, context: int, residue: int) -> int:
        """Tokens of a shared head that the channels of a residue hold, of ``context`` tokens."""
        return -(-max(context - residue, 0) // self.ways)

    def residue(self, channel: int) -> int:
        """Residue (token modulo ``ways``) of the shared pieces of a channel."""
        return channel % self.ways

    def pieces(self, channel: int) -> list[tuple[int, int, int]]:
        """``(head, ways, residue)`` of every slot of a channel."""
        own = [(channel * self.full + k, 1, 0) for k in range(self.full)]
        first = self.channels * self.full
        for k in range(self.shared):
            own.append((first + (channel + k * self.channels) // self.ways, self.ways, channel % self.ways))
        return own

    def value_run_columns(self, ways: int) -> int:
        """Column accesses reserved for the tokens of one V element in a head shared by ``ways`` channels."""
        tokens = -(-self.reserved // ways)
        return -(-tokens // self.column_values)

    @property
    def key_rows(self) -> int:
        """Rows of a bank for K of one layer and sequence."""
        rows = 0
        for slots, tokens in ((self.full, self.reserved), (self.shared, -(-self.reserved // self.ways))):
            rows += -(-(-(-tokens // self.banks) * slots * self.head_columns) // self.row_columns)
        return rows

    @property
    def value_rows(self) -> int:
        """Rows of a bank for V of one layer and sequence."""
        rows = 0
        for slots, ways in ((self.full, 1), (self.shared, self.ways)):
            rows += -(-(slots * self.elements_per_bank * self.value_run_columns(ways)) // self.row_columns)
        return rows


def head_layout(model: GptModel, system: PimSystem, reserved: int) -> HeadLayout:
    """Deal the key/value heads of a layer to the channels, with room for ``reserved`` tokens."""
    channels = system.memory.channels
    full, rest = divmod(model.kv, channels)
    ways = channels // math.gcd(rest, channels) if rest else 1
    return HeadLayout(
        heads=model.kv,
        channels=channels,
        banks=system.memory.banks,
        width=model.head_width,
        column_values=system.column_values,
        row_columns=system.row_columns,
        full=full,
        shared=rest * ways // channels,
        ways=ways,
        reserved=max(reserved, 0),
    )


@dataclass(frozen=True)
class ModelLayout:
    """The whole model in the memory: a block's matrices in order of use, the output head, K and V of a layer."""

    model: GptModel
    system: PimSystem
    matrices: dict[str, MatrixLayout]
    head: MatrixLayout | None
    attention: HeadLayout
    batch: int = 1
    embedding_rows: int = field(default=0)

    @property
    def weight_rows(self) -> int:
        """Rows of a bank that weights take (and the embedding table, of models with an output head)."""
        rows = self.model.layers * sum(m.rows for m in self.matrices.values()) + self.embedding_rows
        return rows + (self.head.rows if self.head else 0)

    @property
    def kv_rows(self) -> int:
        """Rows of a bank reserved for K and V."""
        return self.model.layers * self.batch * (self.attention.key_rows + self.attention.value_rows)

    def rows_of(self) -> list[tuple[str, int, int]]:
        """``(name, first row, rows)`` of everything in a bank, in order."""
        table, row = [], 0
        for layer in range(self.model.layers):
            parts = [(m.name, m.rows) for m in self.matrices.values()]
            for sequence in range(self.batch):
                tag = f"[{sequence}]" if self.batch > 1 else ""
                parts += [(f"K{tag}", self.attention.key_rows), (f"V{tag}", self.attention.value_rows)]
            for name, rows in parts:
                table.append((f"layer {layer} {name}", row, rows))
                row += rows
        for name, rows in (("output head", self.head.rows if self.head else 0), ("embedding", self.embedding_rows)):
            if rows:
                table.append((name, row, rows))
                row += rows
        return table


def map_model(
    model: GptModel, system: PimSystem, tokens: int, batch: int = 1, reserve: int | None = None
) -> ModelLayout:
    """Place a model and the keys and values of ``tokens`` tokens.

    Args:
        model, system: what and where.
        tokens: longest sequence that will run, prompt included.
        batch: sequences at a time, each with K and V of its own.
        reserve: tokens that room is reserved for (default: ``tokens``).

    Raises:
        ConfigError: the weights don't fit (says by how many bytes), the keys and values don't fit (says from which
            token on), ``tokens`` exceeds the reserved room or the model's positions, or the ASIC's SRAM holds neither
            the vectors nor one head's scores.
    """
    if tokens < 1 or batch < 1 or (reserve is not None and reserve < 1):
        raise ConfigError(f"tokens, batch and reserve are at least 1, got {tokens}, {batch}, {reserve}")
    if model.max_positions and tokens > model.max_positions:
        raise ConfigError(
            f"{model.name}: made for {model.max_positions} positions, token {model.max_positions + 1} has none"
        )
    if model.head_width > system.buffer_values:
        raise ConfigError(
            f"{model.name}: a head of {model.head_width} values exceeds the buffer of {system.buffer_values}"
        )
    layout = _place(model, system, reserve or tokens, batch)
    missing = layout.weight_rows - system.memory.rows
    if missing > 0:
        raise ConfigError(
            f"{model.name} doesn't fit into {system.name}: {_bytes(layout, missing)} short "
            f"(weights take {layout.weight_rows} rows of each bank, which has {system.memory.rows})"
        )
    missing = layout.weight_rows + layout.kv_rows - system.memory.rows
    if missing > 0:
        most = most_tokens(model, system, batch)
        raise ConfigError(
            f"{model.name} on {system.name}: KV cache overflows at token {most + 1}: {_bytes(layout, missing)} short "
            f"of room for {reserve or tokens} tokens of {batch} sequence{'s' if batch > 1 else ''}"
        )
    if reserve is not None and tokens > reserve:
        raise ConfigError(f"{model.name}: KV cache overflows at token {reserve + 1}: room is reserved for {reserve}")
    buffers.check(layout, tokens)
    return layout


def most_tokens(model: GptModel, system: PimSystem, batch: int = 1) -> int:
    """Longest sequence whose K and V fit beside the weights, and its scores into the ASIC's SRAM."""
    low, high = 0, system.capacity_bytes // (VALUE_BYTES * max(1, model.kv_values_per_token)) + system.units
    while low < high:
        middle = (low + high + 1) // 2
        layout = _place(model, system, middle, batch)
        fits = layout.weight_rows + layout.kv_rows <= system.memory.rows
        low, high = (middle, high) if fits else (low, middle - 1)
    return max(0, min(low, buffers.most_scored_tokens(_place(model, system, low, batch))))


def _place(model: GptModel, system: PimSystem, reserved: int, batch: int) -> ModelLayout:
    matrices = {
        name: matrix_layout(name, d_in, d_out, system, model.bias) for name, (d_in, d_out) in model.matrices.items()
    }
    head, embedding = None, 0
    if model.output_head:
        head = matrix_layout("head", model.d_model, model.vocab, system)
        per_bank = -(-model.vocab // system.units) * -(-model.d_model // system.column_values)
        embedding = -(-per_bank // system.row_columns)
    return ModelLayout(model, system, matrices, head, head_layout(model, system, reserved), batch, embedding)


def _bytes(layout: ModelLayout, rows: int) -> str:
    return f"{rows * layout.system.units * layout.system.memory.row_bytes:,} bytes"
