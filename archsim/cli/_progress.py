"""A progress bar on the terminal's stderr; silent elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Update = Callable[[int, int, int, int], None]  # position, count, instructions done, instructions of the kernel


@contextmanager
def kernel_progress(shown: bool, sizes: list[int]) -> Iterator[Update | None]:
    """Progress over kernels of ``sizes`` warp-instructions; gives the callback for `archsim.engine.run.run`."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading or compiling the model", total=max(sum(sizes), 1), speed="")

        def update(position: int, count: int, done: int, total: int) -> None:
            _show(bar, task, f"kernel {position + 1} of {count}", sum(sizes[:position]) + done)

        yield update


def _show(bar: Any, task: Any, text: str, done: int) -> None:
    speed = bar.tasks[0].speed
    rate = f"{speed / 1e3:,.0f} k instructions/s" if speed else ""
    bar.update(task, description=text, completed=done, speed=rate)
