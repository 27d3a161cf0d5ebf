"""Traces held in memory, with the reading interface of a trace file. Tests and probes use them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from archsim.isa.program import Program
from archsim.trace.index import SegmentIndex
from archsim.trace.layout import MEM_DT, RUN_DT, WARP_DT, Array, Batch, LaunchInfo, expand_ranges


class MemoryKernel:
    """One launch; ``batch`` holds every segment of every warp."""

    def __init__(self, launch: LaunchInfo, program: Program, mem_records: Array, batch: Batch) -> None:
        self.launch = launch
        self.program = program
        self.mem_records = np.asarray(mem_records, np.uint8)
        self._batch = batch
        warps = batch.warps
        ids = warps["cta"] * launch.warps_per_cta + warps["warp"]
        self._index = SegmentIndex(ids, warps["segment"], launch, f"kernel {launch.name}")
        self.warp_instructions = int(warps["n_inst"].sum())

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
        return self._index.recorded_ctas

    def read_ctas(self, first: int, count: int) -> Batch:
        """Segment 0 of every warp of those CTAs, in CTA then warp order."""
        return self._take(self._index.rows_of_first(first, count)[0])

    def read_segments(self, ctas: Array, warps: Array, segments: Array) -> Batch:
        """The named segments in the order asked; TraceError when one does not exist."""
        return self._take(self._index.rows_of(ctas, warps, segments)[0])

    def cta_instructions(self, first: int, count: int) -> Array:
        """i8[count]: warp-instructions of each CTA."""
        return self._index.per_cta(self._batch.warps["n_inst"], first, count)

    def _take(self, rows: Array) -> Batch:
        return compact(self._batch._replace(warps=self._batch.warps[rows]))


def compact(batch: Batch) -> Batch:
    """The same batch without rows that no warp refers to; identical run lists stay shared."""
    warps = batch.warps.copy()
    begins, inverse = np.unique(warps["run_begin"], return_inverse=True)
    longest = np.zeros(len(begins), np.int64)
    np.maximum.at(longest, inverse, warps["run_count"])
    runs = batch.runs[expand_ranges(begins, longest)]
    warps["run_begin"] = (np.cumsum(longest) - longest)[inverse]
    mems = batch.mems[expand_ranges(warps["mem_begin"], warps["mem_count"])]
    warps["mem_begin"] = np.cumsum(warps["mem_count"]) - warps["mem_count"]
    return Batch(warps, runs, mems, batch.lanes)


class MemoryTrace:
    """A trace in memory: same reading interface as :func:`archsim.trace.open_trace` gives."""

    def __init__(self, arch: int, kernels: list[MemoryKernel], events: list[tuple[Any, ...]] | None = None) -> None:
        self.arch = arch
        self.source = "memory"
        self.kernels = kernels
        self.events = list(events) if events is not None else [("kernel", i) for i in range(len(kernels))]
        self.sha256 = self._digest()

    def __enter__(self) -> MemoryTrace:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def close(self) -> None:
        """Nothing to close; present so that either kind of trace can be closed."""

    def save(self, path: str | Path) -> None:
        """Write as an archsim trace file (see docs/trace-format.md)."""
        from archsim.trace.writer import TraceWriter

        with TraceWriter(path, arch=self.arch, source=self.source) as writer:
            for event in self.events:
                if event[0] != "kernel":
                    writer.event(*event)
                    continue
                kernel = self.kernels[event[1]]
                program = writer.add_program(kernel.program, kernel.mem_records)
                out = writer.begin_kernel(program, kernel.launch)
                out.add(kernel._batch)
                out.end()

    def _digest(self) -> str:
        digest = hashlib.sha256(repr((self.arch, self.events)).encode())
        for kernel in self.kernels:
            digest.update(repr((kernel.launch, kernel.program)).encode())
            for array in (kernel.mem_records, *kernel._batch):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def batch_of(rows: list[tuple[int, int, int, int, Array, Array]], lanes: Array) -> Batch:
    """A batch from (cta, warp, segment, last, runs, mems) per segment; equal run lists are stored once."""
    warps = np.zeros(len(rows), WARP_DT)
    known: dict[bytes, int] = {}
    run_parts: list[Array] = []
    run_total = mem_total = 0
    for row, (cta, warp, segment, last, runs, mems) in zip(warps, rows, strict=True):
        key = runs.tobytes()
        if key not in known:
            known[key] = run_total
            run_parts.append(runs)
            run_total += len(runs)
        row["cta"], row["warp"], row["segment"], row["last"] = cta, warp, segment, last
        row["run_begin"], row["run_count"] = known[key], len(runs)
        row["mem_begin"], row["mem_count"] = mem_total, len(mems)
        row["n_inst"] = int(runs["count"].sum())
        mem_total += len(mems)
    run_array = np.concatenate(run_parts) if run_parts else np.zeros(0, RUN_DT)
    mem_array = np.concatenate([r[5] for r in rows]) if rows else np.zeros(0, MEM_DT)
    return Batch(warps, run_array, mem_array, lanes)
