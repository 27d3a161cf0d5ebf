"""Reading trace files: bulk, vectorised, bounded memory; damaged files end in one clear :class:`TraceError`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import h5py
import numpy as np

from archsim.errors import TraceError
from archsim.isa.program import Program
from archsim.trace.index import SegmentIndex
from archsim.trace.layout import MEM_DT, WARP_DT, Array, Batch, LaunchInfo, expand_ranges
from archsim.trace.programs import ACCELSIM_ROW, CODE_ROW, StoredProgram, unpack_program
from archsim.trace.store import (
    FORMAT,
    LANE_TABLES,
    TABLES,
    VERSION,
    ContentHash,
    StaticRecords,
    decode_block,
    lane_steps,
)

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_RUN_CHUNK = 1 << 16
_CHUNK_CACHE_BYTES = 16 << 20  # neighbouring blocks share a chunk: it should be inflated once
DEFAULT_CACHE_BYTES = 256 << 20

T = TypeVar("T")


def open_trace(path: str | Path, cache_bytes: int = DEFAULT_CACHE_BYTES) -> TraceFile:
    """Open a trace file for reading (a context manager).

    ``cache_bytes`` bounds the decoded blocks that are kept. Raises TraceError when the file is missing, is not an
    archsim trace, is of another version, was never finished, or is damaged.
    """
    return TraceFile(path, cache_bytes)


class TraceFile:
    """An open trace file: ``arch``, ``source``, ``sha256`` (of its contents), ``events``, ``kernels``."""

    def __init__(self, path: str | Path, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        self.path = Path(path)
        self._file = _open_hdf5(self.path)
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise
        self.cache = _Cache(cache_bytes)
        self._programs: dict[int, Program] = {}

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, where: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the kernels cannot be read afterwards."""
        self._file.close()

    def program(self, number: int) -> Program:
        """The program ``number``, parsed when first asked for."""
        if number not in self._programs:
            self._programs[number] = unpack_program(self.stored_program(number), f"{self.path}: program {number}")
        return self._programs[number]

    def stored_program(self, number: int) -> StoredProgram:
        """What the file holds of a program."""
        group = f"programs/{number}"
        try:
            meta = json.loads(self.read(f"{group}/meta", np.dtype("u1")).tobytes())
        except ValueError as error:
            raise TraceError(f"{self.path}: {group}: damaged metadata") from error
        text = self.read(f"{group}/text", np.dtype("u1")).tobytes()
        code = self.read(f"{group}/code", CODE_ROW)
        extra = self.read(f"{group}/accelsim", ACCELSIM_ROW)
        names = [n for n in self._guard(group, lambda: list(self._file[group])) if n.startswith("constant_")]
        constants = {int(n[9:]): self.read(f"{group}/{n}", np.dtype("u1")).tobytes() for n in names}
        return StoredProgram(meta, text, code, extra, constants)

    def read(self, name: str, dtype: np.dtype[Any], begin: int = 0, end: int | None = None) -> Array:
        """Rows begin..end-1 of a table (a missing one is empty); TraceError naming file and table on damage."""

        def take() -> Array:
            if name not in self._file:
                return np.zeros(0, dtype)[begin : begin if end is None else end]
            table = self._file[name]
            if table.dtype != dtype or table.ndim != 1:
                raise ValueError(f"has type {table.dtype}{table.shape}")
            stop = len(table) if end is None else end
            if not 0 <= begin <= stop <= len(table):
                raise ValueError(f"rows {begin}..{stop} asked of {len(table)}")
            rows: Array = table[begin:stop]
            return rows

        return self._guard(name, take)

    def table_size(self, name: str) -> tuple[int, int]:
        """(rows, bytes on disk) of a table."""
        if not self._guard(name, lambda: name in self._file):
            return 0, 0
        return self._guard(name, lambda: (len(self._file[name]), int(self._file[name].id.get_storage_size())))

    def has_control_bits(self, number: int) -> bool:
        """Whether every instruction of a program carries the compiler's control bits."""
        return bool(self.read(f"programs/{number}/code", CODE_ROW)["known_control"].all())

    def compute_sha256(self) -> str:
        """Hash of the contents as they are now; equals ``sha256`` unless the file was damaged."""
        digest = ContentHash()
        digest.update("arch", str(self.arch).encode())
        digest.update("events", self.read("events", np.dtype("u1")).tobytes())
        for number in range(self._count("programs")):
            digest.update(f"programs/{number}", self.stored_program(number).key().encode())
        for kernel in self.kernels:
            kernel.hash_into(digest)
        return digest.hexdigest()

    def _read_header(self) -> None:
        attrs = self._guard("header", lambda: dict(self._file.attrs))
        if _text(attrs.get("format")) != FORMAT:
            raise TraceError(f"{self.path}: an HDF5 file, but not an archsim trace")
        if attrs.get("version") != VERSION:
            raise TraceError(f"{self.path}: trace format version {attrs.get('version')}, this archsim reads {VERSION}")
        if attrs.get("complete") != 1:
            raise TraceError(f"{self.path}: incomplete: the program that wrote it did not finish")
        if not {"arch", "source", "sha256"} <= set(attrs):
            raise TraceError(f"{self.path}: damaged header: arch, source or sha256 is missing")
        self.arch = int(attrs["arch"])
        self.source = _text(attrs["source"]).rstrip(" ")
        self.sha256 = _text(attrs["sha256"])
        try:
            events = json.loads(self.read("events", np.dtype("u1")).tobytes() or b"[]")
        except ValueError as error:
            raise TraceError(f"{self.path}: damaged event list") from error
        self.events: list[tuple[Any, ...]] = [tuple(e) for e in events]
        self.kernels = [KernelFile(self, number) for number in range(self._count("kernels"))]

    def _count(self, group: str) -> int:
        return self._guard(group, lambda: len(self._file[group]) if group in self._file else 0)

    def _guard(self, name: str, action: Callable[[], T]) -> T:
        try:
            return action()
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise TraceError(f"{self.path}: {name}: damaged ({str(error).splitlines()[0][:120]})") from error


