"""Functions that device code imports and the host runs: printf, malloc, free, assert (sass.md 4.9)."""

from __future__ import annotations

import re
import struct
from typing import Any

from archsim.emulator.module import SYSCALLS
from archsim.emulator.records import (
    LOCAL_WINDOW,
    Q_LOCAL_BYTES,
    Q_LOCAL_OFF,
    Q_LOCAL_STRIDE,
    Q_SHARED_OFF,
    Q_SHARED_STRIDE,
    Q_WARP,
    SHARED_WINDOW,
    SYSCALL_BASE,
)
from archsim.errors import EmulationError

_CONVERSION = re.compile(r"%[-+ #0]*(\*|\d+)?(?:\.(\*|\d+)?)?(hh|h|ll|l|j|z|t|L)?([diouxXeEfFgGaAcspn%])")
MALLOC_HEAP_BYTES = 8 << 20  # cudaLimitMallocHeapSize default


def handle_syscall(machine: Any, kernel: Any, ctx: Any) -> None:
    """Execute the call for every lane of the mask, then return to R20:R21."""
    w = int(ctx.scal[Q_WARP])
    f = ctx.fault[0]
    index = (int(f["address"]) - SYSCALL_BASE) // 16
    mask = int(f["mask"])
    name = SYSCALLS[index] if 0 <= index < len(SYSCALLS) else ""
    lanes = [lane for lane in range(32) if mask >> lane & 1]
    if not name:
        raise EmulationError(f"kernel {kernel.name}: call of an imported function that is not emulated")
    V = ctx.V[w]
    for lane in lanes:
        if name == "vprintf":
            text = format_printf(machine, ctx, w, lane, pair(V, 4, lane), pair(V, 6, lane))
            machine.print_function(text)
            V[4, lane] = len(text)
        elif name == "malloc":
            address = device_malloc(machine, pair(V, 4, lane))
            V[4, lane], V[5, lane] = address & 0xFFFFFFFF, address >> 32
        elif name == "free":
            if pair(V, 4, lane):
                machine.memory.free(pair(V, 4, lane))
        else:
            raise EmulationError(assert_text(machine, kernel, ctx, w, lane))
    give_back(kernel, ctx, w, lanes)


def give_back(kernel: Any, ctx: Any, w: int, lanes: list[int]) -> None:
    """Continue the split at the return address."""
    address = pair(ctx.V[w], 20, lanes[0])
    slot = address // kernel.program.instruction_bytes
    index = int(kernel.decoded.pc_index[slot]) if slot < len(kernel.decoded.pc_index) else -1
    if index < 0:
        raise EmulationError(f"kernel {kernel.name}: imported function returns outside the code (0x{address:x})")
    ctx.splits[w][ctx.warps[w]["split"]]["pc"] = index


def device_malloc(machine: Any, nbytes: int) -> int:
    """A block of the device heap; 0 when there is no room."""
    try:
        return int(machine.memory.alloc(max(nbytes, 1)))
    except EmulationError:
        return 0


def pair(V: Any, row: int, lane: int) -> int:
    """A 64-bit register pair."""
    return int(V[row, lane]) | int(V[row + 1, lane]) << 32


def read_generic(machine: Any, ctx: Any, w: int, lane: int, address: int, nbytes: int) -> bytes:
    """Bytes at a generic address as one lane sees them."""
    q = ctx.scal
    high = address >> 32
    if high == LOCAL_WINDOW >> 32:
        offset = address & 0xFFFFFFFF
        if offset + nbytes > q[Q_LOCAL_BYTES]:
            raise EmulationError(f"printf argument outside local memory (0x{address:x})")
        at = int(q[Q_LOCAL_OFF] + (w * 32 + lane) * q[Q_LOCAL_STRIDE]) + offset
        return bytes(machine.memory.bytes[at : at + nbytes])
    if high == SHARED_WINDOW >> 32:
        at = int(q[Q_SHARED_OFF] + ctx.warps[w]["cta_slot"] * q[Q_SHARED_STRIDE]) + (address & 0xFFFFFF)
        return bytes(machine.memory.bytes[at : at + nbytes])
    return bytes(machine.memory.read(address, nbytes))


def read_string(machine: Any, ctx: Any, w: int, lane: int, address: int, limit: int = 8192) -> str:
    """A zero-terminated string at a generic address."""
    out = bytearray()
    while len(out) < limit:
        byte = read_generic(machine, ctx, w, lane, address + len(out), 1)
        if byte == b"\0":
            break
        out += byte
    return out.decode("utf-8", "replace")


def format_printf(machine: Any, ctx: Any, w: int, lane: int, text: int, arguments: int) -> str:
    """Format like C's printf; arguments lie in memory with natural alignment (int 4, long and double 8 bytes)."""
    template = read_string(machine, ctx, w, lane, text)
    position = 0

    def take(size: int) -> int:
        nonlocal position
        position = -(-position // size) * size
        raw = read_generic(machine, ctx, w, lane, arguments + position, size)
        position += size
        return int.from_bytes(raw, "little")

    def replace(match: re.Match[str]) -> str:
        kind, length = match.group(4), match.group(3) or ""
        if kind == "%":
            return "%"
        spec = match.group(0)
        for group in (1, 2):
            if match.group(group) == "*":
                spec = spec.replace("*", str(signed(take(4), 32)), 1)
        spec = re.sub(r"(hh|h|ll|l|j|z|t|L)(?=[a-zA-Z]$)", "", spec)
        wide = length in ("l", "ll", "j", "z", "t")
        if kind in "eEfFgG":
            return spec % struct.unpack("<d", take(8).to_bytes(8, "little"))[0]
        if kind in "aA":
            return float.hex(struct.unpack("<d", take(8).to_bytes(8, "little"))[0])
        if kind == "s":
            return spec % read_string(machine, ctx, w, lane, take(8))
        if kind == "p":
            return f"0x{take(8):x}"
        value = take(8 if wide else 4)
        if kind == "c":
            return spec % chr(value & 255)
        if kind in "di":
            return spec % signed(value, 64 if wide else 32)
        return (spec[:-1] + ("d" if kind == "u" else kind)) % value

    return _CONVERSION.sub(replace, template)


def signed(value: int, bits: int) -> int:
    """Two's complement."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def assert_text(machine: Any, kernel: Any, ctx: Any, w: int, lane: int) -> str:
    """Message of a failed device assert: R4:5 expression, R6:7 file, R8 line, R10:11 function."""
    V = ctx.V[w]
    expression, file, function = (read_string(machine, ctx, w, lane, pair(V, row, lane)) for row in (4, 6, 10))
    cta = ctx.ctas[ctx.warps[w]["cta_slot"]]
    where = f"CTA ({int(cta['x'])},{int(cta['y'])},{int(cta['z'])}), warp {int(ctx.warps[w]['index'])}, lane {lane}"
    return f"kernel {kernel.name}: {where}: {file}:{int(V[8, lane])}: {function}: assertion `{expression}` failed"
