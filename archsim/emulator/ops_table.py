"""What each opcode does: base mnemonic -> function that encodes it. Adding an opcode is one function and one row.

A function consumes every modifier that it understands; an unconsumed modifier or operand form makes the instruction
"not emulated yet", reported if it is reached. Semantics: sass.md section 4.
"""

from __future__ import annotations

from collections.abc import Callable

from archsim.emulator.encoder import Encoder
from archsim.emulator.ops_table_float import FLOAT_OPS
from archsim.emulator.ops_table_int import INT_OPS
from archsim.emulator.ops_table_memory import MEMORY_OPS
from archsim.emulator.ops_table_warp import WARP_OPS

OPS: dict[str, Callable[[Encoder], None]] = {**INT_OPS, **FLOAT_OPS, **MEMORY_OPS, **WARP_OPS}
