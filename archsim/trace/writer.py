"""Writing trace files: streaming, bounded memory, complete or clearly marked as not."""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np

from archsim.errors import TraceError
from archsim.isa.program import Program
from archsim.trace.disk import Disk
from archsim.trace.index import SegmentIndex
from archsim.trace.layout import SEGMENT_INSTRUCTIONS, WARP_DT, Array, Batch, LaunchInfo, expand_ranges
from archsim.trace.programs import SASS, meta_text, pack_program
from archsim.trace.store import (
    BLOCK_LANES,
    BLOCK_RECORDS,
    BLOCK_SEGMENTS,
    FORMAT,
    LANE_TABLES,
    TABLES,
    VERSION,
    ContentHash,
    StaticRecords,
    encode_block,
    lane_table,
)

_CHUNK_BYTES = 1 << 18
_FLUSH_BYTES = 1 << 20
_META_BYTES = 512  # HDF5 takes room for headers in steps of this
_TEXT_BYTES = 8192  # an attribute must stay below 64 KiB; a longer command line is cut
_KNOWN_FLOWS = 1 << 20  # run lists remembered for sharing
_FILTERS: dict[str, Any] = {"compression": "gzip", "compression_opts": 5, "shuffle": True, "fletcher32": True}


class TraceWriter:
    """Writes ``path``; the file appears under that name only after a clean end of the ``with`` block.

    Until then it is ``<path>.partial``, marked incomplete; an exception removes it, a killed process leaves it.
    ``arch``: compute capability (86). ``source``: where the trace comes from, free text, not part of the hash.
    """

    def __init__(self, path: str | Path, *, arch: int, source: str = "") -> None:
        self.path = Path(path)
        self._temporary = self.path.with_name(self.path.name + ".partial")
        if self.path.exists() and not self.path.is_file():
            what = "it is a folder" if self.path.is_dir() else "it is no regular file"
            raise TraceError(f"{self.path}: cannot be written: {what}")
        try:
            self._disk = Disk(self._temporary)
        except OSError as error:
            raise self._unwritable(error) from None
        self._file = h5py.File(self._disk, "w", libver="latest", meta_block_size=_META_BYTES)
        self._file.attrs.update({"version": VERSION, "complete": 0, "arch": arch})
        self._file.attrs["format"], self._file.attrs["source"] = _fixed_text(FORMAT), _fixed_text(source)
        self._hash = ContentHash()
        self._hash.update("arch", str(arch).encode())
        self._programs: dict[str, int] = {}
        self._records: list[Array] = []
        self._kernels = 0
        self._open: KernelWriter | None = None
        self._events: list[list[Any]] = []

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def add_program(
        self, program: Program, mem_records: Array, *, syntax: str = SASS, accelsim: Array | None = None
    ) -> int:
        """Store a program once; returns its id. ``mem_records``: u1[n_static] address records per execution."""
        stored = pack_program(program, np.asarray(mem_records, np.uint8), syntax, accelsim)
        key = stored.key()
        if key in self._programs:
            return self._programs[key]
        number = len(self._programs)
        group = self._file.create_group(f"programs/{number}")
        _blob(group, "meta", meta_text(stored.meta).encode())
        _blob(group, "text", stored.text)
        _array(group, "code", stored.code)
        _array(group, "accelsim", stored.accelsim)
        for bank, contents in stored.constants.items():
            _blob(group, f"constant_{bank}", contents)
        self._hash.update(f"programs/{number}", key.encode())
        self._programs[key] = number
        self._records.append(stored.code["mem_records"].copy())
        return number

    def begin_kernel(self, program_id: int, launch: LaunchInfo) -> KernelWriter:
        """Start a launch; the one before must have ended."""
        if self._open is not None:
            raise TraceError(f"{self.path}: kernel {self._open.launch.name} has not ended")
        if not 0 <= program_id < len(self._records):
            raise TraceError(f"{self.path}: no program {program_id}")
        name = f"kernels/{self._kernels}"
        self._open = KernelWriter(self, name, program_id, self._records[program_id], launch)
        self._events.append(["kernel", self._kernels])
        self._kernels += 1
        return self._open

    def event(self, kind: str, *values: int) -> None:
        """Record something between launches: ("memcpy_h2d", address, bytes)."""
        self._events.append([kind, *(int(v) for v in values)])

    def close(self) -> None:
        """Finish: everything on disk, hash stored, file renamed."""
        if self._open is not None:
            self._open.end()
        events = json.dumps(self._events).encode()
        _blob(self._file, "events", events)
        self._hash.update("events", events)
        self._file.attrs["sha256"] = _fixed_text(self._hash.hexdigest())
        self._file.attrs["complete"] = 1
        self._file.close()
        self._disk.close()
        self.check_disk()
        os.replace(self._temporary, self.path)

    def check_disk(self) -> None:
        """TraceError if something could not be written; the unfinished file is then gone."""
        if self._disk.error is not None:
            self.abandon()
            raise self._unwritable(self._disk.error)

    def abandon(self) -> None:
        """Drop the unfinished file."""
        self._file.close()
        self._disk.close()
        self._temporary.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> TraceError:
        return TraceError(f"{self.path}: cannot be written: {error.strerror or error}")


