"""Tables and the JSON object of ``archsim run``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from archsim.energy import config_table, kernel_energy
from archsim.energy.model import as_dict
from archsim.engine.result_folder import plugin_names
from archsim.stats import derived_metrics, ncu_metrics
from archsim.stats.derived import stall_shares

if TYPE_CHECKING:
    from archsim.engine.run import KernelResult, RunResult

DETAILED_KERNELS = 3  # with more launches, the details are those of the longest ones
LISTED_KERNELS = 40
_NARROW = 110
_LIMITERS = {"warps": "warps", "ctas": "blocks", "registers": "registers", "shared_memory": "shared memory"}


def json_object(result: RunResult) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    return {
        "simulation_seconds": result.simulation_seconds,
        "kilo_warp_instructions_per_second": result.kilo_warp_instructions_per_second,
        "complete": result.complete,
        "stop_reason": result.stop_reason,
        "notes": result.notes,
        "config": result.config.name,
        "plugins": plugin_names(result.config),
        "trace_sha256": result.trace_sha256,
        "kernels": [_json_kernel(kernel, result.config) for kernel in result.kernels],
    }


def _json_kernel(kernel: KernelResult, config: Any) -> dict[str, Any]:
    table = config_table(config)
    energy = {} if table is None else {"energy": as_dict(kernel_energy(kernel, config, table))}
    return {
        "name": kernel.name,
        "launch": asdict(kernel.launch) | {"index": kernel.index, "ctas_per_sm": kernel.residency.ctas_per_sm},
        "complete": kernel.complete,
        "dependence": kernel.dependence,
        "issue_slots": kernel.issue_slots,
        "issued": kernel.stalls["issued"],
        "stalls": {name: slots for name, slots in kernel.stalls.items() if name != "issued"},
        **ncu_metrics(kernel, config),
        "derived": derived_metrics(kernel, config),
        "counters": kernel.counters,
        **energy,
    }


def print_report(result: RunResult, folder: object = None) -> None:
    """Print what a run found: a list of launches, details of the longest ones, notes, speed."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _NARROW, highlight=False)
    if len(result.kernels) > 1:
        console.print(_overview(result))
    longest = sorted(result.kernels, key=lambda k: -k.cycles)[:DETAILED_KERNELS]
    for kernel in sorted(longest, key=lambda k: k.index):
        console.print()
        console.print(f"[bold]{_dims(kernel)}[/bold]", soft_wrap=True)
        console.print(_summary(kernel, result.config))
        energy = _energy(kernel, result.config)
        if energy is not None:
            console.print(energy)
        console.print(_stalls(kernel))
    if len(result.kernels) > len(longest):
        console.print(f"Details are of the {len(longest)} longest launches; stats.txt of the result folder has all.")
    for note in result.notes:
        console.print(f"note: {note}", soft_wrap=True, markup=False)
    console.print(_speed(result), soft_wrap=True, markup=False)
    if folder is not None:
        console.print(f"result: {folder}", soft_wrap=True, markup=False)


def _dims(kernel: KernelResult) -> str:
    from rich.markup import escape

    grid, block = ("x".join(map(str, d)) for d in (kernel.launch.grid, kernel.launch.block))
    partial = "" if kernel.complete else "  (partial)"
    return f"launch {kernel.index}: {escape(kernel.name)}  grid {grid}  block {block}{partial}"


def _speed(result: RunResult) -> str:
    compiling = sum(k.compile_seconds for k in result.kernels)
    sm = result.config.sm
    plugins = f"scheduler {sm.issue.scheduler}, prefetcher {sm.prefetcher.kind}, register-file cache {sm.rfc.kind}"
    text = (
        f"{plugins}\nsimulated {result.warp_instructions:,} warp-instructions in {result.simulation_seconds:.2f} s "
        f"({result.kilo_warp_instructions_per_second:,.0f} thousand/s)"
    )
    return text + (f"; compiling or loading compiled code took {compiling:.1f} s" if compiling > 1 else "")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _overview(result: RunResult) -> Any:
    from rich.table import Table

    table = Table(title=f"{len(result.kernels)} launches on {result.config.name}", title_justify="left")
    for name, right in (("#", True), ("kernel", False)) + tuple(
        (n, True) for n in ("cycles", "elapsed ms", "IPC", "L1D hits", "L2 hits", "DRAM GB/s", "main stall")
    ):
        table.add_column(name, justify="right" if right else "left", max_width=36 if name == "kernel" else None)
    for kernel in result.kernels[:LISTED_KERNELS]:
        d = derived_metrics(kernel, result.config)
        stall, slots = _main_stall(kernel)
        table.add_row(
            str(kernel.index),
            _plain(kernel.name),
            f"{kernel.cycles:,}",
            _number(d["elapsed_ms"], 4),
            _number(d["ipc"]),
            _percent(d["l1d_hit_rate"]),
            _percent(d["l2_read_hit_rate"]),
            _number(d["dram_bandwidth_gbps"], 1),
            f"{stall} {_percent(slots / kernel.issue_slots if kernel.issue_slots else None)}",
        )
    if len(result.kernels) > LISTED_KERNELS:
        table.caption = f"and {len(result.kernels) - LISTED_KERNELS} more launches"
    return table


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text, overflow="ellipsis", no_wrap=True)


def _main_stall(kernel: KernelResult) -> tuple[str, int]:
    stalls = {name: slots for name, slots in kernel.stalls.items() if name != "issued"}
    name = max(stalls, key=lambda n: stalls[n])
    return name, stalls[name]


def _summary(kernel: KernelResult, config: Any) -> Any:
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="left", style="cyan", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="left", style="dim")
    for row in _summary_rows(kernel, config, derived_metrics(kernel, config)):
        table.add_row(*row)
    return table


