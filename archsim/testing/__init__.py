"""Public helpers for tests: of archsim itself and of plug-ins."""

from archsim.testing.kernel_builder import FULL_MASK, KernelBuilder
from archsim.testing.probe import WARM_ICACHE, Probe, run_probe

__all__ = ["FULL_MASK", "WARM_ICACHE", "KernelBuilder", "Probe", "run_probe"]
