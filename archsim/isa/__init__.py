"""SASS: what code is. Cubins to programs, control bits, opcode tables. A leaf: knows nothing of timing."""

from archsim.isa.control import decode_control, format_control
from archsim.isa.cubin import Cubin, CubinRelocation, GlobalVariable, load_cubin
from archsim.isa.fatbin import extract_cubins, list_cubins
from archsim.isa.listing import format_listing
from archsim.isa.metadata import KernelInfo
from archsim.isa.parse import parse_instruction
from archsim.isa.program import ControlBits, Instruction, Operand, OperandKind, Program
from archsim.isa.tables import Flow, MemKind, MemSpace, OpInfo, Unit, op_info

__all__ = [
    "ControlBits", "Cubin", "CubinRelocation", "Flow", "GlobalVariable", "Instruction", "KernelInfo", "MemKind",
    "MemSpace", "OpInfo", "Operand", "OperandKind", "Program", "Unit", "decode_control", "extract_cubins",
    "format_control", "format_listing", "list_cubins", "load_cubin", "op_info", "parse_instruction",
]  # fmt: skip
