"""Accel-Sim traces in and out: ``import_accelsim`` and ``export_accelsim``.

Import reads each kernel file twice: first to learn the static instructions (they are spread over the dynamic lines),
then to write the streams. Both passes are bounded in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from archsim.errors import ArchsimError, TraceError
from archsim.trace.accelsim_files import Header, KernelFile, Repair, read_list
from archsim.trace.accelsim_program import ImportedProgram, from_cubin, rebuild
from archsim.trace.accelsim_text import BodyParser as ReferenceParser
from archsim.trace.accelsim_text import Chunk, Layout, ParseProblem
from archsim.trace.layout import (
    MEM_DT,
    RUN_DT,
    SEGMENT_INSTRUCTIONS,
    WARP_DT,
    WARP_THREADS,
    Array,
    Batch,
    LaunchInfo,
    expand_ranges,
    popcount,
)
from archsim.trace.writer import TraceWriter

_CHUNK_LINES = 1 << 20
_HELD_LINES = 1 << 22
_WINDOW_BYTES = 1 << 24  # size of the shared and local windows in the generic address space
_SHARED = frozenset({"LDS", "STS", "LDSM", "STSM", "ATOMS", "REDS"})
_LOCAL = frozenset({"LDL", "STL"})

Progress = Callable[[str, int], None]


def import_accelsim(
    source: str | Path,
    output: str | Path,
    *,
    cubin: str | Path | None = None,
    arch: int | None = None,
    registers: int | None = None,
    shared_bytes: int | None = None,
    reference_parser: bool = False,
    progress: Progress | None = None,
) -> None:
    """Convert an Accel-Sim trace to an archsim trace file.

    ``source``: a ``kernelslist.g``, or one kernel file (``.traceg``, raw ``.trace``; plain, .xz, .zst or .gz) of
    tracer version 3, 4 or 5. ``cubin``: the code that was traced; gives control bits. ``arch``, ``registers`` and
    ``shared_bytes`` replace damaged header fields. ``progress(kernel name, warp-instructions so far)`` is called now
    and then. Raises TraceError naming file and line.
    """
    path = Path(source)
    repair = Repair(arch, registers, shared_bytes)
    is_list = path.suffix == ".g" or path.name.startswith("kernelslist")
    commands = read_list(path) if is_list else [("kernel", path)]
    files = [command[1] for command in commands if command[0] == "kernel"]
    if not files:
        raise TraceError(f"{path}: no kernel in this list")
    first = KernelFile(files[0], repair)
    first.close()
    with TraceWriter(output, arch=first.header.arch, source=f"Accel-Sim: {path.name}") as writer:
        for command in commands:
            if command[0] == "kernel":
                job = _KernelImport(command[1], repair, Path(cubin) if cubin else None, reference_parser, progress)
                job.write(writer)
            else:
                writer.event(*command)


def make_parser(layout: Layout, reference: bool = False) -> Any:
    """The compiled parser; the plain-Python one when asked, or where the extension was not built."""
    if reference:
        return ReferenceParser(layout)
    try:
        from archsim.trace._accelsim import BodyParser
    except ImportError:
        return ReferenceParser(layout)
    return BodyParser(layout)


class _KernelImport:
    """One kernel file on its way into the writer."""

    def __init__(
        self, path: Path, repair: Repair, cubin: Path | None, reference: bool, progress: Progress | None
    ) -> None:
        self.path = path
        self._repair = repair
        self._cubin = cubin
        self._progress = progress
        file = KernelFile(path, repair)
        file.close()
        self.header = file.header
        self._header_lines = file.header_lines
        threads = self.header.block[0] * self.header.block[1] * self.header.block[2]
        warps = -(-threads // WARP_THREADS)
        self._layout = Layout(self.header.grid, warps, file.grouped, self.header.line_numbers, self.header.version >= 5)
        self._parser = make_parser(self._layout, reference)

    def write(self, writer: TraceWriter) -> None:
        """Both passes."""
        for _ in self._chunks(collect=False):
            pass
        made = self._program()
        launch = _launch(self.header, made.program.local_bytes)
        kernel = writer.begin_kernel(
            writer.add_program(made.program, made.mem_records, syntax=made.syntax, accelsim=made.accelsim), launch
        )
        assembler = Assembler(made, self._layout.warps_per_cta, self._layout.grouped, launch, str(self.path))
        for chunk in self._chunks(collect=True):
            kernel.add(assembler.batch(chunk))
            if self._progress:
                self._progress(launch.name, self._parser.instructions)
        kernel.add(assembler.batch(None))
        kernel.end()

    def _program(self) -> ImportedProgram:
        parser, header = self._parser, self.header
        if not parser.statics:
            raise TraceError(f"{self.path}: no instruction in this trace")
        try:
            if self._cubin is not None:
                return from_cubin(parser.statics, parser.paired, header.arch, header.name, self._cubin, str(self.path))
            return rebuild(parser.statics, parser.paired, header.arch, header.name, header.registers)
        except TraceError:
            raise
        except ArchsimError as error:
            raise TraceError(f"{self.path}: {error}") from error

    def _chunks(self, collect: bool) -> Iterator[Chunk]:
        file = KernelFile(self.path, self._repair)
        try:
            self._parser.restart(collect)
            for data in file.body():
                self._parser.feed(data)
                if self._parser.pending >= _CHUNK_LINES:
                    yield self._parser.take()
            self._parser.finish()
            yield self._parser.take()
        except ParseProblem as problem:
            line = file.header_lines + problem.line
            raise TraceError(f"{self.path}:{line}: {problem.message}") from None
        finally:
            file.close()


class Assembler:
    """Parsed lines -> warp segments. Keeps back at most _HELD_LINES lines of blocks that go on in the next chunk."""

    def __init__(
        self, made: ImportedProgram, warps_per_cta: int, grouped: bool, launch: LaunchInfo, where: str
    ) -> None:
        self._made = made
        self._grouped = grouped
        self._warps_per_cta = warps_per_cta
        self._where = where
        self._next_segment = np.zeros(launch.num_ctas * warps_per_cta, np.int32)
        self._held: Chunk | None = None
        names = [one.base for one in made.program.instructions]
        self._window = np.zeros(len(names), np.uint64)
        for place, base in enumerate(names):
            self._window[place] = launch.shared_base if base in _SHARED else launch.local_base if base in _LOCAL else 0
        self._shared_base = launch.shared_base

    def batch(self, chunk: Chunk | None) -> Batch:
        """Segments of the chunk's lines; ``None`` at the end gives what was kept back."""
        chunk = self._with_held(chunk)
        index = self._made.place[chunk.static].astype(np.int64)
        order = np.arange(len(index))
        if np.any(np.diff(chunk.warp_id) < 0):
            order = np.argsort(chunk.warp_id, kind="stable")
        keep = order[chunk.second[order] == 0]
        double = self._doubled(chunk, order)
        mems, counts = self._records(chunk, index, order, double)
        return self._segments(chunk.warp_id[keep], index[keep], chunk.mask[keep], mems, counts, chunk.lanes)

    def _with_held(self, chunk: Chunk | None) -> Chunk:
        """Prepend what was kept back, and keep back what may go on: so segments do not depend on where chunks end."""
        held, self._held = self._held, None
        if chunk is None:
            return held if held is not None else _empty_chunk()
        if held is not None:
            chunk = _concatenate(held, chunk)
        if not len(chunk.warp_id):
            return chunk
        waiting = np.ones(len(chunk.warp_id), bool)  # raw: any warp may go on
        if self._grouped:  # only the block at the end
            waiting = chunk.warp_id // self._warps_per_cta == chunk.warp_id[-1] // self._warps_per_cta
        if int(waiting.sum()) > _HELD_LINES:
            tails = self._tails(chunk)
            waiting &= tails >= (1 if int((waiting & (tails > 0)).sum()) <= _HELD_LINES else 2)
        self._held = _select(chunk, waiting)
        return _select(chunk, ~waiting)

    def _tails(self, chunk: Chunk) -> Array:
        """u1[n]: 1 = in an unfinished segment, 2 = an LDGSTS whose second line has not come yet, else 0."""
        order = np.argsort(chunk.warp_id, kind="stable")
        ids, kept = chunk.warp_id[order], chunk.second[order] == 0
        starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
        ends = np.r_[starts[1:], len(ids)]
        total = np.cumsum(kept)
        before = np.repeat(total[starts] - kept[starts], ends - starts)
        position = total - before - 1  # of the instruction, both lines of a pair alike
        final = ends - 1
        paired = self._made.mem_records[self._made.place[chunk.static[order]]] == 2
        alone = np.zeros(len(ids), bool)
        alone[final] = kept[final] & paired[final]
        length = np.repeat((total - before)[final] - alone[final], ends - starts)
        tail = (position >= length // SEGMENT_INSTRUCTIONS * SEGMENT_INSTRUCTIONS).astype(np.uint8) + alone
        out: Array = np.empty_like(tail)
        out[order] = tail
        return out

    def _doubled(self, chunk: Chunk, order: Array) -> Array:
        """bool[n] in warp order: lines followed by their second half."""
        second = chunk.second[order] != 0
        double: Array = np.r_[second[1:], False] if len(second) else second
        wrong = double & (chunk.mask[order] != np.roll(chunk.mask[order], -1))
        if wrong.any():
            raise TraceError(f"{self._where}: the two lines of an LDGSTS have different masks")
        return double

    def _records(self, chunk: Chunk, index: Array, order: Array, double: Array) -> tuple[Array, Array]:
        """(MEM_DT[] in execution order, records of each kept line); of a pair the global one comes first."""
        owner = np.cumsum(chunk.has_record, dtype=np.int64) - chunk.has_record
        swapped = order.copy()
        pairs = np.flatnonzero(double)
        swapped[pairs], swapped[pairs + 1] = order[pairs + 1], order[pairs]
        picked = swapped[chunk.has_record[swapped] != 0]
        mems = np.empty(len(picked), MEM_DT)
        source = owner[picked]
        mems["base"], mems["stride"] = chunk.base[source], chunk.stride[source]
        mems["lane_begin"] = chunk.lane_begin[source]
        window = self._window[index[picked]]
        if len(pairs):  # the first line of an LDGSTS pair is its shared half
            halves = np.zeros(len(chunk.second), bool)
            halves[order[pairs]] = True
            window = np.where(halves[picked], np.uint64(self._shared_base), window)
        self._to_offsets(mems, chunk, picked, window)
        counts = chunk.has_record[order].astype(np.int64)
        counts[pairs] += counts[pairs + 1]
        counts = counts[chunk.second[order] == 0]
        kept = order[chunk.second[order] == 0]
        wanted = np.where(chunk.mask[kept] != 0, self._made.mem_records[index[kept]], 0)
        wrong = np.flatnonzero(counts != wanted)
        if len(wrong):
            one = self._made.program.instructions[int(index[kept[wrong[0]]])]
            raise TraceError(
                f"{self._where}: {one.text!r} at 0x{one.address:x} has {counts[wrong[0]]} address records in one "
                f"execution, {wanted[wrong[0]]} in others"
            )
        return mems, counts

    def _to_offsets(self, mems: Array, chunk: Chunk, picked: Array, window: Array) -> None:
        """Generic addresses inside the shared or local window become offsets in it."""
        first = mems["base"].copy()  # any active lane tells; the first one is at hand for lists
        affine = mems["lane_begin"] < 0
        low = np.bitwise_count((chunk.mask[picked] & -chunk.mask[picked].astype(np.int64)) - 1).astype(np.int64)
        first[affine] += (mems["stride"] * low)[affine].astype(np.uint64)
        inside = (window != 0) & (first - window < np.uint64(_WINDOW_BYTES))
        mems["base"] -= np.where(inside, window, np.uint64(0))
        lists = np.flatnonzero(inside & ~affine)
        if len(lists):
            counts = np.bitwise_count(chunk.mask[picked[lists]]).astype(np.int64)
            chunk.lanes[expand_ranges(mems["lane_begin"][lists], counts)] -= np.repeat(window[lists], counts)

    def _segments(self, ids: Array, index: Array, masks: Array, mems: Array, counts: Array, lanes: Array) -> Batch:
        total = len(ids)
        if not total:
            return Batch(np.zeros(0, WARP_DT), np.zeros(0, RUN_DT), mems, lanes)
        new_warp = np.r_[True, ids[1:] != ids[:-1]]
        starts = np.flatnonzero(new_warp)
        lengths = np.diff(np.r_[starts, total])
        position = np.arange(total) - np.repeat(starts, lengths)
        cut = position % SEGMENT_INSTRUCTIONS == 0
        first = np.flatnonzero(cut)
        turn = cut | np.r_[True, (index[1:] != index[:-1] + 1) | (masks[1:] != masks[:-1])]
        begins = np.flatnonzero(turn)
        runs = np.zeros(len(begins), RUN_DT)
        runs["start"], runs["mask"] = index[begins], masks[begins]
        runs["count"] = np.diff(np.r_[begins, total])
        warps = np.zeros(len(first), WARP_DT)
        warps["cta"], warps["warp"] = np.divmod(ids[first], self._warps_per_cta)
        warps["segment"] = self._next_segment[ids[first]] + position[first] // SEGMENT_INSTRUCTIONS
        warps["n_inst"] = np.diff(np.r_[first, total])
        warps["run_begin"] = np.searchsorted(begins, first)
        warps["run_count"] = np.diff(np.r_[warps["run_begin"], len(begins)])
        ends = np.cumsum(counts)
        warps["mem_begin"] = (ends - counts)[first]
        warps["mem_count"] = np.diff(np.r_[warps["mem_begin"], ends[-1]])
        self._next_segment[ids[starts]] += -(-lengths // SEGMENT_INSTRUCTIONS).astype(np.int32)
        # Warps of a CTA advance together: their segments of one age next to each other make reading local.
        warps = warps[np.lexsort((warps["warp"], warps["segment"], warps["cta"]))]
        return Batch(warps, runs, mems, lanes)


def _launch(header: Header, local_bytes: int) -> LaunchInfo:
    return LaunchInfo(
        header.name,
        header.grid,
        header.block,
        registers=header.registers,
        shared_bytes=header.shared_bytes,
        local_bytes=local_bytes,
        shared_base=header.shared_base,
        local_base=header.local_base,
        launch_id=header.kernel_id,
        stream_id=header.stream,
    )


def _empty_chunk() -> Chunk:
    kinds = (np.int64, np.uint32, np.uint32, np.uint8, np.uint8, np.uint64, np.int64, np.int64, np.uint64)
    return Chunk(*(np.zeros(0, kind) for kind in kinds))


def _concatenate(one: Chunk, two: Chunk) -> Chunk:
    shifted = two.lane_begin.copy()
    shifted[shifted >= 0] += len(one.lanes)
    parts = [np.concatenate([a, b]) for a, b in zip(one, two._replace(lane_begin=shifted), strict=True)]
    return Chunk(*parts)


def _select(chunk: Chunk, lines: Array) -> Chunk:
    """The chosen lines with their records and lanes."""
    records = lines[chunk.has_record != 0]
    begins = chunk.lane_begin[records]
    counts = np.where(begins >= 0, popcount(chunk.mask[lines & (chunk.has_record != 0)]), 0)
    lanes = chunk.lanes[expand_ranges(begins, counts)]
    begins = np.where(begins >= 0, np.cumsum(counts) - counts, -1)
    parts = [*(a[lines] for a in chunk[:5]), chunk.base[records], chunk.stride[records], begins, lanes]
    return Chunk(*parts)


def export_accelsim(trace: Any, folder: str | Path, *, name: str = "kernelslist.g") -> Path:
    """Write an open trace as Accel-Sim text (tracer version 5); see :mod:`archsim.trace.accelsim_export`."""
    from archsim.trace.accelsim_export import export_trace

    return export_trace(trace, Path(folder), name)
