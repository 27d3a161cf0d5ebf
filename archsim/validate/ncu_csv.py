"""Reads what Nsight Compute writes with ``--csv``: one row a metric ("long"), or one row a launch (``--page raw``).

Values come out in base units (bytes, ns, cycles, %), by the metric's name. Tool messages before the table are skipped.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from archsim.errors import ArchsimError


class HardwareDataError(ArchsimError):
    """A file of measurements that cannot be used; the text names file, line and column."""


#: Unit prefixes of ncu without --print-units base; ncu writes decimal multiples.
_PREFIX = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_TIME = {"nsecond": 1.0, "ns": 1.0, "usecond": 1e3, "us": 1e3, "msecond": 1e6, "ms": 1e6, "second": 1e9, "s": 1e9}
_SCALED = re.compile(r"^(K|M|G|T)?(byte|bytes|inst|cycle|sector|request|block|warp|thread)s?$")


@dataclass
class Launch:
    """One profiled launch: full kernel name, the grid and block as ncu writes them, and its metrics."""

    kernel: str
    grid: str = ""
    block: str = ""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def function(self) -> str:
        """Name without parameter list, template arguments and return type."""
        return base_name(self.kernel)


def base_name(kernel: str) -> str:
    """``void ns::k<int>(int*)`` -> ``ns::k``."""
    text, depth, kept = kernel.replace("(anonymous namespace)", "_anonymous_"), 0, []
    for char in text:
        depth += (char == "<") - (char == ">")
        if depth == 0 and char != ">":
            kept.append(char)
    plain = "".join(kept).split("(")[0]
    return plain.strip().split(" ")[-1].replace("_anonymous_", "(anonymous namespace)")


def scale_of(unit: str) -> float:
    """Factor to the base unit: 1e3 for ``Kbyte``, 1e3 for ``us`` (base ns); 1 for a unit without prefix."""
    if unit in _TIME:
        return _TIME[unit]
    found = _SCALED.match(unit)
    return _PREFIX[found[1] or ""] if found else 1.0


def read_ncu(path: str | Path) -> list[Launch]:
    """All launches of an ``ncu --csv`` file, in order. HardwareDataError when there is no table or a row is damaged."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise HardwareDataError(f"{file}: no such file") from None
    except OSError as error:
        raise HardwareDataError(f"{file}: can't be read: {error.strerror or error}") from None
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r'^"?ID"?,', line)), None)
    if start is None:
        raise HardwareDataError(
            f'{file}: no table of Nsight Compute (a line that begins with "ID"); make one with `ncu --csv --page raw`'
        )
    rows = _rows(file, lines, start)
    header = next(rows)[1]
    if "Kernel Name" not in header:
        raise HardwareDataError(f"{file}:{start + 1}: column 'Kernel Name' is missing")
    return _long(file, header, rows) if "Metric Name" in header else _wide(file, header, rows)


Row = tuple[int, list[str]]  # line number, cells


def _rows(file: Path, lines: list[str], start: int) -> Iterator[Row]:
    reader = csv.reader(io.StringIO("\n".join(lines[start:])))
    width = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise HardwareDataError(f"{file}:{start + reader.line_num}: not CSV: {error}") from None
        number = start + reader.line_num
        if not cells or cells[0].startswith("=="):
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise HardwareDataError(f"{file}:{number}: {len(cells)} columns, the header has {width}")
        yield number, cells


def _number(file: Path, line: int, name: str, text: str) -> float | None:
    cleaned = text.replace(",", "").strip()
    if cleaned in ("", "n/a", "N/A", "nan"):
        return None
    try:
        return float(cleaned)
    except ValueError:
        raise HardwareDataError(f"{file}:{line}: {name}: not a number: {text!r}") from None


def _long(file: Path, header: list[str], rows: Iterator[Row]) -> list[Launch]:
    column = {name: i for i, name in enumerate(header)}
    for name in ("Metric Unit", "Metric Value"):
        if name not in column:
            raise HardwareDataError(f"{file}: column {name!r} is missing")
    launches: dict[str, Launch] = {}
    for line, cells in rows:
        one = launches.setdefault(cells[0], _launch(column, cells))
        name = cells[column["Metric Name"]]
        if not re.match(r"^[a-z0-9]+__", name):
            continue  # "Duration" and the like of the default page: names that say nothing exact
        value = _number(file, line, name, cells[column["Metric Value"]])
        if value is not None:
            one.metrics[name] = value * scale_of(cells[column["Metric Unit"]])
    return list(launches.values())


def _wide(file: Path, header: list[str], rows: Iterator[Row]) -> list[Launch]:
    column = {name: i for i, name in enumerate(header)}
    metrics = [(name, i) for name, i in column.items() if "__" in name]
    if not metrics:
        raise HardwareDataError(f"{file}: no column is named like a metric (sm__cycles_active.max ...)")
    units = [""] * len(header)
    launches = []
    for line, cells in rows:
        if not cells[0].strip():
            units = cells  # the second row of --page raw
            continue
        one = _launch(column, cells)
        for name, i in metrics:
            try:
                value = _number(file, line, name, cells[i])
            except HardwareDataError:
                if "." in name or name.startswith("launch__"):
                    continue  # device attributes and launch facts may be words
                raise
            if value is not None:
                one.metrics[name] = value * scale_of(units[i])
        launches.append(one)
    return launches


def _launch(column: dict[str, int], cells: list[str]) -> Launch:
    def cell(*names: str) -> str:
        return next((cells[column[n]] for n in names if n in column), "")

    return Launch(cell("Kernel Name"), cell("Grid Size", "launch__grid_size"), cell("Block Size", "launch__block_size"))
