"""A small reader of 64-bit little-endian ELF files, as far as cubins need it (sections, symbols, relocations)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from archsim.errors import IsaError

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
EM_CUDA = 190
SHT_SYMTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 2, 4, 8, 9
STT_OBJECT, STT_FUNC, STT_SECTION = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Section:
    """One ELF section; ``data`` is empty for NOBITS sections, whose ``size`` still tells the bytes they occupy."""

    index: int
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol: ``value`` is an offset in section ``section`` (0 = undefined)."""

    name: str
    value: int
    size: int
    kind: int
    binding: int
    other: int
    section: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """One relocation: patch ``offset`` of ``section`` with the address of symbol ``symbol`` plus ``addend``."""

    section: str
    offset: int
    kind: int
    symbol: int
    addend: int


@dataclass(frozen=True)
class Elf:
    """A parsed ELF file."""

    machine: int
    flags: int
    abi_version: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]
    by_name: dict[str, Section] = field(default_factory=dict)

    def named(self, prefix: str) -> list[Section]:
        """Sections whose name starts with a prefix, in file order."""
        return [s for s in self.sections if s.name.startswith(prefix)]


def read_elf(data: bytes, name: str = "cubin") -> Elf:
    """Parse an ELF image; IsaError naming the file and the damaged part when it cannot be read."""
    try:
        return _read(data, name)
    except (struct.error, IndexError, ValueError) as error:
        raise IsaError(f"{name}: damaged ELF file ({error})") from None


def _read(data: bytes, name: str) -> Elf:
    if len(data) < _HEADER.size or data[:4] != b"\x7fELF":
        raise IsaError(f"{name}: not an ELF file")
    if data[4] != 2 or data[5] != 1:
        raise IsaError(f"{name}: only 64-bit little-endian ELF files are read")
    header = _HEADER.unpack_from(data)
    machine, section_offset, flags = header[2], header[6], header[7]
    entry_size, count, names_index = header[11], header[12], header[13]
    raw = [_SECTION.unpack_from(data, section_offset + i * entry_size) for i in range(count)]
    if raw and names_index >= len(raw):
        raise IsaError(f"{name}: damaged ELF file (no section name table)")
    names = data[raw[names_index][4] : raw[names_index][4] + raw[names_index][5]] if raw else b""
    sections = []
    for i, (name_at, kind, sh_flags, _, offset, size, link, info, align, _) in enumerate(raw):
        if kind not in (SHT_NOBITS, 0) and offset + size > len(data):
            raise IsaError(f"{name}: damaged ELF file (section {i} ends behind the file's end)")
        body = b"" if kind in (SHT_NOBITS, 0) else data[offset : offset + size]
        sections.append(Section(i, _string(names, name_at), kind, sh_flags, offset, size, link, info, align, body))
    symbols = _symbols(sections)
    by_name = {s.name: s for s in sections}
    return Elf(machine, flags, data[8], tuple(sections), symbols, _relocations(sections), by_name)


def _string(table: bytes, offset: int) -> str:
    end = table.index(b"\0", offset)
    return table[offset:end].decode("utf-8", "replace")


def _symbols(sections: list[Section]) -> tuple[Symbol, ...]:
    table = next((s for s in sections if s.kind == SHT_SYMTAB), None)
    if table is None:
        return ()
    strings = sections[table.link].data
    symbols = []
    for name_at, info, other, section, value, size in _SYMBOL.iter_unpack(table.data):
        symbols.append(Symbol(_string(strings, name_at), value, size, info & 15, info >> 4, other, section))
    return tuple(symbols)


def _relocations(sections: list[Section]) -> tuple[Relocation, ...]:
    found = []
    for section in sections:
        if section.kind not in (SHT_RELA, SHT_REL):
            continue
        target = sections[section.info].name if section.info < len(sections) else ""
        if section.kind == SHT_RELA:
            for offset, info, addend in struct.iter_unpack("<QQq", section.data):
                found.append(Relocation(target, offset, info & 0xFFFFFFFF, info >> 32, addend))
        else:
            for offset, info in struct.iter_unpack("<QQ", section.data):
                found.append(Relocation(target, offset, info & 0xFFFFFFFF, info >> 32, 0))
    return tuple(found)
