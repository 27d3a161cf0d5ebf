"""Fat binaries: the containers in which nvcc puts cubins and PTX (cuda-runtime-abi.md section 2).

They lie in executables, shared objects, ``.o`` and ``.fatbin`` files, and in a running program's memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archsim.errors import IsaError
from archsim.isa.elf import EM_CUDA, read_elf

CONTAINER_MAGIC = 0xBA55ED50
ELF_MAGIC = b"\x7fELF"
_CONTAINER = struct.Struct("<IHHQ")
_ENTRY_BYTES = 64
_KIND_PTX, _KIND_ELF = 1, 2
_FLAG_LZ4, _FLAG_ZSTD = 0x2000, 0x8000
_FLAG_ARCH_SPECIFIC, _FLAG_FAMILY_SPECIFIC = 0x100000, 0x200000
FATBIN_SECTIONS = (".nv_fatbin", "__nv_relfatbin")


@dataclass(frozen=True)
class FatbinEntry:
    """One cubin or PTX text. ``arch``: 75, 80, 90... ``specific``: an "a" entry, good for exactly that architecture."""

    is_ptx: bool
    arch: int
    specific: bool
    family: bool
    flags: int
    stored: bytes  # as stored, still compressed
    unpacked_bytes: int

    def payload(self) -> bytes:
        """The cubin or the PTX text (without trailing NULs). Raises IsaError on damaged data."""
        if self.flags & _FLAG_ZSTD:
            data = _unpack_zstd(self.stored, self.unpacked_bytes)
        elif self.flags & _FLAG_LZ4:
            data = unpack_lz4(self.stored, self.unpacked_bytes)
        else:
            data = self.stored
        return data.rstrip(b"\0") if self.is_ptx else data


def _unpack_zstd(stored: bytes, unpacked_bytes: int) -> bytes:
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=unpacked_bytes)
    except zstandard.ZstdError as error:
        raise IsaError(f"fat binary: damaged zstd entry: {error}") from None


def unpack_lz4(stored: bytes, unpacked_bytes: int) -> bytes:
    """A raw LZ4 block (no frame) of known unpacked size. Source: the published LZ4 block format description."""
    out = bytearray()
    at, end = 0, len(stored)
    try:
        while at < end:
            token = stored[at]
            at += 1
            literals, at = _lz4_length(stored, at, token >> 4)
            out += stored[at : at + literals]
            at += literals
            if at >= end or len(out) >= unpacked_bytes:
                break
            distance = stored[at] | stored[at + 1] << 8
            length, at = _lz4_length(stored, at + 2, token & 15)
            length += 4
            start = len(out) - distance
            if distance == 0 or start < 0:
                raise IsaError("fat binary: damaged LZ4 entry: match before the start")
            if distance >= length:
                out += out[start : start + length]
            else:  # the match overlaps its own output: the pattern repeats
                pattern = bytes(out[start:])
                out += (pattern * (length // distance + 1))[:length]
    except IndexError:
        raise IsaError("fat binary: damaged LZ4 entry: it ends inside a sequence") from None
    if len(out) != unpacked_bytes:
        raise IsaError(f"fat binary: LZ4 entry gives {len(out)} bytes, its header says {unpacked_bytes}")
    return bytes(out)


def _lz4_length(stored: bytes, at: int, value: int) -> tuple[int, int]:
    if value == 15:
        while True:
            extra = stored[at]
            at += 1
            value += extra
            if extra != 255:
                break
    return value, at


def read_entries(data: bytes) -> list[FatbinEntry]:
    """Entries of every container in ``data`` (containers follow one another, 8-aligned). Raises IsaError."""
    return list(_entries(data))


def _entries(data: bytes) -> Iterator[FatbinEntry]:
    at = 0
    while at + _CONTAINER.size <= len(data):
        magic, version, header_bytes, body_bytes = _CONTAINER.unpack_from(data, at)
        if magic != CONTAINER_MAGIC:
            if at == 0:
                raise IsaError(f"fat binary: magic 0x{magic:08x} instead of 0x{CONTAINER_MAGIC:08x}")
            if not any(data[at:]):
                return
            at += 8  # padding between containers
            continue
        if version != 1:
            raise IsaError(f"fat binary: container version {version} is not known (only 1)")
        end = at + header_bytes + body_bytes
        if end > len(data):
            raise IsaError(f"fat binary: the container of {body_bytes} bytes at byte {at} is cut short")
        at += header_bytes
        while at + _ENTRY_BYTES <= end:
            entry, at = _entry(data, at, end)
            if entry is not None:
                yield entry
        at = (end + 7) & ~7


def _entry(data: bytes, at: int, end: int) -> tuple[FatbinEntry | None, int]:
    kind, _, header_bytes, padded_bytes, packed_bytes = struct.unpack_from("<HHIQI", data, at)
    (arch,) = struct.unpack_from("<I", data, at + 28)
    (flags,) = struct.unpack_from("<Q", data, at + 40)
    (unpacked_bytes,) = struct.unpack_from("<Q", data, at + 56)
    start = at + header_bytes
    following = start + padded_bytes
    if header_bytes < _ENTRY_BYTES or following > end:
        raise IsaError(f"fat binary: entry at byte {at} runs past its container")
    if kind not in (_KIND_PTX, _KIND_ELF):
        return None, following
    stored = data[start : start + (packed_bytes or padded_bytes)]
    specific, family = bool(flags & _FLAG_ARCH_SPECIFIC), bool(flags & _FLAG_FAMILY_SPECIFIC)
    return FatbinEntry(kind == _KIND_PTX, arch, specific, family, flags, stored, unpacked_bytes), following


def choose(entries: list[FatbinEntry], arch: int) -> FatbinEntry | None:
    """The entry that a device of architecture ``arch`` runs: its best cubin, else the newest PTX it can compile.

    A cubin runs on the same major version and an equal or higher minor; an "a" cubin on exactly its own architecture
    (preferred there). Rule from NVIDIA's compatibility documents.
    """
    major, minor = divmod(arch, 10)

    def runs(entry: FatbinEntry) -> bool:
        if entry.is_ptx:
            return entry.arch <= arch and (not entry.specific or entry.arch == arch)
        if entry.specific:
            return entry.arch == arch
        return entry.arch // 10 == major and entry.arch % 10 <= minor

    fit = [entry for entry in entries if runs(entry)]
    return max(fit, key=lambda e: (not e.is_ptx, e.arch, e.specific, e.family), default=None)


def list_cubins(path: str | Path) -> list[tuple[int, bytes]]:
    """``(sm number, cubin)`` of every cubin in a file, in file order. IsaError naming an unreadable file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise IsaError(f"{path}: {error.strerror or error}") from None
    return extract_cubins(data, str(path))


def extract_cubins(data: bytes, name: str = "fat binary") -> list[tuple[int, bytes]]:
    """``(sm number, cubin)`` of every cubin in an ELF executable or object, a fatbin container or a bare cubin."""
    if data[:4] == ELF_MAGIC:
        elf = read_elf(data, name)
        if elf.machine == EM_CUDA:
            return [(elf.flags >> 8 & 0xFF if elf.abi_version >= 8 else elf.flags & 0xFF, data)]
        containers = [section.data for section in elf.sections if section.name in FATBIN_SECTIONS]
    elif data[:4] == struct.pack("<I", CONTAINER_MAGIC):
        containers = [data]
    else:
        raise IsaError(f"{name}: neither an ELF file nor a fat binary")
    try:
        return [(e.arch, e.payload()) for each in containers for e in read_entries(each) if not e.is_ptx]
    except IsaError as error:
        raise IsaError(f"{name}: {error}") from None
