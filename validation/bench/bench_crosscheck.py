"""Accel-Sim's cycles and CPU time beside ours, on the instruction streams of `/work/shared/reference/crosscheck/gpu`.

    python validation/bench/bench_crosscheck.py [--traces FOLDER] [--rounds N] [--patience SECONDS]

Machine: `rtx_3070` at 1132 MHz, the clock of Accel-Sim's SM86_RTX3070. Its cycles (that folder's README) are given
without the 5,000 cycles of launch latency that it adds; ours are from the launch to the end of the last block, caches
cold; "warm code": the full backend with an instruction cache that never misses. Our seconds are CPU seconds of one
core, best of N, with compiled code in memory: reading the imported trace and simulating; "text" is what importing
Accel-Sim's text takes besides (its own seconds include that). Ratios ("x"): Accel-Sim's seconds to ours, the last one
with the import. Each trace waits up to ``--patience`` seconds for idle cores.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

from reference import best_of, wait_for_idle_cores

import archsim
from archsim.trace import import_accelsim

FOLDER = Path("/work/shared/reference/crosscheck/gpu")
CLOCK = "clock_mhz=1132"
LAUNCH_CYCLES = 5_000  # Accel-Sim's configured launch latency, in its cycles
BACKENDS = ("parametric", "full")
HEADER = (
    "trace",
    "warp instructions",
    "Accel-Sim cycles",
    "parametric",
    "full",
    "warm code",
    "full / Accel-Sim",
    "warm / Accel-Sim",
    "Accel-Sim s",
    "parametric s",
    "full s",
    "text s",
    "x parametric",
    "x full",
    "x full with text",
)


def published(folder: Path) -> dict[str, tuple[int, int, float]]:
    """Warp-instructions, cycles less launch, CPU seconds by trace, from the folder's README."""
    rows = {}
    for line in (folder / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if match := re.match(r"s_\w+", cells[0]):
            count, cycles = (int(cell.replace(",", "")) for cell in cells[1:3])
            rows[match[0]] = (count, cycles - LAUNCH_CYCLES, float(cells[3]))
    return rows


def measure(path: Path, backend: str, rounds: int, *overrides: str) -> tuple[int, float]:
    """Cycles, and CPU seconds of the best of ``rounds`` runs."""
    config = archsim.load_config("rtx_3070", overrides=[CLOCK, f"memory.backend={backend}", *overrides])

    def once() -> int:
        with archsim.load_trace(path) as trace:
            return archsim.run(trace, config).kernels[0].cycles

    return once(), best_of(rounds, once)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=Path, default=FOLDER)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    if not (options.traces / "README.md").is_file():
        print(f"{options.traces}: no such traces", file=sys.stderr)
        return 2
    print(f"load average {os.getloadavg()[0]:.1f}\n")
    print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for name, (count, cycles, seconds) in published(options.traces).items():
            path = Path(folder, f"{name}.h5")
            source = options.traces / name / "kernelslist.g"
            wait_for_idle_cores(look_seconds=0.3, patience_seconds=options.patience)
            text = best_of(options.rounds, lambda p=path, s=source: import_accelsim(s, p))
            (quick, quick_s), (full, full_s) = (measure(path, b, options.rounds) for b in BACKENDS)
            warm, _ = measure(path, "full", 1, "sm.front_end.perfect_icache=true")
            cells = [name, f"{count:,}", f"{cycles:,}", f"{quick:,}", f"{full:,}", f"{warm:,}"]
            cells += [f"{full / cycles:.2f}", f"{warm / cycles:.2f}"]
            cells += [f"{seconds:.2f}", f"{quick_s:.3f}", f"{full_s:.3f}", f"{text:.3f}"]
            cells += [f"{seconds / s:.0f}" for s in (quick_s, full_s, full_s + text)]
            print("| " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
