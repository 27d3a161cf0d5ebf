"""From a Program to the record array that the interpreter runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archsim.emulator.encoder import Encoder, NotEmulated
from archsim.emulator.ops_table import OPS
from archsim.emulator.records import (
    FULL,
    G_FLOW,
    G_UNSUPPORTED,
    INST_DT,
    P_SINK,
    P_TRUE,
    ROW_SINK,
    UP_BASE,
)
from archsim.errors import IsaError
from archsim.isa.program import Instruction, Program
from archsim.isa.tables import op_info


@dataclass(frozen=True)
class ConstantWord:
    """A field of a record that holds a constant-bank word, known at launch."""

    index: int
    field: str
    bank: int
    offset: int
    size: int


@dataclass(frozen=True)
class DecodedProgram:
    """``code``: INST_DT[n]. ``reasons``: why an instruction is not emulated, by index."""

    program: Program
    code: NDArray[np.void]
    pc_index: NDArray[np.int32]
    constants: tuple[ConstantWord, ...]
    reasons: dict[int, str]
    mem_records: NDArray[np.uint8]


def decode(program: Program) -> DecodedProgram:
    """Decode every instruction; what the emulator does not know becomes a record that faults when reached."""
    n = len(program.instructions)
    code = np.zeros(n, INST_DT)
    size = program.instruction_bytes
    pc_index = np.full((program.instructions[-1].address // size + 1) if n else 0, -1, np.int32)
    for instruction in program.instructions:
        pc_index[instruction.address // size] = instruction.index
    constants: list[ConstantWord] = []
    reasons: dict[int, str] = {}
    records = np.zeros(n, np.uint8)
    for instruction in program.instructions:
        i = instruction.index
        try:
            encoder = encode(program, instruction, code[i : i + 1], pc_index)
            constants += [ConstantWord(i, *item) for item in encoder.constants]
        except NotEmulated as error:
            code[i] = np.zeros((), INST_DT)
            set_guard(code[i : i + 1], instruction)
            code[i]["group"] = G_UNSUPPORTED
            reasons[i] = str(error)
        try:
            records[i] = op_info(instruction, program.arch).mem_records
        except IsaError:
            records[i] = 0
        code[i]["records"] = records[i]
    return DecodedProgram(program, code, pc_index, tuple(constants), reasons, records)


def set_guard(record: NDArray[np.void], instruction: Instruction) -> None:
    """Guard predicate and the defaults of the predicate fields."""
    record["guard"] = P_TRUE
    if instruction.guard >= 0:
        record["guard"] = instruction.guard + (UP_BASE if instruction.guard_uniform else 0)
        record["guard_inv"] = FULL if instruction.guard_negated else 0
    record["pd"] = record["pe"] = P_SINK
    record["pa"] = record["pb"] = P_TRUE
    record["dst"] = record["dst2"] = ROW_SINK
    record["mr"] = record["mr2"] = record["mu"] = record["mu2"] = -1
    record["target"] = -1


def encode(program: Program, instruction: Instruction, view: NDArray[np.void], pc_index: NDArray[np.int32]) -> Encoder:
    """Fill one record; NotEmulated if the instruction is not known."""
    set_guard(view, instruction)

    def target_index(address: int) -> int:
        slot = address // program.instruction_bytes
        if not 0 <= slot < len(pc_index) or pc_index[slot] < 0:
            raise IsaError(f"{program.name}: branch at 0x{instruction.address:x} to 0x{address:x}, outside the code")
        return int(pc_index[slot])

    encoder = Encoder(instruction, program.arch, view[0], target_index)
    function = OPS.get(instruction.base)
    if function is None:
        raise NotEmulated("opcode")
    function(encoder)
    if encoder.mods:
        raise NotEmulated("modifier ." + ".".join(encoder.mods))
    if view[0]["group"] != G_FLOW and view[0]["uniform"] == 1 and view[0]["dst"] < 0:
        raise NotEmulated("destination")
    return encoder
