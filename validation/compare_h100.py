"""The suite against a real H100: results bit for bit, executed instructions and sectors to the unit, cycles by MAPE.

`python validation/compare_h100.py [--only REGEX] [--csv OUT.csv]` captures every program of `validation/kernels/` for
sm_90 (small size), compares what the program printed and what its measured kernel executed with the numbers taken on
the card (`validation/hw/h100/`, by `measure_suite.sh`), and simulates that kernel on `h100_sxm` with cold caches.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "kernels"))

import build  # noqa: E402
import manifest  # noqa: E402

HW = HERE / "hw" / "h100"
DATE = "2026-11-24"
#: counter of the simulator -> metric of Nsight Compute; equal to the unit where the kernel is deterministic
EXACT = {
    "warp_instructions": "smsp__inst_executed.sum",
    "thread_instructions": "smsp__thread_inst_executed_pred_on.sum",
    "load_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum",
    "store_sectors": "l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum",
    "shared_instructions": "smsp__inst_executed_op_shared.sum",
}
#: (program, counter) that differ although the results are the same (DEVIATIONS.md EMU-1), by at most this part
KNOWN_DIFFERENCES = {
    ("recursion", "warp_instructions"): 2e-4,
    ("recursion", "thread_instructions"): 2e-4,
    ("recursion", "store_sectors"): 1e-3,
}


def read_csv(name: str) -> list[dict[str, str]]:
    """Rows of a measured file, without its comment lines."""
    text = (HW / f"suite_{name}_small_{DATE}.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in text if not line.startswith("#")))


@dataclass
class Row:
    """One program: simulated and measured values by name."""

    program: manifest.Program
    checksums: list[tuple[str, str, str]] = field(default_factory=list)  # line, ours, the card's
    exact: dict[str, tuple[int, int]] = field(default_factory=dict)
    cycles: tuple[int, float] = (0, 0.0)

    @property
    def same_results(self) -> bool:
        """True if every line of the program has the card's checksum."""
        return all(ours == theirs for _, ours, theirs in self.checksums)

    @property
    def error(self) -> float:
        """(simulated - measured) / measured cycles."""
        return self.cycles[0] / self.cycles[1] - 1 if self.cycles[1] else 0.0


def capture(program: manifest.Program, binary: Path, out: Path) -> dict[str, str]:
    """Run a program under capture; returns the checksum of every line that it printed."""
    command = [
        sys.executable,
        "-m",
        "archsim",
        "capture",
        "--arch",
        "sm_90",
        "-o",
        str(out),
        "--kernel",
        program.kernel,
        *(["--concurrent"] if program.concurrent else []),
    ]
    done = subprocess.run(
        [*command, "--", str(binary), *program.args_small], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{program.name}: capture failed ({done.returncode}): {done.stderr.strip()[-300:]}")
    return dict(re.findall(r"^(\S+) checksum=([0-9a-f]{16})", done.stdout, re.MULTILINE))


def simulate(trace_path: Path) -> Any:
    """The last launch in a trace (the measured one) on `h100_sxm`, caches cold."""
    import archsim

    config = archsim.load_config("h100_sxm")
    with archsim.load_trace(trace_path) as trace:
        return archsim.run(trace, config, kernels=[len(trace.kernels) - 1]).kernels[0]


def compare(program: manifest.Program, binary: Path, measured: dict[str, Any]) -> Row:
    """Capture, simulate and set beside the card's numbers."""
    row = Row(program)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.h5"
        ours = capture(program, binary, path)
        kernel = simulate(path)
    theirs = measured["checksums"].get(program.name, {})
    row.checksums = [(line, ours.get(line, "-"), theirs[line]) for line in theirs]
    counters = dict(kernel.counters)
    counters["shared_instructions"] = sum(counters[n] for n in ("shared_loads", "shared_stores", "shared_atomics"))
    counters["load_sectors"] += counters["ldgsts_sectors"]  # Nsight Compute counts asynchronous copies as loads
    hw = measured["counters"].get(program.name, {})
    for name, metric in EXACT.items():
        if hw.get(metric, "") != "":
            row.exact[name] = (counters[name], int(float(hw[metric])))
    row.cycles = (kernel.active_cycles_max, measured["cycles"].get(program.name, 0.0))
    return row


def load_measured() -> dict[str, Any]:
    """The card's numbers by program."""
    checksums: dict[str, dict[str, str]] = {}
    for r in read_csv("checksums"):
        checksums.setdefault(r["program"], {})[r["line"]] = r["checksum"]
    counters = {r["program"]: r for r in read_csv("counters")}
    cycles = {
        r["program"]: float(r["sm_active_max_median_cycles"]) for r in read_csv("cycles") if r["protocol"] == "flushed"
    }
    return {"checksums": checksums, "counters": counters, "cycles": cycles}


def report(rows: list[Row]) -> None:
    """Print a line a program and the summary."""
    for row in rows:
        off = [f"{n} {a} (card {b})" for n, (a, b) in row.exact.items() if a != b]
        results = "same" if row.same_results else "differ" if row.program.exact else "differ (expected)"
        print(
            f"{row.program.name:20s} {row.program.split:6s} results {results:17s} cycles {row.cycles[0]:7d} "
            f"card {row.cycles[1]:9.0f} {100 * row.error:+6.1f} %  {'; '.join(off)}"
        )
    for split in ("tune", "report"):
        errors = [abs(r.error) for r in rows if r.program.split == split and r.cycles[1]]
        if errors:
            signed = statistics.mean(r.error for r in rows if r.program.split == split)
            print(
                f"{split}: n {len(errors)}, MAPE {100 * statistics.mean(errors):.1f} %, "
                f"median {100 * statistics.median(errors):.1f} %, max {100 * max(errors):.1f} %, "
                f"signed {100 * signed:+.1f} %"
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="regular expression for the program's whole name")
    options = parser.parse_args()
    programs = [p for p in manifest.load() if not options.only or re.fullmatch(options.only, p.name)]
    binaries = build.build([p.name for p in programs], ["sm_90"], HERE / "kernels" / "build")
    measured = load_measured()
    rows = [compare(p, binaries[p.name, "sm_90"], measured) for p in programs]
    report(rows)


if __name__ == "__main__":
    main()
