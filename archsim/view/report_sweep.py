"""What the report page of a study shows, as plain data. Its table: docs/sweeps.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archsim.engine.sweep import load_table
from archsim.view.page import reasons

LEFT_OUT = ("key", "config_sha256", "trace_sha256")


def sweep_data(path: str | Path) -> dict[str, Any]:
    """Data of `page.page_html` for a study folder or a results table. RunError if it cannot be read."""
    table = load_table(path)
    keep = {
        name: values
        for name, values in table.columns.items()
        if name not in LEFT_OUT and any(value is not None for value in values)
    }
    count = len(table)
    bad = sum(status != "ok" for status in table.columns.get("status", []))
    axes = [name for name in table.axes if name in keep]
    return {
        "kind": "sweep",
        "title": f"Study {table.meta.get('name') or Path(path).resolve().name}",
        "facts": [f"{count} runs over {', '.join(axes) or 'one point'}"],
        "notes": [f"{bad} runs are partial or failed"] if bad else [],
        "reasons": reasons(),
        "axes": axes,
        "columns": keep,
        "docs": {name: list(doc) for name, doc in table.docs.items() if name in keep},
        "meta": table.meta,
        "rows": count,
    }
