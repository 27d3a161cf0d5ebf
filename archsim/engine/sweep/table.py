"""The result table of a study as Parquet: axes, trace, every statistic; one row a run. Columns: docs/sweeps.md."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from archsim.engine.sweep.extras import need
from archsim.errors import RunError

TABLE = "results.parquet"
KERNELS = "kernels.parquet"
Row = dict[str, Any]


def check_extras() -> None:
    """RunError now rather than after the runs, if Parquet cannot be written."""
    need("pyarrow.parquet", "a results table")


def write_table(rows: Sequence[Row], path: Path, meta: Mapping[str, Any], docs: Mapping[str, tuple[str, str]]) -> None:
    """Write rows, columns in order of first appearance. ``docs``: (unit, meaning) by column. RunError."""
    pyarrow = need("pyarrow", "a results table")
    parquet = need("pyarrow.parquet", "a results table")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns, fields = [], []
    for name in names:
        column = pyarrow.array(*_column([row.get(name) for row in rows], pyarrow))
        unit, doc = docs.get(name, ("", ""))
        columns.append(column)
        fields.append(pyarrow.field(name, column.type, metadata={"unit": unit, "doc": doc} if unit or doc else None))
    schema = pyarrow.schema(fields, metadata={"archsim": json.dumps(dict(meta))})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        parquet.write_table(pyarrow.table(columns, schema=schema), temporary, compression="zstd")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(
            f"{path}: cannot be written: {error.strerror or error}; the journal beside it holds every finished run, "
            "the same command writes the table from there"
        ) from None


def _column(values: list[Any], pyarrow: Any) -> tuple[list[Any], Any]:
    """Values with one Arrow type: whole numbers, numbers, truth values, else text."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return values, pyarrow.float64()
    if kinds == {bool}:
        return values, pyarrow.bool_()
    if kinds == {int}:
        return values, pyarrow.int64()
    if kinds <= {int, float}:
        return [None if v is None else float(v) for v in values], pyarrow.float64()
    return [None if v is None else str(v) for v in values], pyarrow.string()


class SweepTable:
    """A results table in memory. ``columns``: lists by name; ``meta``: content of sweep.json; ``docs``: (unit, doc)."""

    def __init__(self, columns: dict[str, list[Any]], meta: dict[str, Any], docs: dict[str, tuple[str, str]]) -> None:
        self.columns = columns
        self.meta = meta
        self.docs = docs

    @property
    def axes(self) -> list[str]:
        """Names of the axis columns."""
        return [axis["name"] for axis in self.meta.get("axes", [])]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def rows(self) -> list[Row]:
        """One mapping a run."""
        names = list(self.columns)
        return [dict(zip(names, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]


def load_table(path: str | Path) -> SweepTable:
    """Read the table of a study folder, or a Parquet file. RunError if it is missing or damaged."""
    parquet = need("pyarrow.parquet", "reading a results table")
    import pyarrow

    place = Path(path)
    place = place / TABLE if place.is_dir() else place
    try:
        table = parquet.read_table(place)
    except FileNotFoundError:
        raise RunError(f"{place}: no such results table") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise RunError(f"{place}: not a readable Parquet table: {' '.join(str(error).split())}") from None
    meta = json.loads((table.schema.metadata or {}).get(b"archsim", b"{}"))
    docs = {
        field.name: ((field.metadata.get(b"unit", b"")).decode(), (field.metadata.get(b"doc", b"")).decode())
        for field in table.schema
        if field.metadata
    }
    return SweepTable({name: table[name].to_pylist() for name in table.column_names}, meta, docs)
