"""Runs for test_report.py: ``python make_report_runs.py FOLDER``; quick in the interpreter (NUMBA_DISABLE_JIT=1)."""

from __future__ import annotations

import sys
from pathlib import Path

import archsim
from archsim.engine.result_folder import save_run
from archsim.testing import KernelBuilder
from archsim.trace import MemoryTrace


def kernel(grid: int, loops: int):
    """Loads, arithmetic that waits for them, special functions, a barrier, a store."""
    k = KernelBuilder(arch=86, name=f"mixed_{loops}")
    k.add("LDG.E R2, [R4.64]", stall=1, write=1, address=lambda c, w, i: (0x1000_0000 + (c * 4 + w) * 128, 4))
    with k.loop(loops):
        k.add("FFMA R5, R2, R3, R5", stall=4, wait=(1,))
        k.add("MUFU.EX2 R7, R5", stall=1, write=3)
    k.add("BAR.SYNC 0x0", stall=5)
    k.add("STG.E [R4.64], R5", stall=1, read=0, wait=(1,), address=lambda c, w, i: (0x2000_0000 + c * 512 + w * 128, 4))
    return k.build(grid=grid, block=64).kernels[0]


def main() -> None:
    """Runs a, b (another front end) and plain (nothing kept)."""
    folder = Path(sys.argv[1])
    trace = MemoryTrace(86, [kernel(1, 2), kernel(1, 6), kernel(2, 3)])
    for name, extra, keep in (("a", [], True), ("b", ["sm.front_end.perfect_icache=true"], True), ("plain", [], False)):
        config = archsim.load_config("rtx_a6000", overrides=["num_sms=1", *extra])
        options = {"per_pc": True, "timeline_samples": 64} if keep else {}
        save_run(archsim.run(trace, config, **options), folder / name)


if __name__ == "__main__":
    main()
