"""Attention of one head a channel as an AttAcc program for ``hbm3_pim``, at bank, bank-group or buffer level.

The dataflow is AttAcc's (ASPLOS 2024): the query is written to the GEMV buffers; scores are computed 16 outputs at a
time while the last ones move to the softmax buffer; softmax; the scores move back; the context is computed. Phases are
parted by fences. Movements go around the bank groups in turn, as its scheduler sends them.
"""

from __future__ import annotations

import itertools
from math import ceil

import numpy as np
from numpy.typing import NDArray

from archsim.dram.pim import BARRIER, FENCE, PimMachine

ROW, COLUMNS, LANES = 32, 32, 16
UNITS = {"bank": 16, "bg": 16, "buffer": 2}  # units that work on different outputs
SPLIT = {"bank": 4, "bg": 1, "buffer": 1}  # units that share one output's inputs


class _Program:
    def __init__(self, machine: PimMachine, level: str) -> None:
        self.machine, self.level, self.rows = machine, level, []

    def add(self, name: str, bank: int = 0, row: int = 0, column: int = 0, count: int = 1) -> None:
        self.rows.append((0, self.machine.number(name), bank, row, column, count))

    def fence(self) -> None:
        self.rows.append((FENCE, 0, 0, 0, 0, 1))

    def macs(self, first: int, count: int, base: int) -> None:
        """Column reads first ... first + count - 1 of a matrix that starts at row ``base``."""
        if self.level == "bank":
            while count:
                n = min(count, COLUMNS - first % COLUMNS)
                self.add("MACAB", 0, base + first // COLUMNS, first % COLUMNS, n)
                first, count = first + n, count - n
        elif self.level == "bg":  # rows go around the four banks of a group
            while count:
                n = min(count, COLUMNS - first % COLUMNS)
                page = first // COLUMNS
                self.add("MACSB", page % 4, base + page // 4, first % COLUMNS, n)
                first, count = first + n, count - n
        else:  # columns go around groups, then banks
            for i in range(first, first + count):
                page, group = divmod(i, 8)
                self.add("MACPB", group * 4 + page % 4, base + page // 4 // COLUMNS, page // 4 % COLUMNS)

    def moves(self, name: str, banks: list[int], columns: int = 1) -> None:
        for _, bank in itertools.product(range(columns), banks):
            self.add(name, bank)


def attention(machine: PimMachine, level: str, d_head: int, tokens: int, heads: int = 1) -> NDArray[np.void]:
    """Records of ``heads`` channels, a head each: scores, softmax and context."""
    p = _Program(machine, level)
    groups = [(rank * 4 + bg) * 4 for bg, rank in itertools.product(range(4), range(2))]
    outputs = ceil(tokens / UNITS[level])
    reads = ceil(d_head / (LANES * SPLIT[level]))  # columns of one output
    sources = groups if level != "buffer" else [0]
    # The query, broadcast; at bank level a part for each bank of a group.
    for part in range(SPLIT[level]):
        p.moves("WRGB", [part], reads)
    p.fence()
    steps = ceil(outputs / 16)
    for j in range(steps + 1):
        if j < steps:
            p.macs(16 * j * reads, min(16, outputs - 16 * j) * reads, 0)
        if j > 0:
            p.moves("MVSB", sources)
        if j < steps:
            p.fence()
    p.add("SFM")
    p.moves("MVGB", sources, ceil(tokens / (UNITS[level] * LANES)))
    p.fence()
    results = {"bank": [(rank * 4) * 4 + ba for ba in range(4) for rank in range(2)], "bg": [0, 16], "buffer": [0]}
    parts = ceil(d_head / (LANES * SPLIT[level]))
    for j in range(parts + 1):
        if j < parts:
            p.macs(j * outputs, outputs, 2048)
        if j > 0:
            p.moves("MVSB", results[level])
        if j < parts:
            p.fence()
    kind, command, bank, row, column, count = np.array(p.rows).T
    mask = (1 << heads) - 1
    end = machine.records(kind=BARRIER, mask=mask)
    program = machine.records(kind=kind, command=command, bank=bank, row=row, column=column, count=count, mask=mask)
    return np.concatenate([program, end])
