"""Time and command counts of single instructions: closed forms of the command sequences that the banks execute.

A MAC instruction is, for all banks of a channel at once: ACT of a row, one MAC per column access of it, PRE, and so on
over its rows; whenever an output is complete, the 16 results of the banks leave over the pins, one value each. A row
costs tRCD + tRP beside its columns (pim-gpt sheet H); result transfers are serial (one accumulator per bank).
``tests/validation/test_pim_commands.py`` compares these forms with the DRAM engine, command by command.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, lcm, log2
from typing import NamedTuple

from archsim.pim.models import GptModel
from archsim.pim.system import PimSystem


class Counts(NamedTuple):
    """What an instruction did, summed over all channels. A command to all banks counts once for each of them."""

    activates: int = 0  # bank activations
    all_bank_activates: int = 0  # commands that activate all banks of a channel
    macs: int = 0  # column accesses by MAC units
    all_bank_macs: int = 0  # MAC commands
    writes: int = 0  # column writes into a bank
    reads: int = 0  # column reads to the pins
    bytes_in: int = 0  # over the pins, ASIC to memory
    bytes_out: int = 0  # over the pins, memory to ASIC
    values: int = 0  # values that the ASIC's lanes took

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class MacCost(NamedTuple):
    """A MAC instruction in one channel."""

    rows: int  # newly opened
    columns: int  # column accesses
    results: int  # transfers of the accumulators of all banks
    hidden: int  # of them, those that a change of the row follows, which goes on meanwhile


def rows_spanned(first: int, columns: int, row_columns: int) -> int:
    """Rows newly opened by ``columns`` accesses from ``first`` on, if the row before ``first`` is still open."""
    if columns == 0:
        return 0
    before = (first - 1) // row_columns if first else -1
    return (first + columns - 1) // row_columns - before


def rows_of_runs(first: int, stride: int, runs: int, columns: int, row_columns: int) -> int:
    """Rows opened, one after the other, by ``runs`` runs of ``columns`` accesses that begin ``stride`` apart."""
    if runs == 0 or columns == 0:
        return 0
    return rows_and_changes(first, stride, runs, columns, row_columns)[0]


def rows_and_changes(first: int, stride: int, runs: int, columns: int, row_columns: int) -> tuple[int, int]:
    """As `rows_of_runs`, and how many runs after the first begin in another row than the one before ended in."""
    if stride == columns and first == 0:  # side by side: a change where a run ends with its row
        return -(-runs * columns // row_columns), (runs - 1) * columns // lcm(row_columns, columns)
    rows, changes, open_row = 0, -1, -1
    for begin in range(first, first + runs * stride, stride) if runs > 1 else (first,):
        low, high = begin // row_columns, (begin + columns - 1) // row_columns
        changed = low != open_row
        rows += high - low + changed
        changes += changed
        open_row = high
    return rows, changes


@dataclass(frozen=True)
class BankTimes:
    """Picoseconds of the parts of instructions on pins and banks."""

    rcd_ps: int
    rp_ps: int
    wr_ps: int
    cwl_ps: int
    buffer_ps: int
    slot_ps: int
    mac_ps: int
    burst_ps: int

    @classmethod
    def of(cls, system: PimSystem) -> BankTimes:
        """Times of a system."""
        m = system.memory
        times = (m.rcd_ns, m.rp_ns, m.wr_ns, m.cwl_ns, m.buffer_latency_ns, m.ccd_ns)
        rcd, rp, wr, cwl, buffer, slot = (round(1e3 * t) for t in times)
        return cls(rcd, rp, wr, cwl, buffer, slot, system.mac_ps, system.burst_ps)

    def mac(self, cost: MacCost, closing: bool = False) -> int:
        """Time of a MAC instruction; ``closing``: its last row is closed after it (always, but within a matrix).

        A transfer of results keeps the accumulators from the next MAC for a burst. Where a change of the row follows,
        that goes on meanwhile, and only the command's slot is left.
        """
        rows, columns, results, hidden = cost
        time = rows * (self.rcd_ps + self.rp_ps) + columns * self.mac_ps
        time += (results - hidden) * self.burst_ps + hidden * max(
            self.slot_ps, self.burst_ps - self.rp_ps - self.rcd_ps
        )
        if closing and results:
            time += max(self.slot_ps, self.burst_ps - self.rp_ps) - self.burst_ps
        return time

    def send(self, bursts: int) -> int:
        """Write ``bursts`` columns into the global buffer."""
        return bursts * self.burst_ps + (self.buffer_ps if bursts else 0)

    def read(self, rows: int, columns: int) -> int:
        """Read ``columns`` to the pins from ``rows`` rows of one bank; the last row closes while data come out."""
        return rows * (self.rcd_ps + self.rp_ps) + columns * self.burst_ps

    def store(self, rows: int, bursts: int) -> int:
        """Write ``bursts`` columns into ``rows`` rows, each opened, written, and closed."""
        return rows * (self.rcd_ps + self.cwl_ps + self.wr_ps + self.rp_ps) + bursts * self.burst_ps


@dataclass(frozen=True)
class AsicTimes:
    """Cycles of the ASIC's instructions: passes over values at ``lanes`` a cycle, plus the latency of the pipeline."""

    system: PimSystem

    def _passes(self, values: int) -> int:
        return -(-values // self.system.asic.lanes)

    @property
    def tree(self) -> int:
        """Cycles to add up what the lanes hold."""
        return ceil(log2(self.system.asic.lanes)) * self.system.asic.add_cycles

    @property
    def series(self) -> int:
        """Latency of a Taylor series about the nearest centre, by Horner's rule.

        A subtraction of the centre, then a multiplication and an addition for every term but the first.
        """
        a = self.system.asic
        centre = a.add_cycles if a.range_reduction else 0
        return centre + (a.taylor_terms - 1) * (a.multiply_cycles + a.add_cycles)

    @property
    def reciprocal(self) -> int:
        """Seed, then two multiplications and a subtraction for each Newton step x (2 - a x)."""
        a = self.system.asic
        return a.add_cycles + a.newton_iterations * (2 * a.multiply_cycles + a.add_cycles)

    @property
    def rsqrt(self) -> int:
        """Shift and subtract, then x (1.5 - a/2 x x) for each step."""
        a = self.system.asic
        return a.add_cycles + a.rsqrt_iterations * (3 * a.multiply_cycles + a.add_cycles)

    def add(self, values: int) -> int:
        """Element-wise additions (partial sums)."""
        return self._passes(values) + self.system.asic.add_cycles if values else 0

    def multiply(self, values: int) -> int:
        """Element-wise products."""
        return self._passes(values) + self.system.asic.multiply_cycles if values else 0

    def norm(self, values: int) -> int:
        """Layer norm: residual addition, sum and sum of squares in one pass; mean, variance, 1/sqrt; the values."""
        a = self.system.asic
        statistics = self._passes(values) + a.add_cycles + a.multiply_cycles + self.tree
        return statistics + 2 * a.multiply_cycles + a.add_cycles + self.rsqrt + self._normalised(values)

    def _normalised(self, values: int) -> int:
        """Minus mean, times 1/sqrt, times gain, plus offset: one pass."""
        return self._passes(values) + 2 * self.system.asic.multiply_cycles + 2 * self.system.asic.add_cycles

    def exponentials(self, values: int) -> int:
        """exp(x - max) and the running sums; the maximum is taken while the scores come in.

        The series is multiplied by exp of its centre.
        """
        a = self.system.asic
        return self._passes(values) + a.add_cycles + self.series + a.multiply_cycles + self.tree

    def normalise(self, values: int) -> int:
        """Reciprocal of the sums, then one product for each context value: exp / sum is applied after V."""
        return self.reciprocal + self.multiply(values)

    def activation(self, model: GptModel) -> int:
        """GELU or SiLU by its series (ReLU is a comparison), then the gate's product."""
        latency = self.system.asic.add_cycles if model.activation == "relu" else self.series
        cycles = self._passes(model.ff) + latency
        return cycles + (self.multiply(model.ff) if model.gated_mlp else 0)

    def rotary(self, model: GptModel) -> int:
        """Two products and an addition for each rotated value of q and k."""
        a = self.system.asic
        values = int(model.rotary_fraction * model.head_width) * (model.heads + model.kv)
        return 2 * self._passes(values) + a.multiply_cycles + a.add_cycles if values else 0
