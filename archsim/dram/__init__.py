"""DRAM standards as tables: load one, compile it for the engine, map addresses, turn counters into energy."""

from archsim.dram.compiler import CompiledDram, compile_dram
from archsim.dram.config import DramConfig, load_dram, load_dram_for_gpu
from archsim.dram.state import make_state

__all__ = ["CompiledDram", "DramConfig", "compile_dram", "load_dram", "load_dram_for_gpu", "make_state"]
