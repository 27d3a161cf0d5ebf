"""A readable listing of a program: address, control bits, text."""

from __future__ import annotations

from archsim.isa.control import format_control
from archsim.isa.program import Program


def format_listing(program: Program) -> list[str]:
    """One line per instruction, with a line for each function's start: ``0010  B------:R-:W-:-:S04  MOV R1, ...``."""
    starts: dict[int, list[str]] = {}
    for name, address in program.functions.items():
        starts.setdefault(address, []).append(name)
    lines: list[str] = []
    for instruction in program.instructions:
        lines.extend(f"{name}:" for name in starts.get(instruction.address, ()))
        lines.append(f"{instruction.address:04x}  {format_control(instruction.control)}  {instruction.text}")
    return lines
