"""Dynamic traces: what executed, where memory instructions pointed. See docs/trace-format.md.

``open_trace(path)`` reads, ``TraceWriter(path, ...)`` writes, ``import_accelsim`` / ``export_accelsim`` convert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archsim.trace.layout import (
    MEM_DT,
    RUN_DT,
    SEGMENT_INSTRUCTIONS,
    WARP_DT,
    Batch,
    KernelTrace,
    LaunchInfo,
    Trace,
)
from archsim.trace.memory import MemoryKernel, MemoryTrace

if TYPE_CHECKING:
    from archsim.trace.accelsim import export_accelsim, import_accelsim
    from archsim.trace.reader import TraceFile, open_trace
    from archsim.trace.requests import read_requests
    from archsim.trace.writer import KernelWriter, TraceWriter

# Loaded when first asked for: a timing probe needs neither HDF5 nor the parsers.
_LAZY = {
    "open_trace": "reader",
    "TraceFile": "reader",
    "TraceWriter": "writer",
    "KernelWriter": "writer",
    "import_accelsim": "accelsim",
    "export_accelsim": "accelsim",
    "read_requests": "requests",
}

__all__ = [
    "MEM_DT",
    "RUN_DT",
    "SEGMENT_INSTRUCTIONS",
    "WARP_DT",
    "Batch",
    "KernelTrace",
    "KernelWriter",
    "LaunchInfo",
    "MemoryKernel",
    "MemoryTrace",
    "Trace",
    "TraceFile",
    "TraceWriter",
    "export_accelsim",
    "import_accelsim",
    "open_trace",
    "read_requests",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
