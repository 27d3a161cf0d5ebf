"""The published ablations of the SM (prefetcher, register-file cache and ports, dependence handling) on shipped traces.

    python validation/ablations.py [--quick] [--jobs N] [--results validation/RESULTS.md] [TRACE ...]

Prints, for every machine variant, the geometric and arithmetic mean of its speed-up over the base variant of its group,
beside the published means, the variant's lowest and highest trace, and a judgement. Results are cached by trace,
machine and model, so that a second run repeats only what changed.

Published: Huerta et al., MICRO 2025, tables 5, 6 and 7: arithmetic means over 128 applications on an RTX A6000. Our
traces are fifteen small kernels of our own, so directions can be compared, sizes cannot.
``--quick`` leaves out the variants whose register-file cache is another plug-in (each compiles for 30 to 60 s).
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archsim.errors import ArchsimError
from archsim.validate.results import replace_section
from archsim.validate.simulate import Task, run_tasks
from archsim.validate.tables import markdown

MACHINE = "rtx_a6000"
#: Shipped traces, all compiled for the A6000's architecture.
TRACES = tuple(
    f"{name}_sm86"
    for name in [
        "saxpy",
        "gemm_tiled",
        "gemm_fp16_mma",
        "sgemm_regblock",
        "reduce_shuffle",
        "scan_block",
        "transpose_tiled",
        "hist_shared",
        "stencil2d5",
        "spmv_csr_vector",
        "softmax",
        "bigcode",
        "cp_async",
        "bfs_level",
        "mandelbrot",
    ]
)
PUBLISHED = {
    "prefetcher": "MICRO 2025, table 5",
    "register file": "MICRO 2025, table 6",
    "dependences": "MICRO 2025, table 7",
}


@dataclass(frozen=True)
class Variant:
    """One machine of an ablation. ``published``: mean speed-up over the group's base, None if there is none."""

    group: str
    name: str
    overrides: tuple[str, ...]
    published: float | None
    compiles: bool = False  # brings a register-file cache that the base machine does not have


def _variants() -> tuple[Variant, ...]:
    rows = [Variant("prefetcher", "none", ("sm.prefetcher.kind=none",), 1.0)]
    means = {1: 1.08, 2: 1.19, 4: 1.29, 8: 1.37, 16: 1.40, 32: 1.40}
    for size, mean in means.items():
        rows.append(Variant("prefetcher", f"stream buffer {size}", (f"sm.prefetcher.size={size}",), mean))
    # The flag has the effect of the plug-in `perfect`, without compiling another program.
    rows.append(Variant("prefetcher", "perfect", ("sm.front_end.perfect_icache=true",), 1.50))
    ports = "sm.register_file.read_ports_per_bank"
    rows += [
        Variant("register file", "1 port, RFC on", (), 1.0),
        Variant("register file", "1 port, RFC off", ("sm.rfc.kind=off",), 0.974, True),
        Variant("register file", "2 ports, RFC off", ("sm.rfc.kind=off", f"{ports}=2"), 1.006, True),
        Variant("register file", "2 ports, RFC on", (f"{ports}=2",), None),
        Variant("register file", "ideal", ("sm.rfc.kind=ideal",), 1.008, True),
    ]
    board = "sm.issue.dependence=scoreboard"
    rows.append(Variant("dependences", "control bits", (), 1.0))
    for readers, mean in ((1, 0.95), (3, 0.98), (63, 0.98), (0, 0.98)):
        name = f"scoreboard, {readers or 'unlimited'} WAR"
        rows.append(Variant("dependences", name, (board, f"sm.issue.scoreboard.war_consumers={readers}"), mean))
    return tuple(rows)


VARIANTS = _variants()


def variants(*, quick: bool) -> list[Variant]:
    """All variants, or those that need no further register-file cache."""
    return [v for v in VARIANTS if not (quick and v.compiles)]


