"""One run of a study, in whatever process it lands. The record that comes back is plain JSON."""

from __future__ import annotations

import os
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from archsim.engine.sweep import cache, compiling
from archsim.engine.sweep.plan import Task
from archsim.engine.sweep.targets import describe_failure, target
from archsim.errors import RunError

Record = dict[str, Any]


def run_task(task: Task) -> Record:
    """Run, or find in the cache. A failure is a record with its error; nothing is raised but process-ending signals."""
    if task.use_cache and task.folder is None:
        known = cache.load(task.key)
        if known is not None:
            return known | {"cached": True}
    started = time.perf_counter()
    try:
        record = _simulate(task)
    except Exception as error:  # any failure is a row of the table, not the end of the study
        record = {"status": "failed", "error": describe_failure(error), "stats": {}}
    record |= {
        "key": task.key,
        "seconds": time.perf_counter() - started,
        "worker": f"{socket.gethostname()}:{os.getpid()}",
    }
    if record["status"] != "failed":
        cache.store(record)
    return record


def _simulate(task: Task) -> Record:
    kind = target(task.kind)
    with compiling.turn(kind.form(task.config)):
        outcome = kind.run(task.trace, task.config, task.options, task.plugins)
    if task.folder is not None:
        folder = Path(task.folder)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder}: cannot be made: {error.strerror or error}") from None
        kind.save(outcome, folder)
    record: Record = {
        "status": "ok" if outcome.complete else "partial",
        "error": outcome.note,
        "stats": _plain(outcome.stats),
    }
    if task.per_kernel:
        record["kernels"] = [_plain(kernel) for kernel in outcome.kernels]
    return record


def _plain(stats: dict[str, Any]) -> dict[str, Any]:
    """NumPy scalars as Python numbers."""
    return {name: value.item() if hasattr(value, "item") else value for name, value in stats.items()}


def failed(task: Task, error: str) -> Record:
    """The record of a run that no process brought to its end."""
    return {"key": task.key, "status": "failed", "error": error, "stats": {}, "seconds": 0.0, "worker": ""}


def discard_folder(task: Task) -> None:
    """Remove what an unfinished run may have left."""
    if task.folder is not None:
        shutil.rmtree(task.folder, ignore_errors=True)
