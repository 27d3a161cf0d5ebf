"""Measures every program of the kernel suite on the GPU of this machine; see measure_suite.sh for how to call it.

Only the standard library, nvcc and ncu are needed. Files written to --out:
    checksums.csv   every report line of every program (name, checksum, status)
    cycles.csv      per program and protocol: median, spread and every launch of the single-pass cycle metrics
    counters.csv    per program: the counters of metrics.txt, multi-pass, caches flushed (one metric a column)
    problems.csv    what did not run, what ncu said, unknown metrics; only a header when all is well
Protocol (shared hw/h100/README.md): clocks untouched; six launches in the process, the first profiled one dropped,
median of the other five; once with caches flushed before each launch, once with caches kept.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parents[1] / "kernels"
METRICS_FILE = HERE / "metrics.txt"
sys.path.insert(0, str(KERNELS))

import build  # noqa: E402  (validation/kernels/build.py, found through the path above)
import manifest  # noqa: E402

LAUNCHES = 6
CYCLE_METRICS = {"sm__cycles_active.max": "sm_active_max", "gpc__cycles_elapsed.max": "gpc_elapsed_max"}  # one pass
PROTOCOLS = {"flushed": "all", "kept": "none", "counters": "all"}  # part -> ncu --cache-control


class Report:
    """Collects rows by file and rewrites the files after every step, so that a cut-off run loses nothing."""

    def __init__(self, out: Path, header: list[str]) -> None:
        self.out, self.header = out, header
        self.rows: dict[str, list[dict[str, object]]] = {"checksums": [], "cycles": [], "counters": [], "problems": []}

    def problem(self, program: str, size: str, part: str, text: str) -> None:
        print(f"problem: {program} {size} {part}: {text}", flush=True)
        self.rows["problems"].append(
            {"program": program, "size": size, "part": part, "problem": " ".join(text.split())[:400]}
        )

    def write(self) -> None:
        for name, rows in self.rows.items():
            columns = list(dict.fromkeys(key for row in rows for key in row)) or ["program"]
            with open(self.out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
                file.writelines(f"# {line}\n" for line in self.header)
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)


def run(command: list[str], timeout_s: float) -> tuple[int, str]:
    """Exit status (124 when out of time) and both outputs together."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as late:
        return 124, (late.stdout or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


def machine_header() -> list[str]:
    query = "name,driver_version,clocks.max.sm,clocks.max.mem,temperature.gpu"
    card = run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader", "--id=0"], 30)[1].strip()
    nvcc = run(["nvcc", "--version"], 30)[1].strip().splitlines()
    ncu = run(["ncu", "--version"], 60)[1].strip().splitlines()
    return [
        f"card, driver, max SM clock, max memory clock, temperature C: {card}",
        f"nvcc: {nvcc[-1] if nvcc else '?'}; ncu: {ncu[-1] if ncu else '?'}",
        f"date: {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC; script: measure_suite.py",
        f"protocol: clock-control none, {LAUNCHES} launches, first dropped; flushed: cache-control all, kept: none",
    ]


def arguments(program: manifest.Program, size: str) -> tuple[str, ...]:
    return program.args_small if size == "small" else program.args_large


def measure_plain(programs: list[manifest.Program], size: str, binaries: Path, report: Report) -> None:
    """Runs each program once and once with six launches: the report lines must pass and agree."""
    for program in programs:
        command = [str(binaries / f"{program.name}.sm_90"), *arguments(program, size)]
        once, many = run(command, 60), run([*command, "--repeat", str(LAUNCHES)], 60)
        for line in once[1].splitlines():
            found = re.match(r"(\S+) checksum=([0-9a-f]{16}) (.*) (PASS|FAIL)$", line)
            if found:
                name, checksum, detail, status = found.groups()
                report.rows["checksums"].append(
                    {
                        "program": program.name,
                        "size": size,
                        "line": name,
                        "checksum": checksum,
                        "status": status,
                        "detail": detail,
                        "repeat_agrees": once[1] == many[1],
                        "exact": program.exact,
                    }
                )  # fmt: skip
        if once[0] or many[0]:
            report.problem(program.name, size, "plain", f"exit {once[0]} and {many[0]}: {once[1]} {many[1]}")
        elif once[1] != many[1] and program.exact:
            report.problem(program.name, size, "plain", f"six launches give another result: {many[1]}")
    report.write()


def parse_ncu(text: str) -> list[dict[str, str]]:
    """Rows of an `ncu --csv --page raw` log, one a launch; the units row and tool messages are left out."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        return []
    rows = list(csv.DictReader(line for line in lines[start:] if line.startswith('"')))
    return [row for row in rows if row["ID"].isdigit()]


def number(text: str | None) -> float | str:
    """The value of a cell ('' when ncu has none)."""
    try:
        value = float((text or "").replace(",", ""))
    except ValueError:
        return ""
    return int(value) if value.is_integer() else value


def profile(
    batch: list[manifest.Program], size: str, part: str, metrics: Iterable[str], binaries: Path, scratch: Path
) -> tuple[list[dict[str, str]], str]:
    """Profiles the main kernels of a batch of programs under one ncu process: (rows, everything ncu printed)."""
    launches = LAUNCHES if part != "counters" else 2
    script, log = scratch / "batch.sh", scratch / "ncu.csv"
    script.write_text(
        "\n".join(
            " ".join([str(binaries / f"{p.name}.sm_90"), *arguments(p, size), "--repeat", str(launches)]) for p in batch
        )
        + "\n"
    )
    log.unlink(missing_ok=True)
    names = "|".join(program.kernel for program in batch)
    code, output = run(
        ["ncu", "--target-processes", "all", "--clock-control", "none", "--cache-control", PROTOCOLS[part],
         "--kernel-name-base", "function", "--kernel-name", f"regex:^({names})$", "--metrics", ",".join(metrics),
         "--csv", "--page", "raw", "--print-units", "base", "--log-file", str(log), "bash", str(script)],
        90 + 12 * len(batch),
    )  # fmt: skip
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    return parse_ncu(text), f"ncu exit {code}: {output} " + "\n".join(
        line for line in text.splitlines() if line.startswith("==")
    )


def known_metrics(listed: Path, program: manifest.Program, binaries: Path, scratch: Path, report: Report) -> list[str]:
    """The counters this ncu can collect: those it names in an error are left out and noted."""
    lines = listed.read_text(encoding="utf-8").splitlines()
    metrics = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for _ in range(len(metrics)):
        rows, said = profile([program], "small", "counters", metrics, binaries, scratch)
        complaints = " ".join(line for line in said.splitlines() if "==ERROR==" in line or "==WARNING==" in line)
        unknown = [metric for metric in metrics if re.search(rf"\b{re.escape(metric)}(?![\w.])", complaints)]
        if not unknown:
            bases = {re.split(r"\.", metric)[0]: metric for metric in metrics}
            unknown = [full for base, full in bases.items() if re.search(rf"\b{base}\b", complaints)]
        for metric in unknown:
            report.problem("", "", "counters", f"metric unknown to this ncu: {metric}")
        metrics = [metric for metric in metrics if metric not in unknown]
        if rows:
            break
        if not unknown:
            report.problem(program.name, "small", "counters", said)
            break
    return metrics


def identity(program: manifest.Program, size: str, row: dict[str, str]) -> dict[str, object]:
    return {
        "program": program.name,
        "kernel": program.kernel,
        "split": program.split,
        "size": size,
        "grid": row.get("Grid Size", ""),
        "block": row.get("Block Size", ""),
    }


def cycles_row(program: manifest.Program, size: str, part: str, rows: list[dict[str, str]]) -> dict[str, object]:
    kept = rows[1:]  # the first profiled launch of a process is slow by an artefact of profiling
    out = identity(program, size, rows[0]) | {"protocol": part, "launches": len(kept)}
    for metric, short in CYCLE_METRICS.items():
        values = [value for value in (number(row.get(metric)) for row in kept) if value != ""]
        if values:
            out[f"{short}_median_cycles"] = statistics.median(values)
            out[f"{short}_min_cycles"], out[f"{short}_max_cycles"] = min(values), max(values)
            out[f"{short}_all_cycles"] = " ".join(str(number(row.get(metric))) for row in rows)
    if out.get("sm_active_max_median_cycles"):
        span = out["sm_active_max_max_cycles"] - out["sm_active_max_min_cycles"]  # type: ignore[operator]
        out["sm_active_max_spread"] = round(span / out["sm_active_max_median_cycles"], 4)  # type: ignore[operator]
    return out


def counters_row(
    program: manifest.Program, size: str, rows: list[dict[str, str]], metrics: list[str]
) -> dict[str, object]:
    last = rows[-1]
    return (
        identity(program, size, last)
        | {"varies": program.varies or ""}
        | {metric: number(last.get(metric)) for metric in metrics}
    )


def measure_profiled(
    programs: list[manifest.Program], size: str, part: str, metrics: list[str], binaries: Path, report: Report,
    scratch: Path, batch_size: int, out_of_time: Callable[[], bool],
) -> None:  # fmt: skip
    """One part (flushed, kept or counters) over all programs, in batches; stops cleanly when time is up."""
    for start in range(0, len(programs), batch_size):
        batch = programs[start : start + batch_size]
        if out_of_time():
            for program in programs[start:]:
                report.problem(program.name, size, part, "not measured: out of time")
            break
        began = time.monotonic()
        rows, said = profile(batch, size, part, metrics, binaries, scratch)
        for program in batch:
            mine = [row for row in rows if re.fullmatch(program.kernel, row["Kernel Name"].split("(")[0])]
            want = 2 if part == "counters" else LAUNCHES
            if len(mine) != want:
                report.problem(program.name, size, part, f"{len(mine)} launches profiled instead of {want}: {said}")
            if len(mine) > 1 and part == "counters":
                report.rows["counters"].append(counters_row(program, size, mine, metrics))
            elif len(mine) > 1:
                report.rows["cycles"].append(cycles_row(program, size, part, mine))
        print(f"{part} {size}: {', '.join(p.name for p in batch)} ({time.monotonic() - began:.1f} s)", flush=True)
        report.write()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the kernel suite on this machine's H100.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV files")
    parser.add_argument("--parts", default="plain,flushed,kept,counters", help="comma-separated, in this order")
    parser.add_argument("--sizes", default="small,large", help="comma-separated")
    parser.add_argument("--only", default="", help="regular expression of program names")
    parser.add_argument("--metrics", type=Path, default=METRICS_FILE, help="list of counters, one a line")
    parser.add_argument("--budget-s", type=float, default=530, help="start no new batch after this many seconds")
    parser.add_argument("--batch", type=int, default=8, help="programs under one ncu process")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="parallel compilations")
    args = parser.parse_args()
    args.parts, args.sizes = args.parts.split(","), args.sizes.split(",")
    if bad := set(args.parts) - {"plain", *PROTOCOLS} or set(args.sizes) - {"small", "large"}:
        parser.error(f"unknown part or size: {', '.join(sorted(bad))}")
    return args


def main() -> int:
    args = parse_arguments()
    began = time.monotonic()
    for tool in ("nvcc", "ncu", "nvidia-smi"):
        if shutil.which(tool) is None:
            print(f"measure_suite: {tool} is not on PATH", file=sys.stderr)
            return 1
    args.out.mkdir(parents=True, exist_ok=True)
    binaries = KERNELS / "build"
    programs = [p for p in manifest.load() if "sm_90" in p.archs and re.search(args.only, p.name)]
    try:
        build.build([p.name for p in programs], ["sm_90"], binaries, args.jobs)
    except build.BuildError as error:
        print(f"measure_suite: {error}", file=sys.stderr)
        return 1
    print(f"built {len(programs)} programs ({time.monotonic() - began:.1f} s)", flush=True)
    report = Report(args.out, machine_header())
    counters = known_metrics(args.metrics, programs[0], binaries, binaries, report) if "counters" in args.parts else []
    for size in args.sizes:
        for part in args.parts:
            if part == "plain":
                measure_plain(programs, size, binaries, report)
                continue
            metrics = counters if part == "counters" else list(CYCLE_METRICS)
            measure_profiled(programs, size, part, metrics, binaries, report, binaries, args.batch,
                             lambda: time.monotonic() - began > args.budget_s)  # fmt: skip
    report.write()
    print(f"done in {time.monotonic() - began:.1f} s; {len(report.rows['problems'])} problems", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
