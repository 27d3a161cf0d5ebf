"""Sweeps: many runs, one table. docs/sweeps.md is the user's page.

``load_study`` reads a study, ``run_study`` runs it on a ``ProcessPool`` or a ``DaskCluster``, ``load_table`` reads what
came out.
"""

from __future__ import annotations

from archsim.engine.sweep.cluster import DaskCluster
from archsim.engine.sweep.plan import make_plan
from archsim.engine.sweep.pool import ProcessPool
from archsim.engine.sweep.runner import SweepResult, run_study
from archsim.engine.sweep.study import Study, load_study, parse_study, study_from_options
from archsim.engine.sweep.table import SweepTable, load_table

__all__ = [
    "DaskCluster",
    "ProcessPool",
    "Study",
    "SweepResult",
    "SweepTable",
    "load_study",
    "load_table",
    "make_plan",
    "parse_study",
    "run_study",
    "study_from_options",
]
