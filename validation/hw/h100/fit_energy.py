"""Fits the energy per event of an H100 to measured board power: writes `configs/energy/h100.yaml`.

    python validation/hw/h100/fit_energy.py [--write] [--power CSV] [--micro CSV]

Every row of the fit is one kernel in a steady state: watts = idle + running x duty + active SMs x duty + sum(events per
second x energy). No coefficient may be negative. Rows:

* the micro-kernels of `energy_micro.cu`. Events come from archsim: the same kernel, captured without a GPU for one and
  two iterations and simulated on `h100_sxm`; they are linear in the iterations, so the measured launch follows.
* seven arithmetic rows of an earlier measurement (`energy_microkernels_first_DATE.csv`), whose operands keep toggling.
* the tuning half of the suite at the large size, which stands for how real operands toggle and how units work together;
  events are those of the second of two simulated launches. The reported half is never used: it is the validation.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsim.energy.fit import Fit, fit_nonnegative
from archsim.errors import ArchsimError, RunError
from archsim.validate.simulate import Simulated, Task, run_task
from archsim.validate.suite import cache_folder, latest, load_programs, read_table, validation_folder

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


@dataclass(frozen=True)
class Row:
    """One measured kernel: what was drawn, and what happened in a second."""

    name: str
    watts: float
    idle: float  # of its session
    duty: float  # share of the time in which the kernel ran
    active_sms: float
    rates: dict[str, float]  # events per second by term


def _row(
    name: str, watts: float, idle: float, period_s: float, busy_s: float, sms: float, counts: dict[str, float]
) -> Row:
    duty = min(busy_s / period_s, 1.0)
    return Row(name, watts, idle, duty, duty * sms, {t.name: event_count(t, counts) / period_s for t in TERMS})


#: Micro-kernels left out: the operands of their chains soon stand still (ffma draws 246 W, with toggling operands
#: 388 W), which real operands do not.
STILL = {"ffma", "ffma_quarter_sms", "ffma_one_warp", "ffma_half_warp", "fadd", "fmul", "imad", "lop3", "shf", "minmax",
         "dfma", "dadd", "ex2", "i2f", "popc", "vote"}  # fmt: skip


def micro_rows(rows: list[dict[str, str]]) -> list[Row]:
    """The micro-kernels."""
    idle = idle_watts(rows)
    skipped = set(STILL)
    if all(r["program"] != "ffma_toggle" for r in rows):
        skipped.add("ldg_l1")  # measured before its loads were kept from being moved out of the loop
    return [
        _row(f"{r['program']} (micro)", float(r["watts"]), idle, float(r["seconds_per_launch"]),
             float(r["busy_s_per_launch"]), active_sms(r), per_launch(r["program"], int(r["iterations"])))
        for r in rows if r["size"] == "micro" and r["program"] not in skipped
    ]  # fmt: skip


#: Kernel of the earlier measurement -> execution unit; those with more than one class of instruction are left out.
FIRST = {"ffma": "fp32", "imad": "fp32", "lop3": "int", "dfma": "fp64", "mufu": "sfu", "hfma2": "fp16",
         "hmma16816_f32": "tensor"}  # fmt: skip


def first_rows(path: Path) -> list[Row]:
    """The arithmetic rows of the earlier measurement: all lanes, one unit, as many instructions as it says."""
    rows, _ = read_table(path, "kernel", "launches", "seconds", "watts", "warp_insts_per_launch")
    idle = next(float(r["watts"]) for r in rows if r["kernel"] == "idle_context")
    found = []
    for r in rows:
        if r["kernel"] in FIRST:
            instructions = float(r["warp_insts_per_launch"])
            counts = {"warp_instructions": instructions, "thread_instructions": 32 * instructions,
                      f"units.{FIRST[r['kernel']]}": instructions}  # fmt: skip
            period = float(r["seconds"]) / float(r["launches"])
            found.append(_row(f"{r['kernel']} (first)", float(r["watts"]), idle, period, period, SMS, counts))
    return found


def suite_rows(rows: list[dict[str, str]], limit_us: float) -> list[Row]:
    """The tuning half of the suite, launches of up to ``limit_us`` on the card (longer ones take long to simulate)."""
    programs = {p.name: p for p in load_programs(validation_folder())}
    idle = idle_watts(rows)
    found = []
    for r in rows:
        if r["split"] != "tune" or r["size"] != "large" or float(r["busy_s_per_launch"]) * 1e6 > limit_us:
            continue
        task = Task(r["program"], "", "h100_sxm", kept=True, program=programs[r["program"]], size="large")
        simulated = run_task(task)
        share = simulated.metrics["active_cycles"] / (SMS * simulated.metrics["cycles"])
        found.append(
            _row(f"{r['program']} (suite)", float(r["watts"]), idle, float(r["seconds_per_launch"]),
                 float(r["busy_s_per_launch"]), SMS * share, counters(simulated))
        )  # fmt: skip
    return found


def idle_watts(rows: list[dict[str, str]]) -> float:
    """Mean of the idle rows before and after a session."""
    return float(np.mean([float(r["watts"]) for r in rows if r["program"] == "idle"]))


def fit(rows: list[Row]) -> Fit:
    """Coefficients: pJ, or W for the power terms."""
    matrix = np.zeros((len(rows), len(POWER_TERMS) + len(TERMS)))
    for i, row in enumerate(rows):
        matrix[i, :2] = row.duty, row.active_sms
        matrix[i, 2:] = [1e-12 * row.rates[t.name] for t in TERMS]
    names = [*POWER_TERMS, *(t.name for t in TERMS)]
    watts, idle = np.array([r.watts for r in rows]), np.array([r.idle for r in rows])
    return fit_nonnegative([r.name for r in rows], names, matrix, watts, offset=idle)


def yaml_text(found: Fit, idle: float, rows: list[dict[str, str]], notes: list[str], source: str) -> str:
    """The table, with the fit's residuals in its head."""
    warm = [float(r["temperature_after_c"]) for r in rows if r["size"] in ("micro", "large")]
    worst = max(found.residuals.items(), key=lambda item: abs(item[1]))
    kinds = {kind: [abs(e) for name, e in found.residuals.items() if name.endswith(f"({kind})")]
             for kind in ("micro", "first", "suite")}  # fmt: skip
    parts = ", ".join(f"{kind} {100 * sum(e) / len(e):.1f} % (n {len(e)})" for kind, e in kinds.items() if e)
    lines = [
        "# H100 80 GB SXM5, fitted to board power: validation/hw/h100/fit_energy.py --write (which says to what).",
        *(f"# {note}" for note in notes),
        f"# Residuals over {len(found.residuals)} kernels: mean {100 * found.mape:.1f} %, worst {worst[0]} "
        f"{100 * worst[1]:+.1f} %; mean by kind: {parts}.",
        "# Board power includes everything on it; clocks and voltage are those of",
        "# 1980 MHz. Operands that toggle draw more than operands that stand still (ffma: 388, 246 W): this is a mean.",
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
            f"  {term.name}: {{component: {term.component}, class: {term.instruction_class}, "
            f"count: {{{counted}}}{lanes}, pj: {found.values[term.name]:.4g}, source: {source}, confidence: fitted}}"
        )
    lines += [
        "power:",
        f"  idle: {{watts: {idle:.4g}, per: chip, source: {source}, confidence: measured}}",
        f"  running: {{watts: {found.values['running']:.4g}, per: chip, source: {source}, confidence: fitted}}",
        f"  active SM: {{watts: {found.values['active_sm']:.4g}, per: active_sm, source: {source}, "
        "confidence: fitted}",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--power", type=Path, help="measurements (default: the newest power_DATE.csv)")
    parser.add_argument(
        "--micro", type=Path, help="take the micro-kernels from this file instead (power_micro_DATE.csv)"
    )
    parser.add_argument("--suite-us", type=float, default=10.0, help="longest suite kernel (%(default)s us)")
    parser.add_argument("--write", action="store_true", help=f"rewrite {TABLE.relative_to(ROOT)}")
    args = parser.parse_args()
    try:
        path = args.power or latest(HERE, "power")
        rows, notes = read_table(path, "program", "watts", "seconds_per_launch", "busy_s_per_launch")
        micro = read_table(args.micro, "program", "watts")[0] if args.micro else rows
        used = micro_rows(micro) + first_rows(latest(HERE, "energy_microkernels_first"))
        used += suite_rows(rows, args.suite_us)
    except ArchsimError as error:
        print(f"fit_energy: {error}", file=sys.stderr)
        return error.exit_code
    found, idle = fit(used), idle_watts(rows)
    print(f"idle {idle:.1f} W")
    for name, value in found.values.items():
        print(f"{name:20s} {value:10.3f} {'W' if name in POWER_TERMS else 'pJ'}")
    for row in used:
        print(f"{row.name:28s} {row.watts:7.1f} W measured, {found.predicted[row.name]:7.1f} fitted "
              f"{100 * found.residuals[row.name]:+6.1f} %")  # fmt: skip
    print(f"mean residual {100 * found.mape:.2f} %")
    if args.write:
        source = f"fit to {path.name}" if path.parent == HERE else f"fit to {path}"
        TABLE.write_text(yaml_text(found, idle, rows, notes, source), encoding="utf-8")
        print(f"written: {TABLE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
