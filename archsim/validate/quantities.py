"""What is compared: each quantity as a function of simulated and of measured metrics, by Nsight Compute's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Metrics = Mapping[str, float]
Value = float | None

_GLOBAL = "l1tex__t_sectors_pipe_lsu_mem_global_op_{}.sum"
_LTS = "lts__t_sectors_srcunit_tex{}.sum"
_STALL = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"

#: Stall reasons that both sides name; the card counts warps in each state, the model issue slots lost to each.
STALLS = (
    "barrier", "branch_resolve", "dispatch_stall", "drain", "imc_miss", "lg_throttle", "long_scoreboard",
    "math_pipe_throttle", "membar", "mio_throttle", "no_instruction", "short_scoreboard", "sleeping", "wait",
)  # fmt: skip


@dataclass(frozen=True)
class Quantity:
    """One compared value. ``kind``: "relative" (errors as fractions) or "points" (difference of two shares).

    ``limit``: the tolerance of issue 6 for one kernel, None where it has none.
    """

    name: str
    unit: str
    kind: str
    doc: str
    simulated: Callable[[Metrics], Value]
    measured: Callable[[Metrics], Value]
    limit: float | None = None


def _get(name: str) -> Callable[[Metrics], Value]:
    return lambda m: m.get(name)


def _sum(*names: str) -> Callable[[Metrics], Value]:
    """Sum of those that are there; None when the first is missing."""
    return lambda m: None if names[0] not in m else sum(m.get(name, 0.0) for name in names)


def _share(part: str, *whole: str) -> Callable[[Metrics], Value]:
    def value(m: Metrics) -> Value:
        if part not in m or any(w not in m for w in whole):
            return None
        total = sum(m[w] for w in whole)
        return m[part] / total if total else None

    return value


def _percent(name: str) -> Callable[[Metrics], Value]:
    return lambda m: None if name not in m else m[name] / 100


def _same(
    name: str, unit: str, kind: str, doc: str, value: Callable[[Metrics], Value], limit: float | None = None
) -> Quantity:
    return Quantity(name, unit, kind, doc, value, value, limit)


_HIT, _MISS = _GLOBAL.format("ld_lookup_hit"), _GLOBAL.format("ld_lookup_miss")
_READ = _LTS.format("_op_read")
_ISSUE = "smsp__issue_active.avg.pct_of_peak_sustained_active"

_ROWS = (
    _same("cycles", "cycles", "relative", "sm__cycles_active.max", _get("sm__cycles_active.max")),
    _same("elapsed", "cycles", "relative", "gpc__cycles_elapsed.max", _get("gpc__cycles_elapsed.max")),
    _same("instructions", "warp-instructions", "relative", "smsp__inst_executed.sum",
          _get("smsp__inst_executed.sum"), 0.0),
    _same("thread instructions", "thread-instructions", "relative", "smsp__thread_inst_executed_pred_on.sum",
          _get("smsp__thread_inst_executed_pred_on.sum"), 0.0),
    Quantity("L1 load sectors", "sectors", "relative", "global loads, asynchronous copies included as ncu does",
             _sum("load_sectors", "ldgsts_sectors"), _get(_GLOBAL.format("ld")), 0.01),
    _same("L1 store sectors", "sectors", "relative", "global stores", _sum(_GLOBAL.format("st")), 0.01),
    _same("L1 load hit rate", "fraction", "points", "sectors of global loads that hit, or whose line was on its way",
          _share(_HIT, _HIT, _MISS), 0.05),
    Quantity("L2 read sectors", "sectors", "relative", "read by the L1 caches (lts__t_sectors_srcunit_tex_op_read)",
             _get(_READ), _get(_READ), 0.10),
    Quantity("L2 write sectors", "sectors", "relative", "written by the L1 caches; atomics excluded",
             _get("lts__t_sectors_op_write.sum"), _get(_LTS.format("_op_write")), 0.10),
    Quantity("L2 read hit rate", "fraction", "points", "of reads of the L1 caches; on the card only reads miss",
             _share(_LTS.format("_op_read_lookup_hit"), _READ), lambda m: _read_hits(m)),
    _same("DRAM read bytes", "bytes", "relative", "dram__bytes_read.sum", _get("dram__bytes_read.sum"), 0.15),
    _same("DRAM bytes", "bytes", "relative", "read and written", _sum("dram__bytes_read.sum", "dram__bytes_write.sum"),
          0.15),
    _same("issue utilisation", "fraction", "points", "issue slots used while the sub-core had a warp",
          _percent(_ISSUE)),
    Quantity("stall mix", "fraction", "points", "half the sum of differences between the two mixes (0: the same)",
             lambda m: None, lambda m: None),
)  # fmt: skip

#: Every quantity by name, in the order of the reports.
QUANTITIES: dict[str, Quantity] = {row.name: row for row in _ROWS}


def _read_hits(m: Metrics) -> Value:
    miss, reads = m.get(_LTS.format("_lookup_miss")), m.get(_READ)
    return None if miss is None or not reads else max(1 - miss / reads, 0.0)


def measured_stalls(m: Metrics) -> dict[str, float]:
    """Share of each stall reason in the card's warp states, without selected and not selected; {} if not measured."""
    found = {reason: m[_STALL.format(reason)] for reason in STALLS if _STALL.format(reason) in m}
    total = sum(found.values())
    return {reason: value / total for reason, value in found.items()} if total else {}


def simulated_stalls(stalls: Mapping[str, int]) -> dict[str, float]:
    """Share of each stall reason in the lost issue slots of sub-cores that had a warp."""
    found = {reason: stalls.get(reason, 0) for reason in STALLS}
    total = sum(found.values())
    return {reason: value / total for reason, value in found.items()} if total else {}


def mix_distance(one: Mapping[str, float], other: Mapping[str, float]) -> Value:
    """Half the sum of the absolute differences: 0 for equal mixes, 1 for mixes without a common reason."""
    if not one or not other:
        return None
    return sum(abs(one.get(r, 0.0) - other.get(r, 0.0)) for r in STALLS) / 2
