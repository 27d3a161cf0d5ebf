"""How a sweep scales: 200 points over 4 traces (sweep200.yaml) with one and with two worker processes.

    python validation/bench/bench_sweep.py [--rounds 2] [--study FILE.yaml]

Every run really runs: each study has a folder and a result cache of its own, both thrown away. Compiled code is warm (a
first run of one point sees to it). "whole command" is what a user waits for: process start, planning, runs, table.
Beside it stands what the machine itself gives: the reference loop in two processes at once against one. On two free
cores that is 2.0; two hyper-threads of one core, or another busy process, make it less, and no sweep can scale better.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = Path(__file__).with_name("sweep200.yaml")
REFERENCE = "total = 0\nfor i in range(20_000_000):\n    total = (total + (i ^ total >> 3)) & 0xFFFFFFFF"


def seconds_of(commands: list[list[str]], environment: dict[str, str] | None = None) -> float:
    """Wall seconds until all of these processes, started together, have ended."""
    begin = time.perf_counter()
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for command in commands]
    codes = [process.wait() for process in running]
    if any(codes):
        sys.exit(f"{commands[0][-1]}: exit codes {codes}")
    return time.perf_counter() - begin


def machine_scaling() -> float:
    """Work per second of two processes over that of one, without a sweep."""
    loop = [sys.executable, "-c", REFERENCE]
    return 2 * seconds_of([loop]) / seconds_of([loop, loop])


def sweep_seconds(study: Path, workers: int) -> float:
    """Wall seconds of the whole command, nothing cached but compiled code."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"ARCHSIM_RESULT_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-m", "archsim.cli", "sweep", str(study), "-o", f"{folder}/out", "-j", str(workers)]
        return seconds_of([[*command, "--quiet"]], environment)


def main() -> None:
    """Time both, in turn, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--study", type=Path, default=STUDY)
    args = parser.parse_args()
    warm = ["sweep", "-c", "rtx_a6000", "--traces", "softmax_sm86", "--set", "num_sms=8", "--axis", "sm.num_warps=48"]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "archsim.cli", *warm, "-o", f"{folder}/out", "-j", "1", "--quiet"]
        seconds_of([command], os.environ | {"ARCHSIM_RESULT_CACHE": f"{folder}/cache"})
    best = {1: float("inf"), 2: float("inf")}
    for _ in range(args.rounds):
        scaling, load = machine_scaling(), os.getloadavg()[0]
        times = {workers: sweep_seconds(args.study, workers) for workers in best}
        best = {workers: min(best[workers], times[workers]) for workers in best}
        print(
            f"load {load:.1f}; reference loop {scaling:.2f}x with two processes; whole command: 1 worker "
            f"{times[1]:.1f} s, 2 workers {times[2]:.1f} s, {times[1] / times[2]:.2f}x",
            flush=True,
        )
    print(f"best: {best[1]:.1f} s and {best[2]:.1f} s, {best[1] / best[2]:.2f}x (goal: 1.8x on two free cores)")


if __name__ == "__main__":
    main()
