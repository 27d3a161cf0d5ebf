"""What kind of program an executable file is: which CUDA runtime it needs, which architectures it carries."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

from archsim.errors import IsaError, RunError
from archsim.isa.elf import Elf, read_elf
from archsim.isa.fatbin import FATBIN_SECTIONS, FatbinEntry, read_entries

_DT_NEEDED, _DT_RPATH = 1, 15


@dataclass(frozen=True)
class Executable:
    """``runtime_major``: 12 or 13 when libcudart.so.N is a dependency of the file itself, else 0."""

    is_elf: bool
    needed: tuple[str, ...] = ()
    has_rpath: bool = False  # DT_RPATH beats LD_LIBRARY_PATH
    has_fatbin: bool = False
    entries: tuple[FatbinEntry, ...] = field(default=(), repr=False)

    @property
    def runtime_major(self) -> int:
        for name in self.needed:
            if name.startswith("libcudart.so."):
                return int(name.removeprefix("libcudart.so.").split(".")[0])
        return 0

    @property
    def uses_driver(self) -> bool:
        """True when libcuda.so.1 is a dependency."""
        return any(name.startswith("libcuda.so") for name in self.needed)

    @property
    def is_static_cuda(self) -> bool:
        """True for a program with device code and neither runtime nor driver among its dependencies."""
        return self.has_fatbin and not self.runtime_major and not self.uses_driver

    @property
    def cubin_archs(self) -> tuple[int, ...]:
        """Architectures of the cubins inside, ascending."""
        return tuple(sorted({entry.arch for entry in self.entries if not entry.is_ptx}))

    @property
    def ptx_archs(self) -> tuple[int, ...]:
        """Architectures of the PTX inside, ascending."""
        return tuple(sorted({entry.arch for entry in self.entries if entry.is_ptx}))


def inspect(path: Path) -> Executable:
    """Read an executable's dependencies and device code. A script or other non-ELF file gives ``is_elf=False``.

    Raises RunError when the file cannot be read, or is an ELF file that is cut off.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    if data[:4] != b"\x7fELF" or len(data) < 64 or data[4] != 2:
        return Executable(is_elf=False)
    try:
        return _inspect_elf(read_elf(data, str(path)))
    except IsaError as error:
        raise RunError(str(error)) from None
    except (struct.error, ValueError):
        raise RunError(f"{path}: the ELF file is damaged or cut short") from None


def _inspect_elf(elf: Elf) -> Executable:
    needed: list[str] = []
    has_rpath = False
    sections = elf.by_name
    if ".dynamic" in sections and ".dynstr" in sections:
        strings = sections[".dynstr"].data
        for tag, value in struct.iter_unpack("<qQ", sections[".dynamic"].data):
            has_rpath |= tag == _DT_RPATH
            if tag == _DT_NEEDED:
                needed.append(strings[value : strings.index(b"\0", value)].decode("utf-8", "replace"))
    entries: list[FatbinEntry] = []
    found = [name for name in FATBIN_SECTIONS if name in sections]
    for name in found:
        try:
            entries += read_entries(sections[name].data)
        except IsaError:
            continue  # only a hint for the default architecture; the loader reports damage when the code is used
    return Executable(True, tuple(needed), has_rpath, bool(found), tuple(entries))
