"""Configuration -> state of the full memory backend: L2 slices, network, DRAM channels (docs/memory.md)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from archsim.config import MachineConfig
from archsim.config.memory import DramSpec
from archsim.dram.compiler import CompiledDram, compile_dram
from archsim.dram.config import load_dram_for_gpu
from archsim.dram.mapping import make_mapping
from archsim.dram.state import make_state
from archsim.errors import ConfigError
from archsim.kernels import memory_layout as lay

SECTOR_BYTES = 32
LINE_BYTES = 128
NODES = 1 << 18  # requests in flight on the chip; a run stops with an error, never wrongly, if they do not suffice
LISTED_MISSES = 1 << 16
ADDRESS_BITS = 48  # of a line's number within a slice or channel, as far as hashes look
# Irreducible polynomials over GF(2) by degree (x^n + ... + 1), Rau 1991.
POLYNOMIALS = (
    0b1,
    0b11,
    0b111,
    0b1011,
    0b10011,
    0b100101,
    0b1000011,
    0b10000011,
    0b100011101,
    0b1000010001,
    0b10000001001,
)


def build_memory(config: MachineConfig) -> lay.FullMemory:
    """Empty caches, idle network and DRAM. ConfigError on sizes that can't be addressed."""
    l2 = config.l2
    _check(config)
    dram = _compiled_dram(config)
    sets = l2.bytes // (LINE_BYTES * l2.ways * l2.slices)
    places = l2.slices * sets * l2.ways
    state = fresh_dram(config)
    memory = lay.FullMemory(
        par=_parameters(config, dram, sets),
        state=np.zeros(1, lay.STATE_DT),
        slice=np.zeros(l2.slices, lay.SLICE_DT),
        queue=np.zeros((l2.slices, 2), lay.QUEUE_DT),
        node=np.zeros(NODES, lay.NODE_DT),
        tags=np.full((l2.slices * sets, l2.ways), -1, np.int64),
        stamps=np.zeros((l2.slices * sets, l2.ways), np.int64),
        lines=np.zeros(places, lay.L2_DT),
        wheel=np.zeros((lay.REPLY_SLOTS, 2), np.int64),
        in_network=np.zeros(config.num_sms, np.int64),
        miss=np.zeros((LISTED_MISSES, 4), np.int64),
        forward=np.zeros((LISTED_MISSES, 4), np.int64),
        in_dram=np.zeros(config.dram.channels, np.int64),
        begun=np.zeros(config.num_sms, np.int64),
        shared=np.zeros((l2.slices, config.noc.coalescer_entries), lay.SHARED_DT),
        parts=_parts(dram),
        dram=state,
    )
    memory.lines["waiters"] = -1
    return start_kernel(memory, state)


def fresh_dram(config: MachineConfig) -> Any:
    """DRAM state with all banks closed at tick 0, its refreshes under way."""
    dram = _compiled_dram(config)
    return _spread_refreshes(make_state(dram, arrivals=1024, completions=1024), dram)


def _spread_refreshes(state: Any, dram: CompiledDram) -> Any:
    """Channels refresh in turn, not all at once, and did so before the kernel: first due times fill an interval."""
    interval = int(dram.par["refresh_interval"][0]) if dram.config.controller.refresh != "none" else 0
    if interval:
        count = state.scope["due"].size
        turn = np.arange(1, count + 1) * (math.sqrt(5) - 1) / 2 % 1  # golden ratio: any few neighbours are far apart
        state.scope["due"] = 1 + (turn * interval).astype(np.int64).reshape(state.scope["due"].shape)
        state.channel["next_refresh"] = state.scope["due"].min(axis=1)
    return state


def _compiled_dram(config: MachineConfig) -> CompiledDram:
    """Reading and compiling a standard takes longer than a small kernel: once for each memory is enough."""
    return _compiled_standard(config.dram.model_dump_json())


@lru_cache(maxsize=64)
def _compiled_standard(spec: str) -> CompiledDram:
    return compile_dram(load_dram_for_gpu(DramSpec.model_validate_json(spec)))


