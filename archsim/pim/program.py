"""Instructions of one decoder layer for one token: what the ASIC, the pins and the banks do, in order.

The set is derived from pim-gpt sheet C: SEND (write the global buffers), MAC (a list of rows, with its results), STORE
(K and V), and the ASIC's NORM, ADD, ROTATE, EXP, SCALE, ACTIVATE. Channels run the same instruction at the same time;
its duration is that of the slowest channel, its counts are summed over all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from archsim.kernels.asic import ASIC, BANKS, INSTRUCTION, LAYER_START, NO_DEPENDENCE, PINS
from archsim.pim import buffers
from archsim.pim.costs import AsicTimes, BankTimes, Counts, MacCost, rows_and_changes, rows_of_runs, rows_spanned
from archsim.pim.mapping import HeadLayout, MatrixLayout, ModelLayout
from archsim.pim.system import VALUE_BYTES

OPERATIONS = (
    "norm1", "qkv", "rotary", "store_k", "store_v", "scores", "softmax", "context", "projection", "norm2",
    "ffn1", "activation", "ffn2", "final_norm", "head", "embedding",
)  # fmt: skip
_OP = {name: number for number, name in enumerate(OPERATIONS)}


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``after``: instructions of the program that it waits for, or LAYER_START."""

    name: str
    op: str
    unit: int
    duration_ps: int
    counts: Counts
    after: tuple[int, ...]
    pins_ps: int = 0
    keeps_row: bool = False
    sequence: int = 0


@dataclass
class Program:
    """Instructions of a layer (or of what follows the last layer)."""

    instructions: list[Instruction] = field(default_factory=list)

    def add(self, one: Instruction) -> int:
        """Append; returns its number."""
        self.instructions.append(one)
        return len(self.instructions) - 1

    def counts_by_operation(self) -> np.ndarray:
        """i8[operations, fields of Counts]."""
        table = np.zeros((len(OPERATIONS), len(Counts._fields)), np.int64)
        if self.instructions:
            numbers = [_OP[one.op] for one in self.instructions]
            np.add.at(table, numbers, np.array([one.counts for one in self.instructions], np.int64))
        return table

    def records(self) -> np.ndarray:
        """The program as the token loop reads it."""
        rows = [
            (
                _OP[one.op], one.unit, one.sequence, one.keeps_row,
                one.after + (NO_DEPENDENCE,) * (3 - len(one.after)), one.duration_ps, one.pins_ps,
            )
            for one in self.instructions
        ]  # fmt: skip
        return np.array(rows, INSTRUCTION)


