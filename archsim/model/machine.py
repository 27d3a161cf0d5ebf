"""Configuration -> machine: parameter record, state arrays, plug-ins, occupancy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from archsim.config import MachineConfig
from archsim.errors import ConfigError, RunError
from archsim.kernels import coalesce
from archsim.kernels import layout as lay
from archsim.kernels.atomic import TEAM_WORDS
from archsim.kernels.team import TEAM_CLAIMS
from archsim.model.compile import find_plugin
from archsim.trace.layout import LaunchInfo

LINE_BYTES = 128
SECTOR_BYTES = 32
WAITER_NODES_PER_MSHR = 4
EVENT_POOL = 16384  # per SM; a run stops with an error, never wrongly, if they do not suffice
WINDOW_BYTES = 1 << 24  # generic windows of shared and local memory
LOAD_TO_ACCEPT = 11  # issue of an undisturbed memory instruction to its acceptance by the shared unit (gpu-core H.10)


@dataclass(frozen=True)
class Residency:
    """How many CTAs fit on an SM and what limits them (CUDA occupancy rules)."""

    ctas_per_sm: int
    limiter: str
    shared_carveout_bytes: int


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def residency(config: MachineConfig, launch: LaunchInfo) -> Residency:
    """CTAs of this launch that one SM holds (rules of cuda_occupancy.h, CUDA 13.0). RunError if not even one fits."""
    sm = config.sm
    warps = launch.warps_per_cta
    registers = max(launch.registers, 1)
    if launch.threads_per_cta > sm.max_threads_per_cta:
        raise RunError(
            f"{launch.name}: a block of {launch.threads_per_cta} threads is larger than the machine's "
            f"sm.max_threads_per_cta = {sm.max_threads_per_cta}"
        )
    if registers > sm.max_registers_per_thread:
        raise RunError(
            f"{launch.name}: {registers} registers a thread are more than the machine's "
            f"sm.max_registers_per_thread = {sm.max_registers_per_thread}"
        )
    per_warp = _round_up(registers * 32, sm.register_allocation_unit)
    room = sm.registers // sm.num_subcores // per_warp * sm.num_subcores  # warps whose registers fit, by sub-core
    alone = per_warp * _round_up(warps, sm.warp_allocation_granularity)  # what one block must find free
    shared = launch.shared_bytes + sm.shared.reserved_bytes_per_cta
    shared = _round_up(shared, sm.shared.allocation_unit_bytes)
    limits = {
        "warps": sm.num_warps // warps,
        "ctas": sm.num_ctas,
        "registers": room // warps if alone <= sm.registers else 0,
        "shared_memory": sm.shared.max_bytes // shared if launch.shared_bytes else sm.num_ctas,
    }
    limiter = min(limits, key=lambda name: limits[name])
    if limits[limiter] < 1:
        needs = {"warps": warps, "registers": alone, "shared_memory": shared, "ctas": 1}[limiter]
        has = {"warps": sm.num_warps, "registers": sm.registers, "shared_memory": sm.shared.max_bytes, "ctas": 0}
        raise RunError(f"{launch.name}: one block needs {needs} {limiter}, an SM of {config.name} has {has[limiter]}")
    ctas = limits[limiter]
    used = ctas * shared if launch.shared_bytes else 0
    carveout = min((kb * 1024 for kb in sm.shared.carveouts_kb if kb * 1024 >= used), default=sm.shared.max_bytes)
    return Residency(ctas, limiter, carveout)


def parameters(config: MachineConfig, launch: LaunchInfo, scoreboard: bool, carveout: int, acks: bool) -> Any:
    """PARAM[1] for one launch."""
    sm = config.sm
    par = np.zeros(1, lay.PARAM)
    values: dict[str, int] = {
        "num_sms": config.num_sms,
        "num_subcores": sm.num_subcores,
        "num_warps": sm.num_warps,
        "num_ctas": sm.num_ctas,
        "window_cycles": 2 * config.noc.latency_cycles,
        "scoreboard": int(scoreboard),
        "war_consumers": sm.issue.scoreboard.war_consumers,
        "acks": int(acks),
        "prefetch_lines": sm.prefetcher.size,
        "prefetch_slots": sm.prefetcher.size,
        "local_bytes": max(_round_up(launch.local_bytes, 16), 16),
        "shared_base": launch.shared_base,
        "local_base": launch.local_base,
        "window_bytes": WINDOW_BYTES,
    }
    values |= _issue_parameters(config)
    values |= _front_end_parameters(config)
    values |= _memory_parameters(config, carveout)
    values |= _chip_parameters(config)
    missing = set(lay.PARAM_NAMES) - set(values)
    if missing or set(values) - set(lay.PARAM_NAMES):
        raise AssertionError(f"parameters out of step with the kernels: {missing ^ set(values)}")
    for name, value in values.items():
        par[name] = value
    return par


def _issue_parameters(config: MachineConfig) -> dict[str, int]:
    issue = config.sm.issue
    rf = config.sm.register_file
    units = config.sm.units
    return {
        "stall0_yield": issue.stall0_yield_cycles,
        "stall_no_yield": issue.stall_over11_no_yield_cycles,
        "depbar_check": issue.depbar_check_cycles,
        "imad_wide_port": issue.imad_wide_port_cycles,
        "fl_switch": issue.fl_constant_miss_switch_cycles,
        "ibuffer": issue.ibuffer_entries,
        "fetch_to_issue": config.sm.front_end.fetch_to_issue_cycles,
        "sleep_cycles": issue.nanosleep_cycles,
        "turn_direct": config.sm.branch.taken_cycles,
        "turn_indirect": config.sm.branch.indirect_cycles,
        "turn_divergent": config.sm.branch.indirect_divergent_cycles,
        "turn_sync": config.sm.branch.sync_cycles,
        "banks": rf.banks,
        "read_ports": min(rf.read_ports_per_bank, 15),
        "write_ports": rf.write_ports_per_bank,
        "window": rf.read_window_cycles,
        "tensor_window": rf.tensor_read_window_cycles,
        "second_pipe": 0 if units.fp32.pipes == 1 else 1 if units.fp32.second_pipe_is_int else 2,
        "return_cycles_per_register": LINE_BYTES // rf.return_bytes_per_cycle,
        "barrier_interval": config.sm.barrier_interval_cycles,
        "barrier_latency": config.sm.barrier_latency_cycles,
    }


def _front_end_parameters(config: MachineConfig) -> dict[str, int]:
    front = config.sm.front_end
    const = config.const
    return {
        "line_insts": front.l0i.line_bytes // front.fetch_bytes,
        "l0_sets": front.l0i.sets,
        "l0_ways": front.l0i.ways,
        "l1i_sets": front.l1i.sets,
        "l1i_ways": front.l1i.ways,
        "l1i_fill": front.l1i_fill_lines,
        "l1i_mshrs": front.l1i.mshrs,
        "launch_constants": front.launch_constant_bytes // LINE_BYTES,
        "launch_lines": front.launch_prefetch_bytes // front.l0i.line_bytes,
        "l0_l1_request": front.l0_to_l1_latency_cycles,
        "l0_l1_reply": front.l1_to_l0_latency_cycles,
        "perfect_icache": int(front.perfect_icache),
        "fl_sets": const.fl.sets,
        "fl_ways": const.fl.ways,
        "vl_sets": const.vl.sets,
        "vl_ways": const.vl.ways,
        "vl_miss": const.miss_cycles,
    }


def _memory_parameters(config: MachineConfig, carveout: int) -> dict[str, int]:
    unit = config.sm.memory_unit
    lines = (config.sm.unified_l1_bytes - carveout) // LINE_BYTES
    lines -= lines % config.l1d.sets
    if lines < config.l1d.sets:
        lines = config.l1d.sets  # the array is all shared memory: one line a set is left for the coalescer
    return {
        "queue": unit.queue_entries,
        "accept_base": LOAD_TO_ACCEPT,
        "accept_interval": unit.accept_interval_cycles,
        "prt": unit.prt_entries,
        "shared_conflict": config.sm.shared.conflict_cycles,
        "data_bytes_per_cycle": config.l1d.bytes_per_cycle,
        "tag_quarters": unit.extra_line_quarter_cycles,
        "l1_mshrs": config.l1d.mshr_entries * WAITER_NODES_PER_MSHR + lay.MISS_NODES,
        "l1_sets": config.l1d.sets,
        "l1_write_allocate": int(config.l1d.write_allocate),
        "l1_lines": lines,
        "l1_buckets": 1 << max(4, (lines - 1).bit_length()),
        "sm_port_bytes": config.noc.request_bytes_per_cycle,
        "request_bytes": config.noc.flit_bytes - SECTOR_BYTES,
    }


def _chip_parameters(config: MachineConfig) -> dict[str, int]:
    p = config.memory.parametric
    l1_hit = config.sm.memory_unit.latency.load_global_regular_raw[0]
    window = 2 * config.noc.latency_cycles
    trip = p.l2_latency_cycles - l1_hit
    if trip < window:
        raise ConfigError(
            f"memory.parametric.l2_latency_cycles: an L2 hit of {p.l2_latency_cycles} cycles leaves {trip} beyond L1, "
            f"less than the two network crossings ({window})"
        )
    dram_bytes = config.dram_bytes_per_cycle * p.dram_efficiency
    return {
        "l2_trip": trip,
        "l2_far_extra": config.l2.far_extra_cycles,
        "l2_partitions": config.l2.partitions,
        "l2_sets": config.l2.bytes // (LINE_BYTES * config.l2.ways),
        "l2_ways": config.l2.ways,
        "l2_milli_per_sector": max(1, round(SECTOR_BYTES * 1000 / p.l2_bytes_per_cycle)),
        "dram_trip": p.dram_latency_cycles - p.l2_latency_cycles,
        "dram_milli_per_sector": max(1, round(SECTOR_BYTES * 1000 / dram_bytes)),
        "atomic_milli_per_packet": max(1, round(1000 / config.noc.reduction_packets_per_cycle)),
        "reply_milli_per_sector": round(SECTOR_BYTES * 1000 / config.noc.sm_port_bytes_per_cycle),
        "first_wave_interval": config.launch.first_wave_interval_cycles,
        "cta_milli": max(1, round(1000 / config.launch.ctas_per_cycle)),
        "cta_launch_latency": max(config.launch.cta_launch_latency_cycles, window),
    }


def build_plugins(config: MachineConfig) -> lay.Plugins:
    """Instances of the plug-ins that the configuration names."""
    count = config.num_sms * config.sm.num_subcores
    return lay.Plugins(
        find_plugin("scheduler", config.sm.issue.scheduler).create(config.sm, count),
        find_plugin("prefetcher", config.sm.prefetcher.kind).create(config.sm, count),
        find_plugin("rfc", config.sm.rfc.kind).create(config.sm, count),
    )


def build_machine(
    config: MachineConfig, par: Any, ins: Any, log_entries: int = 0, per_pc: bool = False, log_from: int = 0
) -> lay.Machine:
    """All state arrays of the SMs, empty and cold. ``log_from``: first cycle of the event log."""
    p = par[0]
    sms, nsub, warps = config.num_sms, config.sm.num_subcores, config.sm.num_warps
    subs = sms * nsub
    lines = int(p["l1_lines"])
    nodes = int(p["l1_mshrs"])
    small = _words_before_l1i(p) + 2 * p["l1i_sets"] * p["l1i_ways"] + p["l1i_mshrs"]
    slots = warps // nsub
    requests = 4096
    machine = lay.Machine(
        par=par,
        ins=ins,
        sm=np.zeros(sms, lay.SM),
        sc=np.zeros(subs, lay.SUBCORE),
        wp=np.zeros(sms * warps, lay.WARP),
        age=np.zeros((subs, slots), np.int64),
        unit_free=np.zeros((subs, lay.NUM_UNITS), np.int64),
        stalls=np.zeros((subs, lay.NUM_REASONS), np.int64),
        mq=np.zeros((subs, int(p["queue"])), lay.MQ),
        prt=np.zeros((sms, int(p["prt"])), lay.PRT),
        mshr=np.zeros((sms, nodes), lay.MSHR),
        lines=np.zeros((sms, lines), lay.LINE),
        index=np.zeros((sms, int(p["l1_buckets"]) + 2 * int(p["l1_sets"])), np.int32),
        caches=np.zeros((sms, int(small)), np.int64),
        pending=np.zeros((subs, int(p["prefetch_slots"]) + 2 * slots, 3), np.int64),
        wheel=np.full((sms, lay.WHEEL_SLOTS, 2), -1, np.int32),
        wheel_bits=np.zeros((sms, lay.WHEEL_WORDS), np.int64),
        events=np.zeros((sms, EVENT_POOL), lay.EVENT),
        cta=np.zeros((sms, config.sm.num_ctas), lay.CTA),
        stats=np.zeros(sms, lay.STATS),
        requests=np.zeros((sms, requests), lay.REQUEST),
        scratch=np.zeros((sms, coalesce.SCRATCH_WORDS), np.int64),
        readers=np.zeros((sms * warps if p["scoreboard"] else 1, 6 * lay.IDS_PER_WORD), np.uint8),
        plugins=build_plugins(config),
        log=np.zeros(log_entries + 1, lay.LOG) if log_entries else None,
        per_pc=np.zeros((sms, len(ins) + 1, lay.NUM_REASONS), np.int64) if per_pc else None,
    )
    if machine.log is not None:
        machine.log[0]["cycle"] = log_from
    reset_pipeline(machine)
    reset_l1(machine)
    return machine


def _chain(array: Any) -> None:
    """Link all entries of each row into a free list."""
    n = array.shape[1]
    array["next"] = np.append(np.arange(1, n), -1)


def reset_pipeline(m: lay.Machine) -> None:
    """Empty every queue, latch and free list; time starts at 0. Caches keep their contents."""
    for array in (m.sm, m.sc, m.wp, m.mq, m.cta):
        array[...] = np.zeros((), array.dtype)
    for array in (m.unit_free, m.stalls, m.pending, m.wheel_bits, m.age):
        array[...] = 0
    m.stats[...] = np.zeros((), lay.STATS)
    m.wheel[...] = -1
    m.sc["ctl_pc"] = -1
    m.sc["alc_pc"] = -1
    m.sc["wake"] = 0
    m.sc["idle_why"] = lay.STALL_NO_WARP
    m.sm["lsu_next"] = lay.NEVER
    m.sm["far_head"] = -1
    m.sm["next"] = lay.NEVER
    m.sm["now"] = -1
    m.wp["try_at"] = lay.NEVER
    m.wp["depbar_from"] = lay.NEVER
    for array, count in ((m.prt, "prt_free_count"), (m.mshr, "mshr_free_count")):
        _chain(array)
        m.sm[count] = array.shape[1]
    _chain(m.events)
    m.caches[:, -int(m.par[0]["l1i_mshrs"]) :] = 0  # instruction lines still on their way


def reset_l1(m: lay.Machine) -> None:
    """Invalidate L1D, instruction and constant caches."""
    m.caches[...] = 0
    p = m.par[0]
    sets, buckets = int(p["l1_sets"]), int(p["l1_buckets"])
    lines = m.lines.shape[1]
    m.lines["tag"] = -1
    m.lines["valid"] = 0
    m.lines["pending"] = 0
    m.lines["chain"] = -1
    m.lines["mshr"] = -1
    index = np.arange(lines)
    m.lines["newer"] = np.where(index < sets, -1, index - sets)
    m.lines["older"] = np.where(index + sets < lines, index + sets, -1)
    m.index[:, :buckets] = -1
    m.index[:, buckets : buckets + sets] = np.arange(sets)
    m.index[:, buckets + sets :] = lines - sets + np.arange(sets)


def build_chip(config: MachineConfig, par: Any, memory: Any = None, threads: int = 1, batches: int = 64) -> lay.Chip:
    """What the SMs share, empty and cold. ``memory``: state of the full backend (`model.memory`), if that runs."""
    p = par[0]
    shape = (int(p["l2_sets"]), int(p["l2_ways"])) if memory is None else (1, 1)
    l2 = np.zeros(shape, lay.L2LINE)
    l2["tag"] = -1
    return lay.Chip(
        state=np.zeros(1, lay.CHIP),
        l2=l2,
        order=np.zeros((config.num_sms * 4096, 4), np.int64),
        reply_free=np.zeros(config.num_sms, np.int64),
        batch_left=np.zeros(batches, np.int64),
        memory=memory,
        team=np.full((TEAM_CLAIMS + threads, TEAM_WORDS), config.num_sms, np.int64),  # all SMs taken: no window is open
    )


def _words_before_l1i(p: Any) -> int:
    """Words of ``Machine.caches`` before the L1 instruction cache (kernels/small_cache.py): L0, FL and VL caches."""
    per_subcore = p["l0_sets"] * p["l0_ways"] + p["fl_sets"] * p["fl_ways"]
    return int(2 * (p["num_subcores"] * per_subcore + p["vl_sets"] * p["vl_ways"]))


def keep_code(machine: lay.Machine, caches: Any) -> None:
    """Put the code that the last kernel left in the L1 instruction caches (i8[num_sms, words]) into a new machine."""
    p = machine.par[0]
    first = _words_before_l1i(p)
    entries = slice(first, first + 2 * int(p["l1i_sets"] * p["l1i_ways"]))
    tags, stamps = caches[:, entries][:, ::2], machine.caches[:, entries][:, 1::2]
    code = (tags > 0) & (tags <= lay.CONST_SPACE >> 7)  # constants change with every launch
    machine.caches[:, entries][:, ::2] = np.where(code, tags, 0)
    stamps[...] = code
