"""Public helpers for tests: of archsim itself and of plug-ins."""

from archsim.testing.kernel_builder import FULL_MASK, KernelBuilder

__all__ = ["FULL_MASK", "KernelBuilder"]
