"""Runs on Dask distributed: an embedded local cluster, or a scheduler that is already there."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from archsim.engine.sweep.plan import Task
from archsim.engine.sweep.task import Record, failed, run_task
from archsim.errors import RunError

AHEAD = 4  # tasks handed to the scheduler per worker thread
_CONNECT_SECONDS = 20


class DaskCluster:
    """``workers`` local worker processes, or the cluster of ``scheduler`` (``tcp://host:8786``).

    Workers of a remote cluster need archsim in the same version, and traces and plug-ins under the same paths.
    """

    def __init__(self, workers: int, scheduler: str | None = None) -> None:
        if workers < 1:
            raise RunError(f"workers: expected at least 1, got {workers}")
        self._workers = workers
        self._scheduler = scheduler
        self.client: Any = None
        self._cluster: Any = None

    def __enter__(self) -> DaskCluster:
        from archsim.engine.sweep.extras import need

        distributed = need("distributed", "--cluster")
        try:
            if self._scheduler is None:
                self._cluster = distributed.LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            address = self._scheduler or self._cluster
            self.client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"--scheduler {self._scheduler}: cannot be reached: {error}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in (self.client, self._cluster):
            if part is not None:
                with contextlib.suppress(Exception):  # a cluster that has gone can't be closed; results are kept
                    part.close()

    def imap(self, tasks: Iterable[Task]) -> Iterator[Record]:
        """Records in the order in which runs end. A run whose worker dies is tried again by the scheduler."""
        from archsim.engine.sweep.extras import need

        waiting = iter(tasks)
        by_future: dict[Any, Task] = {}
        running = need("distributed", "--cluster").as_completed(loop=self.client.loop)

        def submit() -> None:
            task = next(waiting, None)
            if task is not None:
                future = self.client.submit(run_task, task, key=f"archsim-{task.key}", pure=False)
                by_future[future] = task
                running.add(future)

        for _ in range(AHEAD * max(sum(self.client.nthreads().values()), 1)):
            submit()
        for future in running:
            task = by_future.pop(future)
            error = future.exception() if future.status != "finished" else None
            yield future.result() if error is None else failed(task, f"on the cluster: {type(error).__name__}: {error}")
            future.release()
            submit()
