"""Runs hand-written SASS in the emulator: inputs in registers R8.., results read from the register file."""

from __future__ import annotations

import struct

import numpy as np

from archsim.emulator import Machine
from archsim.emulator.module import EmuKernel, Module
from archsim.isa import KernelInfo, parse_instruction
from archsim.isa.program import Program

ARCH = 86
_MACHINES: dict[int, Machine] = {}


def machine(arch: int = ARCH) -> Machine:
    """One machine for each architecture and test process."""
    if arch not in _MACHINES:
        _MACHINES[arch] = Machine(arch, num_sms=4, memory_bytes=1 << 26)
    return _MACHINES[arch]


def program_of(lines: list[str], arch: int = ARCH) -> Program:
    """A Program of one instruction a line, 16 bytes apart."""
    return Program(
        arch, "test", tuple(parse_instruction(t, arch, 16 * i, index=i, function="test") for i, t in enumerate(lines))
    )


def kernel_of(lines: list[str], arch: int = ARCH, local_bytes: int = 0, shared_bytes: int = 0) -> EmuKernel:
    """A launchable kernel of these lines."""
    info = KernelInfo("test", registers=64, param_base=0x160 if arch < 90 else 0x210, param_bytes=16,
                      local_bytes=local_bytes, static_shared_bytes=shared_bytes)  # fmt: skip
    return EmuKernel("test", program_of(lines, arch), info, Module(None, arch, machine(arch).memory))  # type: ignore[arg-type]


def run(body: list[str], *inputs: np.ndarray, arch: int = ARCH, **kernel_options: int) -> np.ndarray:
    """Registers u4[256][32] of the one warp after `body`; input i is in R(8+i), R0 the lane number."""
    m = machine(arch)
    data = np.concatenate([np.asarray(x, np.uint32).reshape(32) for x in inputs]) if inputs else np.zeros(32, np.uint32)
    address = m.memory.alloc(data.nbytes)
    m.memory.write(address, data)
    prologue = ["S2R R0, SR_LANEID", "MOV R2, c[0x0][0x160]", "MOV R3, c[0x0][0x164]", "IMAD.WIDE.U32 R2, R0, 0x4, R2"]
    prologue += [f"LDG.E R{8 + i}, [R2.64+0x{128 * i:x}]" for i in range(len(inputs))]
    try:
        m.launch(kernel_of([*prologue, *body, "EXIT"], arch, **kernel_options), (1, 1, 1), (32, 1, 1),
                 struct.pack("<QQ", address, 0))  # fmt: skip
    finally:
        m.memory.free(address)
    return m._arena.arrays["V"][0, :256].copy()


def predicate(index: int, arch: int = ARCH) -> np.ndarray:
    """Predicate P<index> of the last run: bool[32]."""
    mask = int(machine(arch)._arena.arrays["P"][0, index])
    return np.array([mask >> lane & 1 for lane in range(32)], bool)
