"""Take cubins out of fat binaries: executables, shared objects, ``.o`` and ``.fatbin`` files.

Format: cuda-runtime-abi.md section 2 (container and entry headers, LZ4 and zstd payloads).
"""

from __future__ import annotations

import struct
from pathlib import Path

from archsim.errors import IsaError
from archsim.isa.elf import EM_CUDA, read_elf

_CONTAINER = struct.Struct("<IHHQ")
_MAGIC = 0xBA55ED50
_ENTRY = struct.Struct("<HHIQIIHHIIIQQQ")  # 64 bytes
_KIND_ELF = 2
_LZ4, _ZSTD = 0x2000, 0x8000
_SECTIONS = (".nv_fatbin", "__nv_relfatbin")
_ELF_MAGIC = b"\x7fELF"


def list_cubins(path: str | Path) -> list[tuple[int, bytes]]:
    """``(sm number, cubin)`` of every cubin in a file, in file order. IsaError naming an unreadable file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise IsaError(f"{path}: {error.strerror or error}") from None
    return extract_cubins(data, str(path))


def extract_cubins(data: bytes, name: str = "fat binary") -> list[tuple[int, bytes]]:
    """``(sm number, cubin)`` of every cubin in an ELF executable or object, a fatbin container or a bare cubin."""
    if data[:4] == _ELF_MAGIC:
        elf = read_elf(data, name)
        if elf.machine == EM_CUDA:
            return [(elf.flags >> 8 & 0xFF if elf.abi_version >= 8 else elf.flags & 0xFF, data)]
        found: list[tuple[int, bytes]] = []
        for section in elf.sections:
            if section.name in _SECTIONS:
                found.extend(_containers(section.data, f"{name}: {section.name}"))
        return found
    if data[:4] == struct.pack("<I", _MAGIC):
        return _containers(data, name)
    raise IsaError(f"{name}: neither an ELF file nor a fat binary")


def _containers(data: bytes, name: str) -> list[tuple[int, bytes]]:
    """Cubins of the containers that lie one after another, 8-aligned."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + _CONTAINER.size <= len(data):
        magic, _, header, size = _CONTAINER.unpack_from(data, at)
        if magic != _MAGIC:
            at += 8
            continue
        end = at + header + size
        if end > len(data):
            raise IsaError(f"{name}: the fat binary at byte {at} is cut short")
        found.extend(_entries(data, at + header, end, name))
        at = (end + 7) & ~7
    return found


def _entries(data: bytes, at: int, end: int, name: str) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    while at + _ENTRY.size <= end:
        fields = _ENTRY.unpack_from(data, at)
        kind, header, stored, compressed = fields[0], fields[2], fields[3], fields[4]
        arch, flags, expanded = fields[8], fields[11], fields[13]
        start = at + header
        if header < _ENTRY.size or start + stored > end:
            raise IsaError(f"{name}: damaged fat binary entry at byte {at}")
        if kind == _KIND_ELF:
            payload = data[start : start + (compressed or stored)]
            found.append((arch, _expand(payload, flags, expanded, name)))
        at = start + stored
    return found


def _expand(payload: bytes, flags: int, size: int, name: str) -> bytes:
    try:
        if flags & _LZ4:
            return _lz4_block(payload, size)
        if flags & _ZSTD:
            import zstandard

            return zstandard.ZstdDecompressor().decompress(payload, max_output_size=size)
    except ImportError:
        raise IsaError(f"{name}: a zstd-compressed cubin needs the zstandard package: pip install zstandard") from None
    except Exception as error:
        raise IsaError(f"{name}: cannot decompress a cubin ({error})") from None
    return payload


def _lz4_block(source: bytes, size: int) -> bytes:
    """Decode one raw LZ4 block (format: lz4_Block_format.md of the LZ4 project)."""
    out = bytearray()
    at = 0
    while at < len(source):
        token = source[at]
        at += 1
        literals, at = _length(source, at, token >> 4)
        out += source[at : at + literals]
        at += literals
        if at >= len(source):
            break
        distance = source[at] | source[at + 1] << 8
        count, at = _length(source, at + 2, token & 15)
        start = len(out) - distance
        if distance == 0 or start < 0:
            raise ValueError("LZ4 match outside the block")
        for i in range(count + 4):
            out.append(out[start + i])
    if len(out) != size:
        raise ValueError(f"{len(out)} bytes instead of {size}")
    return bytes(out)


def _length(source: bytes, at: int, value: int) -> tuple[int, int]:
    """A length that continues while bytes are 255."""
    if value == 15:
        while True:
            byte = source[at]
            at += 1
            value += byte
            if byte != 255:
                break
    return value, at
