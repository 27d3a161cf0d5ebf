"""Measures steady-state board power on the GPU of this machine; see measure_power.sh for how to call it.

Only the standard library, nvcc and the driver are needed. Writes to --out:
    power.csv       one row a kernel: idle (context open, nothing running) before and after, the micro-kernels of
                    energy_micro.cu, and the measured kernel of every suite program (large size unless --sizes says so)
    problems.csv    what did not run and what it said; only a header when all is well
Columns: joules and seconds between two moves of the board's energy counter; launches in that time; busy_s_per_launch:
device time of one launch inside a CUDA graph of launches; clocks and temperature as NVML reports them.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "kernels"
sys.path.insert(0, str(KERNELS))

import build  # noqa: E402  (validation/kernels/build.py, found through the path above)
import manifest  # noqa: E402

FIELDS = (
    "kernel,grid,block,launches,seconds,joules,watts,seconds_per_launch,busy_s_per_launch,"
    "sm_mhz,mem_mhz,temperature_before_c,temperature_after_c"
).split(",")
#: Iterations of each micro-kernel: about a millisecond of work.
MICRO = {
    "ffma": 1600, "ffma_quarter_sms": 3200, "ffma_one_warp": 3200, "ffma_half_warp": 800, "fadd": 1600, "fmul": 1600,
    "ffma_toggle": 1600, "dfma_toggle": 800, "imad_toggle": 800,
    "imad": 800, "lop3": 800, "shf": 800, "minmax": 400, "dfma": 800, "dadd": 800, "ex2": 200, "i2f": 200, "popc": 200,
    "shfl": 400, "vote": 200, "hfma2": 800, "hmma": 800, "imma": 800, "lds": 800, "lds_conflict4": 200, "sts": 800,
    "barrier": 200, "sleep": 1, "ldg_l1": 800, "ldg_l2": 400, "ldg_hbm": 248, "stg_l2": 400, "stg_hbm": 248, "red": 200,
    "empty": 1,
}  # fmt: skip
#: Later launches would do other work than the first one, which the simulator sees: not measured.
STATEFUL = {"bfs_level", "sssp_relax", "scan_lookback"}


def nvcc(source: Path, target: Path, flags: tuple[str, ...]) -> str:
    """Compiles for the GPU with the power hook; returns what the compiler said ('' when all is well)."""
    command = [
        "nvcc", "-std=c++17", "-O3", "-cudart", "shared", "-gencode", "arch=compute_90,code=sm_90",
        "-Xcompiler", "-ffp-contract=off", "-DARCHSIM_POWER", *flags, "-o", str(target), str(source), "-ldl",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


class Session:
    """Runs binaries and keeps the files up to date, so that a cut-off run loses nothing."""

    def __init__(self, out: Path, seconds: float) -> None:
        self.out, self.seconds = out, seconds
        self.rows: list[dict[str, object]] = []
        self.problems: list[dict[str, object]] = []
        query = "name,driver_version,power.limit,clocks.max.sm,clocks.max.mem,temperature.gpu"
        card = subprocess.run(
            ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", "--id=0"],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        self.header = [
            f"card, driver, power limit, max SM clock, max memory clock, temperature C: {card}",
            f"date: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; script: measure_power.py; clocks untouched",
        ]

    def problem(self, name: str, text: str) -> None:
        print(f"problem: {name}: {text}", flush=True)
        self.problems.append({"name": name, "problem": " ".join(text.split())[:400]})
        self.write()

    def measure(self, labels: dict[str, object], command: list[str], kernel: str) -> None:
        """Runs one program with the hook and appends its row."""
        environment = os.environ | {"ARCHSIM_POWER_S": str(self.seconds), "ARCHSIM_POWER_KERNEL": kernel}
        name = f"{labels['program']} {labels['size']}"
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment, timeout=45 + 3 * self.seconds
            )
        except subprocess.TimeoutExpired:
            self.problem(name, "out of time")
            return
        found = re.search(r"^POWER,(.*)$", done.stdout, re.MULTILINE)
        if not found:
            self.problem(name, f"exit {done.returncode}: {done.stdout[-200:]} {done.stderr[-200:]}")
            return
        row = labels | dict(zip(FIELDS, found[1].split(","), strict=True))
        self.rows.append(row)
        print(f"{name}: {row['watts']} W, {float(str(row['busy_s_per_launch'])) * 1e6:.1f} us a launch", flush=True)
        self.write()

    def write(self) -> None:
        for name, rows, columns in (
            ("power", self.rows, ["program", "size", "split", "iterations", *FIELDS]),
            ("problems", self.problems, ["name", "problem"]),
        ):
            with open(self.out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                file.writelines(f"# {line}\n" for line in self.header)
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)


def compile_all(programs: list[manifest.Program], binaries: Path, jobs: int, session: Session) -> set[str]:
    """Builds everything; returns the names that compiled."""
    work = [("energy_micro", HERE / "energy_micro.cu", ())] + [
        (p.name, build.HERE / p.file, p.nvcc_flags) for p in programs
    ]
    with ThreadPoolExecutor(jobs) as pool:
        said = list(pool.map(lambda item: nvcc(item[1], binaries / f"{item[0]}.power", item[2]), work))
    for (name, _, _), text in zip(work, said, strict=True):
        if text:
            session.problem(name, f"does not compile: {text}")
    return {name for (name, _, _), text in zip(work, said, strict=True) if not text}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure steady-state power of micro-kernels and of the kernel suite.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV files")
    parser.add_argument("--parts", default="micro,suite", help="comma-separated: micro, suite")
    parser.add_argument("--sizes", default="large", help="comma-separated: small, large")
    parser.add_argument("--only", default="", help="regular expression of program names")
    parser.add_argument("--seconds", type=float, default=2.0, help="measured time per kernel")
    parser.add_argument("--budget-s", type=float, default=405, help="start no new kernel after this many seconds")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="parallel compilations")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    began = time.monotonic()
    args.out.mkdir(parents=True, exist_ok=True)
    binaries = KERNELS / "build"
    binaries.mkdir(exist_ok=True)
    session = Session(args.out, args.seconds)
    session.write()
    parts, sizes = args.parts.split(","), args.sizes.split(",")
    programs = [
        p
        for p in manifest.load()
        if "suite" in parts and "sm_90" in p.archs and p.name not in STATEFUL and re.search(args.only, p.name)
    ]
    programs.sort(key=lambda p: p.split)  # the reported half first
    good = compile_all(programs, binaries, args.jobs, session)
    print(f"built {len(good)} programs ({time.monotonic() - began:.1f} s)", flush=True)
    micro = str(binaries / "energy_micro.power")
    todo: list[tuple[dict[str, object], list[str], str]] = []
    for name, iterations in MICRO.items() if "micro" in parts else ():
        if re.search(args.only, name):
            labels = {"program": name, "size": "micro", "split": "micro", "iterations": iterations}
            todo.append((labels, [micro, name, str(iterations)], ".*"))
    for size in sizes:
        for p in programs:
            if p.name in good:
                arguments = p.args_small if size == "small" else p.args_large
                labels = {"program": p.name, "size": size, "split": p.split}
                todo.append((labels, [str(binaries / f"{p.name}.power"), *arguments], p.kernel))
    idle = ({"program": "idle", "size": "-", "split": "idle"}, [micro, "idle", "1"], ".*")
    session.measure(*idle)
    for item in todo:
        if time.monotonic() - began > args.budget_s:
            session.problem(str(item[0]["program"]), "not measured: out of time")
            continue
        session.measure(*item)
    session.measure(*idle)
    print(f"done in {time.monotonic() - began:.1f} s; {len(session.problems)} problems", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
