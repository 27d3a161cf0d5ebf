"""Reference parser of Accel-Sim trace bodies (gpu-core.md K.1), line by line in plain Python.

``archsim.trace._accelsim`` is the compiled parser with the same interface; property tests hold the two equal, and the
compiled one asks this one for the text of every error.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from archsim.trace.layout import WARP_THREADS, Array

_HEX = re.compile(rb"(?:0[xX])?([0-9a-fA-F]{1,16})\Z")
_DEC = re.compile(rb"-?[0-9]{1,19}\Z")
_COUNT = re.compile(rb"[0-9]{1,2}\Z")
_REGISTER = re.compile(rb"R([0-9]{1,3})\Z")
_OPCODE = re.compile(rb"[A-Za-z0-9_.]{1,100}\Z")
BLOCK_HEADING = re.compile(rb"thread block = ([0-9]{1,10}),([0-9]{1,10}),([0-9]{1,10})\Z")
LABELLED_HEADING = re.compile(rb"(warp|insts) = ([0-9]{1,18})\Z")
MAX_STATIC = 1 << 22
M64 = (1 << 64) - 1


class ParseProblem(Exception):
    """A line that cannot be understood; ``line`` counts from 1 within what was fed."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


class Static(NamedTuple):
    """What is the same for every execution of an instruction."""

    pc: int
    text: str  # "LDG.E R2 <- R4"
    mem_width: int
    immediate: int
    line: int  # source line, 0 unknown


class Chunk(NamedTuple):
    """Parsed lines in file order; records belong to the lines with ``has_record``, in order."""

    warp_id: Array  # i8[n] cta * warps_per_cta + warp
    static: Array  # u4[n]
    mask: Array  # u4[n]
    has_record: Array  # u1[n]
    second: Array  # u1[n]: 1 = second line of an LDGSTS pair
    base: Array  # u8[records]
    stride: Array  # i8[records]
    lane_begin: Array  # i8[records]
    lanes: Array  # u8[]


class Layout(NamedTuple):
    """How to read a body."""

    grid: tuple[int, int, int]
    warps_per_cta: int
    grouped: bool  # False: raw, every line starts with "x y z warp"
    line_numbers: bool
    immediates: bool


class Line(NamedTuple):
    """One instruction line."""

    static: Static
    mask: int
    record: tuple[int, int, list[int] | None] | None  # base, stride, addresses of the active lanes


def parse_line(tokens: list[bytes], layout: Layout) -> Line:
    """Understand the tokens of one instruction line (after the raw prefix); ValueError says what is wrong."""
    reader = _Tokens(tokens)
    line = reader.decimal("line number") if layout.line_numbers else 0
    if not 0 <= line < 1 << 31:
        raise ValueError(f"line number {line} is out of range")
    pc = reader.hexadecimal("PC", 32)
    mask = reader.hexadecimal("mask", 32)
    dests = reader.registers("destination")
    opcode = reader.matching(_OPCODE, "opcode").decode()
    sources = reader.registers("source")
    width = reader.decimal("memory width")
    if not 0 <= width <= 4096:
        raise ValueError(f"memory width {width} is not 0..4096")
    record = _addresses(reader, mask) if width else None
    immediate = reader.decimal("immediate") if layout.immediates else 0
    if reader.left():
        raise ValueError(f"unexpected text {reader.next('')[:40].decode(errors='replace')!r} after the instruction")
    return Line(Static(pc, static_text(opcode, dests, sources), width, immediate, line), mask, record)


def static_text(opcode: str, dests: list[int], sources: list[int]) -> str:
    """ "LDG.E R2 <- R4": opcode, destinations, sources."""
    left = " " + ", ".join(f"R{r}" for r in dests) if dests else ""
    right = " <- " + ", ".join(f"R{r}" for r in sources) if sources else ""
    return f"{opcode}{left}{right}"


def canonical_record(mask: int, addresses: list[int]) -> tuple[int, int, list[int] | None]:
    """(base, stride, None) when the addresses are base + stride * lane, else (first, 0, addresses)."""
    active = [lane for lane in range(WARP_THREADS) if mask >> lane & 1]
    if len(active) == 1:
        return addresses[0], 0, None
    step = _signed(addresses[1] - addresses[0])
    gap = active[1] - active[0]
    if step % gap == 0:
        stride = step // gap
        base = (addresses[0] - stride * active[0]) & M64
        if all((base + stride * lane) & M64 == a for lane, a in zip(active, addresses, strict=True)):
            return base, stride, None
    return addresses[0], 0, addresses