Row = tuple[str, str, str]


def _summary_rows(k: KernelResult, config: Any, d: dict[str, float | None]) -> Iterator[Row]:
    yield "cycles", f"{k.cycles:,}", f"busiest SM active for {k.active_cycles_max:,}"
    overhead = k.elapsed_cycles - k.cycles
    yield (
        "elapsed",
        f"{_number(d['elapsed_ms'], 5)} ms",
        f"{k.elapsed_cycles:,} cycles with {overhead:,} of launch overhead, at {config.clock_mhz:g} MHz",
    )
    yield "IPC of an SM", _number(d["ipc"], 3), f"{k.warp_instructions:,} warp-instructions; {k.dependence}"
    limiter = _LIMITERS.get(k.residency.limiter, k.residency.limiter)
    achieved = "" if d["achieved_occupancy"] is None else f"achieved {_percent(d['achieved_occupancy'])}; "
    yield (
        "occupancy",
        _percent(d["theoretical_occupancy"]),
        f"theoretical; {achieved}{k.residency.ctas_per_sm} blocks an SM, limited by {limiter}",
    )
    units = ("int", "fp32", "fp16", "fp64", "sfu", "branch", "memory_unit")
    used = [f"{name} {_percent(d[f'{name}_utilisation'])}" for name in units if d[f"{name}_utilisation"]]
    tensor = k.unit_instructions["tensor"]
    used += [f"tensor {tensor:,} instructions"] if tensor else []
    yield "unit utilisation", _percent(d["issue_utilisation"]), "issue; " + ", ".join(used)
    yield "L0 I-cache hits", _percent(d["l0i_hit_rate"]), f"{k.counters['l0_misses']:,} lines missed"
    yield "L1 I-cache hits", _percent(d["l1i_hit_rate"]), f"{k.counters['l1i_misses']:,} lines from L2"
    for cache, what in (("fl", "constant operand"), ("vl", "constant (LDC)")):
        if d[f"{cache}_hit_rate"] is not None:
            yield f"{what} hits", _percent(d[f"{cache}_hit_rate"]), f"{k.counters[f'{cache}_misses']:,} missed"
    yield from _memory_rows(k, d)


def _memory_rows(k: KernelResult, d: dict[str, float | None]) -> Iterator[Row]:
    c = k.counters
    if c["load_sectors"]:
        pending = f"of {c['load_sectors']:,} sectors; {c['load_sector_pending']:,} hits were still on their way"
        yield "L1D hits", _percent(d["l1d_hit_rate"]), pending
    for kind in ("load", "store"):
        if c[f"global_{kind}s"]:
            rate = _number(d[f"{kind}_sectors_per_request"])
            yield f"{kind} coalescing", rate, f"sectors per request, {c[f'global_{kind}s']:,} requests"
    if c["shared_wavefronts"]:
        per = _number(d["bank_conflicts_per_access"])
        yield "bank conflicts", f"{int(d['bank_conflicts'] or 0):,}", f"wavefronts beyond the ideal, {per} an access"
    if c["l2_read_sectors"]:
        yield "L2 read hits", _percent(d["l2_read_hit_rate"]), f"of {c['l2_read_sectors']:,} sectors"
    read, written = c["dram_read_bytes"], c["dram_write_bytes"]
    yield (
        "DRAM",
        f"{_number(d['dram_bandwidth_gbps'], 1)} GB/s",
        f"{read:,} bytes read, {written:,} written; {_percent(d['dram_utilisation'])} of the peak",
    )


def _energy(kernel: KernelResult, config: Any) -> Any:
    """Energy by component, and the events' part by instruction class; None for a machine without a table."""
    from rich.table import Table

    table = config_table(config)
    if table is None:
        return None
    energy = kernel_energy(kernel, config, table)
    shown = Table(
        title=f"energy ({table.name}): {energy.total_pj / 1e6:,.2f} uJ, {energy.watts:,.1f} W", title_justify="left"
    )
    for name, right in (("component", False), ("uJ", True), ("%", True), ("instruction class", False), ("uJ", True)):
        shown.add_column(name, justify="right" if right else "left")
    parts = sorted(((n, pj) for n, pj in energy.components.items() if pj), key=lambda item: -item[1])
    classes = sorted(((n, pj) for n, pj in energy.classes.items() if pj), key=lambda item: -item[1])
    for i in range(max(len(parts), len(classes))):
        left = ("", "", "")
        if i < len(parts):
            left = (parts[i][0], f"{parts[i][1] / 1e6:,.3f}", f"{100 * parts[i][1] / energy.total_pj:.1f}")
        right_side = (classes[i][0], f"{classes[i][1] / 1e6:,.3f}") if i < len(classes) else ("", "")
        shown.add_row(*left, *right_side)
    shown.caption = ", ".join(f"{100 * share:.0f} % from {name} values" for name, share in energy.by_confidence.items())
    return shown


def _stalls(kernel: KernelResult) -> Any:
    from rich.table import Table

    table = Table(title="issue slots (cycles x sub-cores)", title_justify="left")
    table.add_column("fate")
    table.add_column("slots", justify="right")
    table.add_column("%", justify="right")
    table.add_column("", no_wrap=True)
    shares = stall_shares(kernel)
    for name, slots in sorted(kernel.stalls.items(), key=lambda item: (item[0] != "issued", -item[1])):
        if slots:
            table.add_row(name, f"{slots:,}", f"{shares[name]:.1f}", "█" * round(shares[name] / 2.5))
    table.add_section()
    table.add_row("sum", f"{sum(kernel.stalls.values()):,}", f"{sum(shares.values()):.1f}", "")
    return table
