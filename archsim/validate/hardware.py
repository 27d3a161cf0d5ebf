"""The suite against a card (`archsim validate h100`), and a user's own runs against a user's own ncu file."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from archsim.errors import ArchsimError, RunError
from archsim.validate import suite
from archsim.validate.comparison import Comparison, Kernel
from archsim.validate.ncu_csv import HardwareDataError, Launch, base_name, read_ncu
from archsim.validate.simulate import Simulated, Task, run_tasks

#: Cards -> the machine that models them. Measurements are in validation/hw/CARD.
CARDS = {"h100": "h100_sxm", "h200": "h200_sxm"}
PROTOCOLS = ("flushed", "kept")


def protocol_overrides(protocol: str) -> tuple[str, ...]:
    """Parameters of a validation run: the full memory backend, caches as the protocol leaves them."""
    return "memory.backend=full", f"memory.flush_between_kernels={str(protocol == 'flushed').lower()}"


def compare_suite(
    card: str,
    *,
    protocol: str = "flushed",
    pattern: str = "",
    quick: bool = False,
    jobs: int = 1,
    overrides: Iterable[str] = (),
    done: Callable[[str], None] = lambda key: None,
) -> Comparison:
    """Simulate the suite's kernels and set them beside a card's measurements.

    ``protocol``: "flushed" (caches emptied before the launch) or "kept" (the launch follows one of its own kind).
    ``quick``: the ten programs with committed traces. RunError, HardwareDataError when suite or measurements are
    missing; a kernel that fails is in ``Comparison.failed``.
    """
    folder = suite.validation_folder()
    programs = suite.select(suite.load_programs(folder), pattern, quick)
    measured, notes = suite.load_measured(folder, card, protocol)
    machine = CARDS[card]
    tasks = [
        Task(
            key=p.name,
            trace=(suite.shipped_trace(p, suite.ARCH) or "") if quick else "",
            config=machine,
            overrides=(*protocol_overrides(protocol), *overrides),
            kept=protocol == "kept",
            program=p,
        )
        for p in programs
        if p.name in measured
    ]
    found = run_tasks(tasks, jobs, done)
    result = Comparison(f"{machine} against the card ({card}), caches {protocol}", machine, [], notes)
    for program in programs:
        outcome = found.get(program.name)
        if outcome is None:
            result.failed[program.name] = f"not measured on the card, caches {protocol}"
        elif isinstance(outcome, ArchsimError):
            result.failed[program.name] = str(outcome)
        else:
            result.kernels.append(_kernel(program, outcome, measured[program.name]))
    return result


#: The order of its threads is not quite the card's (DEVIATIONS.md EMU-1): executed counts differ by 0.01 %.
DIVERGENT = {"recursion"}


def _kernel(program: suite.Program, outcome: Simulated, measured: suite.Measured) -> Kernel:
    return Kernel(
        name=program.name,
        half=program.split,
        simulated=outcome.metrics,
        measured=measured.metrics,
        simulated_stalls=outcome.stalls,
        spread=measured.spread,
        counts_differ=program.name in DIVERGENT or program.varies is not None,
    )


# ---------------------------------------------------------------------------- a user's own ncu file


def compare_runs(folders: Iterable[str | Path], hardware: str | Path) -> Comparison:
    """Result folders against one ``ncu --csv`` file: kernels are paired by name, and in order where counts agree.

    Where the file has another number of launches of a kernel than the runs, the median of the file's launches counts
    (the first one dropped, which profiling slows down, if there are more than two).
    RunError, HardwareDataError when a file can't be used or nothing pairs.
    """
    from archsim.engine.result_folder import load_run

    runs: dict[str, list[tuple[Any, Any]]] = {}
    machines = []
    for folder in folders:
        result = load_run(folder)
        machines.append(result.config.name)
        for kernel in result.kernels:
            runs.setdefault(_demangled(kernel.name), []).append((kernel, result.config))
    launches: dict[str, list[Launch]] = {}
    for launch in read_ncu(hardware):
        launches.setdefault(launch.function, []).append(launch)
    comparison = Comparison(f"{', '.join(sorted(set(machines)))} against {hardware}", ", ".join(machines), [])
    for name, mine in runs.items():
        theirs = launches.get(name)
        if theirs is None:
            comparison.failed[name] = f"{hardware} has no launch of it"
        elif len(theirs) == len(mine):
            many = len(mine) > 1
            comparison.kernels += [
                _own(f"{name}#{i}" if many else name, *mine[i], theirs[i].metrics) for i in range(len(mine))
            ]
        else:
            comparison.notes.append(
                f"{name}: {len(mine)} simulated launches, {len(theirs)} measured: "
                "the last simulated one against the median of the measured ones"
            )
            comparison.kernels.append(_own(name, *mine[-1], _median(theirs)))
    for name in launches.keys() - runs.keys():
        comparison.notes.append(f"{name}: measured, not simulated")
    if not comparison.kernels:
        raise RunError(
            f"{hardware}: none of its kernels ({', '.join(sorted(launches)[:5])}) is in the runs "
            f"({', '.join(sorted(runs)[:5])})"
        )
    return comparison


def _own(name: str, kernel: Any, config: Any, metrics: dict[str, float]) -> Kernel:
    from archsim.stats import ncu_metrics

    if "sm__cycles_active.max" not in metrics:
        raise HardwareDataError(
            f"{name}: the file has no sm__cycles_active.max; "
            "profile with `ncu --csv --page raw --metrics sm__cycles_active.max,...`"
        )
    return Kernel(name, "", {**kernel.counters, **ncu_metrics(kernel, config)}, metrics, kernel.stalls)


def _median(launches: list[Launch]) -> dict[str, float]:
    kept = launches[1:] if len(launches) > 2 else launches
    names = set.intersection(*(set(one.metrics) for one in kept))
    return {name: statistics.median(one.metrics[name] for one in kept) for name in names}


def _demangled(name: str) -> str:
    """Base name of a kernel as a trace names it: plain, demangled, or in Itanium form (the innermost name)."""
    if not name.startswith("_Z"):
        return base_name(name)
    place = 3 if name.startswith("_ZN") else 2
    parts = []
    while place < len(name) and name[place].isdigit():
        end = place
        while end < len(name) and name[end].isdigit():
            end += 1
        size = int(name[place:end])
        parts.append(name[end : end + size])
        place = end + size
    return "::".join(parts) if parts else name
