"""One self-contained HTML page: data, styles, scripts and plotly.js in one file, nothing fetched.

plotly.js and the data are embedded once each, compressed; the browser unpacks them (DecompressionStream: Chromium 80,
Firefox 113, Safari 16.4).
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

from archsim.errors import RunError

#: Colour of each fate of an issue slot, in the pages and in the pictures.
COLOURS = {
    "issued": "#2e8b57",
    "dispatch_stall": "#9fb6cd",
    "math_pipe_throttle": "#5aa6d6",
    "mio_throttle": "#e5b25d",
    "lg_throttle": "#d98a29",
    "imc_miss": "#b08ad9",
    "wait": "#f2d16b",
    "branch_resolve": "#c3a1e0",
    "no_instruction": "#8254b4",
    "short_scoreboard": "#f19a86",
    "long_scoreboard": "#d1452f",
    "membar": "#7c6a55",
    "barrier": "#5b7f95",
    "sleeping": "#b6bcc4",
    "drain": "#8a919c",
    "no_warp": "#e4e7eb",
}
SCRIPTS = ("common.js", "run.js", "sweep.js", "start.js")


def reasons() -> list[dict[str, str]]:
    """Name, meaning and colour of every fate of an issue slot, in the order of the model."""
    from archsim.stats.counters import REASONS

    return [{"name": name, "doc": doc, "color": COLOURS.get(name, "#555")} for name, doc in REASONS.items()]


def page_html(data: dict[str, Any]) -> str:
    """The page of ``data`` (`report_run.run_data`, `report_sweep.sweep_data`). RunError if plotly is not installed."""
    assets = files("archsim.view") / "assets"

    def text(name: str) -> str:
        return (assets / name).read_text(encoding="utf-8")

    content = json.dumps(_plain(data), separators=(",", ":"), allow_nan=False)
    parts = {
        "TITLE": html.escape(str(data["title"])),
        "CSS": text("report.css"),
        "DATA": _packed(content.encode()),
        "PLOTLY": _packed(_plotly()),
        "SCRIPT": "\n".join(text(name) for name in SCRIPTS),
    }
    page = text("report.html")
    for name, value in parts.items():
        page = page.replace(f"@{name}@", value, 1)
    return page


def write_page(data: dict[str, Any], path: str | Path) -> int:
    """Write the page; returns its size in bytes. RunError naming the file when that fails."""
    content = page_html(data).encode()
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise RunError(f"{path}: the report cannot be written: {error.strerror or error}") from None
    return len(content)


def _plotly() -> bytes:
    try:
        return (files("plotly") / "package_data" / "plotly.min.js").read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise RunError("a report page needs plotly: pip install 'archsim[report]'") from None


def _packed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def _plain(value: Any) -> Any:
    """For JSON: numbers of Python, six digits, no NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)
