"""Launch metadata of a kernel from the ``.nv.info`` sections (sass.md section 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from archsim.errors import IsaError
from archsim.isa.elf import Elf, Section

_EIFMT_NVAL, _EIFMT_BVAL, _EIFMT_HVAL, _EIFMT_SVAL = 1, 2, 3, 4
MAX_THREADS, PARAM_CBANK, EXTERNS, REQNTID, FRAME_SIZE, MIN_STACK = 0x05, 0x0A, 0x0F, 0x10, 0x11, 0x12
KPARAM_INFO, CBANK_PARAM_SIZE, MAXREG_COUNT, EXIT_OFFSETS, CRS_STACK = 0x17, 0x19, 0x1B, 0x1C, 0x1E
MAX_STACK, REGCOUNT, BRANCH_TARGETS, CTA_PER_CLUSTER, EXPLICIT_CLUSTER = 0x23, 0x2F, 0x34, 0x3D, 0x3E
KPARAM_INFO_V2, SYSCALL_OFFSETS, NUM_BARRIERS = 0x45, 0x46, 0x4C
# Bank-0 byte offset of the first kernel parameter (sass.md 2.1), used when a kernel has no PARAM_CBANK record.
PARAM_BASE = {61: 0x140, 75: 0x160, 80: 0x160, 86: 0x160, 87: 0x160, 89: 0x160, 90: 0x210, 100: 0x380, 103: 0x380,
              120: 0x380, 121: 0x380}  # fmt: skip
# Bytes at the head of shared memory that belong to the system (sass.md 2.1: user data starts at 0x400 on sm_90+).
RESERVED_SHARED_BYTES = {90: 0x400, 100: 0x400, 103: 0x400, 120: 0x400, 121: 0x400}


@dataclass(frozen=True)
class KernelInfo:
    """What a launch needs to know about one kernel. Sizes in bytes; dims in threads or CTAs; 0 or () = not given."""

    name: str
    registers: int = 0
    static_shared_bytes: int = 0  # as the section says: on sm_90+ it includes reserved_shared_bytes
    reserved_shared_bytes: int = 0
    local_bytes: int = 0  # frame of the kernel and its callees, a lower bound under recursion
    frame_bytes: int = 0
    min_stack_bytes: int = 0
    max_stack_bytes: int = 0
    has_calls: bool = False  # contains ABI calls (CRS_STACK_SIZE present); recursion is then possible
    param_base: int = 0
    param_bytes: int = 0
    params: tuple[tuple[int, int], ...] = ()  # (offset from param_base, size), by ordinal
    constant0_bytes: int = 0
    max_threads: tuple[int, ...] = ()
    required_threads: tuple[int, ...] = ()
    max_registers: int = 0
    barriers: int = 0
    cluster: tuple[int, ...] = ()
    exit_offsets: tuple[int, ...] = ()
    branch_targets: dict[int, tuple[int, ...]] = field(default_factory=dict)  # BRX address -> target addresses
    externs: tuple[str, ...] = ()


def read_records(section: Section, where: str) -> list[tuple[int, int, bytes]]:
    """(attribute, format, payload) records of one ``.nv.info`` section."""
    data, at, records = section.data, 0, []
    while at + 4 <= len(data):
        form, attribute, value = struct.unpack_from("<BBH", data, at)
        at += 4
        if form == _EIFMT_SVAL:
            if at + value > len(data):
                raise IsaError(f"{where}: {section.name}: record 0x{attribute:02x} at byte {at - 4} is cut short")
            records.append((attribute, form, data[at : at + value]))
            at += value
        elif form in (_EIFMT_NVAL, _EIFMT_BVAL, _EIFMT_HVAL):
            records.append((attribute, form, struct.pack("<H", value)))
        else:
            raise IsaError(f"{where}: {section.name}: unknown record format {form} at byte {at - 4}")
    return records


def module_table(elf: Elf, where: str) -> dict[int, dict[int, int]]:
    """Module-wide ``.nv.info``: attribute -> {symbol index -> value} for register, frame and stack sizes."""
    table: dict[int, dict[int, int]] = {REGCOUNT: {}, FRAME_SIZE: {}, MIN_STACK: {}, MAX_STACK: {}}
    section = elf.by_name.get(".nv.info")
    if section is None:
        return table
    for attribute, form, payload in read_records(section, where):
        if form == _EIFMT_SVAL and attribute in table and len(payload) >= 8:
            symbol, value = struct.unpack_from("<II", payload)
            table[attribute][symbol] = value
    return table


def read_kernel_info(elf: Elf, name: str, arch: int, table: dict[int, dict[int, int]], where: str) -> KernelInfo:
    """Metadata of the kernel whose code is in ``.text.<name>``."""
    text = elf.by_name[f".text.{name}"]
    symbol = next(
        (i for i, s in enumerate(elf.symbols) if s.name == name and s.section == text.index and s.kind == 2), -1
    )
    siblings = [i for i, s in enumerate(elf.symbols) if s.section == text.index and s.kind == 2]
    info_section = elf.by_name.get(f".nv.info.{name}")
    records = read_records(info_section, where) if info_section is not None else []
    frames = sum(table[FRAME_SIZE].get(i, 0) for i in siblings)
    min_stack = table[MIN_STACK].get(symbol, 0)
    max_stack = table[MAX_STACK].get(symbol, 0)
    registers = table[REGCOUNT].get(symbol, 0) or (text.info >> 24 if arch < 90 else 0)
    shared = elf.by_name.get(f".nv.shared.{name}")
    constant0 = elf.by_name.get(f".nv.constant0.{name}")
    values = _kernel_values(elf, records, arch, where)
    return KernelInfo(
        name=name,
        registers=registers,
        static_shared_bytes=shared.size if shared is not None else 0,
        reserved_shared_bytes=RESERVED_SHARED_BYTES.get(arch, 0),
        local_bytes=max(frames, min_stack, max_stack),
        frame_bytes=table[FRAME_SIZE].get(symbol, 0),
        min_stack_bytes=min_stack,
        max_stack_bytes=max_stack,
        constant0_bytes=constant0.size if constant0 is not None else 0,
        **values,
    )


def _kernel_values(elf: Elf, records: list[tuple[int, int, bytes]], arch: int, where: str) -> dict[str, Any]:
    values: dict[str, Any] = {"param_base": PARAM_BASE.get(arch, 0)}
    params: dict[int, tuple[int, int]] = {}
    targets: dict[int, tuple[int, ...]] = {}
    try:
        for attribute, _, payload in records:
            if attribute == KPARAM_INFO:
                _, ordinal, offset, word = struct.unpack_from("<IHHI", payload)
                params[ordinal] = (offset, word >> 18)
            elif attribute == KPARAM_INFO_V2:  # kernels with large parameters: the size is a word of its own
                _, ordinal, offset, size = struct.unpack_from("<IHHI", payload)
                params[ordinal] = (offset, size)
            elif attribute == BRANCH_TARGETS:
                targets.update(_branch_targets(payload))
            else:
                _one_value(values, attribute, payload, elf)
    except struct.error:
        raise IsaError(f"{where}: .nv.info record 0x{attribute:02x} is too short") from None
    values["params"] = tuple(params[k] for k in sorted(params))
    values["branch_targets"] = targets
    return values


def _one_value(values: dict[str, Any], attribute: int, payload: bytes, elf: Elf) -> None:
    words = struct.unpack(f"<{len(payload) // 4}I", payload[: len(payload) // 4 * 4])
    if attribute == PARAM_CBANK:
        values["param_base"], values["param_bytes"] = struct.unpack_from("<4xHH", payload)
    elif attribute == CBANK_PARAM_SIZE:
        values.setdefault("param_bytes", struct.unpack("<H", payload)[0])
    elif attribute == MAX_THREADS:
        values["max_threads"] = words
    elif attribute == REQNTID:
        values["required_threads"] = words
    elif attribute == MAXREG_COUNT:
        values["max_registers"] = struct.unpack("<H", payload)[0] & 0xFF
    elif attribute == NUM_BARRIERS:
        values["barriers"] = payload[0]
    elif attribute == CTA_PER_CLUSTER:
        values["cluster"] = words
    elif attribute == EXIT_OFFSETS:
        values["exit_offsets"] = words
    elif attribute == CRS_STACK:
        values["has_calls"] = True
    elif attribute == EXTERNS:
        values["externs"] = tuple(elf.symbols[i].name for i in words if i < len(elf.symbols))


def _branch_targets(payload: bytes) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    at = 0
    while at + 12 <= len(payload):
        address, _, _, count = struct.unpack_from("<IHHI", payload, at)
        found[address] = struct.unpack_from(f"<{count}I", payload, at + 12)
        at += 12 + 4 * count
    return found
