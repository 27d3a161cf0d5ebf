"""The compiled interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from archsim.emulator import schedule
from archsim.kernels import jit, jitcache, ref


def _sources() -> Iterable[Path]:
    yield from sorted(Path(__file__).resolve().parent.glob("*.py"))
    for module in (jit, jitcache, ref):
        yield Path(module.__file__)


# As imported: an edit while this process runs must not label code compiled from the old text with the new text's key.
_KEY = "emulator-" + jitcache.content_hash(_sources()).hex()[:20]


@cache
def run_grid() -> Callable[[Any], int]:
    """`archsim.emulator.schedule.run_grid`, compiled or loaded from the cache when first called."""
    return jitcache.compile_entry(schedule.run_grid, _KEY)
