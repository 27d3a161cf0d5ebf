"""PIM programs as text: one instruction a line, in the form of aim_simulator's traces.

    # comment
    W CFR 1 0                 write 0 to configuration register 1 (gddr6_aim: broadcast, ewmul_bank_groups, ...)
    AiM WR_GB 48 0 0xff       48 columns from general register 0 on to the global buffers of channels 0 to 7
    AiM MAC_ABK 48 0xff 12    48 columns of row 12 in all banks
    AiM RD_MAC 8 0xff         results to general register 8 on; waits for them
    W MEM 3 5 12 7            plain write: channel 3, bank 5, row 12, column 7 (column 0 if left out)
    AiM EOC                   end: wait for everything

Which instructions a memory has, their operands and the command that each becomes is a table of its standard
(``pim.instructions`` in configs/pim/*.yaml). Numbers are decimal or 0x hexadecimal; bit i of a mask is channel i.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.dram.config import DramConfig
from archsim.dram.pim import TABLE_ROW, PimSpec, pim_spec
from archsim.errors import ConfigError, TraceError
from archsim.kernels.pim_layout import BARRIER, FENCE, NOTHING, RECORD_DT, RUN, WAIT

OPERANDS = ("opsize", "gpr", "channels", "bank", "row", "column")
_RESERVED = {"EOC": BARRIER, "SYNC": BARRIER, "FENCE": FENCE}


@dataclass(frozen=True)
class Instruction:
    """One entry of the instruction table; ``command`` is -1 for work of the front end alone."""

    name: str
    command: int
    fields: tuple[str, ...]
    waits: bool
    one_channel: bool
    row_register: int


@dataclass(frozen=True)
class PimProgram:
    """A program. ``records``: RECORD_DT, one a line, masks of real channels; ``lines``: their line numbers."""

    path: Path
    records: NDArray[Any]
    lines: NDArray[np.int64]


def instruction_table(config: DramConfig, spec: PimSpec) -> dict[str, Instruction]:
    """The instructions of a memory. ConfigError on a bad table."""
    names = [command.name for command in config.commands]
    table = {}
    for name, row in (spec.instructions or {}).items():
        where = f"{config.name}: pim.instructions.{name}"
        unknown = set(row) - {"command", "fields", "waits", "one_channel", "row_register"}
        if unknown:
            raise ConfigError(f"{where}: unknown key {sorted(unknown)[0]!r}")
        if "command" in row and row["command"] not in names:
            near = difflib.get_close_matches(str(row["command"]), names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: no command {row['command']!r} in this standard{hint}")
        fields = tuple(row.get("fields", ()))
        for field in fields:
            if field not in OPERANDS:
                raise ConfigError(f"{where}: unknown operand {field!r}; known: {', '.join(OPERANDS)}")
        command = names.index(row["command"]) if "command" in row else -1
        table[str(name)] = Instruction(
            str(name),
            command,
            fields,
            bool(row.get("waits", False)),
            bool(row.get("one_channel", False)),
            int(row.get("row_register", -1)),
        )
    return table


def read_program(path: str | Path, config: DramConfig) -> PimProgram:
    """Read a program for ``config``.

    Raises:
        TraceError: unreadable file; unknown instruction, wrong number of operands, operand out of range: names file
            and line.
        ConfigError: a memory without instructions.
    """
    path = Path(path)
    spec = pim_spec(config)
    reader = _Reader(path, config, spec, instruction_table(config, spec))
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise TraceError(f"{path}: not a text file") from None
    rows, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].split()
        if words:
            rows.append(reader.record(words, number))
            lines.append(number)
    if not rows:
        raise TraceError(f"{path}: no instructions")
    return PimProgram(path, np.array(rows, RECORD_DT), np.array(lines, np.int64))


class _Reader:
    """Turns the words of a line into a record; keeps the configuration registers."""

    def __init__(self, path: Path, config: DramConfig, spec: PimSpec, table: Mapping[str, Instruction]) -> None:
        self.path, self.config, self.spec, self.table = path, config, spec, table
        if not table:
            raise ConfigError(f"{config.name}: pim.instructions is empty: no program can be written for it")
        self.registers = [0] * len(spec.registers)
        names = [command.name for command in config.commands]
        self.plain = {"R": names.index("RD"), "W": names.index("WR")}
        o = config.organization
        self.limits = {
            "bank": config.banks - 1,
            "row": o["rows"] - 1,
            "column": o["columns"] - 1,
            "opsize": o["columns"],
            "channels": (1 << config.channels) - 1,
            "gpr": (1 << 31) - 1,
        }
        self.in_table = [command.table for command in config.commands]

    def record(self, words: list[str], number: int) -> tuple[int, ...]:
        """Record of one line. TraceError with file and line."""
        where = f"{self.path}:{number}"
        if words[0] == "AiM":
            return self._instruction(words[1:], where)
        if words[0] in self.plain:
            return self._plain(words, where)
        if words[0] in self.table or words[0] in _RESERVED:
            return self._instruction(words, where)
        raise TraceError(f"{where}: {words[0]!r}: expected AiM, R or W, or an instruction ({', '.join(self.table)})")

    def _instruction(self, words: list[str], where: str) -> tuple[int, ...]:
        name = words[0].removeprefix("ISR_") if words else ""
        if name in _RESERVED:
            if len(words) > 1:
                raise TraceError(f"{where}: {name} has no operands, got {' '.join(words[1:])!r}")
            return self._make(_RESERVED[name], mask=(1 << self.config.channels) - 1)
        if name not in self.table:
            known = [*self.table, *_RESERVED]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise TraceError(f"{where}: unknown PIM instruction {name!r}; {hint}")
        kind = self.table[name]
        if len(words) - 1 != len(kind.fields):
            raise TraceError(
                f"{where}: {name} takes {len(kind.fields)} operands ({' '.join(kind.fields)}), got {len(words) - 1}"
            )
        values = {f: self._number(f, w, where) for f, w in zip(kind.fields, words[1:], strict=True)}
        if kind.command < 0:
            return self._make(NOTHING)
        mask = values.get("channels", (1 << self.config.channels) - 1)
        if kind.one_channel and mask & (mask - 1):
            raise TraceError(f"{where}: {name} goes to one channel, the mask {mask:#x} has {mask.bit_count()}")
        row = values.get("row", 0)
        if self.in_table[kind.command]:
            row = TABLE_ROW + (self.registers[kind.row_register] if kind.row_register >= 0 else row)
        column, count = values.get("column", 0), values.get("opsize", 1)
        if column + count > self.config.organization["columns"]:
            raise TraceError(f"{where}: {name}: columns {column} to {column + count - 1} leave the row")
        return self._make(
            RUN,
            command=kind.command,
            mask=mask,
            bank=values.get("bank", 0),
            row=row,
            column=column,
            count=count,
            flags=WAIT if kind.waits else 0,
        )

    def _plain(self, words: list[str], where: str) -> tuple[int, ...]:
        region, operands = words[1] if len(words) > 1 else "", words[2:]
        shapes = {"GPR": (1, 1), "CFR": (2, 2) if words[0] == "W" else (1, 1), "MEM": (3, 4)}
        if region not in shapes:
            raise TraceError(f"{where}: {words[0]} {region!r}: expected GPR, CFR or MEM")
        low, high = shapes[region]
        if not low <= len(operands) <= high:
            wanted = str(low) if low == high else f"{low} or {high}"
            raise TraceError(f"{where}: {words[0]} {region} takes {wanted} operands, got {len(operands)}")
        if region == "MEM":
            names = ("channel", "bank", "row", "column")
            values = {f: self._number(f, w, where) for f, w in zip(names, operands, strict=False)}
            mask = 1 << values.pop("channel")
            return self._make(RUN, command=self.plain[words[0]], mask=mask, **values)
        if region == "CFR":
            register = self._number("register", operands[0], where)
            if words[0] == "W":
                self.registers[register] = self._number("value", operands[1], where)
        else:
            self._number("gpr", operands[0], where)
        return self._make(NOTHING)

    def _number(self, field: str, word: str, where: str) -> int:
        try:
            value = int(word, 16) if word.lower().startswith("0x") else int(word)
        except ValueError:
            raise TraceError(f"{where}: {field} {word!r} is not a number") from None
        if field == "register":
            high = len(self.registers) - 1
        elif field == "channel":
            high = self.config.channels - 1
        else:
            high = self.limits.get(field, (1 << 15) - 1)
        low = 1 if field in ("opsize", "channels") else 0
        if not low <= value <= high:
            shown = f"{low:#x} to {high:#x}" if field == "channels" else f"{low} to {high}"
            raise TraceError(f"{where}: {field} {word} is outside of {shown} ({self.config.name})")
        return value

    @staticmethod
    def _make(kind: int, **values: int) -> tuple[int, ...]:
        defaults = {"count": 1, "rows": 1}
        return (kind, *(values.get(f, defaults.get(f, 0)) for f in RECORD_DT.names[1:]))
