"""Builds and runs the H100 micro-benchmarks; writes $OUT/micro.csv and $OUT/micro.log. Standard library only.

Each benchmark is a subcommand of a small executable, run alone under a time limit, so that one failure loses only its own rows.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import datetime
import io
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ICACHE = {"icache_small": 0, "icache_128": 1, "icache_256": 2, "icache_512": 3}  # executable: ICACHE_PART of icache.cu
SOURCES = ["alu_fp", "alu_int", "alu_mma", "mem_ops", "mem_lat", "mem_bw", "sync", "branch", "chip", "empty"]
EMPTY_GRIDS = [1, 132, 1320, 13200]
EMPTY_LAUNCHES = 8  # of each grid, see empty.cu
RUN_LIMIT_S = 60


def build(name: str, source: str, out: Path, extra: list[str]) -> tuple[str, int, str, float]:
    """Compile one executable; returns (name, exit code, compiler output, seconds)."""
    begin = time.monotonic()
    command = ["nvcc", "-arch=sm_90", "-O3", "-std=c++17", "-Xcompiler", "-Wall", "-o", str(out / name)]
    done = subprocess.run([*command, *extra, str(HERE / "micro" / f"{source}.cu")], capture_output=True, text=True)
    return name, done.returncode, done.stdout + done.stderr, time.monotonic() - begin


def build_all(out: Path, log: io.TextIOBase, jobs: int) -> None:
    """Compile every executable, the slow ones first."""
    work = [(n, "icache", [f"-DICACHE_PART={part}"]) for n, part in reversed(ICACHE.items())]
    work += [(s, s, []) for s in SOURCES]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, code, text, seconds in pool.map(lambda w: build(w[0], w[1], out, w[2]), work):
            log.write(f"# build {name}: exit {code}, {seconds:.1f} s\n{text}")
            log.flush()


def run(command: list[str], log: io.TextIOBase, limit_s: float = RUN_LIMIT_S) -> str:
    """Run one benchmark; its output also goes to the log, with its exit code and time. Output before a failure is kept."""
    begin = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
        text, errors, code = done.stdout, done.stderr, str(done.returncode)
    except subprocess.TimeoutExpired as expired:
        text, errors = ((x or b"").decode(errors="replace") for x in (expired.stdout, expired.stderr))
        code = "timeout"
    except OSError as error:
        text, errors, code = "", str(error), "not started"
    log.write(f"# run {' '.join(command)}: exit {code}, {time.monotonic() - begin:.1f} s\n{text}{errors}\n")
    log.flush()
    if code != "0":
        print(f"FAILED {' '.join(command)}: {code} {errors.strip()[:200]}", flush=True)
    return text


def rows_of(text: str) -> list[list[str]]:
    """The CSV rows among a benchmark's output lines (a cut last line is dropped)."""
    return [r for r in csv.reader(io.StringIO(text)) if len(r) == 5]


def header(log: io.TextIOBase) -> list[str]:
    """Comment lines: card, driver, clocks, date, compiler."""
    fields = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,clocks_event_reasons.active,power.draw,temperature.gpu"
    lines = [f"# date,{datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds')}"]
    for line in run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv"], log).splitlines():
        lines.append(f"# {line}")
    lines += [f"# nvcc,{x}" for x in run(["nvcc", "--version"], log).splitlines() if "release" in x]
    return lines


def ncu_empty(out: Path, log: io.TextIOBase) -> list[list[str]]:
    """Elapsed and active cycles of empty kernels under ncu, caches flushed and kept; the first launch of each grid is repeat "first"."""
    metrics = "sm__cycles_active.max,sm__cycles_active.avg,gpc__cycles_elapsed.max,gpu__time_duration.sum"
    result: list[list[str]] = []
    for cache in ("all", "none"):
        command = [
            "ncu",
            "--clock-control",
            "none",
            "--cache-control",
            cache,
            "--csv",
            "--metrics",
            metrics,
            str(out / "empty"),
        ]
        text = run(command, log, 40)
        begin = text.find('"ID"')
        if begin < 0:
            continue
        for record in csv.DictReader(io.StringIO(text[begin:])):
            number, metric = record.get("ID", ""), record.get("Metric Name", "")
            if not (number or "").isdigit() or not metric:
                continue
            index = int(number)
            grid, repeat = EMPTY_GRIDS[min(index // EMPTY_LAUNCHES, 3)], index % EMPTY_LAUNCHES
            value = (record.get("Metric Value") or "").replace(",", "")
            label = "first" if repeat == 0 else str(repeat - 1)
            unit = record.get("Metric Unit") or ""
            result.append([f"empty_kernel_{metric}", f"cache_{cache}_{grid}CTAs", value, unit, label])
    return result


def clocks_after(log: io.TextIOBase) -> str:
    """SM and memory clock right after the runs."""
    text = run(["nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,temperature.gpu", "--format=csv,noheader"], log)
    return f"# after the runs: clocks.sm; clocks.mem; temperature: {text.strip()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", HERE / "new")))
    parser.add_argument("--jobs", type=int, default=min(16, os.cpu_count() or 1))
    parser.add_argument("--build", type=Path, default=Path("/tmp/archsim-micro"), help="folder of the executables")
    parser.add_argument("--only", default="", help="comma-separated executables, e.g. mem_lat,sync")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.build.mkdir(parents=True, exist_ok=True)
    only = set(filter(None, args.only.split(",")))
    begin = time.monotonic()
    with open(args.out / "micro.log", "w") as log, open(args.out / "micro.csv", "w", newline="") as target:
        build_all(args.build, log, args.jobs)
        print(f"built in {time.monotonic() - begin:.0f} s", flush=True)
        target.write("\n".join(header(log)) + "\nname,variant,value,unit,repeat\n")
        writer = csv.writer(target, lineterminator="\n")
        count = 0
        for name in [*SOURCES[:-1], *ICACHE]:
            if only and name not in only:
                continue
            for command in run([str(args.build / name), "--list"], log).split():
                rows = rows_of(run([str(args.build / name), command], log))
                writer.writerows(rows)
                target.flush()
                count += len(rows)
                print(f"{time.monotonic() - begin:6.1f} s {name} {command}: {len(rows)} rows", flush=True)
        if not only or "empty" in only:
            rows = ncu_empty(args.build, log)
            writer.writerows(rows)
            count += len(rows)
            print(f"{time.monotonic() - begin:6.1f} s ncu empty: {len(rows)} rows", flush=True)
        target.write(clocks_after(log) + "\n")
    print(f"{count} rows in {time.monotonic() - begin:.0f} s: {args.out / 'micro.csv'}")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())