class ProgramBuilder:
    """Builds the programs of a mapped model, for any length of context."""

    def __init__(self, layout: ModelLayout) -> None:
        self.layout = layout
        self.model, self.system = layout.model, layout.system
        self.bank, self.asic = BankTimes.of(layout.system), AsicTimes(layout.system)
        self.channels, self.banks = layout.system.memory.channels, layout.system.memory.banks

    def layer(self, context: int) -> Program:
        """One decoder layer for the token that makes the sequences ``context`` tokens long."""
        return _together([self._layer(context, s) for s in range(self.layout.batch)])

    def _layer(self, context: int, s: int) -> Program:
        p, m = Program(), self.model
        norm1 = self._asic(p, "norm", "norm1", self.asic.norm(m.d_model), m.d_model * 2, (LAYER_START,), s)
        qkv = self._product(p, "qkv", self.layout.matrices["qkv"], (norm1,), s)[-1]
        qkv = self._rotate(p, qkv, s)
        attended = self._attention(p, context, qkv, s)
        projected = self._product(p, "projection", self.layout.matrices["projection"], (attended,), s)[-1]
        before = norm1
        if not m.parallel_residual:
            before = self._asic(p, "norm", "norm2", self.asic.norm(m.d_model), m.d_model * 2, (projected,), s)
        self._feed_forward(p, before, s)
        return p

    def closing(self, last: bool = True) -> Program:
        """What follows the last layer: final norm, output head, and the embedding of the token that comes next."""
        head = self.layout.head
        if head is None or not last:
            return Program()
        return _together([self._closing(head, s) for s in range(self.layout.batch)])

    def _closing(self, head: MatrixLayout, s: int) -> Program:
        p, m = Program(), self.model
        norm = self._asic(p, "norm", "final_norm", self.asic.norm(m.d_model), m.d_model * 2, (LAYER_START,), s)
        logits = self._product(p, "head", head, (norm,), s)[-1]
        columns = -(-m.d_model // self.system.column_values)
        rows = rows_spanned(0, columns, self.system.row_columns)
        counts = Counts(activates=rows, reads=columns, bytes_out=columns * self.system.memory.column_bytes)
        p.add(
            Instruction(
                "READ embedding", "embedding", BANKS, self.bank.read(rows, columns), counts, (logits,), 0, False, s
            )
        )
        return p

    def _asic(self, p: Program, name: str, op: str, cycles: int, values: int, after: tuple[int, ...], s: int) -> int:
        if cycles == 0:
            return after[0]
        counts = Counts(values=values)
        return p.add(Instruction(name.upper(), op, ASIC, cycles * self.system.cycle_ps, counts, after, sequence=s))

    def _send(self, p: Program, op: str, name: str, bursts: int, total: int, after: tuple[int, ...], s: int) -> int:
        """Fill the global buffer: ``bursts`` in the slowest channel, ``total`` in all."""
        counts = Counts(bytes_in=total * self.system.memory.column_bytes)
        return p.add(Instruction(f"SEND {name}", op, PINS, self.bank.send(bursts), counts, after, sequence=s))

    def _mac(
        self, p: Program, op: str, name: str, slowest: MacCost, total: MacCost,
        after: tuple[int, ...], s: int, keeps_row: bool = False, closing: bool = True,
    ) -> int:  # fmt: skip
        """MAC: cost in the slowest channel, and summed over all channels."""
        rows, columns, results, _ = total
        counts = Counts(
            activates=rows * self.banks, all_bank_activates=rows, macs=columns * self.banks, all_bank_macs=columns,
            bytes_out=results * self.banks * VALUE_BYTES,
        )  # fmt: skip
        pins, time = slowest.results * self.bank.burst_ps, self.bank.mac(slowest, closing)
        return p.add(Instruction(f"MAC {name}", op, BANKS, time, counts, after, pins, keeps_row, s))

    def _matrix_mac(
        self, p: Program, op: str, m: MatrixLayout, place: tuple[int, int, int], after: tuple[int, ...], s: int
    ) -> int:
        """MAC of ``outputs`` outputs of a chunk, ``place`` = (chunk, column access that they begin with, outputs)."""
        chunk, first, outputs = place
        piece, row_columns = m.piece_columns(chunk), self.system.row_columns
        columns = outputs * piece
        closing = first + columns == m.columns
        ends = (first + piece * np.arange(1, outputs + 1)) % row_columns == 0
        # Before the next chunk's SEND the last transfer is waited for, wherever the row ends.
        at_end = (first + columns) == sum(m.chunk_columns[: chunk + 1])
        hidden = int(ends.sum()) - int(at_end and ends[-1])
        one = MacCost(rows_spanned(first, columns, row_columns), columns, outputs, hidden)
        every = MacCost(*(self.channels * value for value in one))
        return self._mac(p, op, f"{m.name}[{chunk}]", one, every, after, s, first % row_columns != 0, closing)

    def _product(self, p: Program, op: str, m: MatrixLayout, after: tuple[int, ...], s: int) -> list[int]:
        """Vector times matrix. Returns the last instruction of each group of outputs that fills the global buffer."""
        column = 0
        ends: list[int] = []
        for chunk, size in enumerate(m.chunks):
            bursts = -(-size // self.system.column_values)
            sent = self._send(p, op, f"{m.name}[{chunk}]", bursts, bursts * self.channels, after, s)
            last = chunk + 1 == len(m.chunks)
            group = max(1, self.system.buffer_values // self.system.units)
            if not last:  # one instruction, unless it would hold up the refresh for more than an interval
                refresh_ps = self.system.memory.refi_ns * 1e3 / (self.bank.mac_ps * m.piece_columns(chunk))
                group = min(m.outputs_per_bank, max(group, int(refresh_ps / group) * group))
            for first in range(0, m.outputs_per_bank, group):
                outputs = min(group, m.outputs_per_bank - first)
                read = self._matrix_mac(p, op, m, (chunk, column, outputs), (sent,), s)
                column += outputs * m.piece_columns(chunk)
                values = min(outputs * self.system.units, max(0, m.d_out - first * self.system.units))
                end = self._asic(p, "add", op, self.asic.add(values), values, (read,), s) if chunk else read
                if last:
                    ends.append(end)
        return ends

    def _rotate(self, p: Program, qkv: int, s: int) -> int:
        values = int(self.model.rotary_fraction * self.model.head_width) * (self.model.heads + self.model.kv)
        return self._asic(p, "rotate", "rotary", self.asic.rotary(self.model), 2 * values, (qkv,), s)

    def _feed_forward(self, p: Program, before: int, s: int) -> None:
        """Both products with the activation between, which begins with the first finished group of outputs."""
        m = self.model
        groups = self._product(p, "ffn1", self.layout.matrices["ffn1"], (before,), s)
        second = self.layout.matrices["ffn2"]
        if m.gated_mlp or len(groups) == 1:
            cycles = self.asic.activation(m)
            done = [self._asic(p, "activate", "activation", cycles, m.ff * (2 if m.gated_mlp else 1), (groups[-1],), s)]
        else:
            # One pipelined pass over all groups: its latency is paid with the first.
            cycles, done = self.asic.activation(m), []
            share = [min(self.system.buffer_values, m.ff - k * self.system.buffer_values) for k in range(len(groups))]
            passes = [max(0, -(-values // self.system.asic.lanes)) for values in share]
            rest = cycles - sum(passes[1:])
            for k, ready in enumerate(groups):
                own = rest if k == 0 else passes[k]
                done.append(self._asic(p, "activate", "activation", own, max(0, share[k]), (ready,), s))
        self._product_of_groups(p, second, done, s)

    def _product_of_groups(self, p: Program, m: MatrixLayout, done: list[int], s: int) -> None:
        """As `_product`, the input's chunks becoming ready one after the other."""
        column = 0
        for chunk, size in enumerate(m.chunks):
            bursts = -(-size // self.system.column_values)
            ready = done[min(chunk, len(done) - 1)]
            sent = self._send(p, "ffn2", f"{m.name}[{chunk}]", bursts, bursts * self.channels, (ready,), s)
            mac = self._matrix_mac(p, "ffn2", m, (chunk, column, m.outputs_per_bank), (sent,), s)
            column += m.chunk_columns[chunk]
            if chunk:
                self._asic(p, "add", "ffn2", self.asic.add(m.d_out), m.d_out, (mac,), s)

    def _attention(self, p: Program, context: int, qkv: int, s: int) -> int:
        heads = self.layout.attention
        self._store(p, heads, context, qkv, s)
        summed = qkv
        for pairs in buffers.pairs_in_work(self.layout, context):
            ready = (qkv,) if pairs.start == 0 else (qkv, summed)  # the scores before have left the SRAM
            last = self._scores(p, heads, context, ready, s, pairs)
            summed = self._weighted(p, heads, context, last, s, pairs)
        return self._combined(p, heads, summed, s)

    def _store(self, p: Program, heads: HeadLayout, context: int, qkv: int, s: int) -> None:
        """K: one row write per kind of head and channel. V: every element has a row of its own."""
        token, cv = context - 1, self.system.column_values
        sharing = sum(1 for c in range(self.channels) if heads.shared and heads.residue(c) == token % heads.ways)
        kinds = ((heads.full, self.channels, 1), (heads.shared, sharing, heads.ways))
        slowest_rows = slowest_bursts = 0
        counts = Counts()
        for slots, channels, ways in kinds:
            if not slots or not channels:
                continue
            bursts = slots * heads.head_columns
            first = (token // ways // heads.banks) * bursts
            rows = rows_of_runs(first, 0, 1, bursts, heads.row_columns)
            slowest_rows, slowest_bursts = slowest_rows + rows, slowest_bursts + bursts
            size = channels * bursts * self.system.memory.column_bytes
            counts = counts.plus(Counts(activates=channels * rows, writes=channels * bursts, bytes_in=size))
        time = self.bank.store(slowest_rows, slowest_bursts)
        p.add(
            Instruction(
                "STORE K", "store_k", BANKS, time, counts, (qkv,), slowest_bursts * self.bank.burst_ps, False, s
            )
        )
        slowest_rows = slowest_bursts = 0
        counts = Counts()
        for slots, channels, ways in kinds:
            if not slots or not channels:
                continue
            bursts, run = slots * heads.elements_per_bank, heads.value_run_columns(ways)
            rows = rows_of_runs(token // ways // cv, run, bursts, 1, heads.row_columns)
            slowest_rows, slowest_bursts = slowest_rows + rows, slowest_bursts + bursts
            added = Counts(
                activates=channels * rows * self.banks, all_bank_activates=channels * rows,
                writes=channels * bursts * self.banks, bytes_in=channels * bursts * self.banks * VALUE_BYTES,
            )  # fmt: skip
            counts = counts.plus(added)
        time = self.bank.store(slowest_rows, slowest_bursts)
        p.add(
            Instruction(
                "STORE V", "store_v", BANKS, time, counts, (qkv,), slowest_bursts * self.bank.burst_ps, False, s
            )
        )

    def _by_residue(self, heads: HeadLayout) -> list[tuple[int, int]]:
        """``(residue, channels)`` of the channels that behave alike."""
        return [(r, self.channels // heads.ways) for r in range(heads.ways)]

    def _scores(
        self, p: Program, heads: HeadLayout, context: int, ready: tuple[int, ...], s: int, chosen: range
    ) -> int:
        """q K^T of some queries of a channel: they go into its buffer, every row of K once for each buffer-full."""
        group, per_head = self.model.group, heads.head_columns
        fit = max(1, self.system.buffer_values // (per_head * self.system.column_values))
        mac = ready[0]
        for first in range(chosen.start, chosen.stop, fit):
            n = min(fit, chosen.stop - first)
            sent = self._send(p, "scores", "q", n * per_head, n * per_head * self.channels, ready, s)
            costs = []
            for residue, channels in self._by_residue(heads):
                rows = columns = results = 0
                hidden = -1
                here = max(0, min(first + n, heads.full * group) - first)  # pairs of whole heads in this buffer-full
                for slots, tokens, own in (
                    (heads.full, context, here),
                    (heads.shared, heads.tokens(context, residue), n - here),
                ):
                    held = -(-tokens // heads.banks)
                    columns += held * own * per_head
                    results += held * own
                    if held and own:
                        # A token's pieces of all heads lie side by side; each ends with a transfer.
                        more, changes = rows_and_changes(0, per_head, held * slots, per_head, heads.row_columns)
                        rows, hidden = rows + more, hidden + changes + 1
                costs.append((channels, MacCost(rows, columns, results, max(hidden, 0))))
            mac = self._mac(p, "scores", "q K^T", *_slowest(self.bank, costs), (sent,), s)
        return mac

    def _weighted(self, p: Program, heads: HeadLayout, context: int, scored: int, s: int, chosen: range) -> int:
        """Softmax of some queries of a channel and its product with V, one after the other."""
        group, cv = self.model.group, self.system.column_values
        done = summed = scored
        for pair in chosen:
            slot = pair // group
            ways = 1 if slot < heads.full else heads.ways
            index = slot if slot < heads.full else slot - heads.full
            counted = context * self.channels // ways
            cycles = self.asic.exponentials(counted)
            if done != scored:  # the pipeline is full: only the pass
                cycles = -(-counted // self.system.asic.lanes)
            done = self._asic(p, "exp", "softmax", cycles, counted, (scored,), s)
            summed = self._weigh(p, heads, context, (ways, index), done, s, cv)
        return summed

    def _combined(self, p: Program, heads: HeadLayout, summed: int, s: int) -> int:
        """The pieces of shared heads added up, and the division by the sums of the softmax."""
        values, group = self.model.heads * heads.width, self.model.group
        combined = (heads.heads - heads.full * self.channels) * group * heads.width * (heads.ways - 1)
        done = self._asic(p, "add", "context", self.asic.add(combined), combined, (summed,), s)
        return self._asic(p, "scale", "softmax", self.asic.normalise(values), values, (done,), s)

    def _weigh(
        self, p: Program, heads: HeadLayout, context: int, slot: tuple[int, int], ready: int, s: int, cv: int
    ) -> int:
        """Scores of one head in every channel times V, chunk after chunk of tokens."""
        ways, index = slot
        run, elements = heads.value_run_columns(ways), heads.elements_per_bank
        per_chunk = self.system.buffer_values // cv
        longest = -(-heads.tokens(context, 0) // cv) if ways > 1 else -(-context // cv)
        end = ready
        for first in range(0, longest, per_chunk):
            costs, bursts = [], 0
            for residue in range(ways):
                tokens = heads.tokens(context, residue) if ways > 1 else context
                columns = min(max(-(-tokens // cv) - first, 0), per_chunk)
                cost = MacCost(0, 0, 0, 0)
                if columns:
                    begin = index * elements * run + first
                    rows, changes = rows_and_changes(begin, run, elements, columns, heads.row_columns)
                    cost = MacCost(rows, elements * columns, elements, changes)
                costs.append((self.channels // ways, cost))
                bursts += self.channels // ways * columns
            longest_here = min(longest - first, per_chunk)
            sent = self._send(p, "context", "scores", longest_here, bursts, (ready,), s)
            end = self._mac(p, "context", "scores V", *_slowest(self.bank, costs), (sent,), s)
            if first:
                values = self.channels // ways * heads.width
                end = self._asic(p, "add", "context", self.asic.add(values), values, (end,), s)
        return end


def _together(programs: list[Program]) -> Program:
    """The sequences of a batch, operation by operation in turn, and the waits for the global buffer."""
    order: list[tuple[int, int]] = []  # (sequence, instruction)
    runs = []
    for program in programs:
        operations = [one.op for one in program.instructions]
        runs.append([list(run) for _, run in groupby(range(len(operations)), operations.__getitem__)])
    for turn in zip(*runs, strict=True):
        order += [(s, i) for s, run in enumerate(turn) for i in run]
    number = {key: position for position, key in enumerate(order)}
    merged = Program()
    used: list[int] = []
    for s, i in order:
        one = programs[s].instructions[i]
        after = tuple(number[s, k] if k >= 0 else k for k in dict.fromkeys(one.after))
        if one.unit == PINS:
            # Two buffers: this one is free when the MAC instructions of the send before the last have ended.
            after += (used[-2],) if len(used) >= 2 else ()
            used.append(len(merged.instructions))
        elif one.name.startswith("MAC"):
            used[-1] = len(merged.instructions)
        merged.add(replace(one, after=after) if after != one.after else one)
    return merged


def _slowest(bank: BankTimes, costs: list[tuple[int, MacCost]]) -> tuple[MacCost, MacCost]:
    """The costliest of ``(channels, cost)``, and the sum over all channels."""
    worst = max((cost for _, cost in costs), key=lambda cost: bank.mac(cost, True))
    return worst, MacCost(*(sum(n * cost[k] for n, cost in costs) for k in range(4)))
