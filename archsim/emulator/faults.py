"""Text of a fault: kernel, CTA, warp, lane, pc, SASS line."""

from __future__ import annotations

from archsim.emulator.records import (
    F_BAD_PC,
    F_BARRIER,
    F_CONST,
    F_DEADLOCK,
    F_LIMIT,
    F_MISALIGNED,
    F_OOB,
    F_SHARED_OOB,
    F_STACK,
    F_TRAP,
    F_UNSUPPORTED,
    S_BAR,
    S_BSYNC,
    S_WARPSYNC,
)
from archsim.isa.program import Instruction

WAITS = {S_BAR: "a CTA barrier", S_BSYNC: "reconvergence (BSYNC)", S_WARPSYNC: "WARPSYNC"}


def describe(code: int, address: int, instruction: Instruction | None, reason: str, limit: int) -> str:
    """What went wrong."""
    if code == F_UNSUPPORTED and instruction is not None:
        return f"not emulated yet: {instruction.opcode} at 0x{instruction.address:x} ({reason})"
    if code == F_LIMIT:
        return f"more than {limit} warp-instructions executed (infinite loop?)"
    if code == F_DEADLOCK:
        return f"deadlock: threads wait at {WAITS.get(address, 'a cluster barrier')} that can never complete"
    return {
        F_OOB: f"global access out of bounds at address 0x{address:x} (in no live allocation)",
        F_MISALIGNED: f"misaligned access at address 0x{address:x}",
        F_STACK: f"local access out of bounds at local address 0x{address:x} (stack overflow)",
        F_SHARED_OOB: f"shared access out of bounds at shared address 0x{address:x}",
        F_BAD_PC: f"jump outside the code (0x{address:x})",
        F_TRAP: "trap instruction (assert, __trap or unreachable code)",
        F_BARRIER: f"illegal barrier: number {address}, or a thread count that is not a multiple of 32",
        F_CONST: f"constant-bank access out of bounds at offset 0x{address:x}",
    }.get(code, f"fault {code}")