def start_kernel(memory: lay.FullMemory, dram: Any) -> lay.FullMemory:
    """The memory at cycle 0 of a kernel: L2 keeps its lines, nothing is under way, DRAM starts anew."""
    memory.state[...] = np.zeros((), lay.STATE_DT)
    memory.state["stamp"] = memory.stamps.max() + 1
    memory.state["free_nodes"] = len(memory.node)
    memory.node["next"] = np.append(np.arange(1, len(memory.node)), -1)
    memory.slice[...] = np.zeros((), lay.SLICE_DT)
    memory.queue["head"] = memory.queue["tail"] = -1
    memory.queue["stalled"] = memory.queue["count"] = 0
    memory.wheel[...] = -1
    memory.in_network[...] = 0
    memory.begun[...] = -1
    memory.shared[...] = np.zeros((), lay.SHARED_DT)
    memory.in_dram[...] = 0
    lines = memory.lines
    lines["valid"] |= lines["pending"]  # what the last kernel had asked for has come by now
    lines["pending"] = 0
    lines["waiters"] = -1
    lines["ready"] = 0
    return memory._replace(dram=dram)


def flush(memory: lay.FullMemory) -> None:
    """Empty L2 (a profiler's cache control between kernels)."""
    memory.tags[...] = -1
    memory.stamps[...] = 0
    memory.lines[...] = np.zeros((), lay.L2_DT)
    memory.lines["waiters"] = -1


def _check(config: MachineConfig) -> None:
    l2 = config.l2
    if l2.line_bytes != LINE_BYTES or l2.sector_bytes != SECTOR_BYTES:
        raise ConfigError("l2.line_bytes, l2.sector_bytes: the full backend has lines of 128 bytes in sectors of 32")
    if l2.slices % l2.partitions:
        raise ConfigError(f"l2.slices: {l2.slices} slices do not divide into l2.partitions = {l2.partitions}")
    if l2.slice_block_bytes % LINE_BYTES or l2.slice_block_bytes & (l2.slice_block_bytes - 1):
        raise ConfigError(f"l2.slice_block_bytes: {l2.slice_block_bytes} is not {LINE_BYTES} times a power of two")
    if l2.bytes % (LINE_BYTES * l2.ways * l2.slices):
        raise ConfigError(
            f"l2.bytes: {l2.bytes} is not a whole number of sets of {l2.ways} ways in each of {l2.slices} slices"
        )


def _milli(value: float) -> int:
    return max(1, round(1000 * value))


