"""Streams a kernel's trace into the compiled model: CTAs as they are dispatched, later segments as warps reach them.

Memory is bounded by what is resident on the chip, not by the length of the trace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.kernels import layout as lay
from archsim.trace.layout import MEM_DT, RUN_DT, SEGMENT_INSTRUCTIONS, Batch

CHUNK_INSTRUCTIONS = 1 << 20  # warp-instructions read at a time, once the first wave is there
Blocks = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass
class _LoadedBatch:
    blocks: Blocks
    rows: tuple[int, int]


@dataclass
class _LoadedSegments:
    blocks: Blocks
    warps: Any  # i8[n]: machine warp indices
    ctas: Any  # i8[n]
    segments: Any  # i8[n]


class Feed:
    """Loads parts of one kernel's trace. ``trace`` is what the compiled code reads; it changes when arenas grow."""

    def __init__(self, kernel: Any, first_wave: int, queue_slots: int = 1 << 14) -> None:
        from archsim.engine.arena import Arena

        self.kernel = kernel
        self._next_cta = 0
        self._total = kernel.num_ctas
        self._first_wave = first_wave
        self._runs = Arena(RUN_DT)
        self._mems = Arena(MEM_DT)
        self._lanes = Arena(np.uint64)
        self._rows = Arena(lay.ROW)
        self._queue = np.zeros(max(queue_slots, 2 * first_wave), lay.QUEUED)
        self._batches: dict[int, _LoadedBatch] = {}
        self._segments: list[_LoadedSegments] = []
        self.loaded_instructions = 0

    @property
    def trace(self) -> lay.Trace:
        """Arrays for the compiled code."""
        return lay.Trace(self._queue, self._rows.array, self._runs.array, self._mems.array, self._lanes.array)

    @property
    def nbytes(self) -> int:
        """Bytes of trace held in memory."""
        return sum(a.nbytes for a in (self._runs, self._mems, self._lanes, self._rows)) + int(self._queue.nbytes)

    def fill_queue(self, chip: lay.Chip) -> None:
        """Queue further CTAs: the whole first wave at the start, about a million warp-instructions later."""
        self._release_finished(chip)
        state = chip.state[0]
        while self._next_cta < self._total:
            queued = int(state["queue_tail"] - state["queue_head"])
            room = len(self._queue) - queued
            batch_id = self._free_batch(chip)
            if room < 1 or batch_id < 0 or queued >= 2 * self._first_wave:
                break
            count = self._chunk(room)
            self._queue_batch(chip, self.kernel.read_ctas(self._next_cta, count), batch_id)
            self._next_cta += count
        state["ctas_left"] = self._total - self._next_cta

    def _free_batch(self, chip: lay.Chip) -> int:
        for i in range(len(chip.batch_left)):
            if i not in self._batches:
                return i
        return -1

    def _chunk(self, room: int) -> int:
        """CTAs to read next: as many as hold about CHUNK_INSTRUCTIONS, at least one, no more than fit the queue."""
        look = min(room, self._total - self._next_cta, max(self._first_wave, 256))
        sizes = np.minimum(
            self.kernel.cta_instructions(self._next_cta, look), SEGMENT_INSTRUCTIONS * self.kernel.warps_per_cta
        )
        return max(1, int(np.searchsorted(np.cumsum(sizes), CHUNK_INSTRUCTIONS, side="right")))

    def _store(self, batch: Batch) -> tuple[Blocks, Any]:
        """Put a batch's records into the arenas; returns the blocks and its warp table with absolute positions."""
        runs = self._runs.store(batch.runs)
        lanes = self._lanes.store(batch.lanes)
        shifted = batch.mems.copy()
        listed = shifted["lane_begin"] >= 0
        shifted["lane_begin"][listed] += lanes[0]
        mems = self._mems.store(shifted)
        warps = batch.warps.copy()
        warps["run_begin"] += runs[0]
        warps["mem_begin"] += mems[0]
        return (runs, mems, lanes), warps

    def _queue_batch(self, chip: lay.Chip, batch: Batch, batch_id: int) -> None:
        blocks, warps = self._store(batch)
        rows = np.zeros(len(warps), lay.ROW)
        rows["run"] = warps["run_begin"]
        rows["run_end"] = warps["run_begin"] + warps["run_count"]
        rows["mem"] = warps["mem_begin"]
        rows["left"] = warps["n_inst"]
        rows["warp"] = warps["warp"]
        rows["last"] = warps["last"]
        block = self._rows.store(rows)
        self.loaded_instructions += int(warps["n_inst"].sum())
        ctas, first, counts = np.unique(warps["cta"], return_index=True, return_counts=True)
        state = chip.state[0]
        slots = (int(state["queue_tail"]) + np.arange(len(ctas))) % len(self._queue)
        self._queue["trace_cta"][slots] = ctas
        self._queue["row"][slots] = block[0] + first
        self._queue["warps"][slots] = counts
        self._queue["batch"][slots] = batch_id
        state["queue_tail"] += len(ctas)
        chip.batch_left[batch_id] = len(ctas)
        self._batches[batch_id] = _LoadedBatch(blocks, block)

    def _release_finished(self, chip: lay.Chip) -> None:
        for batch_id in [b for b in self._batches if chip.batch_left[b] == 0]:
            batch = self._batches.pop(batch_id)
            self._give_back(batch.blocks)
            self._rows.release(batch.rows)

    def _give_back(self, blocks: Blocks) -> None:
        for arena, block in zip((self._runs, self._mems, self._lanes), blocks, strict=True):
            arena.release(block)

    def load_segments(self, machine: lay.Machine, threshold: int) -> None:
        """Load the next segment of every warp that will need it within ``threshold`` instructions."""
        self._release_passed(machine)
        w = machine.wp
        wants = (w["state"] != lay.W_EMPTY) & (w["state"] != lay.W_DRAIN) & (w["last"] == 0) & (w["next_ready"] == 0)
        index = np.flatnonzero(wants & (w["left"] <= threshold))
        if len(index) == 0:
            return
        ctas = w["trace_cta"][index]
        segments = w["segment"][index] + 1
        batch = self.kernel.read_segments(ctas, w["warp_in_cta"][index].astype(np.int64), segments)
        blocks, warps = self._store(batch)
        w["next_run"][index] = warps["run_begin"]
        w["next_run_end"][index] = warps["run_begin"] + warps["run_count"]
        w["next_mem"][index] = warps["mem_begin"]
        w["next_left"][index] = warps["n_inst"]
        w["next_last"][index] = warps["last"]
        w["next_ready"][index] = 1
        self.loaded_instructions += int(warps["n_inst"].sum())
        self._segments.append(_LoadedSegments(blocks, index, ctas, segments))

    def _release_passed(self, machine: lay.Machine) -> None:
        """Free segments that no warp can touch any more: it is two segments on, or its CTA is gone."""
        w = machine.wp
        kept = []
        for loaded in self._segments:
            same = (w["trace_cta"][loaded.warps] == loaded.ctas) & (w["state"][loaded.warps] != lay.W_EMPTY)
            if np.any(same & (w["segment"][loaded.warps] < loaded.segments + 2)):
                kept.append(loaded)
            else:
                self._give_back(loaded.blocks)
        self._segments = kept
