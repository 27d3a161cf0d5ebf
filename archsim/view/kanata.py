"""Kanata 0004: log format of the pipeline viewer Konata (github.com/shioyadan/Konata, docs/kanata-log-format.md)."""

from __future__ import annotations

from pathlib import Path

from archsim.view.pipeline import Pipeline

# Commands of one cycle: an instruction begins, its labels, stages end before stages begin, then it retires.
_BEGIN, _LABEL, _END_STAGE, _START_STAGE, _RETIRE = range(5)


def kanata_text(pipeline: Pipeline) -> str:
    """The log: one row an executed instruction, one Konata thread a warp slot of the chip."""
    commands: list[tuple[int, int, int, str]] = []
    num_warps = pipeline.config.sm.num_warps
    retired = sorted(range(len(pipeline.instructions)), key=lambda i: pipeline.instructions[i].end)
    order = {number: position for position, number in enumerate(retired)}
    for number, one in enumerate(pipeline.instructions):
        thread = one.sm * num_warps + one.warp
        label = f"SM{one.sm} W{one.warp} {one.pc:04d}: {pipeline.texts[one.pc]}"
        detail = f"mask {one.mask:#010x}, issued at cycle {one.issue}, write-back {max(one.writeback, 0) or 'none'}"
        at = one.issue
        commands.append((at, _BEGIN, number, f"I\t{number}\t{number}\t{thread}"))
        commands.append((at, _LABEL, number, f"L\t{number}\t0\t{label}"))
        commands.append((at, _LABEL, number, f"L\t{number}\t1\t{detail}"))
        stages = one.stages()
        ends = [cycle for _, cycle in stages[1:]] + [one.end]
        for (stage, start), end in zip(stages, ends, strict=True):
            commands.append((start, _START_STAGE, number, f"S\t{number}\t0\t{stage}"))
            commands.append((end, _END_STAGE, number, f"E\t{number}\t0\t{stage}"))
        commands.append((one.end, _RETIRE, number, f"R\t{number}\t{order[number]}\t0"))
    commands.sort(key=lambda c: c[:3])
    now = commands[0][0] if commands else pipeline.window[0]
    lines = ["Kanata\t0004", f"C=\t{now}"]
    for cycle, _, _, text in commands:
        if cycle > now:
            lines.append(f"C\t{cycle - now}")
            now = cycle
        lines.append(text)
    return "\n".join(lines) + "\n"


def write_kanata(pipeline: Pipeline, path: str | Path) -> None:
    """Write the log; OSError when that fails."""
    Path(path).write_text(kanata_text(pipeline))
