"""Simulated against measured: the committed suite on a card, or a user's own runs against an ncu file."""

from archsim.validate.comparison import Comparison, Kernel, Margin, judge, load_margins
from archsim.validate.hardware import CARDS, PROTOCOLS, compare_runs, compare_suite
from archsim.validate.ncu_csv import HardwareDataError, read_ncu
from archsim.validate.statistics import ErrorStats, error_stats

__all__ = [
    "CARDS",
    "PROTOCOLS",
    "Comparison",
    "ErrorStats",
    "HardwareDataError",
    "Kernel",
    "Margin",
    "compare_runs",
    "compare_suite",
    "error_stats",
    "judge",
    "load_margins",
    "read_ncu",
]