def _addresses(reader: _Tokens, mask: int) -> tuple[int, int, list[int] | None] | None:
    mode = reader.decimal("address mode")
    count = mask.bit_count()
    if mode == 0:
        found = [reader.hexadecimal("address", 64) for _ in range(count)]
    elif mode == 1:
        base, stride = reader.hexadecimal("address", 64), reader.decimal("stride")
        low = mask & -mask
        if mask & (mask + low):
            raise ValueError(f"base+stride addresses with mask {mask:08x}, whose active lanes are not contiguous")
        found = [(base + stride * k) & M64 for k in range(count)]
    elif mode == 2:
        # The tracer writes one delta fewer than there are active lanes (Accel-Sim's own reader takes one too many).
        found = [reader.hexadecimal("address", 64)]
        for _ in range(count - 1):
            found.append((found[-1] + reader.decimal("address delta")) & M64)
    else:
        raise ValueError(f"address mode {mode} is not supported (0 list, 1 base+stride, 2 base+deltas)")
    return canonical_record(mask, found) if count else None


def _signed(value: int) -> int:
    value &= M64
    return value - (1 << 64) if value >> 63 else value


class _Tokens:
    def __init__(self, tokens: list[bytes]) -> None:
        self._tokens = tokens
        self._next = 0

    def left(self) -> bool:
        return self._next < len(self._tokens)

    def next(self, what: str) -> bytes:
        if self._next >= len(self._tokens):
            raise ValueError(f"line ends before the {what}")
        self._next += 1
        return self._tokens[self._next - 1]

    def matching(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        token = self.next(what)
        if not pattern.match(token):
            raise ValueError(f"{token[:40].decode(errors='replace')!r} is not a valid {what}")
        return token

    def decimal(self, what: str) -> int:
        token = self.matching(_DEC, what)
        value = int(token)
        if not -(1 << 63) <= value < 1 << 63:
            raise ValueError(f"{what} {value} does not fit 64 bits")
        return value

    def hexadecimal(self, what: str, bits: int) -> int:
        token = self.matching(_HEX, what)
        value = int(token, 16)
        if value >> bits:
            raise ValueError(f"{what} {token.decode()} does not fit {bits} bits")
        return value

    def registers(self, what: str) -> list[int]:
        count = int(self.matching(_COUNT, f"{what} count"))
        found = [int(self.matching(_REGISTER, f"{what} register")[1:]) for _ in range(count)]
        if any(r > 255 for r in found):
            raise ValueError(f"{what} register above R255")
        return found


class BodyParser:
    """Streaming parser: ``feed`` pieces of the body, ``take`` what was parsed, ``finish`` at the end."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.statics: list[Static] = []
        self.paired: set[int] = set()
        self._ids: dict[Static, int] = {}
        self.restart(False)

    def restart(self, collect: bool) -> None:
        """Begin again at the top of the body; ``collect=False`` only gathers the static instructions."""
        self.collect = collect
        self.line = 0
        self.instructions = 0
        self._rest = b""
        self._cta = self._warp = self._expected = self._counted = -1
        total = self.layout.grid[0] * self.layout.grid[1] * self.layout.grid[2] * self.layout.warps_per_cta
        self._seen = np.zeros(total, np.uint8)
        self._previous = np.full(total, -1, np.int32)
        self._clear()

    def _clear(self) -> None:
        self._lines: list[tuple[int, int, int, int, int]] = []
        self._records: list[tuple[int, int, int]] = []
        self._lanes: list[int] = []

    @property
    def pending(self) -> int:
        """Parsed lines not yet taken."""
        return len(self._lines)

    def feed(self, data: bytes) -> None:
        """Parse the complete lines of ``data``; raises ParseProblem."""
        pieces = (self._rest + data).split(b"\n")
        self._rest = pieces.pop()
        for piece in pieces:
            self._one(piece)

    def finish(self) -> None:
        """The body has ended; raises ParseProblem when it ends too early."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._one(rest)
        if self._cta >= 0:
            raise ParseProblem(self.line, "the trace ends inside a thread block (truncated file?)")

    def take(self) -> Chunk:
        """What was parsed since the last call."""
        lines = np.array(self._lines, np.int64).reshape(-1, 5)
        records = self._records
        chunk = Chunk(
            lines[:, 0].copy(),
            lines[:, 1].astype(np.uint32),
            lines[:, 2].astype(np.uint32),
            lines[:, 3].astype(np.uint8),
            lines[:, 4].astype(np.uint8),
            np.array([r[0] for r in records], np.uint64),
            np.array([r[1] for r in records], np.int64),
            np.array([r[2] for r in records], np.int64),
            np.array(self._lanes, np.uint64),
        )
        self._clear()
        return chunk

    def _one(self, raw: bytes) -> None:
        self.line += 1
        try:
            self._understand(raw.strip(b" \t\r"))
        except ValueError as error:
            raise ParseProblem(self.line, str(error)) from None

    def _understand(self, line: bytes) -> None:
        if not line:
            return
        if line[:1] == b"#":
            self._directive(line)
        elif not self.layout.grouped:
            tokens = line.split()
            if len(tokens) < 4 or not all(re.match(rb"[0-9]{1,10}\Z", t) for t in tokens[:4]):
                raise ValueError("a raw line starts with four numbers: block x, y, z and warp")
            x, y, z, warp = (int(t) for t in tokens[:4])
            self._instruction(self.block_index(x, y, z) * self.layout.warps_per_cta + self.warp_index(warp), tokens[4:])
        elif line[:1] in b"twi":
            self._heading(line)
        elif self._warp < 0:
            raise ValueError("an instruction outside a warp")
        else:
            self._instruction(self._warp, line.split())

    def block_index(self, x: int, y: int, z: int) -> int:
        """Linear block index; ValueError outside the grid."""
        gx, gy, gz = self.layout.grid
        if x >= gx or y >= gy or z >= gz:
            raise ValueError(f"thread block {x},{y},{z} lies outside the grid ({gx},{gy},{gz})")
        return x + gx * (y + gy * z)

    def warp_index(self, warp: int) -> int:
        """``warp``; ValueError when the block has fewer warps."""
        if warp >= self.layout.warps_per_cta:
            raise ValueError(f"warp {warp} in a block of {self.layout.warps_per_cta} warps")
        return warp

    def _directive(self, line: bytes) -> None:
        if line == b"#BEGIN_TB":
            if not self.layout.grouped:
                raise ValueError("#BEGIN_TB in a raw (ungrouped) trace")
            if self._cta >= 0:
                raise ValueError("#BEGIN_TB inside a thread block")
            self._cta = self._warp = self._expected = -1
            self._cta = 1 << 62  # begun, not named yet
        elif line == b"#END_TB":
            if self._cta < 0:
                raise ValueError("#END_TB without #BEGIN_TB")
            self._close_warp()
            self._cta = self._warp = -1

    def _heading(self, line: bytes) -> None:
        if self._cta < 0:
            raise ValueError("a heading outside #BEGIN_TB .. #END_TB")
        block = BLOCK_HEADING.match(line)
        if block:
            if self._cta != 1 << 62:
                raise ValueError("a second 'thread block' line in one thread block")
            self._cta = self.block_index(*(int(n) for n in block.groups()))
            return
        other = LABELLED_HEADING.match(line)
        if not other:
            raise ValueError(f"{line[:40].decode(errors='replace')!r} is not a heading of a trace")
        number = int(other[2])
        if self._cta == 1 << 62:
            raise ValueError("a warp before its 'thread block' line")
        if other[1] == b"insts":
            if self._warp < 0 or self._expected >= 0:
                raise ValueError("'insts' without 'warp'")
            self._expected, self._counted = number, 0
            return
        self._close_warp()
        self._warp = self._cta * self.layout.warps_per_cta + self.warp_index(number)
        if self._seen[self._warp]:
            raise ValueError(f"warp {number} of this thread block appears twice")
        self._seen[self._warp] = 1
        self._expected = -1

    def _close_warp(self) -> None:
        if self._warp >= 0 and self._expected < 0:
            raise ValueError("a warp without 'insts'")
        if self._warp >= 0 and self._counted != self._expected:
            raise ValueError(f"the warp says {self._expected} instructions, {self._counted} follow")

    def _instruction(self, warp: int, tokens: list[bytes]) -> None:
        if self.layout.grouped:
            if self._expected < 0:
                raise ValueError("an instruction before 'insts'")
            self._counted += 1
        parsed = parse_line(tokens, self.layout)
        number = self._ids.get(parsed.static)
        if number is None:
            if len(self.statics) >= MAX_STATIC:
                raise ValueError(f"more than {MAX_STATIC} different instructions")
            number = self._ids[parsed.static] = len(self.statics)
            self.statics.append(parsed.static)
        second = int(self._previous[warp] == number and parsed.static.text.startswith("LDGSTS"))
        if second:
            self.paired.add(number)
        self._previous[warp] = -1 if second else number
        self.instructions += 1
        if not self.collect:
            return
        self._lines.append((warp, number, parsed.mask, int(parsed.record is not None), second))
        if parsed.record is not None:
            base, stride, addresses = parsed.record
            self._records.append((base, stride, -1 if addresses is None else len(self._lanes)))
            self._lanes += addresses or []
