"""A cubin loaded into an emulated GPU: device variables placed, constant banks relocated, kernels decoded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field, replace

from archsim.emulator.decode import DecodedProgram, decode
from archsim.emulator.memory import DeviceMemory
from archsim.emulator.records import SYSCALL_BASE
from archsim.errors import EmulationError
from archsim.isa import Cubin, KernelInfo, load_cubin
from archsim.isa.program import Instruction, Operand, Program

#: Functions that device code imports; the emulator runs them on the host.
SYSCALLS = ("vprintf", "malloc", "free", "__assertfail", "__assert_fail")


@dataclass
class EmuKernel:
    """One kernel of a loaded module. The code is decoded at the first launch."""

    name: str
    program: Program
    info: KernelInfo
    module: Module
    _decoded: DecodedProgram | None = field(default=None, repr=False)

    @property
    def decoded(self) -> DecodedProgram:
        """The record array that the interpreter runs."""
        if self._decoded is None:
            self._decoded = decode(link(self.program, self.module.globals))
        return self._decoded


@dataclass
class Module:
    """``globals``: name -> (device address, bytes) of ``__device__`` and ``__constant__`` variables."""

    cubin: Cubin
    arch: int
    memory: DeviceMemory
    sections: dict[str, int] = field(default_factory=dict)  # section -> device address
    globals: dict[str, tuple[int, int]] = field(default_factory=dict)
    kernels: dict[str, EmuKernel] = field(default_factory=dict)
    banks: dict[int, tuple[int, int]] = field(default_factory=dict)  # module-wide bank -> (device address, bytes)

    def unload(self) -> None:
        """Free the device memory of the module."""
        for address in self.sections.values():
            self.memory.free(address)
        self.sections.clear()

    def bank(self, kernel: EmuKernel, number: int) -> bytes:
        """Present contents of a constant bank other than 0."""
        if number in self.banks:
            return self.memory.read(*self.banks[number])
        return kernel.program.constants.get(number, b"")


def load_module(source: bytes, arch: int, memory: DeviceMemory) -> Module:
    """Load a cubin; EmulationError when it was built for another architecture."""
    cubin = load_cubin(source)
    if cubin.arch // 10 != arch // 10 or cubin.arch > arch:
        raise EmulationError(f"{cubin.name}: code for sm_{cubin.arch} cannot run on sm_{arch}")
    module = Module(cubin, arch, memory)
    place_sections(module)
    relocate(module)
    for name, variable in cubin.globals.items():
        home = module.sections.get(variable.section)
        if home is not None:
            module.globals[name] = (home + variable.offset, variable.size)
    for name, program in cubin.kernels.items():
        module.kernels[name] = EmuKernel(name, program, cubin.info[name], module)
    return module


def place_sections(module: Module) -> None:
    """Device memory for variables and for the module-wide constant banks, with their initial bytes."""
    for name, (size, data) in module.cubin.sections.items():
        address = module.memory.alloc(max(size, 1))
        module.sections[name] = address
        module.memory.fill(address, 0, max(size, 1))
        if data and ".init" in name:
            module.memory.write(address, data[:size])
    for bank, data in module.cubin.constants.items():
        address = module.memory.alloc(max(len(data), 1))
        module.sections[f".nv.constant{bank}"] = address
        module.banks[bank] = (address, len(data))
        module.memory.fill(address, 0, max(len(data), 1))
        if data:
            module.memory.write(address, data)


def relocate(module: Module) -> None:
    """Fill in the 64-bit addresses of variables and imported functions (sass.md 2.2)."""
    for item in module.cubin.relocations:
        home = module.sections.get(item.section)
        if home is None:
            continue  # banks of one kernel: none seen
        if item.symbol_section in module.sections:
            value = module.sections[item.symbol_section] + item.symbol_offset + item.addend
        elif item.symbol_section:
            value = item.symbol_offset + item.addend
        else:
            value = syscall_address(item.symbol) + item.addend
        module.memory.write(home + item.offset, struct.pack("<Q", value & (2**64 - 1)))


# An immediate that names a variable: separately compiled code (nvcc -rdc=true) has addresses in its instructions.
_ADDRESS = re.compile(r"32@(lo|hi)\((\w+)(?: \+ (0x[0-9a-fA-F]+|\d+))?\)")


def link(program: Program, variables: dict[str, tuple[int, int]]) -> Program:
    """The program with the addresses of variables in the immediates that name them."""

    def operand(o: Operand) -> Operand:
        match = _ADDRESS.fullmatch(o.text)
        if match is None or match[2] not in variables:
            return o
        address = variables[match[2]][0] + int(match[3] or "0", 0)
        return replace(o, value=address >> 32 if match[1] == "hi" else address & 0xFFFFFFFF)

    def patched(i: Instruction) -> Instruction:
        return replace(i, sources=tuple(map(operand, i.sources))) if "32@" in i.text else i

    return replace(program, instructions=tuple(map(patched, program.instructions)))


def syscall_address(name: str) -> int:
    """Address that stands for an imported function; an unknown one gets an address that faults when called."""
    index = SYSCALLS.index(name) if name in SYSCALLS else len(SYSCALLS)
    return SYSCALL_BASE + 16 * index
