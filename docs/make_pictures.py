"""Makes every picture of the documentation, and the tables of docs/studies.md, from the commands that the pages show.

    python docs/make_pictures.py [--only tutorial] [--studies FOLDER] [-j N]

Runs the tutorial's commands and the five shipped studies in a temporary folder (about ten minutes on two cores; with
``--studies`` folders of finished studies are used, or filled), and rewrites docs/images and docs/studies.md.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from archsim.engine.sweep import load_table

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
PICTURES = {  # study: its pictures that the page shows
    "prefetcher_size": ("speedup",),
    "register_file": ("speedup",),
    "l2_size": ("l2_hit_rate",),
    "dram_standard": ("bandwidth",),
    "pim_gpt_memory": ("speedup_channels", "speedup_pins"),
}
WIDTH, COLORS = 1000, 96  # of a picture in the repository
Rows = list[dict[str, Any]]


def archsim(arguments: list[str], folder: Path) -> None:
    """Run a command of archsim."""
    subprocess.run([sys.executable, "-m", "archsim", *arguments], cwd=folder, check=True)


def keep(picture: Path, name: str) -> None:
    """A small copy of a picture."""
    image: Image.Image = Image.open(picture).convert("RGB")
    image.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    image.quantize(COLORS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


def tutorial(folder: Path) -> None:
    """The commands of tutorial.md up to its study, as they stand there."""
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    for program in re.findall(r"```python\n# (\S+)\n(.*?)```", text, flags=re.DOTALL):
        (folder / program[0]).write_text(program[1])
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line)
            if words[0] == "archsim" and "capture" not in words and "mine.h5" not in words:
                archsim(words[1:], folder)
            elif words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True)
    timeline = next((folder / "pictures").glob("timeline-*.png"))
    for path, name in (
        (folder / "pictures/stalls.png", "stalls"),
        (timeline, "timeline"),
        (folder / "study.png", "study"),
    ):
        keep(path, name)


def geomean(values: list[float]) -> float:
    """Geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def lines(header: list[str], body: list[list[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *body])


def speedups(rows: Rows, axis: str, least: Callable[[dict[str, Any]], bool] = lambda row: True) -> str:
    """Speed-up over the first value of an axis, a column for each trace."""
    chosen = [row for row in rows if least(row)]
    values, traces = (list(dict.fromkeys(row[key] for row in chosen)) for key in (axis, "trace"))
    cycles = {(row[axis], row["trace"]): row["cycles"] for row in chosen}
    body = []
    for value in values:
        gains = [cycles[values[0], trace] / cycles[value, trace] for trace in traces]
        body.append([str(value), *(f"{gain:.2f}" for gain in gains), f"{geomean(gains):.2f}"])
    return lines([axis, *traces, "geometric mean"], body)


def pivot(rows: Rows, axes: list[str], cell: Callable[[dict[str, Any]], str]) -> str:
    """A row for each combination of axes, a column for each trace."""
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    keys = list(dict.fromkeys(tuple(row[axis] for axis in axes) for row in rows))
    cells = {(tuple(row[axis] for axis in axes), row["trace"]): cell(row) for row in rows}
    return lines([*axes, *traces], [[*map(str, key), *(cells[key, trace] for trace in traces)] for key in keys])


def tables(name: str, rows: Rows) -> str:
    """What studies.md shows of a study."""
    if name in ("prefetcher_size", "register_file"):
        return speedups(rows, {"prefetcher_size": "prefetcher", "register_file": "register file"}[name])
    if name == "l2_size":
        warps = [("sm.num_warps", lambda row: row["l2.bytes"] == 6291456)]
        parts = [
            speedups(rows, "l2.bytes", lambda row: row["sm.num_warps"] == 48),
            *(speedups(rows, *w) for w in warps),
        ]
        return "With 48 warps an SM, and with the largest L2:\n\n" + "\n\n".join(parts)
    if name == "dram_standard":
        opened = [row for row in rows if row["controller.page"] == "open"]
        return "GB/s, and share of the peak, with open pages:\n\n" + pivot(
            opened, ["config"], lambda row: f"{row['bandwidth_gbps']:.1f} ({100 * row['efficiency']:.0f} %)"
        )
    fast = [row for row in rows if row["memory.pin_rate_gbps"] == 16 and row["asic.clock_mhz"] == 1000]
    slow = [row for row in rows if row["memory.channels"] == 8 and row["memory.lanes"] == 16]

    def microseconds(row: dict[str, Any]) -> str:
        return f"{1e6 * row['seconds_per_token']:.1f}"

    return (
        "Microseconds a token with 16 Gb/s pins and a 1 GHz ASIC, and with 8 channels and 16 lanes:\n\n"
        + pivot(fast, ["memory.channels", "memory.lanes", "mode"], microseconds)
        + "\n\n"
        + pivot(slow, ["memory.pin_rate_gbps", "asic.clock_mhz", "mode"], microseconds)
    )


def study(name: str, folder: Path, workers: int) -> None:
    """Run a shipped study and put its table and pictures into the page."""
    begin = time.perf_counter()
    archsim(["sweep", name, "-o", str(folder / name), "-j", str(workers), "--quiet"], folder)
    print(f"{name}: {time.perf_counter() - begin:.0f} s", flush=True)
    for picture in PICTURES[name]:
        keep(folder / name / f"{picture}.png", f"{name}_{picture}")
    page = DOCS / "studies.md"
    content = tables(name, load_table(folder / name).rows())
    text = page.read_text(encoding="utf-8")
    begin_mark, end_mark = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, rest = text.split(begin_mark)
    page.write_text(f"{before}{begin_mark}\n{content}\n{end_mark}{rest.split(end_mark)[1]}", encoding="utf-8")


def main() -> None:
    """Everything, or what ``--only`` names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["tutorial", *PICTURES], help="this part and no other")
    parser.add_argument("--studies", type=Path, help="folder of the studies' results (default: a temporary one)")
    parser.add_argument("-j", "--workers", type=int, default=2)
    args = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.studies or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for name in [args.only] if args.only else ["tutorial", *PICTURES]:
            if name == "tutorial":
                tutorial(Path(temporary))
            else:
                study(name, folder, args.workers)


if __name__ == "__main__":
    main()
