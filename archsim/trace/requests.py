"""Text traces of memory requests: Ramulator, DRAMsim3, and one with DRAM coordinates.

| form | a line | meaning |
|---|---|---|
| Ramulator | ``0x1f00 R`` | address, R or W (also ``LD 0x1f00``, ``ST 0x1f00``); no time: all at cycle 0 |
| DRAMsim3 | ``0x1f00 READ 120`` | address, READ or WRITE, arrival cycle |
| coordinates | ``R 2 1 808 26 0`` | R or W, bank group, bank, row, column (in bursts), arrival cycle |

Empty lines and lines that start with ``#`` are skipped. The first line decides the form.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from archsim.errors import TraceError
from archsim.trace.layout import Array

_KINDS = {"R": 0, "READ": 0, "LD": 0, "W": 1, "WRITE": 1, "ST": 1}


class Requests(NamedTuple):
    """Requests in file order."""

    cycle: Array  # i8: arrival, 0 where the form has none
    address: Array  # u8: bytes
    is_write: Array  # u1


class Coordinates(NamedTuple):
    """Requests named by DRAM coordinates (one channel)."""

    cycle: Array  # i8
    bank_group: Array  # i8
    bank: Array  # i8, within the group
    row: Array  # i8
    column: Array  # i8, in bursts
    is_write: Array  # u1

    def to_requests(self, bank_groups: int = 4, banks: int = 4, column_bits: int = 6, offset_bits: int = 5) -> Requests:
        """Byte addresses row : bank : bank group : column : offset.

        Defaults: GDDR6, 64 bursts of 32 bytes in a row (crosscheck/dram/README.md, "Translation").
        """
        page = (self.row * banks + self.bank) * bank_groups + self.bank_group
        address = ((page << column_bits) + self.column) << offset_bits
        return Requests(self.cycle, address.astype(np.uint64), self.is_write)


def read_requests(path: str | Path) -> Requests:
    """Read a request trace of any of the three forms; TraceError names file and line.

    Coordinates are translated with the defaults of :meth:`Coordinates.to_requests`; use :func:`read_coordinates` for
    another organisation.
    """
    path = Path(path)
    lines = _lines(path)
    words = lines[0][1]
    if words[0].upper() in ("R", "W") and len(words) == 6:
        return read_coordinates(path).to_requests()
    parse: Callable[[list[str]], tuple[int, int, int]] = _loads_stores
    if words[0].upper() not in ("LD", "ST"):
        parse = _dramsim3 if len(words) == 3 else _ramulator
    rows = _parsed(path, lines, parse)
    return Requests(
        np.array([r[0] for r in rows], np.int64),
        np.array([r[1] for r in rows], np.uint64),
        np.array([r[2] for r in rows], np.uint8),
    )


def read_coordinates(path: str | Path) -> Coordinates:
    """Read a trace of DRAM coordinates; TraceError names file and line."""
    path = Path(path)
    rows = np.array(_parsed(path, _lines(path), _coordinates), np.int64)
    cycle, group, bank, row, column = (rows[:, k].copy() for k in (5, 1, 2, 3, 4))
    return Coordinates(cycle, group, bank, row, column, rows[:, 0].astype(np.uint8))


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from error
    split = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    found = [(number, words) for number, words in split if words and not words[0].startswith("#")]
    if not found:
        raise TraceError(f"{path}: no request in this trace")
    return found


def _parsed(
    path: Path, lines: list[tuple[int, list[str]]], parse: Callable[[list[str]], tuple[int, ...]]
) -> list[tuple[int, ...]]:
    rows = []
    for number, words in lines:
        try:
            rows.append(parse(words))
        except ValueError as error:
            raise TraceError(f"{path}:{number}: {error}") from None
    return rows


def _ramulator(words: list[str]) -> tuple[int, int, int]:
    if len(words) != 2:
        raise ValueError(f"{' '.join(words)[:60]!r} is not '<address> R|W' or '<address> READ|WRITE <cycle>'")
    return 0, _address(words[0]), _kind(words[1])


def _dramsim3(words: list[str]) -> tuple[int, int, int]:
    if len(words) != 3:
        raise ValueError(f"{' '.join(words)[:60]!r} is not '<address> READ|WRITE <cycle>'")
    return _number(words[2], "cycle"), _address(words[0]), _kind(words[1])


def _loads_stores(words: list[str]) -> tuple[int, int, int]:
    if len(words) != 2:
        raise ValueError(f"{' '.join(words)[:60]!r} is not 'LD|ST <address>'")
    return 0, _address(words[1]), _kind(words[0])


def _coordinates(words: list[str]) -> tuple[int, ...]:
    if len(words) != 6:
        raise ValueError(f"{' '.join(words)[:60]!r} is not 'R|W <bank group> <bank> <row> <column> <cycle>'")
    names = ("bank group", "bank", "row", "column", "cycle")
    return (_kind(words[0]), *(_number(word, name) for word, name in zip(words[1:], names, strict=True)))


def _kind(word: str) -> int:
    kind = _KINDS.get(word.upper())
    if kind is None:
        raise ValueError(f"{word[:40]!r} is neither a read nor a write")
    return kind


def _number(word: str, what: str) -> int:
    if not (word.isascii() and word.isdigit()) or len(word) > 18:
        raise ValueError(f"{what} {word[:40]!r} is not a number")
    return int(word)


def _address(word: str) -> int:
    try:
        value = int(word, 0)
    except ValueError:
        raise ValueError(f"{word[:40]!r} is not an address") from None
    if not 0 <= value < 1 << 64:
        raise ValueError(f"address {word[:40]!r} does not fit 64 bits")
    return value
