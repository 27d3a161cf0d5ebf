"""Load a cubin: the programs of its kernels, their launch metadata, device variables and constant banks."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from pathlib import Path

from archsim.errors import IsaError
from archsim.isa.control import decode_control
from archsim.isa.disasm import Listing, disassemble
from archsim.isa.elf import EM_CUDA, STT_FUNC, STT_OBJECT, Elf, Relocation, read_elf
from archsim.isa.metadata import KernelInfo, module_table, read_kernel_info
from archsim.isa.parse import parse_instruction
from archsim.isa.program import Instruction, OperandKind, Program

ALIGNMENT_BYTES = 128  # between functions in a program's pc space
_ENTRY = 0x10  # st_other: STO_CUDA_ENTRY


@dataclass(frozen=True)
class GlobalVariable:
    """One ``__device__`` or ``__constant__`` variable.

    ``offset``: bytes in its section. ``data``: initial bytes before relocation, None for zero-initialised storage.
    """

    name: str
    section: str
    offset: int
    size: int
    data: bytes | None


@dataclass(frozen=True)
class CubinRelocation:
    """A word that the loader fills: at ``offset`` of ``section``, address of ``symbol`` + ``addend``.

    ``kind`` 2 = R_CUDA_64, 4 = R_CUDA_G64 (sass.md 2.2). ``symbol_section`` and ``symbol_offset`` locate the symbol,
    '' when it is external (vprintf, malloc...).
    """

    section: str
    offset: int
    kind: int
    symbol: str
    symbol_section: str
    symbol_offset: int
    addend: int


@dataclass(frozen=True)
class Cubin:
    """A loaded cubin. ``constants``: bank -> bytes for module-wide banks; per-kernel banks are in ``Program``."""

    arch: int
    name: str
    sha256: str
    kernels: dict[str, Program]
    info: dict[str, KernelInfo]
    globals: dict[str, GlobalVariable]
    constants: dict[int, bytes]
    relocations: tuple[CubinRelocation, ...]
    sections: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)  # data sections: size, initial bytes
    elf: Elf | None = field(default=None, repr=False)


def load_cubin(source: str | Path | bytes, lines: bool = True) -> Cubin:
    """Load a cubin from a path or from its bytes. ``lines``: also read source lines.

    Raises IsaError naming the file when it is missing, damaged, not a cubin or of an unknown architecture.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "cubin"
    else:
        name = str(source)
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise IsaError(f"{name}: {error.strerror or error}") from None
    elf = read_elf(data, name)
    if elf.machine != EM_CUDA:
        raise IsaError(f"{name}: not a cubin (ELF machine {elf.machine}, expected {EM_CUDA})")
    arch = _architecture(elf, name)
    listings = disassemble(data, name, lines and ".debug_line" in elf.by_name)
    return _Loader(elf, name, arch, listings, data).load()


def _architecture(elf: Elf, name: str) -> int:
    """SM number from e_flags: bits 8-15 in CUDA 13 files (ABI 8), bits 0-7 in older ones (ABI 7)."""
    arch = elf.flags >> 8 & 0xFF if elf.abi_version >= 8 else elf.flags & 0xFF
    if not 50 <= arch <= 130:
        raise IsaError(f"{name}: no SM number in the ELF flags 0x{elf.flags:x}")
    return arch


