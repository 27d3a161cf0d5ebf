"""The published ablations of the SM (prefetcher, register-file cache and ports, dependence handling) on shipped traces.

    python validation/ablations.py [--quick] [TRACE ...]

Prints, for every machine variant, the geometric and arithmetic mean of its speed-up over the base variant of its group,
beside the published means, and the variant's lowest and highest trace.

Published: Huerta et al., MICRO 2025, tables 5, 6 and 7: arithmetic means over 128 applications on an RTX A6000. Our
traces are fourteen small kernels of our own, so directions can be compared, sizes cannot.
``--quick`` leaves out the variants whose register-file cache is another plug-in (each compiles for 30 to 60 s).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import archsim
from archsim.resources import find_trace

MACHINE = "rtx_a6000"
#: Shipped traces, all compiled for the A6000's architecture.
TRACES = tuple(
    f"{name}_sm86"
    for name in [
        "saxpy",
        "gemm_tiled",
        "gemm_fp16_mma",
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


def measure(chosen: Iterable[Variant], traces: Sequence[str] = TRACES) -> dict[Variant, dict[str, int]]:
    """Cycles of all launches of each trace on each variant."""
    cycles: dict[Variant, dict[str, int]] = {}
    for variant in chosen:
        config = archsim.load_config(MACHINE, overrides=list(variant.overrides))
        cycles[variant] = {}
        for name in traces:
            with archsim.load_trace(find_trace(name)) as trace:
                result = archsim.run(trace, config)
            cycles[variant][name] = sum(kernel.cycles for kernel in result.kernels)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("traces", nargs="*", metavar="TRACE", default=TRACES)
    parser.add_argument("--quick", action="store_true", help="only the register-file cache of the base machine")
    args = parser.parse_args()
    print(table(measure(variants(quick=args.quick), args.traces)))


if __name__ == "__main__":
    main()
