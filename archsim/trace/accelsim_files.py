"""Accel-Sim trace files: kernel lists, kernel headers, and compressed or plain bodies."""

from __future__ import annotations

import gzip
import lzma
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zstandard

from archsim.errors import TraceError

TRACER_VERSIONS = (3, 4, 5)
KNOWN_ARCHS = (60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)
MAX_SHARED_BYTES = 228 * 1024  # the largest SM (sm_90, sm_100)
MAX_WARPS = 1 << 28
_READ_BYTES = 1 << 22
_HEADER_LINES = 1000
_DIMENSION = re.compile(r"\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)\Z")


@dataclass(frozen=True)
class Header:
    """The ``-key = value`` lines of one kernel file."""

    name: str
    kernel_id: int
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int
    registers: int
    arch: int
    stream: int = 0
    shared_base: int = 0
    local_base: int = 0
    version: int = 3
    line_numbers: bool = False


@dataclass(frozen=True)
class Repair:
    """Values that replace impossible header fields; None keeps the file's."""

    arch: int | None = None
    registers: int | None = None
    shared_bytes: int | None = None


def read_list(path: Path) -> list[tuple[Any, ...]]:
    """Commands of a kernelslist.g in order: ("kernel", Path) and ("memcpy_h2d" | "memcpy_d2h", address, bytes)."""
    commands: list[tuple[Any, ...]] = []
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from error
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.lower().startswith("memcpy"):
            commands.append(_memcpy(line, f"{path}:{number}"))
            continue
        file = path.parent / line
        found = next(
            (f for f in (file, *(Path(f"{file}{end}") for end in (".xz", ".zst", ".gz"))) if f.is_file()), None
        )
        if found is None:
            raise TraceError(f"{path}:{number}: {file}: no such file")
        commands.append(("kernel", found))
    return commands


def _memcpy(line: str, where: str) -> tuple[Any, ...]:
    kinds = {"memcpyhtod": "memcpy_h2d", "memcpydtoh": "memcpy_d2h"}
    parts = [part.strip() for part in line.split(",")]
    kind = kinds.get(parts[0].lower())
    if kind is None or len(parts) != 3:
        raise TraceError(f"{where}: {line[:60]!r} is not MemcpyHtoD,<address>,<bytes>")
    try:
        address, size = int(parts[1], 16), int(parts[2])
    except ValueError:
        raise TraceError(f"{where}: {line[:60]!r}: the address is not hexadecimal or the size not a number") from None
    if not 0 <= address < 1 << 64 or size < 0:
        raise TraceError(f"{where}: {line[:60]!r}: out of range")
    return kind, address, size


class KernelFile:
    """One kernel's trace: its header, then its body in pieces."""

    def __init__(self, path: Path, repair: Repair) -> None:
        self.path = path
        self._stream = _opened(path)
        try:
            self.header, self.header_lines, self._rest = self._read_header(repair)
            self.grouped = self._is_grouped()
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def body(self) -> Iterator[bytes]:
        """The text after the header, in pieces."""
        data, self._rest = self._rest, b""
        while data:
            yield data
            data = self._read(_READ_BYTES)

    def _read(self, size: int) -> bytes:
        try:
            data: bytes = self._stream.read(size)
            return data
        except (EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError, OSError) as error:
            raise TraceError(f"{self.path}: the compressed data is truncated or damaged ({error})") from error

    def _read_header(self, repair: Repair) -> tuple[Header, int, bytes]:
        data = b""
        fields: dict[str, tuple[str, int]] = {}
        number = 0
        while number < _HEADER_LINES:
            while b"\n" not in data:
                more = self._read(1 << 16)
                if not more or len(data) > 1 << 20:
                    raise TraceError(f"{self.path}:{number + 1}: no '#traces format' line: not a kernel trace, or cut")
                data += more
            raw, data = data.split(b"\n", 1)
            number += 1
            line = raw.decode(errors="replace").strip()
            if line.startswith("#traces format"):
                return _header(fields, self.path, repair), number, data
            if not line:
                continue
            key, equals, value = line[1:].partition("=")
            if not line.startswith("-") or not equals:
                raise TraceError(f"{self.path}:{number}: {line[:60]!r} is not a '-key = value' header line")
            fields[key.strip()] = (value.strip(), number)
        raise TraceError(f"{self.path}: no '#traces format' line in the first {_HEADER_LINES} lines")

    def _is_grouped(self) -> bool:
        """Grouped bodies start with #BEGIN_TB, raw ones with an instruction."""
        while True:
            text = self._rest.lstrip()
            if len(text) >= 9:
                return text.startswith(b"#BEGIN_TB")
            more = self._read(1 << 16)
            if not more:
                return True
            self._rest += more