def measure(chosen: Iterable[Variant], traces: Sequence[str] = TRACES, jobs: int = 1) -> dict[Variant, dict[str, int]]:
    """Cycles of all launches of each trace on each variant. Raises the first error of a run."""
    wanted = list(chosen)
    tasks = [
        Task(f"{i} {name}", name, MACHINE, variant.overrides, whole=True)
        for i, variant in enumerate(wanted)
        for name in traces
    ]
    found = run_tasks(tasks, jobs, lambda key: print(".", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
    cycles: dict[Variant, dict[str, int]] = {}
    for i, variant in enumerate(wanted):
        cycles[variant] = {}
        for name in traces:
            outcome = found[f"{i} {name}"]
            if isinstance(outcome, ArchsimError):
                raise outcome
            cycles[variant][name] = int(outcome.metrics["cycles"])
    return cycles


def speedups(cycles: dict[Variant, dict[str, int]]) -> dict[str, dict[str, dict[str, float]]]:
    """Speed-up over the group's first variant: group -> variant -> trace -> base cycles / cycles."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    base: dict[str, dict[str, int]] = {}
    for variant, row in cycles.items():
        first = base.setdefault(variant.group, row)
        found.setdefault(variant.group, {})[variant.name] = {name: first[name] / row[name] for name in row}
    return found


def geomean(values: Iterable[float]) -> float:
    """Geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def table(cycles: dict[Variant, dict[str, int]]) -> str:
    """Speed-ups of every variant beside the published means, as text."""
    rates = speedups(cycles)
    published = {(v.group, v.name): v.published for v in cycles}
    lines = []
    for group, rows in rates.items():
        lines.append(f"{group} (speed-up over the first row; published: {PUBLISHED[group]})")
        lines.append(f"  {'variant':26s} {'geomean':>8s} {'mean':>8s} {'published':>10s}  lowest and highest trace")
        for name, row in rows.items():
            mean = published[group, name]
            low, high = min(row, key=row.__getitem__), max(row, key=row.__getitem__)
            lines.append(
                f"  {name:26s} {geomean(row.values()):8.3f} {sum(row.values()) / len(row):8.3f} "
                f"{'-' if mean is None else format(mean, '.3f'):>10s}  {low} {row[low]:.3f}, {high} {row[high]:.3f}"
            )
        still = [trace for trace in next(iter(rows.values())) if all(abs(r[trace] - 1) < 5e-4 for r in rows.values())]
        lines.append(f"  insensitive (within 0.05 %): {', '.join(still) or 'none'}\n")
    return "\n".join(lines)


EFFECT = 0.005  # smaller differences from 1 count as no effect


def judgement(ours: float, published: float | None) -> str:
    """Direction and size of a mean speed-up against the published mean, in words."""
    if published is None:
        return "not published"
    mine, theirs = ours - 1, published - 1
    if abs(theirs) < 1e-9:
        return "base"
    if abs(mine) < EFFECT and abs(theirs) <= 2 * EFFECT:
        return "agrees: hardly any effect"
    if abs(mine) < EFFECT:
        return "no effect here: these traces do not need it"
    if (mine > 0) != (theirs > 0):
        return "OPPOSITE direction"
    factor = mine / theirs
    if 0.5 <= factor <= 2:
        return f"agrees: {factor:.1f} times the published effect"
    return f"same direction, {'larger' if factor > 2 else 'smaller'}: {factor:.1f} times the published effect"


def section(cycles: dict[Variant, dict[str, int]]) -> str:
    """For RESULTS.md."""
    rates = speedups(cycles)
    parts = [
        f"## Published ablations of the SM, on `{MACHINE}`",
        "`python validation/ablations.py --results validation/RESULTS.md`",
        "Published: arithmetic means over 128 applications, by the published model of the RTX A6000 (Huerta et al., "
        f"MICRO 2025, tables 5 to 7). Ours: {len(next(iter(cycles.values())))} small kernels of our own, sm_86, most "
        "of them shorter than 10,000 cycles and started on a cold chip, so that instruction fetch weighs more than in "
        "the applications. Directions can be compared, sizes only roughly.",
    ]
    for group, rows in rates.items():
        table_rows = []
        for name, row in rows.items():
            mean = sum(row.values()) / len(row)
            published = next(v.published for v in cycles if (v.group, v.name) == (group, name))
            low, high = min(row, key=row.__getitem__), max(row, key=row.__getitem__)
            table_rows.append([
                name, f"{geomean(row.values()):.3f}", f"{mean:.3f}", "-" if published is None else f"{published:.3f}",
                f"{low.removesuffix('_sm86')} {row[low]:.3f}", f"{high.removesuffix('_sm86')} {row[high]:.3f}",
                judgement(mean, published),
            ])  # fmt: skip
        parts.append(f"**{group}** (speed-up over the first row; {PUBLISHED[group]})")
        parts.append(
            markdown(table_rows, ("variant", "geomean", "mean", "published mean", "lowest", "highest", "judgement"))
        )
    return "\n\n".join(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("traces", nargs="*", metavar="TRACE", default=TRACES)
    parser.add_argument("--quick", action="store_true", help="only the register-file cache of the base machine")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--results", type=Path, help="rewrite the section of a RESULTS.md")
    args = parser.parse_args()
    try:
        cycles = measure(variants(quick=args.quick), args.traces, args.jobs)
        print(table(cycles))
        if args.results:
            replace_section(args.results, "a6000_ablations", section(cycles))
    except ArchsimError as error:
        print(f"ablations: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
