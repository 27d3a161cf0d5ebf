"""Energy of a kernel: a pure function of its counters and of a table of energies per event (configs/energy).

`fit` (``Fit``, ``fit_nonnegative``, ``nnls``) is imported when first asked for: runs do not need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.energy.model import KernelEnergy, config_table, energy_rows, kernel_energy
from archsim.energy.table import EnergyTable, load_table

if TYPE_CHECKING:
    from archsim.energy.fit import Fit, fit_nonnegative, nnls

__all__ = [
    "EnergyTable",
    "Fit",
    "KernelEnergy",
    "config_table",
    "energy_rows",
    "fit_nonnegative",
    "kernel_energy",
    "load_table",
    "nnls",
]


def __getattr__(name: str) -> Any:
    if name in ("Fit", "fit_nonnegative", "nnls"):
        from archsim.energy import fit

        return getattr(fit, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