def _header(fields: dict[str, tuple[str, int]], path: Path, repair: Repair) -> Header:
    def number(key: str, default: int | None = None, base: int = 10) -> int:
        if key not in fields:
            if default is None:
                raise TraceError(f"{path}: the header has no '-{key}'")
            return default
        text, line = fields[key]
        try:
            return int(text, base)
        except ValueError:
            raise TraceError(f"{path}:{line}: {key} = {text[:40]!r} is not a number") from None

    def dimension(key: str) -> tuple[int, int, int]:
        text, line = fields.get(key, ("", 0))
        match = _DIMENSION.match(text)
        if not match or not all(0 < int(n) < 1 << 31 for n in match.groups()):
            raise TraceError(f"{path}:{line}: {key} = {text[:40]!r} is not three positive numbers (x,y,z)")
        x, y, z = (int(n) for n in match.groups())
        return x, y, z

    if "kernel name" not in fields:
        raise TraceError(f"{path}: the header has no '-kernel name'")
    version = number("accelsim tracer version", 3)
    if version not in TRACER_VERSIONS:
        raise TraceError(f"{path}: Accel-Sim tracer version {version} is not supported (3, 4 and 5 are)")
    header = Header(
        fields["kernel name"][0],
        number("kernel id"),
        dimension("grid dim"),
        dimension("block dim"),
        number("shmem", 0 if repair.shared_bytes is not None else None),
        number("nregs", 0 if repair.registers is not None else None),
        number("binary version", 0 if repair.arch is not None else None),
        number("cuda stream id", 0),
        number("shmem base_addr", 0, 16),
        number("local mem base_addr", 0, 16),
        version,
        bool(number("enable lineinfo", 0)),
    )
    return _possible(header, path, repair)


def _possible(header: Header, path: Path, repair: Repair) -> Header:
    """The header with repairs applied; TraceError lists every field that no GPU could have."""
    if repair.arch is not None:
        header = replace(header, arch=repair.arch)
    if repair.registers is not None:
        header = replace(header, registers=repair.registers)
    if repair.shared_bytes is not None:
        header = replace(header, shared_bytes=repair.shared_bytes)
    wrong = []
    if not 1 <= header.registers <= 255:
        wrong.append(f"nregs = {header.registers} (1 to 255 are possible; repair with --nregs)")
    if not 0 <= header.shared_bytes <= MAX_SHARED_BYTES:
        wrong.append(f"shmem = {header.shared_bytes} (0 to {MAX_SHARED_BYTES} bytes are possible; --shmem)")
    elif header.shared_bytes % 4 and wrong:
        wrong.append(f"shmem = {header.shared_bytes} (doubtful: not a multiple of 4; --shmem)")
    if header.arch not in KNOWN_ARCHS:
        wrong.append(f"binary version = {header.arch} (known: {', '.join(map(str, KNOWN_ARCHS))}; repair with --arch)")
    threads = header.block[0] * header.block[1] * header.block[2]
    if threads > 1024:
        wrong.append(f"block dim = {header.block} ({threads} threads, at most 1024)")
    warps = header.grid[0] * header.grid[1] * header.grid[2] * -(-threads // 32)
    if warps > MAX_WARPS:
        wrong.append(f"grid dim = {header.grid} ({warps} warps, this importer takes {MAX_WARPS})")
    if wrong:
        raise TraceError(f"{path}: impossible header: " + "; ".join(wrong))
    return header


def _opened(path: Path) -> Any:
    """A byte stream of the text, whatever compression the first bytes show."""
    try:
        with open(path, "rb") as probe:
            magic = probe.read(6)
        if magic.startswith(b"\xfd7zXZ"):
            return lzma.open(path)
        if magic.startswith(b"\x1f\x8b"):
            return gzip.open(path)
        if magic.startswith(b"\x28\xb5\x2f\xfd"):
            return zstandard.open(path, "rb")
        return open(path, "rb")
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from error
