"""Program -> INST records: what the timing model needs to know of each static instruction.

Latencies come from the configuration (gpu-core sheet, sections E.2 and F); unknown opcodes are refused by
`archsim.isa.tables.op_info`, never given a default.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from archsim.config import MachineConfig
from archsim.errors import RunError
from archsim.isa.program import NONE_REG, PT, RZ, URZ, ControlBits, Instruction, Operand, OperandKind, Program
from archsim.isa.tables import Flow, MemKind, MemSpace, OpInfo, Unit, op_info
from archsim.kernels import layout as lay

NO_CONTROL = ControlBits(stall=1)
WARP = 32
FP64_QUEUE = 6  # issue to the unit's first stage, and the result's way back: DADD 48, DFMA 52 cycles (gpu-core H.15)
BANK_SHIFT = 20  # constant address = bank << 20 | byte offset


def static_records(program: Program, mem_records: Any, config: MachineConfig) -> Any:
    """INST[n] of a program. Raises IsaError for an unknown opcode, RunError for one that is not modelled yet."""
    table = np.zeros(len(program.instructions), lay.INST)
    for index, instruction in enumerate(program.instructions):
        info = op_info(instruction, program.arch)
        if instruction.base == "DMMA" and config.sm.units.tensor.dmma_macs_per_cycle > 0:
            info = info._replace(unit=Unit.TENSOR)  # elsewhere the FP64 pipe carries it out
        _fill(table[index], instruction, info, int(mem_records[index]), config)
    return table


def _fill(row: Any, ins: Instruction, info: OpInfo, records: int, config: MachineConfig) -> None:
    control = ins.control or NO_CONTROL
    row["unit"] = info.unit
    row["space"] = info.space
    row["kind"] = info.kind
    row["flow"] = info.flow
    row["turn"] = _turn(ins)
    row["bytes"] = info.access_bytes
    row["mem_records"] = records
    row["stall"] = control.stall
    row["yields"] = control.yield_
    row["wb"] = control.write_barrier
    row["rb"] = control.read_barrier
    row["wait"] = control.wait_mask
    row["const_line"] = -1
    row["src"] = -1
    row["dst"] = -1
    _registers(row, ins)
    _constants(row, ins, info, config)
    _timing(row, ins, info, config)
    _arguments(row, ins, info, config)


_INDIRECT = frozenset({"BRX", "BRXU", "JMX", "JMXU", "RET", "RTT"})
_DIRECT = frozenset({"BRA", "JMP", "CALL", "CAL", "JCAL", "BRK", "CONT"})


def _turn(ins: Instruction) -> int:
    """How the instruction decides where its warp goes on (TURN_* of the layout)."""
    if ins.base in ("BSYNC", "SYNC"):
        return lay.TURN_SYNC
    by_register = any(o.kind == OperandKind.REG and o.reg not in (NONE_REG, RZ) for o in ins.sources)
    if ins.base in _INDIRECT or (ins.base == "CALL" and by_register):
        return lay.TURN_INDIRECT
    return lay.TURN_DIRECT if ins.base in _DIRECT else lay.TURN_NONE


# --- registers -------------------------------------------------------------------------------------------------


def _register_ids(operand: Operand) -> list[int]:
    """Ids (layout module) of every register that an operand names."""
    ids: list[int] = []
    kind = operand.kind
    width = max(operand.width, 1)
    if kind == OperandKind.REG and operand.reg not in (NONE_REG, RZ):
        ids += range(operand.reg, min(operand.reg + width, RZ))
    elif kind == OperandKind.UREG and operand.reg not in (NONE_REG, URZ):
        ids += range(256 + operand.reg, 256 + min(operand.reg + width, URZ))
    elif kind == OperandKind.PRED and operand.reg != PT:
        ids.append(320 + operand.reg)
    elif kind == OperandKind.UPRED and operand.reg != PT:
        ids.append(328 + operand.reg)
    elif kind in (OperandKind.MEM, OperandKind.DESC, OperandKind.CONST):
        ids += _address_registers(operand)
        for uniform in (operand.ureg, operand.desc):
            if uniform not in (NONE_REG, URZ):
                ids += [256 + uniform, 257 + uniform]
    return ids


def _address_registers(operand: Operand) -> list[int]:
    if operand.reg in (NONE_REG, RZ):
        return []
    return [operand.reg, operand.reg + 1] if _is_wide_address(operand) else [operand.reg]


def _is_wide_address(operand: Operand) -> bool:
    return operand.wide or operand.width == 2


def _bits(ids: list[int]) -> list[int]:
    words = [0] * lay.REGISTER_WORDS
    for i in ids:
        words[i // lay.IDS_PER_WORD] |= 1 << (i % lay.IDS_PER_WORD)
    return words


def _registers(row: Any, ins: Instruction) -> None:
    reads: list[int] = []
    writes: list[int] = []
    for operand in ins.dests:
        writes += _register_ids(operand)
    for operand in ins.sources:
        reads += _register_ids(operand)
    if ins.guard not in (-1, PT):
        reads.append((328 if ins.guard_uniform else 320) + ins.guard)
    row["reads"] = _bits(reads)
    row["writes"] = _bits(writes)
    dests = [d for d in ins.dests if d.kind == OperandKind.REG and d.reg not in (NONE_REG, RZ)]
    if dests:
        row["dst"] = dests[0].reg
        row["dst_width"] = max(dests[0].width, 1)
    slots = [slot for slot in map(_slot, ins.sources) if slot is not None][:4]
    row["num_src"] = len(slots)
    for i, slot in enumerate(slots):
        row["src"][i], row["src_width"][i], row["src_reuse"][i] = slot


def _slot(operand: Operand) -> tuple[int, int, int] | None:
    """(register, width, reuse) of a source that takes an operand slot; RZ takes a slot but reads nothing."""
    if operand.kind == OperandKind.REG:
        register = -1 if operand.reg in (NONE_REG, RZ) else operand.reg
        return register, max(operand.width, 1), int(operand.reuse)
    if operand.kind in (OperandKind.MEM, OperandKind.DESC) and operand.reg not in (NONE_REG, RZ):
        return operand.reg, 2 if _is_wide_address(operand) else 1, 0
    return None


# --- constants -------------------------------------------------------------------------------------------------


def _constants(row: Any, ins: Instruction, info: OpInfo, config: MachineConfig) -> None:
    """Cache line of a constant operand with a known address: c[bank][offset]."""
    for operand in ins.sources:
        if operand.kind == OperandKind.CONST and operand.reg in (NONE_REG, RZ) and operand.ureg in (NONE_REG, URZ):
            address = (max(operand.bank, 0) << BANK_SHIFT) | (operand.value & ((1 << BANK_SHIFT) - 1))
            row["const_line"] = address // config.const.fl.line_bytes
            return
        if operand.kind == OperandKind.CONST and info.kind == MemKind.LOAD:
            row["arg0"] = max(operand.bank, 0)


# --- timing ----------------------------------------------------------------------------------------------------


def _timing(row: Any, ins: Instruction, info: OpInfo, config: MachineConfig) -> None:
    units = config.sm.units
    flags = 0
    row["ii"] = 1
    row["agu"] = config.sm.memory_unit.agu_cycles
    if info.writes_predicate:
        flags |= lay.F_PREDICATE
    if info.unit == Unit.MEMORY:
        flags |= lay.F_VARIABLE | _memory_timing(row, ins, info, config)
    elif info.unit == Unit.SFU:
        flags |= lay.F_VARIABLE
        _set(row, units.sfu.latency_cycles, units.sfu.initiation_interval_cycles, units.sfu.war_release_cycles)
    elif info.unit == Unit.MISC_QUEUE:
        flags |= lay.F_VARIABLE
        _set(row, config.sm.memory_unit.latency.memory_misc_raw, units.misc_queue.initiation_interval_cycles, 6)
    elif info.unit == Unit.FP64 and units.fp64.shared_per_sm:
        flags |= lay.F_VARIABLE
        _shared_fp64(row, config)
    else:
        flags |= _fixed_timing(row, ins, info, config)
    if info.unit in (Unit.INT, Unit.FP32, Unit.FP16, Unit.FP64, Unit.TENSOR):
        flags |= lay.F_RFC
    if info.flow == Flow.CLOCK:
        flags |= lay.F_CLOCK
    row["flags"] = flags


def _set(row: Any, latency: int, interval: int, war: int = 0) -> None:
    row["latency"] = latency
    row["ii"] = interval
    row["war"] = war


def _fixed_timing(row: Any, ins: Instruction, info: OpInfo, config: MachineConfig) -> int:
    """Fixed-latency units; returns flags."""
    units = config.sm.units
    flags = 0
    if info.unit == Unit.TENSOR:
        timing = units.tensor.timing(ins.opcode)
        if timing is None:
            raise RunError(f"{ins.function or 'kernel'}: not modelled yet: {ins.opcode} at 0x{ins.address:x}")
        _set(row, *timing)
        if max((s.width for s in ins.sources), default=0) >= 4:
            flags |= lay.F_WIDE_READ
        return flags
    name = {
        Unit.INT: "int",
        Unit.FP32: "fp32",
        Unit.FP16: "fp16",
        Unit.FP64: "fp64",
        Unit.UNIFORM: "uniform",
        Unit.BRANCH: "branch",
        Unit.MISC: "misc",
    }[info.unit]
    unit = getattr(units, name)
    _set(row, unit.latency_cycles, unit.initiation_interval_cycles)
    is_imad = ins.base == "IMAD"
    if info.unit == Unit.FP32 and units.fp32.pipes == 2 and not is_imad:
        flags |= lay.F_SECOND_PIPE
    if is_imad and "WIDE" in ins.modifiers:
        flags |= lay.F_IMAD_WIDE
        row["latency"] = units.imad_wide_latency_cycles
    elif is_imad and "HI" in ins.modifiers:
        row["latency"] = units.imad_hi_latency_cycles
    if info.writes_predicate:
        row["latency"] = units.predicate_latency_cycles
    return flags


def _shared_fp64(row: Any, config: MachineConfig) -> None:
    """One FP64 unit per SM: sub-core stages, operand transfer, pipeline, return (gpu-core E.5)."""
    f = config.sm.units.fp64
    operands = max(1, sum(1 for r in row["src"] if r >= 0))
    transfer = f.transfer_cycles_per_operand * operands
    latency = FP64_QUEUE + f.local_stages + transfer + f.pipe_latency_cycles + f.writeback_cycles_per_register * 2
    _set(row, latency, f.initiation_interval_cycles, f.local_stages + transfer)


def _width_index(size: int) -> int:
    return 0 if size <= 4 else 1 if size == 8 else 2


def _memory_timing(row: Any, ins: Instruction, info: OpInfo, config: MachineConfig) -> int:
    """Latencies of table E.2 for hits; returns flags."""
    t = config.sm.memory_unit.latency
    i = _width_index(info.access_bytes)
    flags = 0
    uniform = _uniform_address(ins)
    kind = "uniform" if uniform else "regular"
    if uniform:
        row["agu"] = config.sm.memory_unit.agu_uniform_cycles
    if info.kind in (MemKind.MISC, MemKind.FENCE):
        row["latency"], row["war"] = t.memory_misc_raw, t.memory_misc_war
        row["agu"] = config.sm.memory_unit.agu_uniform_cycles  # no addresses: S2R, SHFL every 2 cycles (H.15)
        if ins.base == "SHFL":
            row["latency"] = t.shfl_raw
        return flags
    if info.kind == MemKind.BULK:
        raise RunError(f"{ins.function or 'kernel'}: not modelled yet: {ins.opcode} at 0x{ins.address:x}")
    if info.space in (MemSpace.TEXTURE, MemSpace.SURFACE):
        raise RunError(f"{ins.function or 'kernel'}: not modelled yet: {ins.opcode} at 0x{ins.address:x}")
    if info.space == MemSpace.CONST:
        form = "regular" if row["const_line"] < 0 else "immediate"
        row["latency"] = getattr(t, f"ldc_{form}_raw")[min(i, 1)]
        row["war"] = getattr(t, f"ldc_{form}_war")[min(i, 1)]
        return flags
    if info.kind == MemKind.LDGSTS:
        flags |= lay.F_LONG
        row["latency"], row["war"] = t.ldgsts_raw[i], t.ldgsts_war[i]
    elif info.space == MemSpace.SHARED:
        _shared_timing(row, info, t, kind, i)
    else:
        flags |= lay.F_LONG
        _global_timing(row, ins, info, t, kind, i)
    if ins.base == "LDSM":
        flags |= lay.F_MATRIX_LOAD
        # x1 / x2 / x4: 23.1 / 25.1 / 29.3 cycles where LDS takes 23 (Hopper sheet 5): each matrix is a wavefront
        further = info.access_bytes // 4 - 1
        row["latency"] = getattr(t, f"load_shared_{kind}_raw")[0] + further * config.sm.shared.conflict_cycles
    bypasses = info.kind in (MemKind.ATOMIC, MemKind.REDUCTION) or info.strong_scope in ("GPU", "SYS")
    if info.space != MemSpace.SHARED and (bypasses or "BYPASS" in ins.modifiers):
        flags |= lay.F_BYPASS_L1
    return flags


def _shared_timing(row: Any, info: OpInfo, t: Any, kind: str, i: int) -> None:
    if info.kind == MemKind.STORE:
        row["latency"] = row["war"] = getattr(t, f"store_shared_{kind}_war")[i]
    else:
        row["latency"] = getattr(t, f"load_shared_{kind}_raw")[i]
        row["war"] = getattr(t, f"load_shared_{kind}_war")[i]
        if info.kind in (MemKind.ATOMIC, MemKind.REDUCTION):
            row["latency"] += t.shared_atomic_extra


def _global_timing(row: Any, ins: Instruction, info: OpInfo, t: Any, kind: str, i: int) -> None:
    if info.kind == MemKind.STORE:
        row["latency"] = row["war"] = getattr(t, f"store_global_{kind}_war")[i]
        return
    narrow = 0
    if kind == "regular" and not any(_is_wide_address(o) for o in ins.sources if _is_memory(o)):
        narrow = 1  # one address register instead of two: figure 2 of the paper (DEVIATIONS.md)
    row["latency"] = getattr(t, f"load_global_{kind}_raw")[i] - narrow
    row["war"] = getattr(t, f"load_global_{kind}_war")[i] - narrow


def _is_memory(operand: Operand) -> bool:
    return operand.kind in (OperandKind.MEM, OperandKind.DESC)


def _uniform_address(ins: Instruction) -> bool:
    """True if the address has no regular register (one address for the warp)."""
    memory = [o for o in ins.sources if _is_memory(o)]
    return bool(memory) and all(o.reg in (NONE_REG, RZ) for o in memory)


# --- arguments of control instructions ---------------------------------------------------------------------------


def _arguments(row: Any, ins: Instruction, info: OpInfo, config: MachineConfig) -> None:
    if info.flow == Flow.DEPBAR:
        counters = [o for o in ins.sources if o.kind == OperandKind.SB]
        row["arg0"] = counters[0].reg if counters else 0
        limits = [o.value for o in ins.sources if o.kind == OperandKind.IMM]
        row["arg1"] = limits[0] if limits else 0
        for operand in ins.sources:
            if operand.kind == OperandKind.SBSET:
                row["arg2"] = operand.value
    elif info.flow == Flow.BARRIER:
        _barrier(row, ins, config.sm.named_barriers)
    elif info.kind == MemKind.FENCE and ins.base == "MEMBAR":
        issue = config.sm.issue
        scope = {"CTA": issue.membar_cta_stall_cycles, "SM": issue.membar_cta_stall_cycles}
        scope["SYS"] = issue.membar_sys_stall_cycles
        found = [scope[m] for m in ins.modifiers if m in scope]
        row["arg0"] = max(1, found[0] if found else issue.membar_gpu_stall_cycles)
    elif info.kind in (MemKind.ATOMIC, MemKind.REDUCTION):
        row["arg1"] = _atomic_class(ins)


def _atomic_class(ins: Instruction) -> int:
    """Kinds of atomics that the L2 slices carry out at different rates."""
    if "CAS" in ins.opcode or "EXCH" in ins.modifiers:
        return int(lay.ATOMIC_SWAP)
    floating = any(m.startswith(("F16", "F32", "F64", "BF16")) for m in ins.modifiers)
    return int(lay.ATOMIC_FLOAT if floating else lay.ATOMIC_INTEGER)


def _barrier(row: Any, ins: Instruction, barriers: int) -> None:
    """BAR.SYNC id[, threads]: a barrier or count held in a register is taken as barrier 0 with all warps."""
    numbers = [o.value for o in ins.sources if o.kind == OperandKind.IMM]
    if numbers and numbers[0] & 15 >= barriers:
        raise RunError(
            f"{ins.function or 'kernel'}: {ins.opcode} at 0x{ins.address:x} names barrier {numbers[0] & 15}, "
            f"the machine has sm.named_barriers = {barriers}"
        )
    row["arg0"] = numbers[0] & 15 if numbers else 0
    row["arg1"] = numbers[1] // WARP if len(numbers) > 1 else 0
    if "ARV" in ins.modifiers:
        row["flags"] |= lay.F_ARRIVE_ONLY