class _Loader:
    """One load; keeps the tables that its steps share."""

    def __init__(self, elf: Elf, name: str, arch: int, listings: dict[str, Listing], data: bytes) -> None:
        self.elf, self.name, self.arch, self.listings, self.data = elf, name, arch, listings, data
        self.width = 16 if arch >= 70 else 8
        self.functions: dict[str, list[tuple[str, int]]] = {}  # section -> (symbol, offset), the entry symbol included
        self.home: dict[str, tuple[str, int]] = {}  # symbol -> (section, offset)
        for symbol in elf.symbols:
            if symbol.kind == STT_FUNC and symbol.section and symbol.section < len(elf.sections):
                section = elf.sections[symbol.section].name
                self.functions.setdefault(section, []).append((symbol.name, symbol.value))
                self.home[symbol.name] = (section, symbol.value)
        for section, listing in listings.items():
            for label, offset in listing.labels.items():
                self.home.setdefault(label, (section, offset))
        self.text_relocations: dict[str, list[Relocation]] = {}
        for relocation in elf.relocations:
            if relocation.section.startswith(".text."):
                self.text_relocations.setdefault(relocation.section, []).append(relocation)

        self.address_taken = self._address_taken()

    def _address_taken(self) -> list[str]:
        """Code sections whose functions have their address in data (function pointers of separately compiled code)."""
        found: dict[str, None] = {}
        for item in self.elf.relocations:
            symbol = self.elf.symbols[item.symbol]
            if symbol.kind == STT_FUNC and item.section.startswith((".nv.constant", ".nv.global")):
                found.setdefault(self.home.get(symbol.name, ("", 0))[0], None)
        return [name for name in found if name.startswith(".text.")]

    def load(self) -> Cubin:
        """Build everything."""
        table = module_table(self.elf, self.name)
        kernels: dict[str, Program] = {}
        infos: dict[str, KernelInfo] = {}
        for symbol in self.elf.symbols:
            if symbol.kind != STT_FUNC or not symbol.other & _ENTRY or not symbol.section:
                continue
            info = read_kernel_info(self.elf, symbol.name, self.arch, table, self.name)
            infos[symbol.name] = info
            kernels[symbol.name] = self.program(symbol.name, info)
        return Cubin(
            self.arch, self.name, hashlib.sha256(self.data).hexdigest(), kernels, infos, self.variables(),
            self.module_constants(), self.data_relocations(), self.data_sections(), self.elf,
        )  # fmt: skip

    def program(self, entry: str, info: KernelInfo) -> Program:
        """The code of one kernel and of the functions in other sections that it reaches."""
        sections = self.reachable(f".text.{entry}")
        bases: dict[str, int] = {}
        end = 0
        for section in sections:
            bases[section] = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
            end = bases[section] + self.elf.by_name[section].size
        labels = {name: bases[s] + offset for name, (s, offset) in self.home.items() if s in bases}
        instructions: list[Instruction] = []
        functions: dict[str, int] = {}
        for section in sections:
            starts = sorted(self.functions.get(section, []), key=lambda item: item[1])
            functions.update({name: bases[section] + offset for name, offset in starts})
            self.section_code(section, bases[section], labels, starts, instructions)
        functions = {entry: 0, **{k: v for k, v in functions.items() if k != entry}}
        return Program(
            arch=self.arch, name=entry, instructions=tuple(instructions), functions=functions,
            registers=info.registers, static_shared_bytes=info.static_shared_bytes, local_bytes=info.local_bytes,
            constants={**self.module_constants(), **self.kernel_constants(entry)}, instruction_bytes=self.width,
        )  # fmt: skip

    def reachable(self, first: str) -> list[str]:
        """Code sections reached from one through direct branches and code relocations, in order of discovery."""
        order = [first]
        for section in order:
            found: list[str] = []
            for relocation in self.text_relocations.get(section, []):
                symbol = self.elf.symbols[relocation.symbol]
                if symbol.section and symbol.section < len(self.elf.sections):
                    found.append(self.elf.sections[symbol.section].name)
            listing = self.listings.get(section)
            for _, text, _, _ in listing.instructions if listing else ():
                if "`(" in text:
                    home = self.home.get(text[text.index("`(") + 2 : text.rindex(")")])
                    if home:
                        found.append(home[0])
                elif text.split(" ", 1)[0].startswith("CALL.") or " CALL." in text:
                    found.extend(self.address_taken)
            order.extend(s for s in dict.fromkeys(found) if s not in order and s.startswith(".text."))
        return order

    def section_code(self, section: str, base: int, labels: dict[str, int], starts: list[tuple[str, int]],
                     instructions: list[Instruction]) -> None:  # fmt: skip
        """Append the instructions of one code section, placed at ``base``."""
        code = self.elf.by_name[section].data
        listing = self.listings.get(section)
        if listing is None:
            raise IsaError(f"{self.name}: nvdisasm printed no code for {section}")
        relocated = self.relocated_values(section, base, labels)
        next_start = 0
        function = section.removeprefix(".text.")
        for offset, text, file, line in listing.instructions:
            while next_start < len(starts) and starts[next_start][1] <= offset:
                function = starts[next_start][0]
                next_start += 1
            if offset + self.width > len(code):
                raise IsaError(f"{self.name}: {section} is shorter than its listing (0x{offset:x})")
            encoding = struct.unpack_from("<QQ", code, offset) if self.width == 16 else (0, 0)
            control = decode_control(encoding[1]) if self.width == 16 else None
            instructions.append(
                parse_instruction(
                    text, self.arch, base + offset, control, index=len(instructions), encoding=encoding,
                    labels=labels, function=function, line=line, file=file, relocated=relocated.get(offset),
                )
            )  # fmt: skip

    def relocated_values(self, section: str, base: int, labels: dict[str, int]) -> dict[int, int]:
        """Offset of an instruction with a code relocation -> address of its symbol plus addend in the pc space."""
        values = {}
        for item in self.text_relocations.get(section, []):
            symbol = self.elf.symbols[item.symbol]
            start = labels.get(symbol.name)
            if start is None and 0 < symbol.section < len(self.elf.sections):
                home = self.elf.sections[symbol.section].name
                start = labels.get(home, base) + symbol.value if home.startswith(".text.") else None
            if start is not None:
                values[item.offset // self.width * self.width] = start + item.addend
        return values

    def module_constants(self) -> dict[int, bytes]:
        """Banks shared by all kernels of the module (c[0x3], c[0x4])."""
        return {int(s.name[12:]): s.data for s in self.elf.named(".nv.constant") if s.name[12:].isdigit()}

    def kernel_constants(self, kernel: str) -> dict[int, bytes]:
        """Banks of one kernel: ``.nv.constant<bank>.<kernel>`` (bank 0 is zero in the file: only its size matters)."""
        found = {}
        for section in self.elf.named(".nv.constant"):
            bank, _, owner = section.name[12:].partition(".")
            if owner == kernel and bank.isdigit():
                found[int(bank)] = section.data
        return found

    def variables(self) -> dict[str, GlobalVariable]:
        """Device and constant variables by symbol name."""
        found = {}
        for symbol in self.elf.symbols:
            if symbol.kind != STT_OBJECT or not symbol.section or symbol.section >= len(self.elf.sections):
                continue
            section = self.elf.sections[symbol.section]
            if not section.name.startswith((".nv.global", ".nv.constant")):
                continue
            data = section.data[symbol.value : symbol.value + symbol.size] if section.data else None
            found[symbol.name] = GlobalVariable(symbol.name, section.name, symbol.value, symbol.size, data)
        return found

    def data_relocations(self) -> tuple[CubinRelocation, ...]:
        """Relocations of constant banks and initialised variables."""
        found = []
        for item in self.elf.relocations:
            if not item.section.startswith((".nv.constant", ".nv.global")):
                continue
            symbol = self.elf.symbols[item.symbol]
            defined = 0 < symbol.section < len(self.elf.sections)
            home = self.elf.sections[symbol.section].name if defined else ""
            addend = item.addend
            found.append(CubinRelocation(item.section, item.offset, item.kind, symbol.name or home, home,
                                         symbol.value if defined else 0, addend))  # fmt: skip
        return tuple(found)

    def data_sections(self) -> dict[str, tuple[int, bytes | None]]:
        """Sections that hold device memory: size and initial bytes."""
        return {s.name: (s.size, s.data or None) for s in self.elf.named(".nv.global")}


def has_indirect_branches(program: Program) -> bool:
    """True when a program jumps or calls through registers."""
    return any(
        i.base in ("BRX", "BRXU", "JMX", "CALL") and any(o.kind == OperandKind.REG for o in i.sources)
        for i in program.instructions
    )