def _parameters(config: MachineConfig, dram: CompiledDram, sets: int) -> np.ndarray:
    l2, noc, channels = config.l2, config.noc, config.dram.channels
    organization = dram.config.organization
    if dram.config.burst_bytes != SECTOR_BYTES:
        raise ConfigError(
            f"dram.standard: a burst of {dram.config.name} has {dram.config.burst_bytes} bytes, a sector {SECTOR_BYTES}"
        )
    par = np.zeros(1, lay.PAR_DT)
    ticks = 1e6 / config.clock_mhz / float(dram.config.timing["tCK_ps"]) * dram.config.ticks_per_clock
    values = {
        "slices": l2.slices,
        "partitions": l2.partitions,
        "slices_per_partition": l2.slices // l2.partitions,
        "sets": sets,
        "ways": l2.ways,
        "crossing": noc.latency_cycles,
        "hit_latency": l2.latency_cycles,
        "far_there": l2.far_extra_cycles // 2,
        "far_back": l2.far_extra_cycles - l2.far_extra_cycles // 2,
        "mshrs": l2.mshr_entries,
        "read_milli": _milli(SECTOR_BYTES / l2.slice_bytes_per_cycle),
        "write_milli": _milli(SECTOR_BYTES / l2.slice_write_bytes_per_cycle),
        "atomic_request_milli": _milli(l2.atomic_request_cycles),
        "atomic_milli": _milli(l2.atomic_cycles),
        "same_word_milli": _milli(l2.atomic_same_word_cycles),
        "float_milli": _milli(l2.atomic_float_same_word_cycles),
        "swap_milli": _milli(l2.atomic_swap_cycles),
        "write_packet_milli": _milli(1 / noc.write_sectors_per_cycle),
        "reduction_packet_milli": _milli(1 / noc.reduction_packets_per_cycle),
        "atomic_packet_milli": _milli(1 / noc.atomic_packets_per_cycle),
        "dram_there": config.dram.controller_latency_cycles // 2,
        "dram_back": config.dram.controller_latency_cycles - config.dram.controller_latency_cycles // 2,
        "channels": config.dram.channels,
        "dram_backlog": config.dram.scheduler_queue_entries + l2.queue_entries,
        "ticks_numerator": round(ticks * (1 << lay.TICK_SHIFT)),
        "slice_queue": l2.queue_entries,
        "in_network": noc.buffer_entries,
        "block_shift": (l2.slice_block_bytes // LINE_BYTES).bit_length() - 1,
        "slices_per_channel": l2.slices // channels if l2.slices % channels == 0 else 0,
        "gpcs": config.gpcs,
        "num_sms": config.num_sms,
        "first_access": config.noc.first_access_cycles,
        "coalescer_window": config.noc.coalescer_window_cycles,
        "coalescer_reads": config.noc.coalescer_reads,
        "bank_xor": organization["bankgroup"] * organization["bank"] - 1 if l2.hash == "ipoly" else 0,
    }
    if set(values) != set(lay.PAR_NAMES):
        raise AssertionError(f"parameters out of step with the kernels: {set(values) ^ set(lay.PAR_NAMES)}")
    for name, value in values.items():
        par[name] = value
    par["slice_hash"][0] = _hash(l2.slices, l2.hash)
    par["channel_hash"][0] = _hash(channels, l2.hash)
    return par


def _hash(ways: int, kind: str) -> Any:
    """Hash of line numbers onto ``ways`` targets: IPOLY for the power-of-two part, rotation for the odd part."""
    h = np.zeros((), lay.HASH_DT)
    bits = (ways & -ways).bit_length() - 1
    h["ways"], h["odd"], h["bits"], h["rotate"] = ways, ways >> bits, bits, int(kind == "ipoly" and ways >> bits > 1)
    if bits >= len(POLYNOMIALS):
        most = 1 << len(POLYNOMIALS) - 1
        raise ConfigError(f"l2.slices, dram.channels: {ways} is a multiple of {1 << bits}; at most {most}")
    if kind == "ipoly":
        remainder = 1
        for n in range(ADDRESS_BITS + bits):
            if n >= bits:
                for k in range(bits):
                    h["poly"][k] |= (remainder >> k & 1) << (n - bits)
            remainder <<= 1
            if remainder >> bits & 1:
                remainder ^= POLYNOMIALS[bits]
    return h[()]


def _parts(dram: CompiledDram) -> np.ndarray:
    """Shift, mask, target and weight of each field of a burst's number within its channel."""
    config = dram.config
    mapping = make_mapping(config)
    o = config.organization
    weights = {"bank": 1, "bankgroup": o["bank"], "rank": o["bank"] * o["bankgroup"]}
    weights["pseudochannel"] = weights["rank"] * o["rank"]
    rows = []
    shift = 0
    inside = [part for part in mapping.parts if part[0] != "channel"]
    if mapping.parts[0][0] != "channel":
        raise ConfigError(
            f"dram.address_mapping: {config.mapping!r}: the channel comes last, it is hashed from the line"
        )
    for i, (name, size, weight) in enumerate(inside):
        last = i == len(inside) - 1
        if size & (size - 1) and not last:
            raise ConfigError(
                f"dram.address_mapping: {config.mapping!r}: {size} values of {name} are not a power of two"
            )
        bits = size.bit_length() - 1 if not last else 62 - shift  # addresses beyond the capacity name further rows
        target = {"row": 1, "column": 2}.get(name, 0)
        rows.append((shift, (1 << bits) - 1, target, weight * weights.get(name, 1)))
        shift += bits
    return np.array(rows, lay.PART_DT)
