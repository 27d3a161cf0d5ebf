"""Static programs inside a trace file: text, encodings and control bits, parsed again when first asked for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from archsim.errors import ArchsimError, TraceError
from archsim.isa.program import ControlBits, Instruction, Operand, OperandKind, Program
from archsim.trace.layout import Array

CODE_ROW = np.dtype(
    [
        ("address", "<u8"),
        ("low", "<u8"),
        ("high", "<u8"),
        ("known_control", "u1"),
        ("stall", "u1"),
        ("yield_", "u1"),
        ("write_barrier", "u1"),
        ("read_barrier", "u1"),
        ("wait_mask", "u1"),
        ("reuse", "u1"),
        ("mem_records", "u1"),
        ("line", "<i4"),
        ("file", "<i4"),
        ("function", "<i4"),
        ("resolved", "u1"),  # 1: `target` is the value of the operand that only the linker knew
        ("target", "<i8"),
    ]
)

#: What only Accel-Sim's text knows about an instruction; written back on export.
ACCELSIM_ROW = np.dtype([("pc", "<u8"), ("mem_width", "<i4"), ("immediate", "<i8")])

ACCELSIM = "accelsim"  # text syntax of programs rebuilt from an Accel-Sim trace: its own register lists
SASS = "sass"


class StoredProgram(NamedTuple):
    """What the file holds of one program."""

    meta: dict[str, Any]
    text: bytes  # one line an instruction
    code: Array  # CODE_ROW[n_static]
    accelsim: Array  # ACCELSIM_ROW[n_static], or empty
    constants: dict[int, bytes]

    def key(self) -> str:
        """SHA-256 of everything in it: equal programs are stored once."""
        digest = hashlib.sha256(meta_text(self.meta).encode() + b"\0" + self.text)
        for part in (self.code, self.accelsim):
            digest.update(part.tobytes())
        for bank in sorted(self.constants):
            digest.update(bank.to_bytes(4, "little") + self.constants[bank])
        return digest.hexdigest()


def pack_program(
    program: Program, mem_records: Array, syntax: str = SASS, accelsim: Array | None = None
) -> StoredProgram:
    """Program -> file contents."""
    code = np.zeros(len(program.instructions), CODE_ROW)
    if len(mem_records) != len(code):
        raise TraceError(f"{program.name}: mem_records has {len(mem_records)} entries for {len(code)} instructions")
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    code["mem_records"] = mem_records
    for row, one in zip(code, program.instructions, strict=True):
        row["address"], row["low"], row["high"], row["line"] = one.address, *one.encoding, one.line
        row["file"] = files.setdefault(one.file, len(files))
        row["function"] = functions.setdefault(one.function, len(functions))
        for operand in filter(_is_resolved, (*one.dests, *one.sources)):
            row["resolved"], row["target"] = 1, operand.value
        if one.control is not None:
            row["known_control"] = 1
            for name in ("stall", "yield_", "write_barrier", "read_barrier", "wait_mask", "reuse"):
                row[name] = getattr(one.control, name)
    meta = {
        "name": program.name,
        "arch": program.arch,
        "registers": program.registers,
        "static_shared_bytes": program.static_shared_bytes,
        "local_bytes": program.local_bytes,
        "instruction_bytes": program.instruction_bytes,
        "functions": program.functions,
        "function_names": list(functions),
        "files": list(files),
        "syntax": syntax,
    }
    text = "\n".join(one.text.replace("\n", " ") for one in program.instructions).encode()
    extra = np.zeros(0, ACCELSIM_ROW) if accelsim is None else accelsim.astype(ACCELSIM_ROW)
    return StoredProgram(meta, text, code, extra, dict(program.constants))


def unpack_program(stored: StoredProgram, where: str) -> Program:
    """File contents -> Program; TraceError naming ``where`` when they do not make sense."""
    meta, code = stored.meta, stored.code
    try:
        lines = stored.text.decode().split("\n") if len(code) else []
        if len(lines) != len(code):
            raise TraceError(f"{where}: {len(lines)} lines of text for {len(code)} instructions")
        make = _imported if meta["syntax"] == ACCELSIM else _parsed
        instructions = tuple(
            make(line, row, index, stored) for index, (line, row) in enumerate(zip(lines, code, strict=True))
        )
        return Program(
            meta["arch"],
            meta["name"],
            instructions,
            dict(meta["functions"]),
            meta["registers"],
            meta["static_shared_bytes"],
            meta["local_bytes"],
            stored.constants,
            meta["instruction_bytes"],
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise TraceError(f"{where}: damaged program ({type(error).__name__}: {error})") from error
    except TraceError:
        raise
    except ArchsimError as error:
        raise TraceError(f"{where}: {error}") from error


def _is_resolved(operand: Operand) -> bool:
    """A branch target or a relocated address: its text ("`(.L_x_3)", "32@lo(f)") does not tell the value."""
    relocated = operand.kind == OperandKind.IMM and ("@lo" in operand.text or "@hi" in operand.text)
    return operand.kind == OperandKind.LABEL or relocated


def _control(row: Any) -> ControlBits | None:
    if not row["known_control"]:
        return None
    names = ("write_barrier", "read_barrier", "wait_mask", "reuse")
    return ControlBits(int(row["stall"]), bool(row["yield_"]), *(int(row[name]) for name in names))


def _parsed(line: str, row: Any, index: int, stored: StoredProgram) -> Instruction:
    from archsim.isa import parse_instruction

    meta = stored.meta
    one = parse_instruction(
        line,
        meta["arch"],
        address=int(row["address"]),
        control=_control(row),
        index=index,
        encoding=(int(row["low"]), int(row["high"])),
        function=meta["function_names"][row["function"]],
        line=int(row["line"]),
        file=meta["files"][row["file"]],
    )
    if not row["resolved"]:
        return one
    target = int(row["target"])
    dests, sources = (
        tuple(replace(o, value=target) if _is_resolved(o) else o for o in side) for side in (one.dests, one.sources)
    )
    return replace(one, dests=dests, sources=sources)


def _imported(line: str, row: Any, index: int, stored: StoredProgram) -> Instruction:
    from archsim.trace.accelsim_program import imported_instruction

    width = int(stored.accelsim["mem_width"][index])
    one = imported_instruction(line, stored.meta["arch"], int(row["address"]), width)
    function = stored.meta["function_names"][row["function"]]
    return replace(one, index=index, line=int(row["line"]), function=function, file=stored.meta["files"][row["file"]])


def meta_text(meta: dict[str, Any]) -> str:
    """Canonical JSON of a program's metadata (hashed and stored)."""
    return json.dumps(meta, sort_keys=True)