class KernelWriter:
    """Takes one launch's segments; made by :meth:`TraceWriter.begin_kernel`."""

    def __init__(self, owner: TraceWriter, name: str, program_id: int, mem_records: Array, launch: LaunchInfo) -> None:
        self._owner = owner
        self._name = name
        self._static = StaticRecords.of(mem_records)
        self._n_static = len(mem_records)
        self.launch = launch
        self._group = owner._file.create_group(name)
        self._group.attrs["program"] = program_id
        self._columns = {key: _Column(self._group, key, owner._hash, f"{name}/{key}") for key in TABLES}
        self._flow_ids: OrderedDict[bytes, int] = OrderedDict()
        self._flows = 0
        self._pending: list[_Pending] = []
        self._queued = [0, 0, 0]  # segments, records, lanes in _pending
        self._ends = [0, 0, 0, 0, 0]  # segments, records, lane steps of each width written
        self._last_warp = self._last_flow = 0
        self._rows: list[Array] = []
        self.warp_instructions = 0

    def add(self, batch: Batch) -> None:
        """Append whole warp segments: any CTA order, each warp's segments in order. TraceError if inconsistent."""
        warps = batch.warps
        if warps.dtype != WARP_DT:
            raise TraceError(f"{self._where()}: warps have dtype {warps.dtype}")
        if not len(warps):
            return
        lists, inverse = self._run_lists(warps, batch.runs)
        begins, counts = lists
        runs = batch.runs[expand_ranges(begins, counts)]
        self._check_runs(runs)
        instructions, records = _sums(runs["count"], counts), _sums(self._static.per_run(runs), counts)
        self._check_segments(batch, instructions[inverse], records[inverse])
        flows = self._flow_ids_of(runs, counts, instructions, records)
        numbers, lengths = self._static.expand(runs)
        pick = expand_ranges((np.cumsum(records) - records)[inverse], records[inverse])
        self._collect(batch, flows[inverse], numbers[pick], lengths[pick])
        self.warp_instructions += int(warps["n_inst"].sum())
        self._flush(everything=False)
        self._owner.check_disk()

    def end(self, launch: LaunchInfo | None = None) -> None:
        """Finish the launch; ``launch`` replaces what ``begin_kernel`` was given (counts known only now)."""
        if launch is not None:
            self.launch = launch
        self._flush(everything=True)
        rows = np.concatenate(self._rows) if self._rows else np.zeros((0, 2), np.int64)
        SegmentIndex(rows[:, 0], rows[:, 1], self.launch, self._where())
        for column in self._columns.values():
            column.finish()
        text = json.dumps({**asdict(self.launch), "warp_instructions": self.warp_instructions}, sort_keys=True)
        _blob(self._group, "launch", text.encode())
        self._owner._hash.update(f"{self._name}/launch", text.encode())
        self._owner._hash.update(f"{self._name}/launch", str(self._group.attrs["program"]).encode())
        self._owner._open = None

    def _where(self) -> str:
        return f"{self._owner.path}: kernel {self.launch.name}"

    def _run_lists(self, warps: Array, runs: Array) -> tuple[tuple[Array, Array], Array]:
        """((begin, count) of each distinct run list, which one each segment has)."""
        begin, count = warps["run_begin"], warps["run_count"]
        if begin.min() < 0 or count.min() < 0 or int((begin + count).max()) > len(runs):
            raise TraceError(f"{self._where()}: a segment's runs lie outside the batch ({len(runs)} runs)")
        span = int(count.max()) + 1
        distinct, inverse = np.unique(begin * span + count, return_inverse=True)
        return np.divmod(distinct, span), inverse

    def _check_runs(self, runs: Array) -> None:
        ends = runs["start"].astype(np.int64) + runs["count"]
        if len(runs) and (int(ends.max()) > self._n_static or int(runs["count"].min()) == 0):
            raise TraceError(f"{self._where()}: a run is empty or passes the last of {self._n_static} instructions")

    def _check_segments(self, batch: Batch, instructions: Array, records: Array) -> None:
        warps = batch.warps
        tests = {
            "n_inst differs from the sum of its runs": warps["n_inst"] != instructions,
            f"more than {SEGMENT_INSTRUCTIONS} instructions": instructions > SEGMENT_INSTRUCTIONS,
            "mem_count differs from what its runs leave": warps["mem_count"] != records,
            "records outside the batch": (warps["mem_begin"] < 0) | (warps["mem_begin"] + records > len(batch.mems)),
            "CTA outside the grid": (warps["cta"] < 0) | (warps["cta"] >= self.launch.num_ctas),
            "warp outside the CTA": (warps["warp"] < 0) | (warps["warp"] >= self.launch.warps_per_cta),
        }
        for text, wrong in tests.items():
            if wrong.any():
                one = warps[int(np.flatnonzero(wrong)[0])]
                raise TraceError(
                    f"{self._where()}: CTA {one['cta']} warp {one['warp']} segment {one['segment']}: {text}"
                )

    def _flow_ids_of(self, runs: Array, counts: Array, instructions: Array, records: Array) -> Array:
        """Flow number of each run list; lists not seen before are stored."""
        ids = np.empty(len(counts), np.int64)
        data = runs.tobytes()
        size = runs.dtype.itemsize
        new = np.zeros(len(counts), bool)
        end = 0
        for k, count in enumerate(counts.tolist()):
            begin, end = end, end + count * size
            key = hashlib.blake2b(data[begin:end], digest_size=16).digest()
            known = self._flow_ids.get(key)
            if known is None:
                new[k] = True
                known = self._flow_ids[key] = self._flows
                self._flows += 1
                if len(self._flow_ids) > _KNOWN_FLOWS:
                    self._flow_ids.popitem(last=False)
            ids[k] = known
        rows = np.zeros(int(new.sum()), TABLES["flows"])
        rows["runs"], rows["instructions"], rows["records"] = counts[new], instructions[new], records[new]
        self._columns["flows"].append(rows)
        self._columns["runs"].append(runs[np.repeat(new, counts)])
        return ids

    def _collect(self, batch: Batch, flows: Array, numbers: Array, lengths: Array) -> None:
        """Queue the batch's segments, records and lanes, packed in segment order."""
        warps = batch.warps
        mems = batch.mems[expand_ranges(warps["mem_begin"], warps["mem_count"])]
        irregular = mems["lane_begin"] >= 0
        counts = np.where(irregular, lengths, 0)
        ends = np.cumsum(counts)
        if irregular.any():
            if int((mems["lane_begin"] + counts).max()) > len(batch.lanes):
                raise TraceError(f"{self._where()}: a record's lanes lie outside the batch ({len(batch.lanes)} lanes)")
            lanes = batch.lanes[expand_ranges(mems["lane_begin"][irregular], counts[irregular])]
            mems["lane_begin"][irregular] = (ends - counts)[irregular]
        else:
            lanes = np.zeros(0, np.uint64)
        ids = warps["cta"] * self.launch.warps_per_cta + warps["warp"]
        where = np.stack([ids, warps["segment"].astype(np.int64), flows, warps["mem_count"]], axis=1)
        self._rows.append(where[:, :2].copy())
        self._pending.append(_Pending(where, numbers, lengths, mems, lanes.astype(np.uint64)))
        self._queued = [n + len(a) for n, a in zip(self._queued, (where, mems, lanes), strict=True)]

    def _flush(self, everything: bool) -> None:
        """Write the full blocks among the queued segments, or all of them."""
        segments, records, lanes = self._queued
        full = segments >= BLOCK_SEGMENTS or records >= BLOCK_RECORDS or lanes >= BLOCK_LANES
        if not self._pending or not (full or everything):
            return
        queued = _joined(self._pending)
        record_ends = np.cumsum(queued.where[:, 3])
        irregular = queued.mems["lane_begin"] >= 0
        lane_ends = np.r_[0, np.cumsum(np.where(irregular, queued.lengths, 0))][record_ends]
        begin, total = 0, len(queued.where)
        while begin < total:
            records = record_ends[begin - 1] if begin else 0
            lanes = lane_ends[begin - 1] if begin else 0
            end = min(
                begin + BLOCK_SEGMENTS,
                int(np.searchsorted(record_ends, records + BLOCK_RECORDS, "right")),
                int(np.searchsorted(lane_ends, lanes + BLOCK_LANES, "right")),
            )
            if end >= total and not everything:
                break
            end = min(max(end, begin + 1), total)
            self._write_block(queued.part(begin, end, int(records), int(record_ends[end - 1])))
            begin = end
        first = int(record_ends[begin - 1]) if begin else 0
        self._pending = [queued.part(begin, total, first, len(queued.mems))] if begin < total else []
        self._queued = [sum(len(getattr(p, name)) for p in self._pending) for name in ("where", "mems", "lanes")]

    def _write_block(self, block: _Pending) -> None:
        order = self._static.order(block.numbers)
        rows, steps = encode_block(order, block.mems, block.lanes, block.lengths)
        segments = np.zeros(len(block.where), TABLES["segments"])
        segments["warp_step"] = np.diff(block.where[:, 0], prepend=self._last_warp)
        segments["flow_step"] = np.diff(block.where[:, 2], prepend=self._last_flow)
        segments["segment"] = block.where[:, 1]
        self._last_warp, self._last_flow = int(block.where[-1, 0]), int(block.where[-1, 2])
        table = lane_table(steps)
        sizes = [len(segments), len(rows), *(len(steps) if name == table else 0 for name in LANE_TABLES)]
        self._ends = [e + n for e, n in zip(self._ends, sizes, strict=True)]
        self._columns["segments"].append(segments)
        self._columns["records"].append(rows)
        self._columns[table].append(steps.astype(TABLES[table]))
        self._columns["blocks"].append(np.array([tuple(self._ends)], TABLES["blocks"]))


