"""Counters, derived metrics, Nsight Compute names, and stats.txt: pure functions of what a run counted."""

from archsim.stats.counters import COUNTERS, Counter
from archsim.stats.derived import DERIVED, Metric, derived_metrics
from archsim.stats.ncu import NCU, NcuMetric, ncu_metrics
from archsim.stats.text import stats_text

__all__ = [
    "COUNTERS",
    "DERIVED",
    "NCU",
    "Counter",
    "Metric",
    "NcuMetric",
    "derived_metrics",
    "ncu_metrics",
    "stats_text",
]
