"""A study from beginning to end: plan, resume, run, table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archsim.engine.sweep import cache
from archsim.engine.sweep.gpu_stats import column_doc
from archsim.engine.sweep.journal import Journal
from archsim.engine.sweep.plan import Plan, Task, make_plan
from archsim.engine.sweep.pool import Executor
from archsim.engine.sweep.study import Study
from archsim.engine.sweep.table import KERNELS, TABLE, check_extras, write_table
from archsim.engine.sweep.task import Record
from archsim.errors import RunError

FORMAT = "archsim sweep"
VERSION = 1
META = "sweep.json"
RUNS = "runs"


@dataclass
class Progress:
    """Where a study stands. ``known``: runs found in the journal or the cache, not run now."""

    total: int
    done: int = 0
    known: int = 0
    failed: int = 0
    last_error: str = ""

    def count(self, record: Record, *, known: bool) -> None:
        """One more run is there."""
        self.done += 1
        self.known += known
        if record["status"] == "failed":
            self.failed += 1
            self.last_error = record["error"]


@dataclass
class SweepResult:
    """What a sweep left. ``complete``: every run has its row."""

    folder: Path
    table: Path
    progress: Progress
    points: int
    rows: int
    seconds: float
    complete: bool
    notes: list[str]


Report = Callable[[Progress], None]


class Recorder:
    """Runs tasks through an executor; what is in the journal or in the cache is not run again."""

    def __init__(self, folder: Path, *, force: bool = False, retry_failed: bool = False) -> None:
        self.journal = Journal(folder)
        self._force = force
        self._retry = retry_failed
        self._fresh: set[str] = set()  # keys that this process has seen to

    def known(self, task: Task) -> Record | None:
        """The record of a task that needs no run: from the journal, else from the cache (and then journalled)."""
        record = self.journal.records.get(task.key)
        if task.key in self._fresh and record is not None:
            return record
        if self._force or (task.folder is not None and not Path(task.folder, "run.json").is_file()):
            return None
        if record is not None and not (self._retry and record["status"] == "failed"):
            return record
        record = cache.load(task.key)
        if record is not None and (not task.per_kernel or "kernels" in record):
            self._keep(record | {"cached": True})
            return record
        return None

    def _keep(self, record: Record) -> None:
        self.journal.append(record)
        self._fresh.add(record["key"])

    def run(self, tasks: Iterable[Task], executor: Executor, progress: Progress, report: Report) -> Iterator[Record]:
        """Records of all tasks, each in the journal when it is yielded; longest runs start first."""
        todo = []
        for task in tasks:
            record = self.known(task)
            if record is None:
                todo.append(task)
                continue
            progress.count(record, known=True)
            yield record
        report(progress)
        todo.sort(key=lambda task: -task.size)
        for record in executor.imap(todo) if todo else ():
            self._keep(record)
            progress.count(record, known=False)
            report(progress)
            yield record

    def close(self) -> None:
        """Give up the folder."""
        self.journal.close()


def run_study(
    study: Study,
    folder: str | Path,
    executor: Executor,
    *,
    force: bool = False,
    retry_failed: bool = False,
    folders: bool = False,
    report: Report = lambda progress: None,
) -> SweepResult:
    """Run a study into ``folder``; a folder that holds part of it already is completed.

    Args:
        executor: a `ProcessPool` or `DaskCluster`, not entered yet; it starts only if something is to run.
        force: run everything again. ``retry_failed``: run failed rows again.
        folders: keep the run folder of every run under ``runs/``.

    Raises:
        ConfigError, TraceError: the study is wrong; nothing has run.
        RunError: the folder cannot be written. Finished runs are kept, the same call goes on.
        KeyboardInterrupt: passed on after the table of the finished runs was written.
    """
    started = time.perf_counter()
    check_extras()
    place = Path(folder).resolve()
    plan = make_plan(study, force=force, folder=place / RUNS if folders else None)
    recorder = Recorder(place, force=force, retry_failed=retry_failed)
    progress = Progress(len(plan.tasks))
    with closing(recorder):
        try:
            with Lazy(executor) as lazy:
                for _ in recorder.run(plan.tasks.values(), lazy, progress, report):
                    pass
        except BaseException:
            with suppress(RunError):  # what stopped the runs (a full disk) matters more than the table
                write_results(plan, recorder.journal.records, place)
            raise
        rows = write_results(plan, recorder.journal.records, place)
    notes = _notes(plan, recorder.journal)
    seconds = time.perf_counter() - started
    return SweepResult(
        Path(folder), Path(folder) / TABLE, progress, len(plan.points), rows, seconds, rows == len(plan.rows), notes
    )


class Lazy:
    """Enters an executor when the first task comes: a study that is all in the cache starts no process."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner
        self._entered = False

    def __enter__(self) -> Lazy:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._entered:
            self._inner.__exit__(*error)

    def imap(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """As the executor's."""
        if not self._entered:
            self._inner.__enter__()
            self._entered = True
        return self._inner.imap(tasks)


def _notes(plan: Plan, journal: Journal) -> list[str]:
    notes = []
    if plan.excluded:
        notes.append(f"constraints took {plan.excluded} points away")
    if plan.impossible:
        notes.append(f"{plan.impossible} points are no possible machine and were skipped")
    if len(plan.rows) > len(plan.tasks):
        notes.append(f"{len(plan.rows) - len(plan.tasks)} rows share their run with an equal configuration")
    if journal.dropped:
        notes.append(f"{journal.dropped} damaged journal lines of an earlier crash were dropped and run again")
    return notes


def write_results(plan: Plan, records: dict[str, Record], folder: Path) -> int:
    """Write sweep.json and the tables from the finished runs of a plan; returns the rows written. RunError."""
    rows, launches = [], []
    for point, trace, key in plan.rows:
        record = records.get(key)
        if record is None:
            continue
        head = {
            "point": point.index,
            "trace": trace.name,
            "config": plan.target.name(point.config),
            "status": record["status"],
            "error": record["error"],
        }
        head |= {name: point.labels.get(name) for name in plan.axes}
        tail = {"key": key, "config_sha256": point.config_sha256, "trace_sha256": trace.sha256}
        rows.append(head | record["stats"] | tail)
        launches += [head | kernel for kernel in record.get("kernels", [])]
    meta = metadata(plan, rows)
    docs = {name: column_doc(name) for row in rows[:1] for name in row} if plan.target.kind == "gpu" else {}
    _write_meta(folder / META, meta)
    write_table(rows, folder / TABLE, meta, docs)
    if launches:
        docs = {name: column_doc(name) for name in launches[0]}
        write_table(launches, folder / KERNELS, meta, docs)
    return len(rows)


def metadata(plan: Plan, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Content of sweep.json and of the table's metadata: the study, nothing that depends on how it was run."""
    labels = {name: list(dict.fromkeys(point.labels.get(name) for point in plan.points)) for name in plan.axes}
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": plan.study.name,
        "description": plan.study.description,
        "kind": plan.target.kind,
        "base": list(plan.study.base or plan.target.default_base),
        "set": {path: value for path, (value, _) in plan.study.settings.items()},
        "axes": [{"name": name, "values": values} for name, values in labels.items()],
        "traces": [{"name": t.name, "sha256": t.sha256} for t in plan.traces],
        "constraints": [c.expression.text for c in plan.study.constraints],
        "points": len(plan.points),
        "rows": len(rows),
        "failed": sum(row["status"] == "failed" for row in rows),
        "complete": len(rows) == len(plan.rows),
        "code": cache.code_version(),
    }


def _write_meta(path: Path, meta: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(meta, indent=1, default=str) + "\n", encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from None