class _Pending(NamedTuple):
    """Queued segments: (warp id, segment, flow, records) each, and their records in order."""

    where: Array  # i8[n, 4]
    numbers: Array  # static record of each record
    lengths: Array  # active lanes of each record
    mems: Array
    lanes: Array

    def part(self, begin: int, end: int, first: int, last: int) -> _Pending:
        """Segments begin..end-1, whose records are first..last-1; lanes are packed again."""
        mems = self.mems[first:last].copy()
        irregular = mems["lane_begin"] >= 0
        lanes = self.lanes
        if irregular.any():
            low = int(mems["lane_begin"][irregular][0])
            high = low + int(self.lengths[first:last][irregular].sum())
            mems["lane_begin"][irregular] -= low
            lanes = lanes[low:high]
        else:
            lanes = lanes[:0]
        return _Pending(self.where[begin:end], self.numbers[first:last], self.lengths[first:last], mems, lanes)


def _joined(parts: list[_Pending]) -> _Pending:
    if len(parts) == 1:
        return parts[0]
    shift = 0
    mems = []
    for part in parts:
        moved = part.mems.copy()
        moved["lane_begin"][moved["lane_begin"] >= 0] += shift
        shift += len(part.lanes)
        mems.append(moved)
    where, numbers, lengths, lanes = (np.concatenate([p[k] for p in parts]) for k in (0, 1, 2, 4))
    return _Pending(where, numbers, lengths, np.concatenate(mems), lanes)


