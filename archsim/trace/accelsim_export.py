"""Writing Accel-Sim text: one v5 ``.traceg`` a launch and a ``kernelslist.g``."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np

from archsim.errors import TraceError
from archsim.trace.accelsim_program import traced_text
from archsim.trace.layout import WARP_THREADS, Array, Batch
from archsim.trace.programs import ACCELSIM_ROW

_WARPS_AT_ONCE = 256
_FORMAT_LINE = (
    "#traces format = [line_num] PC mask dest_num [reg_dests] opcode src_num [reg_srcs] mem_width "
    "[adrrescompress?] [mem_addresses] immediate"
)
_MEMCPY = {"memcpy_h2d": "MemcpyHtoD", "memcpy_d2h": "MemcpyDtoH"}


def export_trace(trace: Any, folder: Path, name: str) -> Path:
    """Write every launch of ``trace`` into ``folder``; returns the path of the kernel list.

    TraceError naming the folder and the cause if it cannot be written.
    """
    try:
        return _export(trace, folder, name)
    except OSError as error:
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(folder) else ""
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or str(error)
        raise TraceError(f"{folder}: the export cannot be written: {reason}{where}") from None


def _export(trace: Any, folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    commands = []
    for event in trace.events:
        if event[0] == "kernel":
            file = folder / f"kernel-{event[1] + 1}.traceg"
            with open(file, "w", encoding="ascii", errors="replace") as out:
                _Exporter(trace, trace.kernels[event[1]], out).write()
            commands.append(file.name)
        elif event[0] in _MEMCPY:
            commands.append(f"{_MEMCPY[event[0]]},0x{event[1]:016x},{event[2]}")
    path = folder / name
    path.write_text("\n".join(commands) + "\n", encoding="ascii")
    return path


class _Exporter:
    def __init__(self, trace: Any, kernel: Any, out: IO[str]) -> None:
        self._kernel = kernel
        self._out = out
        program = kernel.program
        self._records: Array = kernel.mem_records
        stored = _stored(trace, kernel)
        self._lines = any(one.line for one in program.instructions)
        self._before: list[str] = []  # "[line] pc " of each instruction
        self._middle: list[str] = []  # "ndst .. opcode nsrc .. width"
        self._after: list[str] = []  # immediate
        for one, row in zip(program.instructions, stored, strict=True):
            text = traced_text(one)
            opcode, dests, sources = _split(text)
            head = "".join(f" {r}" for r in dests)
            tail = "".join(f" {r}" for r in sources)
            line = f"{one.line} " if self._lines else ""
            self._before.append(f"{line}{int(row['pc']):04x} ")
            self._middle.append(f" {len(dests)}{head} {opcode} {len(sources)}{tail} {int(row['mem_width'])} ")
            self._after.append(f"{int(row['immediate'])} \n")

    def write(self) -> None:
        """Header, then every recorded CTA with all its warps."""
        self._header()
        kernel = self._kernel
        ctas = kernel.recorded_ctas
        step = max(1, _WARPS_AT_ONCE // kernel.warps_per_cta)
        for place in range(0, len(ctas), step):
            for cta in ctas[place : place + step].tolist():
                self._block(cta)

    def _header(self) -> None:
        launch, arch = self._kernel.launch, self._kernel.program.arch
        fields = {
            "kernel name": launch.name,
            "kernel id": launch.launch_id,
            "grid dim": "({},{},{})".format(*launch.grid),
            "block dim": "({},{},{})".format(*launch.block),
            "shmem": launch.shared_bytes,
            "nregs": launch.registers,
            "binary version": arch,
            "cuda stream id": launch.stream_id,
            "shmem base_addr": f"0x{launch.shared_base:016x}",
            "local mem base_addr": f"0x{launch.local_base:016x}",
            "nvbit version": "none",
            "accelsim tracer version": 5,
            "enable lineinfo": int(self._lines),
        }
        self._out.writelines(f"-{key} = {value}\n" for key, value in fields.items())
        self._out.write(f"\n{_FORMAT_LINE}\n\n\n")

    def _block(self, cta: int) -> None:
        launch = self._kernel.launch
        first = self._kernel.read_ctas(cta, 1)
        x, rest = cta % launch.grid[0], cta // launch.grid[0]
        self._out.write(f"\n#BEGIN_TB\n\nthread block = {x},{rest % launch.grid[1]},{rest // launch.grid[1]}\n")
        for row in range(len(first.warps)):
            parts = [(first, row)]
            while not parts[-1][0].warps[parts[-1][1]]["last"]:
                warp, segment = int(first.warps[row]["warp"]), len(parts)
                parts.append((self._kernel.read_segments(*(np.array([n]) for n in (cta, warp, segment))), 0))
            lines = [line for batch, place in parts for line in self._segment(batch, place)]
            # `insts` counts lines: both halves of an LDGSTS are written, so that nothing is lost.
            self._out.write(f"\nwarp = {int(first.warps[row]['warp'])}\ninsts = {len(lines)}\n")
            self._out.writelines(lines)
        self._out.write("\n#END_TB\n\n")

    def _segment(self, batch: Batch, row: int) -> list[str]:
        warp = batch.warps[row]
        runs = batch.runs[warp["run_begin"] :][: warp["run_count"]]
        mems = batch.mems[warp["mem_begin"] :][: warp["mem_count"]].tolist()
        records = self._records
        lines = []
        place = 0
        for start, count, mask in runs.tolist():
            bits = f"{mask:08x}"
            for index in range(start, start + count):
                own = int(records[index])
                before = f"{self._before[index]}{bits}{self._middle[index]}"
                if not own:
                    lines.append(f"{before}{self._after[index]}")
                    continue
                found = mems[place : place + own] if mask else [None] * own
                place += own if mask else 0
                for mem in reversed(found):  # of an LDGSTS the tracer writes the shared half first
                    lines.append(f"{before}{_addresses(mem, mask, batch.lanes)}{self._after[index]}")
        return lines


def _addresses(mem: tuple[int, int, int] | None, mask: int, lanes: Array) -> str:
    """Address tokens in the tracer's own choice of mode: 1 for a contiguous run of lanes, else 2."""
    if mem is None:
        return "1 0x0 0 "
    base, stride, begin = mem
    low = (mask & -mask).bit_length() - 1
    contiguous = not mask & (mask + (mask & -mask))
    if begin < 0 and contiguous and mask.bit_count() > 1:
        return f"1 0x{(base + stride * low) % 2**64:x} {stride} "
    if begin < 0:
        found = [(base + stride * lane) % 2**64 for lane in range(WARP_THREADS) if mask >> lane & 1]
    else:
        found = lanes[begin : begin + mask.bit_count()].tolist()
    steps = [_signed(b - a) for a, b in zip(found, found[1:], strict=False)]
    return f"2 0x{found[0]:x} " + "".join(f"{step} " for step in steps)


def _signed(value: int) -> int:
    value %= 2**64
    return value - 2**64 if value >> 63 else value


def _split(text: str) -> tuple[str, list[str], list[str]]:
    left, _, right = text.partition(" <- ")
    opcode, _, dests = left.partition(" ")
    return opcode, dests.replace(",", " ").split(), right.replace(",", " ").split()


def _stored(trace: Any, kernel: Any) -> Array:
    """PC, memory width and immediate of each instruction: as imported, else from the code itself."""
    program = kernel.program
    if hasattr(trace, "stored_program"):
        rows: Array = trace.stored_program(kernel.program_id).accelsim
        if len(rows):
            return rows
    from archsim.isa.tables import op_info

    if not program.instructions:
        raise TraceError(f"{kernel.launch.name}: a kernel without instructions cannot be exported")
    rows = np.zeros(len(program.instructions), ACCELSIM_ROW)
    for row, one, records in zip(rows, program.instructions, kernel.mem_records, strict=True):
        row["pc"] = one.address
        row["mem_width"] = max(1, op_info(one, program.arch).access_bytes) if records else 0
    return rows
