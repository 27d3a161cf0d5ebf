"""Runs each plug-in on a small kernel and prints the outcomes as JSON; `test_plugins.py` runs this in an interpreter.

Every combination of plug-ins is a program of its own for Numba, so these run with NUMBA_DISABLE_JIT=1 in one process.
"""

from __future__ import annotations

import json
from typing import Any

from archsim.testing import WARM_ICACHE, KernelBuilder, run_probe


def prefetcher(kind: str, size: int) -> dict[str, Any]:
    """Straight-line code of 25 lines, cold caches, a warp in each sub-core."""
    k = KernelBuilder(86)
    k.nops(199)
    p = run_probe(k, overrides=[f"sm.prefetcher.kind={kind}", f"sm.prefetcher.size={size}"], block=128)
    return {"cycles": p.cycles, **p.counters}


def loop(kind: str) -> dict[str, Any]:
    """A loop whose code fits L0: only the first pass misses."""
    k = KernelBuilder(86)
    with k.loop(10):
        k.nops(30)
    p = run_probe(k, overrides=[f"sm.prefetcher.kind={kind}"])
    return {"cycles": p.cycles, **p.counters}


def scheduler(kind: str) -> str:
    """Four warps of one sub-core, six instructions each, W3 greedy at the start: the warps in order of issue."""
    k = KernelBuilder(86)
    k.add("NOP", stall=4)
    with k.warp(12):
        k.nops(3, stall=11)
    k.add("BAR.SYNC 0x0", stall=5)
    for _ in range(5):
        k.add("FADD R1, R2, R5")
    p = run_probe(k, overrides=[WARM_ICACHE, f"sm.issue.scheduler={kind}"], block=32 * 13)
    return "".join(str(warp // 4) for _, warp, pc in p.issue_order(0) if pc >= 5)


def register_cache(kind: str, ports: int, line: str) -> float:
    """Cycles per instruction of a stream of ``line``."""
    k = KernelBuilder(86)
    for _ in range(96):
        k.add(line)
    p = run_probe(k, overrides=[WARM_ICACHE, f"sm.rfc.kind={kind}", f"sm.register_file.read_ports_per_bank={ports}"])
    return (p.issue(95) - p.issue(47)) / 48


def base_kernel() -> dict[str, Any]:
    """Memory, barriers and constants with the default plug-ins, for comparison with compiled code."""
    k = KernelBuilder(86)
    k.add("LDC R4, c[0x0][0x160]", write=0, stall=2)
    k.add("LDG.E R8, [R2.64]", write=1, wait=(0,), address=lambda cta, warp, i: (0x10000 * cta + 512 * warp, 4))
    k.add("FFMA R9, R8, c[0x0][0x164], R8", wait=(1,), stall=5)
    k.add("STS.64 [R4], R8", read=2, address=lambda cta, warp, i: (256 * warp, 8))
    k.add("BAR.SYNC 0x0", stall=5, wait=(2,))
    with k.loop(3):
        k.add("LDS R10, [R5]", write=2, stall=2, address=lambda cta, warp, i: (256 * (3 - warp), 8))
        k.add("MUFU.RCP R11, R10", wait=(2,), write=3, stall=2)
        k.add("DADD R12, R12, R14", write=3, stall=2)
    k.add("ATOMG.E.ADD.STRONG.GPU PT, R12, [R6.64], R11", write=4, wait=(3,), address=(0x900000, 0))
    k.add("STG.E [R6.64], R12", read=1, wait=(4,), address=lambda cta, warp, i: (0x800000 + 512 * cta, 16))
    p = run_probe(k, grid=5, block=128, num_sms=2, shared_bytes=4096)
    return {"cycles": p.cycles, "stalls": p.stalls, "counters": p.counters, "log": len(p.result.log)}


def main() -> None:
    """Print all outcomes."""
    sizes = [(kind, 8) for kind in ("none", "next_line", "perfect")]
    sizes += [("stream_buffer", size) for size in (1, 2, 4, 8, 16)]
    reuse = "FFMA R1, R2.reuse, R4.reuse, R6.reuse"
    plain = "FFMA R1, R2, R4, R6"
    streams = [(kind, ports, line) for kind in ("on", "off", "ideal") for ports in (1, 2) for line in (reuse, plain)]
    print(
        json.dumps(
            {
                "prefetcher": {f"{kind} {size}": prefetcher(kind, size) for kind, size in sizes},
                "loop": {kind: loop(kind) for kind in ("none", "next_line", "stream_buffer", "perfect")},
                "scheduler": {kind: scheduler(kind) for kind in ("cggty", "gto", "lrr")},
                "rfc": {
                    f"{kind} {ports} {'reuse' if line == reuse else 'plain'}": register_cache(kind, ports, line)
                    for kind, ports, line in streams
                },
                "base": base_kernel(),
            }
        )
    )


if __name__ == "__main__":
    main()
