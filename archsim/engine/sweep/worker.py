"""A worker process of the pool: takes tasks from a pipe until it closes. Started as ``python -m``, see `pool`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

_PARENT_CHECK_SECONDS = 0.5


def _die_with(parent: int) -> None:
    """A sweep that was killed leaves no process behind that computes for nobody."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def _receive(connection: Connection[Any, Any], tasks: SimpleQueue[Any]) -> None:
    """Empty the pipe all the time, so that a sweep never waits to hand out a run; None when the pipe closes."""
    with suppress(EOFError, OSError):
        while True:
            tasks.put(connection.recv())
    tasks.put(None)


def main(handle: int, parent: int) -> None:
    """Serve the pipe with file descriptor ``handle``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    connection: Connection[Any, Any] = Connection(handle)
    from archsim.engine.sweep.task import run_task

    tasks: SimpleQueue[Any] = SimpleQueue()
    connection.send(None)  # ready
    threading.Thread(target=_receive, args=(connection, tasks), daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):
        while (task := tasks.get()) is not None:
            connection.send(run_task(task))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
