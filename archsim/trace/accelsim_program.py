"""Static programs of Accel-Sim traces: rebuilt from the executed lines, or taken from the cubin that was traced."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from archsim.errors import TraceError
from archsim.isa.program import RZ, Instruction, Operand, OperandKind, Program
from archsim.trace.accelsim_text import Static
from archsim.trace.layout import Array
from archsim.trace.programs import ACCELSIM, ACCELSIM_ROW, SASS

_TEXT = re.compile(r"(?P<opcode>\S+)(?P<dests> R[^<]*)?(?: <- (?P<sources>.*))?\Z")
_STORES = frozenset({"ST", "STG", "STS", "STL", "RED", "REDG", "STSM"})
_PAIR_ADDRESS = frozenset({"LD", "ST", "LDG", "STG", "ATOM", "ATOMG", "RED", "REDG"})


class ImportedProgram(NamedTuple):
    """A program and the static instructions of the trace that it was made from."""

    program: Program
    place: Array  # u4[n_traced]: instruction of each traced static
    mem_records: Array  # u1[n_static]
    accelsim: Array  # ACCELSIM_ROW[n_static]
    syntax: str


def imported_instruction(text: str, arch: int, address: int, mem_width: int) -> Instruction:
    """Instruction from "LDG.E R2 <- R4": register lists are all that the trace tells.

    ``mem_width`` > 0 (bytes per lane) makes the first source register the address of a memory instruction.
    """
    from archsim.isa.widths import set_widths

    match = _TEXT.match(text)
    if not match:
        raise TraceError(f"{text!r} is not an instruction of an imported trace")
    opcode = match["opcode"]
    base, *modifiers = opcode.split(".")
    dests = tuple(_register(t) for t in (match["dests"] or "").replace(",", " ").split())
    sources = [_register(t) for t in (match["sources"] or "").replace(",", " ").split()]
    if mem_width and sources and (len(sources) > 1 or base not in _STORES):
        wide = base in _PAIR_ADDRESS and arch >= 70 or "E" in modifiers
        one = sources[0]
        sources[0] = replace(
            one, kind=OperandKind.MEM, text=f"[{one.text}{'.64' if wide else ''}]", width=2 if wide else 1, wide=wide
        )
    elif mem_width:  # the address is in uniform registers or constant: the trace does not name them
        sources.insert(0, Operand(OperandKind.MEM, "[URx]", width=0))
    dests, new_sources = set_widths(base, tuple(modifiers), arch, dests, tuple(sources))
    return Instruction(0, address, opcode, base, tuple(modifiers), dests, new_sources, None, text=text)


def rebuild(statics: list[Static], paired: set[int], arch: int, name: str, registers: int) -> ImportedProgram:
    """The executed instructions in PC order. PCs count from each function's start, so several may share one: the
    second and later ones of a PC are placed after the first function's end, as functions of their own."""
    size = 16 if arch >= 70 else 8
    span = -(-(max((s.pc for s in statics), default=0) + size) // 128) * 128
    seen: dict[int, int] = {}
    addresses = []
    for static in statics:
        copy = seen[static.pc] = seen.get(static.pc, -1) + 1
        addresses.append(copy * span + static.pc)
    order = np.argsort(np.array(addresses, np.int64), kind="stable")
    index = np.empty(len(statics), np.uint32)
    index[order] = np.arange(len(statics))
    code, rows = [], np.zeros(len(statics), ACCELSIM_ROW)
    records = np.zeros(len(statics), np.uint8)
    functions = {name: 0}
    for place, number in enumerate(order.tolist()):
        static = statics[number]
        copy = addresses[number] // span
        function = name if not copy else f"{name}$callee{copy}"
        functions.setdefault(function, copy * span)
        one = imported_instruction(static.text, arch, addresses[number], static.mem_width)
        code.append(replace(one, index=place, function=function, line=static.line))
        rows[place] = (static.pc, static.mem_width, static.immediate)
        records[place] = 0 if not static.mem_width else 2 if number in paired else 1
    program = Program(arch, name, tuple(code), functions, registers, instruction_bytes=size)
    return ImportedProgram(program, index, records, rows, ACCELSIM)


def from_cubin(
    statics: list[Static], paired: set[int], arch: int, name: str, cubin: Path, where: str
) -> ImportedProgram:
    """The whole program, control bits included, of the cubin that was traced; TraceError when it is another one."""
    from archsim.isa import load_cubin

    kernels = load_cubin(cubin).kernels
    if name not in kernels:
        raise TraceError(f"{where}: {cubin} has no kernel {name} (it has: {', '.join(sorted(kernels)) or 'none'})")
    program = kernels[name]
    if program.arch != arch:
        raise TraceError(f"{where}: {cubin} is for sm_{program.arch}, the trace for sm_{arch}")
    rows = np.zeros(len(program.instructions), ACCELSIM_ROW)
    records = np.zeros(len(program.instructions), np.uint8)
    rows["pc"] = [one.address for one in program.instructions]
    index = np.empty(len(statics), np.uint32)
    for number, static in enumerate(statics):
        place = _find(program, static)
        if place < 0:
            raise TraceError(f"{where}: the trace executes {static.text!r} at 0x{static.pc:x}, {cubin} does not")
        index[number] = place
        rows[place] = (static.pc, static.mem_width, static.immediate)
        records[place] = 0 if not static.mem_width else 2 if number in paired else 1
    return ImportedProgram(program, index, records, rows, SASS)


def traced_text(one: Instruction) -> str:
    """The instruction as Accel-Sim would list it: opcode, first register destination, register sources."""
    if one.control is None and one.encoding == (0, 0) and _TEXT.match(one.text) and " <- " in one.text:
        return one.text
    if one.text == one.opcode or re.fullmatch(rf"{re.escape(one.opcode)} R\d+", one.text) and len(one.dests) == 1:
        return one.text
    dests = [o.reg for o in one.dests if o.kind == OperandKind.REG][:1]
    sources: list[int] = []
    for operand in one.sources:
        if operand.kind in (OperandKind.REG, OperandKind.MEM, OperandKind.DESC) and operand.reg >= 0:
            sources.append(operand.reg)
    from archsim.trace.accelsim_text import static_text

    return static_text(one.opcode, dests, sources[:5])


def _find(program: Program, static: Static) -> int:
    opcode = static.text.split()[0]
    for start in sorted(program.functions.values()):
        try:
            place = program.index_of(start + static.pc)
        except KeyError:
            continue
        there = program.instructions[place]
        # ptxas 13 jumps backwards with CALL.REL.NOINC; tracers may list it as a BRA.
        if there.opcode == opcode or {there.base, opcode.split(".")[0]} == {"CALL", "BRA"}:
            return place
    return -1


def _register(text: str) -> Operand:
    number = int(text[1:])
    return Operand(OperandKind.REG, "RZ" if number == RZ else text, reg=number, width=1)
