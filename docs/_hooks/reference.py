"""MkDocs hook: write the configuration reference from the specs each time the site is built, so that it can't drift."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from archsim.config.describe import ComponentDoc, components
from archsim.config.machine import MachineConfig

PAGE = "config-reference.md"


def on_files(files: Files, config: Any) -> Files:
    """Add the generated page."""
    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """The page, as Markdown."""
    head = [
        "# Configuration reference",
        "",
        "Every parameter, generated from the program. Defaults are those of an empty configuration; "
        "`archsim describe PARAM --config NAME` gives a machine's own value.",
        "",
        "Sources: *gpu-core* is the project's fact sheet on Huerta et al., “Dissecting and Modeling the Architecture "
        "of Modern GPU Cores”, MICRO 2025 ([doi](https://doi.org/10.1145/3725843.3756041)), and the simulator that its "
        "authors released; *Hopper sheet* collects published measurements of Ampere and Hopper (RRZE gpu-benches, "
        "HPMLL NVIDIA-Hopper-Benchmark, Luo et al., arXiv 2402.13499 and 2501.12084, and others). Letters and numbers "
        "are their sections; *(inf)* marks what was inferred.",
        "",
    ]
    return "\n".join([*head, *(line for doc in components(MachineConfig()) for line in _section(doc))])


def _section(doc: ComponentDoc) -> list[str]:
    lines = [f"## {doc.path or 'Machine'} {{ #{doc.path.replace('.', '-') or 'machine'} }}", "", doc.detail, ""]
    if doc.params:
        lines += ["| parameter | default | range | meaning | source |", "|---|---|---|---|---|"]
    for entry in doc.params:
        cells = (f"`{entry.path}`", entry.value_text, entry.range or entry.type, entry.doc, entry.source)
        lines.append("| " + " | ".join(_escape(cell) for cell in cells) + " |")
    return [*lines, ""]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
