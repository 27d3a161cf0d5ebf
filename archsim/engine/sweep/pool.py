"""A process pool whose workers stay (they hold compiled code and open traces) and may die without ending the study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from archsim.engine.sweep.plan import Task
from archsim.engine.sweep.task import Record, discard_folder, failed
from archsim.errors import RunError

ATTEMPTS = 3  # a run whose worker dies so many times is a failed row
BRISK_SECONDS = 2.0  # workers whose runs are shorter get the next one ahead, and never wait for the journal's disk


class Executor(Protocol):
    """Runs tasks somewhere. A context manager; the pool and the cluster are the two of them."""

    def imap(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records in the order in which runs end."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class _Worker:
    """``tasks``: the run that it is at, and one that waits in its pipe."""

    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    tasks: deque[Task] = field(default_factory=deque)
    ready: bool = False
    brisk: bool = False


class ProcessPool:
    """``workers`` processes of this machine."""

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise RunError(f"workers: expected at least 1, got {workers}")
        self._count = workers
        self._workers: list[_Worker] = []
        self._stillborn = 0  # workers in a row that died before they were ready

    def __enter__(self) -> ProcessPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.connection.close()
            if worker.tasks:
                worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            if worker.tasks:
                discard_folder(worker.tasks[0])
        self._workers.clear()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def _start(self) -> _Worker:
        ours, theirs = Pipe()
        environment = dict(os.environ)
        package = str(Path(__file__).resolve().parents[3])
        paths = [package, environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment.setdefault("NUMBA_NUM_THREADS", "1")  # the sweep is parallel by process
        arguments = [sys.executable, "-m", "archsim.engine.sweep.worker", str(theirs.fileno()), str(os.getpid())]
        process = subprocess.Popen(
            arguments, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment
        )
        theirs.close()
        return _Worker(process, ours)

    def imap(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records in the order in which runs end."""
        waiting = deque(tasks)
        attempts: dict[str, int] = {}
        while waiting or any(worker.tasks for worker in self._workers):
            wanted = min(self._count, len(waiting) + sum(bool(worker.tasks) for worker in self._workers))
            while len(self._workers) < wanted:
                self._workers.append(self._start())
            self._hand_out(waiting)
            yield from self._collect(waiting, attempts)

    def _hand_out(self, waiting: deque[Task]) -> None:
        """A run to every idle worker; a second one ahead to brisk ones, as long as others would not go idle for it."""
        for worker in self._workers:
            if worker.ready and not worker.tasks and waiting:
                self._send(worker, waiting)
        for worker in self._workers:
            if worker.ready and worker.brisk and len(worker.tasks) == 1 and len(waiting) > self._count:
                self._send(worker, waiting)

    def _send(self, worker: _Worker, waiting: deque[Task]) -> None:
        task = waiting.popleft()
        try:
            worker.connection.send(task)
            worker.tasks.append(task)
        except (BrokenPipeError, ConnectionResetError):  # it died; noticed by the next `_collect`
            waiting.appendleft(task)

    def _collect(self, waiting: deque[Task], attempts: dict[str, int]) -> Iterator[Record]:
        by_connection = {worker.connection: worker for worker in self._workers}
        records: list[Record] = []
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]
            try:
                record = worker.connection.recv()
            except (EOFError, ConnectionResetError, OSError):
                records += self._bury(worker, waiting, attempts)
                continue
            self._stillborn = 0
            worker.ready = True
            if record is not None:
                worker.tasks.popleft()
                worker.brisk = record["seconds"] < BRISK_SECONDS
                records.append(record)
        self._hand_out(waiting)  # before the caller writes records to the disk
        yield from records

    def _bury(self, worker: _Worker, waiting: deque[Task], attempts: dict[str, int]) -> list[Record]:
        """A worker has died: its run is tried again elsewhere, or becomes a failed row."""
        self._workers.remove(worker)
        worker.connection.close()
        code = worker.process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn >= ATTEMPTS:
                raise RunError(f"worker processes cannot start: {how}")
        if not worker.tasks:
            return []
        task = worker.tasks.popleft()
        waiting.extendleft(reversed(worker.tasks))  # the run ahead had not begun
        discard_folder(task)
        attempts[task.key] = attempts.get(task.key, 0) + 1
        if attempts[task.key] < ATTEMPTS:
            waiting.appendleft(task)
            return []
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        return [failed(task, f"its worker process died {ATTEMPTS} times, last by {how}{memory}")]
