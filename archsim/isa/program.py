"""Static SASS: what one kernel's code is, independent of any timing model.

A :class:`Program` is the code of one kernel entry together with every device function it may call, laid out in one
program-counter space. Everything else in archsim (trace store, emulator, timing model, reports) refers to an
instruction by its index in ``Program.instructions``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class OperandKind(enum.IntEnum):
    """What an operand names."""

    REG = 0  # R0..R254, RZ = 255
    UREG = 1  # UR0..UR62, URZ = 63
    PRED = 2  # P0..P6, PT = 7
    UPRED = 3  # UP0..UP6, UPT = 7
    CONST = 4  # c[bank][offset], optionally indexed by a (uniform) register; also cx[URx][offset]
    MEM = 5  # [Rx + URy + offset]
    DESC = 6  # desc[URx][Ry.64 + offset]: a MEM operand behind a uniform descriptor
    IMM = 7  # integer immediate
    FIMM = 8  # floating-point immediate; `value` keeps the raw bits as encoded in the instruction text's type
    SREG = 9  # SR_TID.X, SR_CLOCKLO...
    BREG = 10  # B0..B15
    SB = 11  # SB0..SB5 (DEPBAR)
    SBSET = 12  # {1,2} list of dependence counters (DEPBAR)
    LABEL = 13  # branch target, `value` = absolute byte address in the program's pc space
    PR = 14  # the whole predicate file (P2R / R2P)
    OTHER = 15  # anything else, kept as text


NONE_REG = -1
RZ, URZ, PT = 255, 63, 7


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand as written in the disassembly.

    ``reg``: register number for REG/UREG/PRED/UPRED/BREG/SB, or the base register of MEM/DESC/CONST (NONE_REG if
    absent). ``ureg``: the uniform register inside MEM/DESC/CONST (descriptor's for DESC in ``desc``).
    ``value``: immediate, constant offset, memory offset (signed bytes) or label address. ``bank``: constant bank.
    ``width``: number of consecutive 32-bit registers read or written (1, 2, 4, 8; 0 when not a register).
    """

    kind: OperandKind
    text: str
    reg: int = NONE_REG
    ureg: int = NONE_REG
    desc: int = NONE_REG
    value: int = 0
    bank: int = -1
    width: int = 0
    negated: bool = False  # '-' (arithmetic) or '~' (bitwise) or '!' (predicate)
    absolute: bool = False  # |x|
    reuse: bool = False  # .reuse: keep in the register-file cache
    wide: bool = False  # '.64' on an address register
    modifiers: tuple[str, ...] = ()  # e.g. ('H0_H0',), ('X4',), ('S32',)


@dataclass(frozen=True, slots=True)
class ControlBits:
    """The compiler's scheduling fields (gpu-core.md A.1). ``write_barrier``/``read_barrier``: 0-5, or 7 for none."""

    stall: int = 1
    yield_: bool = False
    write_barrier: int = 7
    read_barrier: int = 7
    wait_mask: int = 0
    reuse: int = 0


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    ``opcode`` is the full mnemonic with modifiers (``LDG.E.64``), ``base`` its first token (``LDG``), ``modifiers`` the
    rest. ``dests`` and ``sources`` partition the operands in text order; a source MEM/DESC operand of a store is a
    source. ``guard``: predicate number, -1 when unconditional.
    """

    index: int
    address: int  # bytes from the start of the program's pc space
    opcode: str
    base: str
    modifiers: tuple[str, ...]
    dests: tuple[Operand, ...]
    sources: tuple[Operand, ...]
    control: ControlBits | None
    encoding: tuple[int, int] = (0, 0)  # low, high 64-bit words; (0, 0) when not known (imported traces)
    guard: int = -1
    guard_negated: bool = False
    guard_uniform: bool = False
    text: str = ""
    function: str = ""
    line: int = 0  # source line, 0 unknown
    file: str = ""


@dataclass(frozen=True)
class Program:
    """The code reachable from one kernel entry."""

    arch: int  # 75, 80, 86, ...
    name: str  # entry function (mangled)
    instructions: tuple[Instruction, ...]
    functions: dict[str, int] = field(default_factory=dict)  # function name -> byte address of its first instruction
    registers: int = 0  # registers per thread, 0 unknown
    static_shared_bytes: int = 0
    local_bytes: int = 0
    constants: dict[int, bytes] = field(default_factory=dict)  # constant bank -> initialised contents
    instruction_bytes: int = 16

    @property
    def has_control_bits(self) -> bool:
        """True when every instruction carries the compiler's control bits."""
        return all(i.control is not None for i in self.instructions)

    def index_of(self, address: int) -> int:
        """Index of the instruction at a byte address; KeyError if none starts there."""
        try:
            return self._by_address[address]
        except KeyError:
            raise KeyError(f"{self.name}: no instruction at 0x{address:x}") from None

    @property
    def _by_address(self) -> dict[int, int]:
        cache = self.__dict__.get("_address_cache")
        if cache is None:
            cache = {i.address: i.index for i in self.instructions}
            object.__setattr__(self, "_address_cache", cache)
        return cache
