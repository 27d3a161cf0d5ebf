"""MkDocs hook: write the metrics reference from the statistics tables each time the site is built."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mkdocs.structure.files import File, Files

from archsim.stats import COUNTERS, DERIVED, NCU
from archsim.stats.counters import REASONS

PAGE = "metrics-reference.md"


def on_files(files: Files, config: Any) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The page, as Markdown."""
    parts = [
        "# Metrics reference",
        "Everything that a run of a kernel counts, generated from the program. `stats.txt` and `run.h5` of the result "
        "folder hold all of it, `--json` too.",
        "## Issue slots",
        "One slot a sub-core and cycle. Each is issued, or charged to exactly one reason; when the warps of a sub-core "
        "wait for different things, to the one nearest to issue, in the order of this table. They sum to cycles x "
        "sub-cores.",
        _table(("reason", "meaning"), ((f"`{name}`", doc) for name, doc in REASONS.items())),
        "## Nsight Compute names",
        "Counters whose meaning is Nsight Compute's, under its names. A name is absent where the model does not count "
        "it.",
        _table(("metric", "unit", "meaning"), ((f"`{m.name}`", m.unit, m.doc) for m in NCU.values())),
        "## Derived metrics",
        _table(("metric", "unit", "meaning"), ((f"`{m.name}`", m.unit, m.doc) for m in DERIVED.values())),
        "## Counters",
        "Sums over the SMs; `run.h5` has them for each SM.",
        _table(("counter", "unit", "meaning"), ((f"`{c.name}`", c.unit, c.doc) for c in COUNTERS.values())),
    ]
    return "\n\n".join(parts) + "\n"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
