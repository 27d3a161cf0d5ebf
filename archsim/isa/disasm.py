"""Run nvdisasm once on a cubin and read its listing: text, labels and source lines of every code section."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from archsim.errors import IsaError
from archsim.isa.tools import find_nvdisasm

_LINE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+\{?\s*(.*?)\s*;")
_SECTION = re.compile(r"^\s+\.section\s+(\.text\.[^,]+|\"\.text\.[^\"]+\")")
_LABEL = re.compile(r"^([^\s/][^\s]*):$")
_SOURCE = re.compile(r'^\s+//## File "(.*)", line (\d+)')


@dataclass
class Listing:
    """The disassembly of one code section. Offsets are in bytes from the section's start."""

    instructions: list[tuple[int, str, str, int]] = field(default_factory=list)  # offset, text, source file, line
    labels: dict[str, int] = field(default_factory=dict)


def disassemble(cubin: bytes, name: str = "cubin", lines: bool = True) -> dict[str, Listing]:
    """Listings by section name (``.text.<function>``). Raises IsaError when nvdisasm refuses the file.

    ``lines``: also ask for source lines (present when the code was built with -lineinfo or -G).
    """
    flags = ["-c", "-ndf"] + (["-g"] if lines else [])
    with tempfile.NamedTemporaryFile(suffix=".cubin") as handle:
        handle.write(cubin)
        handle.flush()
        result = subprocess.run(
            [str(find_nvdisasm()), *flags, handle.name], capture_output=True, text=True, errors="replace", check=False
        )
    if result.returncode != 0:
        message = (result.stderr or result.stdout).strip().splitlines()
        text = message[-1] if message else f"exit status {result.returncode}"
        raise IsaError(f"{name}: nvdisasm failed: {text.replace(handle.name, Path(name).name)}")
    return read_listing(result.stdout)


def read_listing(text: str) -> dict[str, Listing]:
    """Parse the output of ``nvdisasm -c``."""
    sections: dict[str, Listing] = {}
    current: Listing | None = None
    pending: list[str] = []
    file, line = "", 0
    for row in text.splitlines():
        match = _LINE.match(row)
        if match:
            if current is None:
                continue
            offset = int(match.group(1), 16)
            for label in pending:
                current.labels[label] = offset
            pending.clear()
            current.instructions.append((offset, match.group(2), file, line))
            continue
        source = _SOURCE.match(row)
        if source:
            file, line = source.group(1), int(source.group(2))
            continue
        section = _SECTION.match(row)
        if section:
            current = sections.setdefault(section.group(1).strip('"'), Listing())
            pending.clear()
            file, line = "", 0
            continue
        label_match = _LABEL.match(row)
        if label_match and current is not None:
            pending.append(label_match.group(1))
    return sections
