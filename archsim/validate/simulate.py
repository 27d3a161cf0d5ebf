"""Simulates the suite's measured kernels, in parallel and never twice: results are cached by what they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from archsim.errors import ArchsimError, RunError
from archsim.validate import suite

MODEL_SOURCES = ("kernels", "model", "engine", "plugins", "stats", "config", "trace", "dram")


@dataclass(frozen=True)
class Simulated:
    """One simulated launch. ``metrics``: archsim's counters, and those under Nsight Compute's names."""

    metrics: dict[str, float]
    stalls: dict[str, int]
    units: dict[str, int] = field(default_factory=dict)
    clock_mhz: float = 0.0
    seconds: float = 0.0  # of wall time
    energy: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A trace to simulate: its last launch. ``overrides``: PARAM=VALUE on top of ``config``.

    ``kept``: the launch follows one of its own kind. ``whole``: all launches, and only their cycles.
    """

    key: str
    trace: str  # file, or shipped name; "" when it is to be captured
    config: str
    overrides: tuple[str, ...] = ()
    kept: bool = False
    whole: bool = False
    program: suite.Program | None = None
    size: str = "small"
    arch: int = suite.ARCH


@cache
def model_hash() -> str:
    """Hash of everything in archsim that a simulation's counters depend on."""
    return suite.source_hash(*MODEL_SOURCES)


def run_task(task: Task) -> Simulated:
    """Simulate, or take from the cache. Raises the errors of capture, trace, configuration and run."""
    import archsim
    from archsim.config import content_hash
    from archsim.resources import find_trace

    if task.trace:
        path = find_trace(task.trace)
    else:
        if task.program is None:
            raise RunError(f"{task.key}: neither a trace nor a program")
        path = suite.captured_trace(suite.validation_folder(), task.program, task.size, task.arch)
    config = archsim.load_config(task.config, overrides=list(task.overrides))
    with archsim.load_trace(path) as trace:
        key = hashlib.sha256(
            f"{trace.sha256} {content_hash(config)} {model_hash()} {task.kept} {task.whole}".encode()
        ).hexdigest()[:32]
        place = suite.cache_folder() / "runs" / f"{key}.json"
        found = _read(place)
        if found is None:
            found = _whole(trace, config) if task.whole else _simulate(trace, config, task.kept)
            _write(place, found)
    return found


def _simulate(trace: Any, config: Any, kept: bool) -> Simulated:
    import archsim
    from archsim.stats import ncu_metrics

    if not trace.kernels:
        raise RunError(f"{trace.path}: holds no kernel")
    last = len(trace.kernels) - 1
    result = archsim.run(trace, config, kernels=[last, last] if kept else [last])
    kernel = result.kernels[-1]
    if not kernel.complete:
        raise RunError(f"{trace.path}: stopped early: {kernel.stop_reason}")
    return Simulated(
        metrics={**kernel.counters, **ncu_metrics(kernel, config), "cycles": kernel.cycles},
        stalls=kernel.stalls,
        units=kernel.unit_instructions,
        clock_mhz=config.clock_mhz,
        seconds=result.simulation_seconds,
    )


def _whole(trace: Any, config: Any) -> Simulated:
    import archsim

    result = archsim.run(trace, config)
    if not result.complete:
        raise RunError(f"{trace.path}: stopped early: {result.stop_reason}")
    return Simulated({"cycles": float(sum(k.cycles for k in result.kernels))}, {}, seconds=result.simulation_seconds)


def _read(place: Path) -> Simulated | None:
    try:
        return Simulated(**json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        return None  # not there, or damaged: simulated anew


def _write(place: Path, found: Simulated) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(found)))
    os.replace(temporary, place)


def run_tasks(
    tasks: Iterable[Task], jobs: int, done: Callable[[str], None] = lambda key: None
) -> dict[str, Simulated | ArchsimError]:
    """Run all tasks in ``jobs`` processes (1: in this one); a failed task is its error. ``done(key)`` after each."""
    todo = list(tasks)
    found: dict[str, Simulated | ArchsimError] = {}
    if jobs <= 1 or len(todo) == 1:
        for task in todo:
            try:
                found[task.key] = run_task(task)
            except ArchsimError as error:
                found[task.key] = error
            done(task.key)
        return found
    with ProcessPoolExecutor(min(jobs, len(todo))) as pool:
        futures: dict[Future[Simulated], str] = {pool.submit(run_task, task): task.key for task in todo}
        for future in as_completed(futures):
            key = futures[future]
            try:
                found[key] = future.result()
            except ArchsimError as error:
                found[key] = error
            done(key)
    return {task.key: found[task.key] for task in todo}
