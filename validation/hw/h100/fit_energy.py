"""Fits the energy per event of an H100 to the measured power of micro-kernels: writes `configs/energy/h100.yaml`.

    python validation/hw/h100/fit_energy.py [--write] [--power CSV]

Every row of the fit is one micro-kernel of `energy_micro.cu`: watts = idle + running x duty + active SMs x duty +
sum(events per second x energy). Events come from archsim: the same kernel, captured without a GPU for one and two
iterations and simulated on `h100_sxm`; they are linear in the iterations, so the measured launch follows from the two.
No coefficient may be negative. The suite's kernels are not used: they are what the fit is validated with.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archsim.energy.fit import Fit, fit_nonnegative
from archsim.errors import ArchsimError, RunError
from archsim.validate.simulate import Simulated, Task, run_task
from archsim.validate.suite import cache_folder, latest, read_table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TABLE = ROOT / "configs" / "energy" / "h100.yaml"
SMS = 132
UNITS = ("int", "fp32", "fp16", "fp64", "sfu", "tensor", "uniform", "branch", "misc", "misc_queue", "memory")


@dataclass(frozen=True)
class Term:
    """One fitted energy: name, part of the chip, class of instructions, counters with weights, lanes or not."""

    name: str
    component: str
    instruction_class: str
    count: dict[str, float]
    lanes: bool = False


#: What is fitted. Front end and operand fetch of an instruction are part of its unit's energy, but for what every
#: warp-instruction costs whatever its lanes do (`issue`: told apart by the kernel that runs half-empty warps).
TERMS = (
    Term("issue", "front end", "all", {"warp_instructions": 1}),
    Term("int", "execute", "int", {"units.int": 1}, True),
    Term("fp32", "execute", "fp32", {"units.fp32": 1}, True),
    Term("fp16", "execute", "fp16", {"units.fp16": 1}, True),
    Term("fp64", "execute", "fp64", {"units.fp64": 1}, True),
    Term("sfu", "execute", "sfu", {"units.sfu": 1}, True),
    Term("tensor", "execute", "tensor", {"units.tensor": 1}),
    Term("memory_instruction", "load/store unit", "memory", {"units.memory": 1}, True),
    Term("shared_wavefront", "shared memory", "memory", {"shared_wavefronts": 1}),
    Term("l1_sector", "L1", "memory", {"load_sectors": 1, "store_sectors": 1, "ldgsts_sectors": 1,
                                       "local_load_sectors": 1, "local_store_sectors": 1}),
    Term("l2_read_sector", "L2 and network", "memory", {"l2_read_sectors": 1}),
    Term("l2_write_sector", "L2 and network", "memory", {"l2_write_sectors": 1}),
    Term("l2_atomic_sector", "L2 and network", "memory", {"l2_atomic_sectors": 1}),
    Term("dram_read_byte", "DRAM", "memory", {"dram_read_bytes": 1}),
    Term("dram_write_byte", "DRAM", "memory", {"dram_write_bytes": 1}),
)  # fmt: skip
POWER_TERMS = ("running", "active_sm")  # watts of the chip while a kernel runs; watts of an SM with a resident warp


def binary() -> Path:
    """`energy_micro` built for sm_90 without the power hook, in the cache."""
    source = HERE / "energy_micro.cu"
    target = cache_folder() / "energy_micro.sm_90"
    if target.is_file() and target.stat().st_mtime > source.stat().st_mtime:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["nvcc", "-std=c++17", "-O3", "-cudart", "shared", "-gencode", "arch=compute_90,code=sm_90",
               "-Xcompiler", "-ffp-contract=off", "-o", str(target), str(source)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"{source}: does not build: {done.stderr.strip()[-300:]}")
    return target


def simulate(name: str, iterations: int) -> Simulated:
    """Counters of one micro-kernel with few iterations."""
    from archsim.cuda.capture import CaptureOptions, capture_program

    out = cache_folder() / "traces" / f"energy_micro-{name}-{iterations}.h5"
    program = binary()
    if not out.is_file() or out.stat().st_mtime < program.stat().st_mtime:
        out.parent.mkdir(parents=True, exist_ok=True)
        result = capture_program([str(program), name, str(iterations)], CaptureOptions(arch=90, output=out))
        if not result.complete:
            raise RunError(f"energy_micro {name}: capture failed: exit {result.exit_code} {result.faults}")
    return run_task(Task(name, str(out), "h100_sxm"))


def counters(found: Simulated) -> dict[str, float]:
    """Counters and `units.NAME` of one launch."""
    return {**found.metrics, **{f"units.{u}": float(n) for u, n in found.units.items()}}


def per_launch(name: str, iterations: int) -> dict[str, float]:
    """Counts of the measured launch, from those of one and two iterations."""
    one, two = counters(simulate(name, 1)), counters(simulate(name, 2))
    if iterations == 1:
        counts = one
    else:
        counts = {key: value + (iterations - 1) * (two[key] - value) for key, value in one.items() if key in two}
    if name in ("stg_l2", "stg_hbm"):
        # Two iterations evict nothing yet; in the steady state all stores of the 1 GB kernel reach the memory, and of
        # the 16 MB kernel none.
        counts["dram_write_bytes"] = 32.0 * counts["l2_write_sectors"] if name == "stg_hbm" else 0.0
    return counts


def event_count(term: Term, counts: dict[str, float]) -> float:
    """As archsim.energy.model.event_count, on plain numbers."""
    total = sum(weight * counts.get(key, 0.0) for key, weight in term.count.items())
    lanes = counts["thread_instructions"] / counts["warp_instructions"] if counts["warp_instructions"] else 0.0
    return total * lanes / 32 if term.lanes else total


def active_sms(row: dict[str, str]) -> int:
    """SMs that hold a thread block."""
    return min(SMS, int(row["grid"]))


def fit(rows: list[dict[str, str]]) -> tuple[Fit, float]:
    """Coefficients (pJ, or W for the power terms) and the idle power that they stand on."""
    idle = float(np.mean([float(r["watts"]) for r in rows if r["program"] == "idle"]))
    micro = [r for r in rows if r["size"] == "micro"]
    names = [*POWER_TERMS, *(t.name for t in TERMS)]
    matrix = np.zeros((len(micro), len(names)))
    for i, row in enumerate(micro):
        per_second = 1.0 / float(row["seconds_per_launch"])
        duty = min(float(row["busy_s_per_launch"]) * per_second, 1.0)
        counts = per_launch(row["program"], int(row["iterations"]))
        matrix[i, :2] = duty, duty * active_sms(row)
        matrix[i, 2:] = [1e-12 * per_second * event_count(t, counts) for t in TERMS]
    watts = np.array([float(r["watts"]) for r in micro])
    return fit_nonnegative([r["program"] for r in micro], names, matrix, watts, offset=idle), idle


def yaml_text(found: Fit, idle: float, rows: list[dict[str, str]], notes: list[str], source: str) -> str:
    """The table, with the fit's residuals in its head."""
    warm = [float(r["temperature_after_c"]) for r in rows if r["size"] == "micro"]
    worst = max(found.residuals.items(), key=lambda item: abs(item[1]))
    lines = [
        "# H100 80 GB SXM5, fitted to the board power of micro-kernels: validation/hw/h100/fit_energy.py --write.",
        *(f"# {note}" for note in notes),
        f"# Residuals over {len(found.residuals)} micro-kernels: mean {100 * found.mape:.1f} %, "
        f"worst {worst[0]} {100 * worst[1]:+.1f} %. Board power includes everything on it; clocks and voltage are those of",
        "# 1980 MHz. Energies hold for random operands: data without toggling draw less (energy sheet, section 4).",
        "# One energy stands for all instructions of a unit: FFMA and IMAD share fp32, LOP3 and IADD3 share int.",
        "name: h100",
        "description: H100 SXM5 80 GB, energy per event fitted to measured board power",
        f"conditions: {{sm_clock_mhz: 1980, memory_clock_mhz: 2619, temperature_min_c: {min(warm):g}, "
        f"temperature_max_c: {max(warm):g}}}",
        "events:",
    ]
    for term in TERMS:
        counted = ", ".join(f"{key}: {weight:g}" for key, weight in term.count.items())
        lanes = ", lanes: true" if term.lanes else ""
        lines.append(
            f"  {term.name}: {{component: {term.component}, class: {term.instruction_class}, count: {{{counted}}}{lanes}, "
            f"pj: {found.values[term.name]:.4g}, source: {source}, confidence: fitted}}"
        )
    lines += [
        "power:",
        f"  idle: {{watts: {idle:.4g}, per: chip, source: {source}, confidence: measured}}",
        f"  running: {{watts: {found.values['running']:.4g}, per: chip, source: {source}, confidence: fitted}}",
        f"  active SM: {{watts: {found.values['active_sm']:.4g}, per: active_sm, source: {source}, confidence: fitted}}",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--power", type=Path, help="measurements (default: the newest power_DATE.csv)")
    parser.add_argument("--write", action="store_true", help=f"rewrite {TABLE.relative_to(ROOT)}")
    args = parser.parse_args()
    try:
        path = args.power or latest(HERE, "power")
        rows, notes = read_table(path, "program", "watts", "seconds_per_launch", "busy_s_per_launch")
        found, idle = fit(rows)
    except ArchsimError as error:
        print(f"fit_energy: {error}", file=sys.stderr)
        return error.exit_code
    print(f"idle {idle:.1f} W")
    for name, value in found.values.items():
        print(f"{name:20s} {value:10.3f} {'W' if name in POWER_TERMS else 'pJ'}")
    measured: dict[str, Any] = {r["program"]: float(r["watts"]) for r in rows if r["size"] == "micro"}
    for name, error in found.residuals.items():
        print(f"{name:20s} {measured[name]:7.1f} W measured, {found.predicted[name]:7.1f} fitted {100 * error:+6.1f} %")
    print(f"mean residual {100 * found.mape:.2f} %")
    if args.write:
        source = f"fit to {path.name}" if path.parent == HERE else f"fit to {path}"
        TABLE.write_text(yaml_text(found, idle, rows, notes, source), encoding="utf-8")
        print(f"written: {TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
