"""Matrix-vector product as a program for ``hbm_pim``, from the public description of the device (ISCA 2021).

Each unit keeps eight outputs in its result registers. For every 128 inputs the eight input registers are written (in
all units at once), then 64 columns are multiplied and accumulated: eight outputs of eight columns. At the end the
results go to the banks. Outputs beyond eight for every unit are further rounds.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

from archsim.dram.pim import BARRIER, PimMachine

REGISTERS, LANES, UNITS = 8, 16, 8


def gemv(machine: PimMachine, outputs: int, inputs: int, channels: int) -> NDArray[np.void]:
    """Records of one channel of ``channels`` alike."""
    columns = machine.config.organization["columns"]
    mac, write, result = (machine.number(name) for name in ("MACAB", "WRREG", "REGBK"))
    rows, position = [], 0
    for _ in range(ceil(outputs / (channels * UNITS * REGISTERS))):
        for _ in range(ceil(inputs / (REGISTERS * LANES))):
            rows.append((write, 0, 0, REGISTERS))
            left = REGISTERS * REGISTERS
            while left:
                n = min(left, columns - position % columns)
                rows.append((mac, position // columns, position % columns, n))
                position, left = position + n, left - n
        rows.append((result, 8000, 0, REGISTERS))
    command, row, column, count = np.array(rows).T
    program = machine.records(command=command, row=row, column=column, count=count)
    return np.concatenate([program, machine.records(kind=BARRIER)])
