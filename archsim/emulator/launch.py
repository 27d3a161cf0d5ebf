"""Arrays of a launch: constant banks, register files, windows, trace buffers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archsim.emulator.memory import DeviceMemory
from archsim.emulator.module import EmuKernel
from archsim.emulator.records import (
    BARRIERS,
    CAP_LANES,
    CAP_MEMS,
    CAP_RUNS,
    CTA_DT,
    FAULT_DT,
    LOCAL_WINDOW,
    P_WORDS,
    Q_ACCESS,
    Q_ARCH,
    Q_CLUSTER,
    Q_CLUSTER_X,
    Q_COUNT,
    Q_GBASE,
    Q_GBYTES,
    Q_LOCAL_BYTES,
    Q_LOCAL_OFF,
    Q_LOCAL_STRIDE,
    Q_MAX_INST,
    Q_N_CODE,
    Q_NCTA_X,
    Q_NCTAS,
    Q_NSM,
    Q_NTID_X,
    Q_SAMPLE,
    Q_SHARED_BYTES,
    Q_SHARED_OFF,
    Q_SHARED_STRIDE,
    Q_SLOTS,
    Q_THREADS,
    Q_TIME0,
    Q_TRACE,
    Q_TURN,
    Q_WARPS,
    QUEUES,
    ROWS,
    SHARED_WINDOW,
    SPLIT_DT,
    SPLITS,
    U_WORDS,
    WARP_STATE_DT,
    Ctx,
)
from archsim.errors import EmulationError
from archsim.trace.layout import WARP_DT

Dim = tuple[int, int, int]
BATCH_WARPS, BATCH_RUNS, BATCH_MEMS, BATCH_LANES = 1 << 13, 1 << 17, 1 << 17, 1 << 19
MAX_WARPS = 16384  # of the resident CTAs together
STAGED_BYTES = CAP_RUNS * 12 + CAP_MEMS * 24 + CAP_LANES * 8  # of one warp
MAX_SLOTS = 2048
STAGING_BYTES = 512 << 20  # trace staging of all resident warps in the concurrent order
ACCESS_INSTRUCTIONS = 64  # concurrent order: what a load or atomic of global memory takes of a warp's turn


@dataclass(frozen=True)
class Turns:
    """The concurrent order: ``resident_ctas`` CTAs of the grid run at once, ``instructions`` of each warp at a time.

    A load or atomic of global memory counts as ACCESS_INSTRUCTIONS: some 300 cycles at the 4 to 5 cycles that dependent
    instructions are apart, a trip to L2 and back.
    """

    instructions: int
    resident_ctas: int


@dataclass(frozen=True)
class Geometry:
    """What a launch asks for."""

    grid: Dim
    block: Dim
    cluster: Dim
    dynamic_shared_bytes: int
    shared_bytes: int  # static + dynamic, with the reserved head of sm_90
    local_bytes: int
    slots: int

    @property
    def threads(self) -> int:
        return self.block[0] * self.block[1] * self.block[2]

    @property
    def warps(self) -> int:
        return -(-self.threads // 32)

    @property
    def ctas(self) -> int:
        return self.grid[0] * self.grid[1] * self.grid[2]


def shared_window_bytes(kernel: EmuKernel, dynamic: int) -> int:
    """Bytes of the CTA's shared window: static part (with its reserved head), 16-byte aligned, then dynamic; rounded
    up to the 128-byte allocation unit."""
    info = kernel.info
    static = max(info.static_shared_bytes, info.reserved_shared_bytes)
    total = -(-static // 16) * 16 + dynamic
    return -(-total // 128) * 128


def check_geometry(
    kernel: EmuKernel, grid: Dim, block: Dim, dynamic: int, cluster: Dim, stack_bytes: int, num_sms: int,
    memory: DeviceMemory, turns: Turns | None = None,
) -> Geometry:  # fmt: skip
    """Validated geometry; EmulationError on a launch that no device could take."""
    name = kernel.name
    if min(grid) < 1 or min(block) < 1 or min(cluster) < 1:
        raise EmulationError(f"{name}: launch with an empty grid {grid} or block {block}")
    threads = block[0] * block[1] * block[2]
    if threads > 1024:
        raise EmulationError(f"{name}: block of {threads} threads, at most 1024")
    if any(g % c for g, c in zip(grid, cluster, strict=True)):
        raise EmulationError(f"{name}: grid {grid} is not a multiple of the cluster {cluster}")
    info = kernel.info
    local = info.local_bytes + (stack_bytes if info.has_calls else 0)
    local = -(-local // 16) * 16
    shared = shared_window_bytes(kernel, dynamic)
    warps = -(-threads // 32)
    size = cluster[0] * cluster[1] * cluster[2]
    ctas = grid[0] * grid[1] * grid[2]
    stride = -(-max(shared, 4) // 256) * 256
    per_slot = stride + warps * 32 * local
    resident = turns.resident_ctas if turns else min(num_sms * min(32, max(2048 // (warps * 32), 1)), MAX_SLOTS)
    slots = min(ctas, resident, max(MAX_WARPS // warps, 1), memory.window_bytes // per_slot)
    slots = max(slots // size, 1) * size
    if slots * per_slot > memory.window_bytes:
        raise EmulationError(f"{name}: {per_slot} bytes of shared and local memory per CTA do not fit")
    return Geometry(grid, block, cluster, dynamic, shared, local, slots)


def bank0(
    kernel: EmuKernel, g: Geometry, params: bytes, arch: int, num_sms: int, launch_id: int, grid_workspace: int
) -> bytearray:  # fmt: skip
    """Constant bank 0: launch words and parameters (sass.md 2.1)."""
    info = kernel.info
    bank = bytearray(max(info.constant0_bytes, info.param_base + max(info.param_bytes, len(params)), 0x400))

    def word(offset: int, value: int, size: int = 4) -> None:
        bank[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")

    for i in range(3):
        word(4 * i, g.block[i])
        word(0xC + 4 * i, g.grid[i])
    if arch < 90:
        word(0x18, SHARED_WINDOW, 8)
    word(0x20, LOCAL_WINDOW, 8)
    word(0x28, g.local_bytes)
    word(0x2C, g.dynamic_shared_bytes)
    word(0x30, launch_id, 8)
    word(0x10C, num_sms)
    word(0x114, info.reserved_shared_bytes)
    high, low = (0x44, 0x48) if arch >= 90 else (0x8C, 0x90)  # sass.md 2.1: workspace of a cooperative grid
    word(high, grid_workspace >> 32)
    word(low, grid_workspace)
    word(0x208 if arch >= 90 else 0x118, 0, 8)
    bank[info.param_base : info.param_base + len(params)] = params
    return bank


class Arena:
    """Register files and buffers, kept between launches of like shape."""

    def __init__(self) -> None:
        self.key: tuple[int, ...] = ()
        self.arrays: dict[str, Any] = {}
        self.batch: dict[str, Any] = {}

    def state(self, slots: int, warps: int) -> dict[str, Any]:
        """Arrays for `slots` CTAs of `warps` warps."""
        total = slots * warps
        if self.key != (slots, warps):
            V = np.zeros((total, ROWS, 32), np.uint32)
            S = np.zeros((8, 32), np.uint64)
            self.arrays = {
                "V": V, "VF": V.view(np.float32), "P": np.zeros((total, P_WORDS), np.uint32),
                "U": np.zeros((total, U_WORDS), np.uint32), "B": np.zeros((total, 17), np.uint32),
                "S": S, "SF": S.view(np.float64), "warps": np.zeros(total, WARP_STATE_DT),
                "splits": np.zeros((total, SPLITS), SPLIT_DT), "ctas": np.zeros(slots, CTA_DT),
                "bars": np.zeros((slots, BARRIERS, warps), np.uint32), "mma": np.zeros((4, 1024), np.float64),
                "fault": np.zeros(1, FAULT_DT),
            }  # fmt: skip
            self.key = (slots, warps)
        self.arrays["ctas"][:] = np.zeros((), CTA_DT)
        self.arrays["fault"][:] = np.zeros((), FAULT_DT)
        return self.arrays

    def trace(self, total: int, on: bool, concurrent: bool) -> dict[str, Any]:
        """Staging of each warp and the batch; one row of each when tracing is off.

        One CTA after another, the staging of few warps is ever touched; in the concurrent order all of it is.
        """
        n = total if on else 1
        share = 1
        while concurrent and n * STAGED_BYTES // share > STAGING_BYTES and share < 32:
            share *= 2
        if self.batch.get("key") != (n, share):
            self.batch = {
                "key": (n, share),
                "runs": np.zeros((n, CAP_RUNS // share, 3), np.uint32), "mems": np.zeros((n, CAP_MEMS // share, 3), np.int64),
                "lanes": np.zeros((n, CAP_LANES // share), np.uint64), "bwarps": np.zeros(BATCH_WARPS, WARP_DT),
                "bruns": np.zeros((BATCH_RUNS, 3), np.uint32), "bmems": np.zeros((BATCH_MEMS, 3), np.int64),
                "blanes": np.zeros(BATCH_LANES, np.uint64),
            }  # fmt: skip
        return {k: v for k, v in self.batch.items() if k != "key"}


def constant_banks(kernel: EmuKernel, zero: bytes | bytearray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All banks in one array, and start and size of each."""
    numbers = {*kernel.program.constants, *kernel.module.banks} - {0}
    pieces = [(0, bytes(zero))] + [(n, kernel.module.bank(kernel, n)) for n in sorted(numbers)]
    position = np.zeros((32, 2), np.int64)
    data = bytearray()
    for number, content in pieces:
        position[number] = len(data), len(content)
        data += content + bytes(-len(content) % 16 + 16)
    return np.frombuffer(bytes(data), np.uint8), position


