"""Sweeps that run: table, resume, cache, failed rows; parent killed, worker killed, disk full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import archsim
from archsim.engine.sweep import ProcessPool, SweepTable, load_study, load_table, run_study
from archsim.engine.sweep.journal import Journal, read_records
from archsim.engine.sweep.plan import Task, make_plan
from archsim.engine.sweep.runner import Progress, SweepResult
from archsim.errors import ArchsimError, RunError

WORKERS = 2
STUDY = """\
name: small
base: rtx_a6000
set: {num_sms: 2}
traces: [softmax_sm86, saxpy_sm86]
axes:
  sm.prefetcher.size: [1, 8]
  sm.num_warps: [16, 48]
"""
COLUMNS = ["point", "trace", "config", "status", "error", "sm.prefetcher.size", "sm.num_warps"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study file, and an empty result cache (compiled code stays where it is)."""
    monkeypatch.setenv("ARCHSIM_RESULT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


class InProcess:
    """Runs tasks in this process: what a run does does not depend on where it runs."""

    def __init__(self, change: Callable[[Task], None] = lambda task: None) -> None:
        self.ran: list[Task] = []
        self._change = change

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def imap(self, tasks: Any) -> Iterator[dict[str, Any]]:
        from archsim.engine.sweep.task import run_task

        for task in tasks:
            self._change(task)
            self.ran.append(task)
            yield run_task(task)


def sweep(path: Path, folder: Path, executor: Any = None, **options: Any) -> tuple[SweepResult, SweepTable]:
    result = run_study(load_study(path), folder, executor or InProcess(), **options)
    return result, load_table(folder)


def assert_same_rows(got: SweepTable, expected: SweepTable) -> None:
    """Equal tables; if not, which cells differ."""
    assert list(got.columns) == list(expected.columns)
    assert len(got) == len(expected)
    differ = [
        f"row {i}, {name}: {a[name]!r} instead of {b[name]!r}"
        for i, (a, b) in enumerate(zip(got.rows(), expected.rows(), strict=True))
        for name in a
        if a[name] != b[name]
    ]
    assert not differ, "\n".join(differ)
    assert got.meta == expected.meta


def test_the_table_holds_what_single_runs_give(study: Path, tmp_path: Path) -> None:
    result, table = sweep(study, tmp_path / "out")
    assert (result.points, result.rows, result.complete) == (4, 8, True)
    assert list(table.columns)[: len(COLUMNS)] == COLUMNS
    assert table.axes == ["sm.prefetcher.size", "sm.num_warps"]
    row = table.rows()[4]
    assert [row[name] for name in COLUMNS] == [2, "softmax_sm86", "rtx_a6000", "ok", "", 8, 16]
    config = archsim.load_config("rtx_a6000", overrides=["num_sms=2", "sm.prefetcher.size=8", "sm.num_warps=16"])
    with archsim.load_trace("softmax_sm86") as trace:
        kernel = archsim.run(trace, config).kernels[0]
    assert row["cycles"] == kernel.cycles
    assert row["ipc"] == kernel.ipc
    assert {name: row[f"stall.{name}"] for name in kernel.stalls} == kernel.stalls
    assert {name: row[name] for name in kernel.counters} == kernel.counters
    assert table.docs["cycles"][0] == "cycles"
    assert table.meta["complete"] is True
    assert json.loads((tmp_path / "out/sweep.json").read_text())["rows"] == 8


def test_totals_of_several_launches_are_sums(tmp_path: Path, study: Path) -> None:
    study.write_text("base: rtx_a6000\ntraces: [bfs_level_sm86]\nper_kernel: true\nmax_cycles: 2000\n"
                     "axes: {sm.num_warps: [48]}\n")  # fmt: skip
    _, table = sweep(study, tmp_path / "out")
    (row,) = table.rows()
    launches = load_table(tmp_path / "out/kernels.parquet").rows()
    assert row["status"] == "partial"
    assert "--max-cycles" in row["error"]
    assert row["launches"] == len(launches)
    for name in ("cycles", "warp_instructions", "issue_slots", "stall.issued"):
        assert row[name] == sum(launch[name] for launch in launches)


def test_the_same_command_runs_nothing_again(study: Path, tmp_path: Path) -> None:
    first, table = sweep(study, tmp_path / "out")
    again = InProcess()
    second, same = sweep(study, tmp_path / "out", again)
    assert (first.progress.known, second.progress.known, again.ran) == (0, 8, [])
    assert_same_rows(same, table)
    elsewhere = InProcess()
    third, copy = sweep(study, tmp_path / "other", elsewhere)  # another folder: from the cache
    assert (third.progress.known, elsewhere.ran) == (8, [])
    assert (tmp_path / "other/results.parquet").read_bytes() == (tmp_path / "out/results.parquet").read_bytes()
    assert_same_rows(copy, table)
    forced = InProcess()
    sweep(study, tmp_path / "out", forced, force=True)
    assert len(forced.ran) == 8


def test_a_longer_axis_only_runs_what_is_new(study: Path, tmp_path: Path) -> None:
    sweep(study, tmp_path / "out")
    study.write_text(STUDY.replace("[16, 48]", "[16, 32, 48]"))
    more = InProcess()
    _, table = sweep(study, tmp_path / "out", more)
    assert {task.config.sm.num_warps for task in more.ran} == {32}
    assert [row["sm.num_warps"] for row in table.rows()[::2]] == [16, 32, 48] * 2


def test_a_failed_run_is_a_row_with_its_error(study: Path, tmp_path: Path) -> None:
    study.write_text(STUDY.replace("sm.num_warps: [16, 48]", "sm.max_threads_per_cta: [32, 1024]"))
    result, table = sweep(study, tmp_path / "out")
    failed = [row for row in table.rows() if row["status"] == "failed"]
    assert (result.progress.failed, len(failed), result.complete) == (4, 4, True)
    assert {row["sm.max_threads_per_cta"] for row in failed} == {32}
    assert all("larger than the machine's sm.max_threads_per_cta = 32" in row["error"] for row in failed)
    assert all(row["cycles"] is None for row in failed)
    again, retried = InProcess(), InProcess()
    sweep(study, tmp_path / "out", again)
    sweep(study, tmp_path / "out", retried, retry_failed=True)
    assert (len(again.ran), len(retried.ran)) == (0, 4)


def test_an_internal_error_is_a_row_too(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("archsim.engine.sweep.targets.GpuTarget.run", broken)
    _, table = sweep(study, tmp_path / "out")
    assert {row["error"] for row in table.rows()} == {"internal error: ZeroDivisionError: oops"}
    assert not (tmp_path / "cache").exists()


def test_run_folders_on_demand(study: Path, tmp_path: Path) -> None:
    sweep(study, tmp_path / "out")
    with_folders = InProcess()
    _, table = sweep(study, tmp_path / "out", with_folders, folders=True)
    assert len(with_folders.ran) == 8  # known numbers do not make a folder
    row = table.rows()[3]
    loaded = archsim.load_run(tmp_path / "out/runs" / row["key"])
    assert loaded.kernels[0].cycles == row["cycles"]
    again = InProcess()
    sweep(study, tmp_path / "out", again, folders=True)
    assert again.ran == []


def test_memory_traces_are_swept_too(study: Path, tmp_path: Path) -> None:
    from archsim.engine.dram import run_requests

    requests = tmp_path / "requests.txt"
    requests.write_text("".join(f"LD 0x{64 * i:x}\n" for i in range(200)))
    study.write_text("traces: [requests.txt]\naxes:\n  config: [ddr4, hbm3]\n  controller.page: [open, closed]\n")
    _, table = sweep(study, tmp_path / "out")
    row = table.rows()[3]
    summary = run_requests(requests, "hbm3", ["controller.page=closed"]).summary()
    assert {name: row[name] for name in summary} == summary
    assert (row["config"], row["controller.page"]) == (table.rows()[2]["config"], "closed")


def test_a_second_sweep_of_the_same_folder_waits_for_no_one(study: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out")
    try:
        with pytest.raises(RunError, match="another sweep is writing there"):
            sweep(study, tmp_path / "out")
    finally:
        journal.close()


def test_a_torn_journal_line_is_run_again(study: Path, tmp_path: Path) -> None:
    _, table = sweep(study, tmp_path / "out")
    journal = tmp_path / "out/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + b'{"key": "half\n' + b"".join(lines[3:7]) + lines[7][:100])
    for file in (tmp_path / "cache").rglob("*.json"):
        file.unlink()
    executor = InProcess()
    result, again = sweep(study, tmp_path / "out", executor)
    assert len(executor.ran) == 2
    assert_same_rows(again, table)
    assert any("2 damaged journal lines" in note for note in result.notes)
    assert len(read_records(tmp_path / "out")) == 8


def test_interrupted_before_the_end_leaves_a_table_of_what_is_finished(study: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(study, tmp_path / "out", report=stop)
    partial = load_table(tmp_path / "out")
    assert (len(partial), partial.meta["complete"]) == (3, False)


COMMAND = [sys.executable, "-m", "archsim.cli", "sweep"]


def environment(cache: Path) -> dict[str, str]:
    """A result cache of its own, everybody's compiled code."""
    return os.environ | {"ARCHSIM_RESULT_CACHE": str(cache)}


def finished(folder: Path) -> int:
    try:
        return len(read_records(folder))
    except RunError:
        return 0


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


LONG = STUDY.replace("[1, 8]", "[1, 2, 3, 4, 5, 6]").replace(
    "traces: [softmax_sm86, saxpy_sm86]", "traces: [softmax_sm86]"
)
ROWS = 12


def test_killing_the_parent_and_a_worker_loses_no_finished_row(study: Path, tmp_path: Path) -> None:
    study.write_text(LONG)
    out, env = tmp_path / "out", environment(tmp_path / "own")
    command = [*COMMAND, str(study), "-o", str(out), "-j", str(WORKERS), "--quiet"]

    parent = subprocess.Popen(command, env=env)
    wait_for(lambda: finished(out) >= 2)
    workers = children(parent.pid)
    assert len(workers) == WORKERS
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    kept = read_records(out)
    assert 2 <= len(kept) < ROWS, "the kill came too late to test anything"
    wait_for(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and is_worker(pid) for pid in workers), 30)

    resumed = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: len(children(resumed.pid)) == WORKERS and finished(out) > len(kept) or resumed.poll() is not None)
    if resumed.poll() is None and children(resumed.pid):
        os.kill(children(resumed.pid)[0], signal.SIGKILL)
    assert resumed.wait(timeout=120) == 0
    records = read_records(out)
    assert all(records[key] == record for key, record in kept.items())
    assert len(records) == ROWS

    whole, table = sweep(study, tmp_path / "undisturbed")
    assert whole.complete
    assert_same_rows(load_table(out), table)
    assert (out / "results.parquet").read_bytes() == (tmp_path / "undisturbed/results.parquet").read_bytes()
    assert {row["status"] for row in table.rows()} == {"ok"}


def is_worker(pid: int) -> bool:
    try:
        return b"archsim.engine.sweep.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_a_full_disk_loses_no_finished_row(study: Path, tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for a full disk: writes beyond it fail in the same way, also half-way through a line."""
    study.write_text(LONG)
    _, table = sweep(study, tmp_path / "undisturbed")
    line = (tmp_path / "undisturbed/journal.jsonl").stat().st_size // ROWS
    out, env = tmp_path / "out", environment(tmp_path / "own")
    command = [*COMMAND, str(study), "-o", str(out), "-j", "1", "--quiet"]
    limit = int(line * 3.5)
    limited = ["bash", "-c", f'ulimit -f {limit // 1024}; exec "$@"', "-", *command]
    stopped = subprocess.run(limited, env=env, capture_output=True, text=True)
    assert stopped.returncode == 2
    assert "cannot be written: File too large" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    kept = read_records(out)
    assert 1 <= len(kept) <= 3
    assert (out / "journal.jsonl").read_bytes().endswith(b"\n"), "the line cut short was taken back"
    resumed = subprocess.run([arg for arg in command if arg != "--quiet"], env=env, capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    known = int(resumed.stdout.split(" known already")[0].split()[-1])
    assert known >= len(kept)
    assert_same_rows(load_table(out), table)


def test_a_worker_that_always_dies_is_a_failed_row(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plug-in file kills whoever loads it inside a worker."""
    plugin = tmp_path / "deadly.py"
    plugin.write_text(
        "import os, signal, sys\nif sys.argv[0].endswith('worker.py'):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    study.write_text(LONG.replace("[1, 2, 3, 4, 5, 6]", "[1]").replace("[16, 48]", "[16]") + "plugins: [deadly.py]\n")
    _, table = sweep(study, tmp_path / "out", ProcessPool(1))
    (row,) = table.rows()
    assert row["status"] == "failed"
    assert row["error"] == "its worker process died 3 times, last by signal SIGKILL (out of memory?)"


def test_errors_of_the_command_line_are_one_line(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from archsim.cli import main

    assert main(["sweep", str(tmp_path / "none.yaml")]) == 2
    assert main(["sweep"]) == 2
    assert main(["sweep", str(study), "-j", "0"]) == 2
    assert main(["sweep", str(study), "-o", str(study / "below"), "-j", "1"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 4
    assert all(line.startswith("archsim: error: ") for line in lines)


def test_dry_run_lists_points(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from archsim.cli import main

    assert main(["sweep", str(study), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "4 points x 2 traces, 8 different runs" in text
    assert text.splitlines()[-1].split() == ["3", "8", "48"]


def test_a_changed_source_is_a_new_version(monkeypatch: pytest.MonkeyPatch, study: Path) -> None:
    from archsim.engine.sweep import cache

    before = set(make_plan(load_study(study)).tasks)
    monkeypatch.setattr(cache, "_sources_hash", lambda: "other")
    assert before.isdisjoint(make_plan(load_study(study)).tasks)


def test_records_of_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ArchsimError, match="no such results table"):
        load_table(tmp_path)
    (tmp_path / "results.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ArchsimError, match="not a readable Parquet table"):
        load_table(tmp_path)
