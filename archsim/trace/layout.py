"""Records of a dynamic trace, shared by the store, the importers, the emulator, the test builder and the engine.

A warp's stream is a list of *runs* (consecutive instructions executed with one effective mask) and a list of *memory
records* (where the active lanes pointed). Both are cut in segments of at most :data:`SEGMENT_INSTRUCTIONS`
instructions, so that neither reader nor writer memory grows with the length of a trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from archsim.isa.program import Program

SEGMENT_INSTRUCTIONS = 4096
WARP_THREADS = 32

#: `count` consecutive instructions from index `start`, executed with the effective mask (active & predicate). A fully
#: predicated-off execution has mask 0 and is still listed: it was issued.
RUN_DT = np.dtype([("start", "<u4"), ("count", "<u4"), ("mask", "<u4")])

#: One address record of an execution whose mask is not 0. lane_begin < 0: address(lane) = base + stride * lane modulo
#: 2^64, lane = 0..31. Otherwise the addresses of the active lanes, in lane order, are lanes[lane_begin:][:popcount].
MEM_DT = np.dtype([("base", "<u8"), ("stride", "<i8"), ("lane_begin", "<i8")])

#: One segment of one warp. `cta` is the linear block index (x fastest); begin fields index into the batch's arrays.
WARP_DT = np.dtype(
    [
        ("cta", "<i8"),
        ("warp", "<i4"),
        ("segment", "<i4"),
        ("last", "u1"),
        ("run_begin", "<i8"),
        ("run_count", "<i8"),
        ("mem_begin", "<i8"),
        ("mem_count", "<i8"),
        ("n_inst", "<i8"),
    ]
)

Array = NDArray[Any]


class Batch(NamedTuple):
    """Segments of several warps; identical segments may share rows."""

    warps: Array  # WARP_DT[n]
    runs: Array  # RUN_DT[]
    mems: Array  # MEM_DT[]
    lanes: Array  # u8[] (64-bit addresses)


@dataclass(frozen=True)
class LaunchInfo:
    """One kernel launch."""

    name: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    cluster: tuple[int, int, int] = (1, 1, 1)
    registers: int = 0  # per thread
    shared_bytes: int = 0  # static + dynamic, per CTA
    local_bytes: int = 0  # per thread
    shared_base: int = 0  # generic address of the shared window
    local_base: int = 0  # generic address of the local window
    launch_id: int = 0
    stream_id: int = 0
    sample_every: int = 1  # only CTAs whose index is a multiple were recorded
    thread_instructions: int = -1  # sum of active lanes, -1 unknown
    turn_instructions: int = 0  # resident CTAs ran at once, a warp this many at a time; 0: one CTA after another

    @property
    def num_ctas(self) -> int:
        """CTAs in the grid."""
        return self.grid[0] * self.grid[1] * self.grid[2]

    @property
    def threads_per_cta(self) -> int:
        """Threads in a CTA."""
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def warps_per_cta(self) -> int:
        """Warps in a CTA."""
        return -(-self.threads_per_cta // WARP_THREADS)


class KernelTrace(Protocol):
    """What a reader (file or memory) offers for one launch."""

    @property
    def launch(self) -> LaunchInfo: ...
    @property
    def program(self) -> Program: ...
    @property
    def mem_records(self) -> Array: ...  # u1[n_static]: address records that one execution leaves
    @property
    def num_ctas(self) -> int: ...
    @property
    def warps_per_cta(self) -> int: ...
    @property
    def warp_instructions(self) -> int: ...

    def read_ctas(self, first: int, count: int) -> Batch:
        """Segment 0 of every recorded warp of CTAs first..first+count-1, in CTA then warp order."""
        ...

    def read_segments(self, ctas: Array, warps: Array, segments: Array) -> Batch:
        """The named segments, in the order asked."""
        ...

    def cta_instructions(self, first: int, count: int) -> Array:
        """i8[count]: warp-instructions of each CTA."""
        ...


class Trace(Protocol):
    """An open trace: launches and copies in program order."""

    arch: int
    source: str
    sha256: str
    events: list[tuple[Any, ...]]

    @property
    def kernels(self) -> list[Any]: ...
    def __enter__(self) -> Trace: ...
    def __exit__(self, *error: object) -> None: ...


def expand_ranges(begins: Array, counts: Array) -> Array:
    """Concatenation of arange(b, b + n) over the pairs: i8[sum(counts)]."""
    counts = np.asarray(counts, np.int64)
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    out: Array = np.repeat(np.asarray(begins, np.int64) - (ends - counts), counts)
    out += np.arange(total, dtype=np.int64)
    return out


def popcount(masks: Array) -> Array:
    """Set bits of each u4 mask: i8[]."""
    return np.bitwise_count(np.asarray(masks, np.uint32)).astype(np.int64)


def record_addresses(mem: Any, mask: int, lanes: Array) -> Iterator[tuple[int, int]]:
    """(lane, address) of the active lanes of one MEM_DT record."""
    position = int(mem["lane_begin"])
    base, stride = int(mem["base"]), int(mem["stride"])
    for lane in range(WARP_THREADS):
        if mask >> lane & 1:
            if position < 0:
                yield lane, (base + stride * lane) % 2**64
            else:
                yield lane, int(lanes[position])
                position += 1
