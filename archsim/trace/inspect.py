"""Looking into trace files: sizes, text dumps, and a full check. What ``archsim trace`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from archsim.errors import ArchsimError, TraceError
from archsim.trace.layout import Batch
from archsim.trace.reader import KernelFile, TraceFile, open_trace
from archsim.trace.store import TABLES, StaticRecords

_SEGMENTS_AT_ONCE = 4096


def describe(path: str | Path) -> dict[str, Any]:
    """Sizes and launches of a trace as plain data; ``warp_instructions`` sums over all launches."""
    with open_trace(path) as trace:
        kernels = [_kernel(trace, kernel) for kernel in trace.kernels]
        total = sum(k["warp_instructions"] for k in kernels)
        size = Path(path).stat().st_size
        return {
            "path": str(path),
            "arch": trace.arch,
            "source": trace.source,
            "sha256": trace.sha256,
            "events": len(trace.events),
            "file_bytes": size,
            "warp_instructions": total,
            "bytes_per_warp_instruction": size / max(total, 1),
            "stream_bytes_per_warp_instruction": sum(k["stream_bytes"] for k in kernels) / max(total, 1),
            "kernels": kernels,
        }


def _kernel(trace: TraceFile, kernel: KernelFile) -> dict[str, Any]:
    launch = kernel.launch
    tables = {key: trace.table_size(f"{kernel._name}/{key}") for key in TABLES}
    return {
        "name": launch.name,
        "grid": list(launch.grid),
        "block": list(launch.block),
        "cluster": list(launch.cluster),
        "registers": launch.registers,
        "shared_bytes": launch.shared_bytes,
        "local_bytes": launch.local_bytes,
        "launch_id": launch.launch_id,
        "stream_id": launch.stream_id,
        "sample_every": launch.sample_every,
        "turn_instructions": launch.turn_instructions,
        "static_instructions": len(kernel.mem_records),
        "warp_instructions": kernel.warp_instructions,
        "thread_instructions": launch.thread_instructions,
        "warp_segments": tables["segments"][0],
        "run_lists": tables["flows"][0],
        "address_records": tables["records"][0],
        "stream_bytes": sum(size for _, size in tables.values()),
        "control_bits": trace.has_control_bits(kernel.program_id),
    }


def static_lines(path: str | Path, number: int) -> Iterator[str]:
    """The program of launch ``number``: address, control bits, text."""
    with open_trace(path) as trace:
        kernel = _launch(trace, number)
        for one, records in zip(kernel.program.instructions, kernel.mem_records.tolist(), strict=True):
            bits = one.control
            if bits is None:
                control = "-"
            else:
                waits = "".join(str(k) if bits.wait_mask >> k & 1 else "-" for k in range(6))
                ends = ["-" if b == 7 else str(b) for b in (bits.read_barrier, bits.write_barrier)]
                control = f"B{waits}:R{ends[0]}:W{ends[1]}:{'Y' if bits.yield_ else '-'}:S{bits.stall:02d}"
            yield f"{one.address:06x}  {control:20s}  {records}  {one.text}"


def dump_lines(path: str | Path, number: int, cta: int, warp: int | None, limit: int) -> Iterator[str]:
    """The stream of one CTA: address, mask, text and where the active lanes point."""
    with open_trace(path) as trace:
        kernel = _launch(trace, number)
        if cta not in kernel.recorded_ctas:
            raise TraceError(f"{path}: kernel {number} has no CTA {cta} (grid {kernel.launch.grid})")
        first = kernel.read_ctas(cta, 1)
        shown = [w for w in first.warps["warp"].tolist() if warp is None or w == warp]
        if not shown:
            raise TraceError(f"{path}: CTA {cta} of kernel {number} has no warp {warp}")
        for one in shown:
            yield f"# CTA {cta} warp {one}"
            left, segment = limit, 0
            while left > 0:
                batch = kernel.read_segments(*(np.array([n]) for n in (cta, one, segment)))
                lines = list(_stream(kernel, batch, left))
                yield from lines
                left -= len(lines)
                segment += 1
                if batch.warps[0]["last"]:
                    break
            else:
                yield f"# ... more; --limit {limit}"


def _stream(kernel: KernelFile, batch: Batch, limit: int) -> Iterator[str]:
    place = 0
    code = kernel.program.instructions
    for start, count, mask in batch.runs.tolist():
        for index in range(start, start + count):
            text = f"{code[index].address:06x}  {mask:08x}  {code[index].text}"
            for _ in range(int(kernel.mem_records[index]) if mask else 0):
                base, stride, begin = batch.mems[place].tolist()
                place += 1
                if begin < 0:
                    text += f"  @ 0x{base:x}{stride:+d}*lane"
                else:
                    lanes = batch.lanes[begin : begin + mask.bit_count()].tolist()
                    text += "  @ " + ",".join(f"0x{a:x}" for a in lanes)
            if limit <= 0:
                return
            limit -= 1
            yield text


def validate(path: str | Path) -> int:
    """Read everything and check it; returns the warp-instructions. TraceError names the first thing that is wrong."""
    with open_trace(path) as trace:
        if trace.compute_sha256() != trace.sha256:
            raise TraceError(f"{path}: the contents differ from the recorded hash: damaged or edited")
        total = 0
        for number, kernel in enumerate(trace.kernels):
            total += _validate_kernel(trace, number, kernel)
        named = [event[1] for event in trace.events if event[0] == "kernel"]
        if named != list(range(len(trace.kernels))):
            raise TraceError(f"{path}: the event list names launches {named[:5]}..., not each once in order")
        return total


def _validate_kernel(trace: TraceFile, number: int, kernel: KernelFile) -> int:
    from archsim.isa.tables import op_info

    where = f"{trace.path}: kernel {number}"
    for one in kernel.program.instructions:
        try:
            op_info(one, kernel.program.arch)
        except ArchsimError as error:
            raise TraceError(f"{where}: {error}") from error
    static = StaticRecords.of(kernel.mem_records)
    total = 0
    for batch in kernel.all_segments(_SEGMENTS_AT_ONCE):
        total += int(batch.warps["n_inst"].sum())
        if int(static.per_run(batch.runs).sum()) and len(batch.mems):
            begins = batch.mems["lane_begin"]
            if begins.max(initial=-1) >= len(batch.lanes):
                raise TraceError(f"{where}: an address record points outside its lanes")
    if total != kernel.warp_instructions:
        raise TraceError(f"{where}: {total} warp-instructions found, {kernel.warp_instructions} recorded")
    launch = kernel.launch
    present = len(kernel.recorded_ctas)
    wanted = -(-launch.num_ctas // launch.sample_every)
    if present != wanted:
        raise TraceError(f"{where}: {present} of {wanted} thread blocks are in the trace")
    return total


def _launch(trace: TraceFile, number: int) -> KernelFile:
    if not 0 <= number < len(trace.kernels):
        raise TraceError(f"{trace.path}: no kernel {number}; it has {len(trace.kernels)}")
    return trace.kernels[number]
