"""A worker process of the pool: takes tasks from a pipe until it closes. Started as ``python -m``, see `pool`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

_PARENT_CHECK_SECONDS = 0.5


def _die_with(parent: int) -> None:
    """A sweep that was killed leaves no process behind that computes for nobody."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_SECONDS)
    os._exit(1)


def main(handle: int, parent: int) -> None:
    """Serve the pipe with file descriptor ``handle``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    connection = Connection(handle)
    from archsim.engine.sweep.task import run_task

    connection.send(None)  # ready
    try:
        while True:
            connection.send(run_task(connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
