"""The trace file's schema and its coding of address records (docs/trace-format.md).

Reader and writer both use the functions here, so the two directions stay next to each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.trace.layout import MEM_DT, Array, expand_ranges, popcount

FORMAT = "archsim-trace"
VERSION = 1

#: A warp segment: the warp id and the flow id as differences to the row before.
SEGMENT_ROW = np.dtype([("warp_step", "<i8"), ("flow_step", "<i4"), ("segment", "<i4")])
FLOW_ROW = np.dtype([("runs", "<i4"), ("instructions", "<i4"), ("records", "<i4")])
#: An address record: base as the zigzag difference to the record before in sorted order; kind 0 affine, 1 lane list.
RECORD_ROW = np.dtype([("base_step", "<u8"), ("stride", "<i8"), ("kind", "u1")])
#: A block: a group of segments whose records are coded together. Ends (exclusive) in each table.
BLOCK_ROW = np.dtype(
    [
        ("segment_end", "<i8"),
        ("record_end", "<i8"),
        *((f"{name}_end", "<i8") for name in ("lanes2", "lanes4", "lanes8")),
    ]
)
#: Lane steps, in the narrowest of three widths (bytes) that holds all steps of the block.
LANE_TABLES = ("lanes2", "lanes4", "lanes8")

BLOCK_SEGMENTS = 4096
BLOCK_RECORDS = 16384
BLOCK_LANES = 131072

TABLES = {
    "segments": SEGMENT_ROW,
    "flows": FLOW_ROW,
    "runs": np.dtype([("start", "<u4"), ("count", "<u4"), ("mask", "<u4")]),
    "blocks": BLOCK_ROW,
    "records": RECORD_ROW,
    "lanes2": np.dtype("<u2"),
    "lanes4": np.dtype("<u4"),
    "lanes8": np.dtype("<u8"),
}


@dataclass(frozen=True)
class StaticRecords:
    """Numbering of the address records of a program's instructions, in program order."""

    prefix: Array  # i8[n_static + 1]: records of the instructions before each one

    @classmethod
    def of(cls, mem_records: Array) -> StaticRecords:
        """From u1[n_static] records per execution."""
        return cls(np.concatenate([[0], np.cumsum(mem_records, dtype=np.int64)]))

    def per_run(self, runs: Array) -> Array:
        """i8[]: records that each run leaves (none where the mask is 0)."""
        start = runs["start"].astype(np.int64)
        counts = self.prefix[start + runs["count"]] - self.prefix[start]
        return np.where(runs["mask"] != 0, counts, 0)

    def expand(self, runs: Array) -> tuple[Array, Array]:
        """(static record number, active lanes) of every record of the runs, in execution order."""
        counts = self.per_run(runs)
        numbers = expand_ranges(self.prefix[runs["start"].astype(np.int64)], counts)
        return numbers, np.repeat(popcount(runs["mask"]), counts)

    def order(self, numbers: Array) -> Array:
        """Stable order by static record: what the file stores next to each other."""
        small = self.prefix[-1] <= 0xFFFF  # NumPy sorts 16-bit keys by radix
        return np.argsort(numbers.astype(np.uint16) if small else numbers, kind="stable")


def encode_block(order: Array, mems: Array, lanes: Array, lengths: Array) -> tuple[Array, Array]:
    """(RECORD_ROW[], u8[] zigzag lane steps) of one block.

    ``mems`` in execution order with ``lane_begin`` indexing ``lanes``; ``lengths``: active lanes of each record.
    Sorted by static instruction, consecutive records differ by a warp's or an iteration's step: a constant, mostly.
    """
    ordered = mems[order]
    irregular = ordered["lane_begin"] >= 0
    base = ordered["base"].copy()
    base[irregular] = lanes[ordered["lane_begin"][irregular]]
    rows = np.zeros(len(mems), RECORD_ROW)
    rows["base_step"] = zigzag(np.diff(base, prepend=np.uint64(0)))
    rows["stride"] = np.where(irregular, 0, ordered["stride"])
    rows["kind"] = irregular
    counts = lengths[order][irregular]
    values = lanes[expand_ranges(ordered["lane_begin"][irregular], counts)]
    follows = np.ones(len(values), bool)
    follows[np.cumsum(counts) - counts] = False
    return rows, zigzag(np.diff(values, prepend=np.uint64(0))[follows])


def lane_table(steps: Array) -> str:
    """Which of LANE_TABLES holds these steps."""
    largest = int(steps.max(initial=0))
    return "lanes2" if largest < 1 << 16 else "lanes4" if largest < 1 << 32 else "lanes8"


def lane_steps(order: Array, rows: Array, lengths: Array) -> int:
    """Number of lane steps that :func:`decode_block` expects."""
    return int((lengths[order] - 1)[rows["kind"] == 1].sum())


def decode_block(order: Array, rows: Array, steps: Array, lengths: Array) -> tuple[Array, Array]:
    """(MEM_DT[] in execution order, u8[] lanes): the inverse of :func:`encode_block`."""
    base = np.cumsum(unzigzag(rows["base_step"]), dtype=np.uint64)
    irregular = rows["kind"] == 1
    mems = np.empty(len(rows), MEM_DT)
    mems["base"][order] = base
    mems["stride"][order] = rows["stride"]
    begins = np.full(len(rows), -1, np.int64)
    if not irregular.any():
        mems["lane_begin"] = -1
        return mems, np.zeros(0, np.uint64)
    counts = lengths[order][irregular]
    first = np.cumsum(counts) - counts
    begins[irregular] = first
    mems["lane_begin"][order] = begins
    values = np.empty(int(counts.sum()), np.uint64)
    follows = np.ones(len(values), bool)
    follows[first] = False
    values[first] = base[irregular]
    values[follows] = unzigzag(steps)
    running = np.cumsum(values, dtype=np.uint64)
    return mems, running - np.repeat(running[first] - values[first], counts)


def zigzag(steps: Array) -> Array:
    """Differences modulo 2^64 as u8[], small for small steps of either sign: 0, -1, 1, -2, 2... -> 0, 1, 2, 3, 4..."""
    sign = steps.view(np.int64) >> 63
    return (steps << np.uint64(1)) ^ sign.view(np.uint64)


def unzigzag(codes: Array) -> Array:
    """The inverse of :func:`zigzag`; takes any unsigned width."""
    codes = codes.astype(np.uint64, copy=False)
    return (codes >> np.uint64(1)) ^ (np.uint64(0) - (codes & np.uint64(1)))


class ContentHash:
    """SHA-256 over the parts of a trace, each named, whatever order they are written in."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def update(self, name: str, data: bytes | Array) -> None:
        """Append to the part ``name``; a part that stays empty does not count."""
        if not len(data):
            return
        part = self._parts.setdefault(name, hashlib.sha256())
        part.update(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes())

    def hexdigest(self) -> str:
        """64 hex digits."""
        total = hashlib.sha256(f"{FORMAT} {VERSION}".encode())
        for name in sorted(self._parts):
            total.update(f"{name} {self._parts[name].hexdigest()}\n".encode())
        return total.hexdigest()
