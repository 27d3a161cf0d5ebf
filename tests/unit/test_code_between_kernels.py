"""Code in the L1 instruction caches from one launch to the next (h100_sxm: CALIBRATION.md)."""

from __future__ import annotations

import pytest

import archsim
from archsim.testing import KernelBuilder


def misses(*overrides: str) -> list[int]:
    """L1 instruction misses of three launches of a program of 400 instructions."""
    k = KernelBuilder(90)
    k.nops(400)
    config = archsim.load_config("h100_sxm", overrides=["sm.front_end.launch_prefetch_bytes=0", *overrides])
    kernels = archsim.run(k.build(grid=2, block=32), config, kernels=[0, 0, 0]).kernels
    return [kernel.counters["l1i_misses"] for kernel in kernels]


@pytest.mark.parametrize("backend", ["parametric", "full"])
def test_second_launch_finds_the_code(backend: str) -> None:
    first, *others = misses(f"memory.backend={backend}")
    assert first > 0
    assert others == [0, 0]


@pytest.mark.parametrize(
    "override", ["sm.front_end.l1i_kept_between_kernels=false", "memory.flush_between_kernels=true"]
)
def test_a_flush_and_other_machines_forget_it(override: str) -> None:
    first, *others = misses(override)
    assert others == [first, first]