class _Tables(NamedTuple):
    """A kernel's small tables, held in memory: 32 bytes per segment, 20 per flow."""

    lookup: SegmentIndex
    flow: Array  # i8[segments]
    warp_id: Array  # i8[segments]
    segment: Array
    last: Array  # u1[segments]
    record_begin: Array  # i8[segments + 1]
    run_begin: Array  # i8[flows + 1]
    instructions: Array  # i8[flows]
    records: Array  # i8[flows]
    blocks: Array  # BLOCK_ROW[]


class _Block(NamedTuple):
    mems: Array
    lanes: Array
    lengths: Array  # active lanes of each record
    first_record: int


class KernelFile:
    """One launch of a trace file (see :class:`archsim.trace.layout.KernelTrace`)."""

    def __init__(self, trace: TraceFile, number: int) -> None:
        self._trace = trace
        self._number = number
        self._name = f"kernels/{number}"
        self._loaded: _Tables | None = None
        raw = trace.read(f"{self._name}/launch", np.dtype("u1")).tobytes()
        try:
            fields = json.loads(raw)
            self.warp_instructions = int(fields.pop("warp_instructions"))
            for key in ("grid", "block", "cluster"):
                fields[key] = tuple(fields[key])
            self.launch = LaunchInfo(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise TraceError(f"{self._where}: damaged launch description") from error
        attrs = trace._guard(self._name, lambda: dict(trace._file[self._name].attrs))
        self.program_id = int(attrs.get("program", 0))
        code = trace.read(f"programs/{self.program_id}/code", CODE_ROW)
        self.mem_records: Array = code["mem_records"].copy()
        self._static = StaticRecords.of(self.mem_records)

    @property
    def program(self) -> Program:
        """The static code, parsed when first asked for."""
        return self._trace.program(self.program_id)

    @property
    def num_ctas(self) -> int:
        """CTAs in the grid."""
        return self.launch.num_ctas

    @property
    def warps_per_cta(self) -> int:
        """Warps in a CTA."""
        return self.launch.warps_per_cta

    @property
    def recorded_ctas(self) -> Array:
        """i8[]: CTAs that the trace holds (all of them unless sampled)."""
        return self._tables.lookup.recorded_ctas

    def read_ctas(self, first: int, count: int) -> Batch:
        """Segment 0 of every recorded warp of CTAs first..first+count-1, in CTA then warp order."""
        return self._take(self._tables.lookup.rows_of_first(first, count)[0])

    def read_segments(self, ctas: Array, warps: Array, segments: Array) -> Batch:
        """The named segments in the order asked; TraceError when one does not exist."""
        return self._take(self._tables.lookup.rows_of(ctas, warps, segments)[0])

    def cta_instructions(self, first: int, count: int) -> Array:
        """i8[count]: warp-instructions of each CTA."""
        tables = self._tables
        return tables.lookup.per_cta(tables.instructions[tables.flow], first, count)

    def all_segments(self, at_once: int) -> Iterator[Batch]:
        """Every segment in the order written, ``at_once`` in a batch."""
        total = len(self._tables.flow)
        for begin in range(0, total, at_once):
            yield self._take(np.arange(begin, min(begin + at_once, total)))

    def hash_into(self, digest: ContentHash) -> None:
        """Add this launch's contents to a trace's hash."""
        for key, dtype in TABLES.items():
            size = self._trace.table_size(f"{self._name}/{key}")[0]
            step = max(1, (1 << 24) // dtype.itemsize)
            for begin in range(0, size, step):
                rows = self._trace.read(f"{self._name}/{key}", dtype, begin, min(begin + step, size))
                digest.update(f"{self._name}/{key}", rows)
        digest.update(f"{self._name}/launch", self._trace.read(f"{self._name}/launch", np.dtype("u1")).tobytes())
        digest.update(f"{self._name}/launch", str(self.program_id).encode())

    @property
    def _where(self) -> str:
        return f"{self._trace.path}: kernel {self._number}"

    @property
    def _tables(self) -> _Tables:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> _Tables:
        segments, flows, blocks = (
            self._trace.read(f"{self._name}/{key}", TABLES[key]) for key in ("segments", "flows", "blocks")
        )
        warp_id = np.cumsum(segments["warp_step"])
        flow = np.cumsum(segments["flow_step"], dtype=np.int64)
        if len(flow) and (flow.min() < 0 or flow.max() >= len(flows)):
            raise TraceError(f"{self._where}: segments name run lists that do not exist")
        index = SegmentIndex(warp_id, segments["segment"], self.launch, self._where)
        places = np.searchsorted(index.warp_ids, warp_id)
        records = flows["records"].astype(np.int64)
        record_begin = np.concatenate([[0], np.cumsum(records[flow])])
        ends = blocks["segment_end"]
        whole = len(segments) == 0 if not len(blocks) else ends[-1] == len(segments)
        if not whole or np.any(np.diff(ends) <= 0) or np.any(blocks["record_end"] != record_begin[ends]):
            raise TraceError(f"{self._where}: the block table does not fit the segments")
        return _Tables(
            index,
            flow,
            warp_id,
            segments["segment"],
            (segments["segment"] == index.counts[places] - 1).astype(np.uint8),
            record_begin,
            np.concatenate([[0], np.cumsum(flows["runs"], dtype=np.int64)]),
            flows["instructions"].astype(np.int64),
            records,
            blocks,
        )

    def _take(self, rows: Array) -> Batch:
        tables = self._tables
        flow = tables.flow[rows]
        distinct, inverse = np.unique(flow, return_inverse=True)
        warps = np.zeros(len(rows), WARP_DT)
        warps["cta"], warps["warp"] = np.divmod(tables.warp_id[rows], self.launch.warps_per_cta)
        warps["segment"], warps["last"] = tables.segment[rows], tables.last[rows]
        counts = tables.run_begin[distinct + 1] - tables.run_begin[distinct]
        warps["run_begin"] = (np.cumsum(counts) - counts)[inverse]
        warps["run_count"] = counts[inverse]
        warps["n_inst"] = tables.instructions[flow]
        warps["mem_count"] = tables.records[flow]
        warps["mem_begin"] = np.cumsum(warps["mem_count"]) - warps["mem_count"]
        mems, lanes = self._records(rows, warps)
        return Batch(warps, self._runs(distinct), mems, lanes)

    def _runs(self, flows: Array) -> Array:
        """Runs of the given flows (ascending), one list after the other."""
        table = self._tables.run_begin
        begins, counts = table[flows], table[flows + 1] - table[flows]
        wanted = expand_ranges(begins, counts)
        out = np.empty(len(wanted), TABLES["runs"])
        done = 0
        while done < len(wanted):
            chunk = int(wanted[done]) // _RUN_CHUNK
            stop = int(np.searchsorted(wanted, (chunk + 1) * _RUN_CHUNK))
            out[done:stop] = self._run_chunk(chunk)[wanted[done:stop] - chunk * _RUN_CHUNK]
            done = stop
        return out

    def _run_chunk(self, chunk: int) -> Array:
        def load() -> tuple[Array, int]:
            begin = chunk * _RUN_CHUNK
            end = min(begin + _RUN_CHUNK, int(self._tables.run_begin[-1]))
            runs = self._trace.read(f"{self._name}/runs", TABLES["runs"], begin, end)
            if np.any(runs["start"].astype(np.int64) + runs["count"] > len(self.mem_records)):
                raise TraceError(f"{self._where}: a run passes the end of the program")
            return runs, runs.nbytes

        return self._trace.cache.get((self._number, "runs", chunk), load)

    def _records(self, rows: Array, warps: Array) -> tuple[Array, Array]:
        """Address records and lanes of segments ``rows``, in that order."""
        tables = self._tables
        mems = np.empty(int(warps["mem_count"].sum()), MEM_DT)
        parts: list[Array] = []
        lanes = 0
        of_block = np.searchsorted(tables.blocks["segment_end"], rows, "right")
        has = np.flatnonzero(warps["mem_count"])
        by_block = has[np.argsort(of_block[has], kind="stable")]
        cuts = np.flatnonzero(np.diff(of_block[by_block])) + 1
        for group in np.split(by_block, cuts) if len(by_block) else []:
            block = self._block(int(of_block[group[0]]))
            counts = warps["mem_count"][group]
            source = expand_ranges(tables.record_begin[rows[group]] - block.first_record, counts)
            taken = block.mems[source]
            if len(block.lanes):
                part = _own_lanes(block, source, taken, lanes)
                parts.append(part)
                lanes += len(part)
            mems[expand_ranges(warps["mem_begin"][group], counts)] = taken
        return mems, np.concatenate(parts) if parts else np.zeros(0, np.uint64)

    def _lane_steps(self, low: Any, high: Any) -> Array:
        """Lane steps between two rows of the block table: they lie in one of the three tables."""
        for name in LANE_TABLES:
            begin, end = int(low[f"{name}_end"]), int(high[f"{name}_end"])
            if begin != end:
                return self._trace.read(f"{self._name}/{name}", TABLES[name], begin, end)
        return np.zeros(0, np.uint64)

    def _block(self, number: int) -> _Block:
        def load() -> tuple[_Block, int]:
            block = self._decode(number)
            return block, block.mems.nbytes + block.lanes.nbytes + block.lengths.nbytes

        return self._trace.cache.get((self._number, "block", number), load)

    def _decode(self, number: int) -> _Block:
        tables = self._tables
        low = tables.blocks[number - 1] if number else np.zeros(1, TABLES["blocks"])[0]
        high = tables.blocks[number]
        flow = tables.flow[int(low["segment_end"]) : int(high["segment_end"])]
        distinct, inverse = np.unique(flow, return_inverse=True)
        runs = self._runs(distinct)
        numbers, lengths = self._static.expand(runs)
        records = tables.records[distinct]
        if len(numbers) != int(records.sum()):
            raise TraceError(f"{self._where}: block {number}: run lists do not fit their record counts")
        pick = expand_ranges((np.cumsum(records) - records)[inverse], records[inverse])
        numbers, lengths = numbers[pick], lengths[pick]
        order = self._static.order(numbers)
        first, last = int(low["record_end"]), int(high["record_end"])
        rows = self._trace.read(f"{self._name}/records", TABLES["records"], first, last)
        steps = self._lane_steps(low, high)
        if len(rows) != len(order) or lane_steps(order, rows, lengths) != len(steps):
            raise TraceError(f"{self._where}: block {number}: address records do not fit the run lists")
        return _Block(*decode_block(order, rows, steps, lengths), lengths, first)


def _own_lanes(block: _Block, source: Array, taken: Array, shift: int) -> Array:
    """Lanes of the records ``source`` of a block; ``taken`` (their copies) then index them, ``shift`` further on."""
    irregular = np.flatnonzero(taken["lane_begin"] >= 0)
    if 2 * len(source) > len(block.mems):  # most of the block: copying it whole is quicker than picking
        taken["lane_begin"][irregular] += shift
        return block.lanes
    counts = block.lengths[source[irregular]]
    lanes: Array = block.lanes[expand_ranges(taken["lane_begin"][irregular], counts)]
    taken["lane_begin"][irregular] = np.cumsum(counts) - counts + shift
    return lanes


class _Cache:
    """Least-recently-used decoded blocks, bounded in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._items: OrderedDict[Any, tuple[Any, int]] = OrderedDict()

    def get(self, key: Any, load: Callable[[], tuple[T, int]]) -> T:
        """The cached value, or the loaded one."""
        if key in self._items:
            self._items.move_to_end(key)
            found: T = self._items[key][0]
            return found
        value, size = load()
        self._items[key] = (value, size)
        self._used += size
        while self._used > self._limit and len(self._items) > 1:
            self._used -= self._items.popitem(last=False)[1][1]
        return value


def _open_hdf5(path: Path) -> Any:
    try:
        with open(path, "rb") as file:
            head = file.read(8)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise TraceError(f"{path}: empty file")
    if head != _SIGNATURE:
        raise TraceError(
            f"{path}: not an HDF5 file, so not an archsim trace (Accel-Sim traces: `archsim trace import`)"
        )
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE_BYTES)
    except (OSError, RuntimeError, KeyError) as error:
        text = str(error)
        why = "truncated" if "truncated" in text else f"damaged ({text[:120]})"
        raise TraceError(f"{path}: {why}") from error


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
