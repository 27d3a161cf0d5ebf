"""stats.txt in gem5's form: ``name  value  # description (unit)``, one section a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from archsim.stats.counters import COUNTERS, REASONS, KernelLike
from archsim.stats.derived import DERIVED, derived_metrics, stall_shares
from archsim.stats.ncu import NCU, ncu_metrics

_BEGIN = "---------- Begin Simulation Statistics ----------"
_END = "---------- End Simulation Statistics   ----------"

Row = tuple[str, float | int, str, str]


def kernel_rows(kernel: KernelLike, config: Any) -> Iterator[Row]:
    """(name, value, unit, description) of everything known about one kernel."""
    yield "cycles", kernel.cycles, "cycles", "launch to the end of the last thread block"
    yield "active_cycles_max", kernel.active_cycles_max, "cycles", "largest of the SMs' cycles with a resident warp"
    yield "elapsed_cycles", kernel.elapsed_cycles, "cycles", "cycles with the launch overhead"
    yield "issue_slots", kernel.issue_slots, "slots", "cycles x sub-cores"
    for name, slots in kernel.stalls.items():
        yield f"issue_slots::{name}", slots, "slots", REASONS[name]
    for name, share in stall_shares(kernel, digits=4).items():
        yield f"issue_slots_percent::{name}", share, "%", "share of all issue slots"
    for name, value in kernel.counters.items():
        yield name, value, COUNTERS[name].unit, COUNTERS[name].doc
    for name, value in kernel.unit_instructions.items():
        yield f"unit_instructions::{name}", value, "warp-instructions", f"issued to the {name} unit"
    for name, derived in derived_metrics(kernel, config).items():
        if derived is not None:
            yield f"derived.{name}", derived, DERIVED[name].unit, DERIVED[name].doc
    for name, metric in ncu_metrics(kernel, config).items():
        yield name, metric, NCU[name].unit, NCU[name].doc


def _line(row: Row) -> str:
    name, value, unit, doc = row
    number = f"{value:.6f}" if isinstance(value, float) else str(value)
    return f"{name:<62} {number:>18}  # {doc} ({unit})"


def stats_text(
    kernels: list[Any],
    config: Any,
    header: dict[str, Any],
    more: Callable[[Any], Iterable[Row]] = lambda kernel: (),
) -> str:
    """The whole file. ``header``: facts on the run, written as comments; ``more(kernel)``: further rows (energy)."""
    lines = [f"# {name}: {value}" for name, value in header.items()]
    for index, kernel in enumerate(kernels):
        grid, block = ("x".join(map(str, d)) for d in (kernel.launch.grid, kernel.launch.block))
        lines += ["", _BEGIN, f"# kernel {index}: {kernel.name}, grid {grid}, block {block}"]
        lines += [f"kernel{index}.{_line(row)}" for row in kernel_rows(kernel, config)]
        lines += [f"kernel{index}.{_line(row)}" for row in more(kernel)]
        lines.append(_END)
    return "\n".join(lines) + "\n"