def patch_constants(kernel: EmuKernel, banks: NDArray[np.uint8], position: NDArray[np.int64]) -> NDArray[np.void]:
    """The records with every fixed constant-bank word filled in."""
    decoded = kernel.decoded
    code = decoded.code.copy()
    for item in decoded.constants:
        begin, size = position[item.bank] if 0 <= item.bank < 32 else (0, 0)
        if item.offset < 0 or item.offset + item.size > size + 16:
            instruction = decoded.program.instructions[item.index]
            raise EmulationError(
                f"{kernel.name}: {instruction.text} at 0x{instruction.address:x} reads c[{item.bank}] beyond its "
                f"{size} bytes"
            )
        at = int(begin) + item.offset
        code[item.index][item.field] = int.from_bytes(banks[at : at + item.size].tobytes(), "little")
    return code


def build_context(
    kernel: EmuKernel, g: Geometry, params: bytes, arena: Arena, memory: DeviceMemory, *, arch: int, num_sms: int,
    launch_id: int, tracing: bool, sample_every: int, max_instructions: int, grid_workspace: int = 0,
    turns: Turns | None = None,
) -> Ctx:  # fmt: skip
    """Everything that run_grid needs."""
    banks, position = constant_banks(kernel, bank0(kernel, g, params, arch, num_sms, launch_id, grid_workspace))
    code = patch_constants(kernel, banks, position)
    scal = np.zeros(Q_COUNT, np.int64)
    stride = -(-max(g.shared_bytes, 4) // 256) * 256
    values = {
        Q_GBASE: memory.base, Q_GBYTES: memory.size, Q_SHARED_BYTES: g.shared_bytes, Q_SHARED_OFF: memory.size,
        Q_SHARED_STRIDE: stride, Q_LOCAL_BYTES: g.local_bytes, Q_LOCAL_OFF: memory.size + stride * g.slots,
        Q_LOCAL_STRIDE: g.local_bytes, Q_WARPS: g.warps, Q_ARCH: arch, Q_MAX_INST: max_instructions,
        Q_TRACE: int(tracing), Q_N_CODE: len(code), Q_NSM: num_sms, Q_CLUSTER: g.cluster[0] * g.cluster[1] * g.cluster[2],
        Q_THREADS: g.threads, Q_TIME0: time.time_ns(), Q_NCTAS: g.ctas, Q_SLOTS: g.slots, Q_SAMPLE: sample_every,
        Q_TURN: turns.instructions if turns else 0, Q_ACCESS: ACCESS_INSTRUCTIONS if turns else 0,
    }  # fmt: skip
    for key, value in values.items():
        scal[key] = value
    for i in range(3):
        scal[Q_NTID_X + i], scal[Q_NCTA_X + i], scal[Q_CLUSTER_X + i] = g.block[i], g.grid[i], g.cluster[i]
    return Ctx(
        **arena.state(g.slots, g.warps), **arena.trace(g.slots * g.warps, tracing, turns is not None), code=code,
        pc_index=kernel.decoded.pc_index, mem=memory.words, valid=memory.valid, cbank=banks, cbank_pos=position,
        counts=np.zeros((len(code), 3), np.int64), scal=scal, busy=np.zeros(QUEUES, np.int64),
    )  # fmt: skip
