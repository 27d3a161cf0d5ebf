"""Energy of a kernel: a pure function of its counters and of a table of energies per event (configs/energy)."""

from archsim.energy.fit import Fit, fit_nonnegative, nnls
from archsim.energy.model import KernelEnergy, config_table, energy_rows, kernel_energy
from archsim.energy.table import EnergyTable, load_table

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