def _sums(values: Array, counts: Array) -> Array:
    """i8[len(counts)]: sums of consecutive groups of ``counts`` values."""
    total: Array = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    ends = np.cumsum(counts)
    sums: Array = total[ends] - total[ends - counts]
    return sums


class _Column:
    """One growing table: appended to in memory, written when large; small tables become one fixed chunk."""

    def __init__(self, group: Any, key: str, digest: ContentHash, name: str) -> None:
        self._group, self._key, self._digest, self._name = group, key, digest, name
        self._dtype = TABLES[key]
        self._parts: list[Array] = []
        self._bytes = 0
        self._dataset: Any = None

    def append(self, rows: Array) -> None:
        self._digest.update(self._name, rows)
        self._parts.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= _FLUSH_BYTES:
            self._write()

    def finish(self) -> None:
        if self._dataset is None:
            _array(self._group, self._key, self._joined())
        elif self._parts:
            self._write()

    def _joined(self) -> Array:
        rows = np.concatenate(self._parts) if self._parts else np.zeros(0, self._dtype)
        self._parts, self._bytes = [], 0
        return rows

    def _write(self) -> None:
        rows = self._joined()
        if self._dataset is None:
            chunk = max(1, _CHUNK_BYTES // self._dtype.itemsize)
            self._dataset = self._group.create_dataset(
                self._key, shape=(0,), maxshape=(None,), dtype=self._dtype, chunks=(chunk,), **_FILTERS
            )
        size = len(self._dataset)
        self._dataset.resize((size + len(rows),))
        self._dataset[size:] = rows


def _array(group: Any, key: str, rows: Array) -> None:
    """A table of fixed size; an empty one is left out."""
    if len(rows):
        chunk = min(len(rows), max(1, _CHUNK_BYTES // rows.dtype.itemsize))
        group.create_dataset(key, data=rows, chunks=(chunk,), **_FILTERS)


def _blob(group: Any, key: str, data: bytes) -> None:
    _array(group, key, np.frombuffer(data, np.uint8))


def _fixed_text(text: str) -> Any:
    """An attribute of fixed length: a string of variable length would cost HDF5 a heap of 4 KiB."""
    return np.bytes_(text.encode()[:_TEXT_BYTES] or b" ")
