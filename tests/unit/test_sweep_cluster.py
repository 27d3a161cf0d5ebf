"""The Dask cluster gives the process pool's table, also when a worker is killed midway."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archsim.engine.sweep import DaskCluster, ProcessPool, load_study, run_study
from archsim.engine.sweep.runner import Progress
from archsim.errors import RunError

STUDY = """\
base: rtx_a6000
set: {num_sms: 2}
traces: [softmax_sm86]
axes:
  sm.prefetcher.size: [1, 2, 3, 4]
  sm.num_warps: [16, 32, 48]
"""


class KilledMidway(DaskCluster):
    """Kills one worker process when the third run has ended."""

    killed = 0

    def imap(self, tasks: Any) -> Iterator[dict[str, Any]]:
        for count, record in enumerate(super().imap(tasks)):
            if count == 2:
                workers = self.client.run(os.getpid)
                self.killed = next(iter(workers.values()))
                os.kill(self.killed, signal.SIGKILL)
            yield record


def table(folder: Path, executor: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Bytes of the table, every run really run: each folder has a result cache of its own."""
    monkeypatch.setenv("ARCHSIM_RESULT_CACHE", str(folder / "cache"))
    result = run_study(load_study(path), folder, executor, force=True)
    assert (result.complete, result.progress.failed, result.progress.known) == (True, 0, 0)
    return (folder / "results.parquet").read_bytes()


@pytest.mark.slow
def test_cluster_and_pool_give_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    pool = table(tmp_path / "pool", ProcessPool(2), path, monkeypatch)
    assert table(tmp_path / "dask", DaskCluster(2), path, monkeypatch) == pool
    killer = KilledMidway(2)
    assert table(tmp_path / "killed", killer, path, monkeypatch) == pool
    assert killer.killed
    with pytest.raises(ProcessLookupError):
        os.kill(killer.killed, 0)


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archsim.engine.sweep.cluster._CONNECT_SECONDS", 1)
    with pytest.raises(RunError, match="tcp://127.0.0.1:9: cannot be reached"), DaskCluster(1, "tcp://127.0.0.1:9"):
        pass


def test_a_pool_keeps_its_workers_and_replaces_dead_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killing an idle and a busy worker: both are replaced, no run is lost."""
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    pool = ProcessPool(2)
    seen: set[int] = set()
    done = threading.Event()

    def kill_one() -> None:
        while not done.is_set() and len(pool.pids) < 2:
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(pool.pids[0], signal.SIGKILL)

    def watch(progress: Progress) -> None:
        seen.update(pool.pids)
        if progress.done == 4:
            killer.start()

    killer = threading.Thread(target=kill_one)
    monkeypatch.setenv("ARCHSIM_RESULT_CACHE", str(tmp_path / "cache"))
    result = run_study(load_study(path), tmp_path / "out", pool, report=watch)
    done.set()
    killer.join()
    assert (result.complete, result.progress.failed) == (True, 0)
    assert len(seen) <= 3
    assert pool.pids == []
