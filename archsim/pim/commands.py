"""DRAM commands of the bank instructions, for the PIM executor of `archsim.dram.pim`.

`costs` has closed forms of what these commands take; this module writes the commands themselves, for one channel, so
that the engine can run them. Every piece of work ends with the rows closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from archsim.dram.config import DramConfig
from archsim.dram.pim import WAIT, PimMachine, load_pim
from archsim.pim.mapping import HeadLayout, MatrixLayout, ModelLayout
from archsim.pim.system import PimSystem


@dataclass(frozen=True)
class Command:
    """``count`` commands in successive columns of a row. ``wait``: the next command follows their completion."""

    name: str
    row: int = 0
    column: int = 0
    count: int = 1
    bank: int = 0
    wait: bool = False


def machine_for(system: PimSystem) -> PimMachine:
    """One idle channel of the system's memory. ConfigError as in `memory_for`."""
    return PimMachine(memory_for(system), channels=1)


@cache
def memory_for(system: PimSystem) -> DramConfig:
    """The system's memory: the standard ``pim_gpt`` with the system's sizes and times, without refresh.

    Turnaround of the pins is off: the paper names none, and `costs` has none. ConfigError if the times aren't whole
    nanoseconds (the command clock).
    """
    m = system.memory
    timing = {
        "nRCDRD": m.rcd_ns, "nRCDWR": m.rcd_ns, "nRAS": m.rcd_ns, "nRP": m.rp_ns, "nWR": m.wr_ns, "nCWL": m.cwl_ns,
        "nCCDS": m.ccd_ns, "nCCDL": m.ccd_ns, "nMAC": system.mac_ps / 1e3, "nBL": system.burst_ps / 1e3,
        "nCWLGB": m.buffer_latency_ns, "nRTP": system.mac_ps / 1e3,
    }  # fmt: skip
    overrides: dict[str, Any] = {
        f"timing.{name}": int(value) if value == int(value) else value for name, value in timing.items()
    }
    overrides |= {
        "organization.bankgroup": 1, "organization.bank": m.banks, "organization.rows": m.rows,
        "organization.columns": system.row_columns, "controller.refresh": "none", "switches.turnaround": False,
    }  # fmt: skip
    return load_pim("pim_gpt", overrides)


def run_commands(machine: PimMachine, commands: Iterator[Command]) -> int:
    """Picoseconds from the first command to the end of the last precharge, which is appended."""
    rows = [*commands, Command("PREA")]
    numbers = {name: machine.number(name) for name in {one.name for one in rows}}
    program = machine.records(
        command=[numbers[one.name] for one in rows],
        bank=[one.bank for one in rows],
        row=[one.row for one in rows],
        column=[one.column for one in rows],
        count=[one.count for one in rows],
        flags=[WAIT if one.wait else 0 for one in rows],
    )
    outcome = machine.run(program)
    end = max(int(outcome[-1]["last"]) + int(machine.config.timing["nRP"]), int(outcome["done"].max()))
    return round(end * float(machine.config.timing["tCK_ps"]))


def _columns(name: str, first: int, count: int, row_columns: int, bank: int = 0) -> Iterator[Command]:
    """``count`` column accesses from access ``first`` of a region on, cut at the borders of rows."""
    while count > 0:
        row, column = divmod(first, row_columns)
        n = min(count, row_columns - column)
        yield Command(name, row, column, n, bank)
        first, count = first + n, count - n


def product_commands(m: MatrixLayout) -> Iterator[Command]:
    """A vector times a matrix: for each chunk the buffer, then every output with the transfer of its results."""
    column = 0
    for chunk, size in enumerate(m.chunks):
        yield Command("WRGB", count=-(-size // m.column_values), wait=True)
        piece = m.piece_columns(chunk)
        for output in range(m.outputs_per_bank):
            yield from _columns("MAC16", column, piece, m.row_columns)
            yield Command("RDMAC16", wait=chunk + 1 < len(m.chunks) and output + 1 == m.outputs_per_bank)
            column += piece


def _tokens(heads: HeadLayout, context: int, channel: int) -> list[tuple[int, int]]:
    """``(slots, tokens)`` of the whole and the shared heads of a channel."""
    return [(heads.full, context), (heads.shared, heads.tokens(context, heads.residue(channel)))]


def score_commands(layout: ModelLayout, context: int, channel: int) -> Iterator[Command]:
    """q K^T of one channel, one query for each key/value head, all queries in the buffer at once."""
    heads, row = layout.attention, 0
    yield Command("WRGB", count=heads.slots * heads.head_columns, wait=True)
    for slots, tokens in _tokens(heads, context, channel):
        held, column = -(-tokens // heads.banks), row * heads.row_columns
        for _ in range(held * slots):
            yield from _columns("MAC16", column, heads.head_columns, heads.row_columns)
            yield Command("RDMAC16")
            column += heads.head_columns
        row = 1000


def context_commands(layout: ModelLayout, context: int, channel: int, slot: int) -> Iterator[Command]:
    """Scores of one slot times V, in one channel; contexts up to one buffer-full."""
    heads = layout.attention
    shared = slot >= heads.full
    tokens = _tokens(heads, context, channel)[shared][1]
    run = heads.value_run_columns(heads.ways if shared else 1)
    columns = -(-tokens // heads.column_values)
    index = slot - heads.full if shared else slot
    yield Command("WRGB", count=columns, wait=True)
    for element in range(heads.elements_per_bank):
        first = (index * heads.elements_per_bank + element) * run
        yield from _columns("MAC16", first, columns, heads.row_columns)
        yield Command("RDMAC16")


def store_key_commands(layout: ModelLayout, context: int, channel: int) -> Iterator[Command]:
    """K of the newest token: the heads side by side in one bank, whole ones and shared ones."""
    heads, token = layout.attention, context - 1
    for slots, ways, base in ((heads.full, 1, 0), (heads.shared, heads.ways, 1000)):
        if slots and token % ways == (heads.residue(channel) if ways > 1 else 0):
            bank, place = token // ways % heads.banks, token // ways // heads.banks
            bursts = slots * heads.head_columns
            if base and heads.full:
                yield Command("PREA")
            yield from _columns("WR", base * heads.row_columns + place * bursts, bursts, heads.row_columns, bank)


def store_value_commands(layout: ModelLayout, context: int, channel: int) -> Iterator[Command]:
    """V of the newest token: an element in every bank at a time, each in the row of that element."""
    heads, token = layout.attention, context - 1
    for slots, ways, base in ((heads.full, 1, 0), (heads.shared, heads.ways, 1000)):
        if slots and token % ways == (heads.residue(channel) if ways > 1 else 0):
            run = heads.value_run_columns(ways)
            for element in range(slots * heads.elements_per_bank):
                first = base * heads.row_columns + element * run + token // ways // heads.column_values
                yield from _columns("WRV16", first, 1, heads.row_columns)
