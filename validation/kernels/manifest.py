"""Reads `suite.yaml`, the list of programs of the suite, without needing a YAML package.

The GPU machine has only the standard library, so the manifest keeps to a subset of YAML: a top-level list of flat
mappings, each `key: value` on its own line, where a value is a JSON value (quoted string, list, true/false/null).
Any YAML reader gives the same result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

SUITE = Path(__file__).resolve().parent / "suite.yaml"


class ManifestError(Exception):
    """The manifest is malformed (the text names file, line and field) or a program is unknown."""


@dataclass(frozen=True)
class Program:
    """One program.

    `kernel` is a regular expression for the measured kernel's whole name. `exact` says that a correct emulator prints
    the same checksum as a GPU, `inexact_reason` why not otherwise. `varies` names the counters that differ from run to
    run and why (None: none does).
    """

    name: str
    file: str
    category: str
    kernel: str
    archs: tuple[str, ...]
    exact: bool
    inexact_reason: str | None
    varies: str | None
    nvcc_flags: tuple[str, ...]
    args_small: tuple[str, ...]
    args_large: tuple[str, ...]
    features: str

    @property
    def concurrent(self) -> bool:
        """Whether its CTAs wait for each other, so that it is captured with them all running (capture --concurrent)."""
        return self.varies is not None and self.varies.startswith("instructions")

    @property
    def split(self) -> str:
        """'tune' or 'report': fixed for ever by the name (first byte of its SHA-256, even or odd)."""
        return "report" if hashlib.sha256(self.name.encode()).digest()[0] & 1 else "tune"


def load(path: Path = SUITE) -> list[Program]:
    """All programs in the order of the file. Raises ManifestError."""
    rows: list[dict[str, object]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if line.startswith("- "):
            rows.append({})
        key, colon, value = text.removeprefix("- ").partition(": ")
        if not colon or not rows:
            raise ManifestError(f"{path}:{number}: expected 'key: value', got {text!r}")
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError as error:
            raise ManifestError(f"{path}:{number}: field '{key}': not a JSON value: {value!r} ({error.msg})") from error
        rows[-1][key] = tuple(parsed) if isinstance(parsed, list) else parsed
    wanted = {field.name for field in fields(Program)}
    for row in rows:
        if set(row) != wanted:
            odd = ", ".join(sorted(wanted ^ set(row)))
            raise ManifestError(f"{path}: program {row.get('name')!r}: missing or unknown field: {odd}")
    return [Program(**row) for row in rows]  # type: ignore[arg-type]


def select(names: Iterable[str] | None = None) -> list[Program]:
    """The named programs, or all. Raises ManifestError naming an unknown one."""
    programs = {program.name: program for program in load()}
    if names is None:
        return list(programs.values())
    chosen = list(names)
    for name in chosen:
        if name not in programs:
            raise ManifestError(f"{SUITE}: no program named {name!r}")
    return [programs[name] for name in chosen]
