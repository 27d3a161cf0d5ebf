"""validation/RESULTS.md, section by section, and the JSON object of a comparison."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from archsim.errors import RunError
from archsim.validate.comparison import Comparison, Verdict
from archsim.validate.quantities import QUANTITIES
from archsim.validate.tables import (
    KERNEL_HEADER,
    SUMMARY_HEADER,
    VERDICT_HEADER,
    kernel_rows,
    markdown,
    percent,
    summary_rows,
    verdict_rows,
)

_TITLE = "# Results\n\nGenerated: each section names the command that rewrites it. Do not edit.\n"
#: Order of the sections of RESULTS.md.
SECTIONS = ("h100_flushed", "h100_kept", "h100_quick", "h100_power", "h200_flushed", "h200_kept", "a6000_ablations")


def json_object(comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    """Everything as one JSON object: kernels, summaries, margins."""
    kernels = []
    for k in comparison.kernels:
        values = {}
        for name, quantity in QUANTITIES.items():
            pair = k.pair(quantity)
            if pair is not None:
                values[name] = {"simulated": pair[0], "measured": pair[1], "error": k.error(quantity)}
        kernels.append({"name": k.name, "half": k.half, "spread": k.spread, "quantities": values})
    summaries = [comparison.summary(name, half) for name in QUANTITIES for half in comparison.halves()]
    return json.dumps(
        {
            "title": comparison.title,
            "machine": comparison.machine,
            "kernels": kernels,
            "summary": [
                {"quantity": s.quantity, "half": s.half, "n": s.n, "mean_points": s.mean_points,
                 "within_limit": s.within_limit, **(s.stats.as_dict() if s.stats else {})}
                for s in summaries if s.n
            ],
            "margins": [{"margin": v.margin.text, "value": v.value, "kept": v.holds} for v in verdicts],
            "failed": comparison.failed,
            "notes": comparison.notes,
        }
    )  # fmt: skip


def section(key: str, comparison: Comparison, verdicts: Sequence[Verdict]) -> str:
    """One comparison as a section of RESULTS.md."""
    card, protocol = key.split("_", 1)
    option = {"flushed": "", "quick": " --quick"}.get(protocol, f" --protocol {protocol}")
    command = f"archsim validate {card}{option} --results validation/RESULTS.md"
    worst = ", ".join(f"{name} {percent(error, 1, True)}" for name, error in comparison.worst())
    parts = [f"## {comparison.title}", f"`{command}`", *(f"* {n}" for n in comparison.notes)]
    parts += [f"* no result: {name}: {why}" for name, why in comparison.failed.items()]
    if verdicts:
        parts.append(markdown(verdict_rows(verdicts), VERDICT_HEADER))
    parts += [
        markdown(summary_rows(comparison), SUMMARY_HEADER),
        f"Furthest off in cycles: {worst}.",
        "Kernel by kernel; columns after `spread` (of the launches on the card) are errors against the card, "
        "`stall mix` is half the summed difference of the two mixes:",
        markdown(kernel_rows(comparison), KERNEL_HEADER),
    ]
    return "\n\n".join(parts).replace("\n\n* ", "\n* ")


def write_section(path: Path, key: str, comparison: Comparison, verdicts: Sequence[Verdict]) -> None:
    """Rewrite one comparison's section; see :func:`replace_section`."""
    replace_section(path, key, section(key, comparison, verdicts))


def replace_section(path: Path, key: str, text: str) -> None:
    """Put ``text`` in the place of a section, or add it in the order of SECTIONS. RunError when unwritable."""
    try:
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        found = dict(re.findall(r"<!-- begin (\w+) -->\n(.*?)\n<!-- end \1 -->", old, re.DOTALL))
        found[key] = text.strip()
        order = [*(k for k in SECTIONS if k in found), *(k for k in found if k not in SECTIONS)]
        body = "\n\n".join(f"<!-- begin {k} -->\n{found[k]}\n<!-- end {k} -->" for k in order)
        path.write_text(f"{_TITLE}\n{body}\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: can't be written: {error.strerror or error}") from None
