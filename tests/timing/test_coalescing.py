"""Sectors and shared-memory wavefronts of one warp instruction against NumPy oracles (gpu-core E.4)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.testing import WARM_ICACHE, KernelBuilder, run_probe

WIDTHS = {4: "", 8: ".64", 16: ".128"}
BASE = 1 << 20


@st.composite
def accesses(draw: st.DrawFn, window: int) -> tuple[int, int, list[int]]:
    """(bytes per lane, mask, one aligned address per lane) of some plausible or wild pattern."""
    size = draw(st.sampled_from([4, 8, 16]))
    mask = draw(st.one_of(st.just(0xFFFFFFFF), st.integers(1, 0xFFFFFFFF)))
    units = window // size
    kind = draw(st.sampled_from(["stride", "random", "few"]))
    if kind == "stride":
        start, stride = draw(st.integers(0, units // 2)), draw(st.integers(0, 64))
        places = [(start + lane * stride) % units for lane in range(32)]
    elif kind == "few":
        pool = draw(st.lists(st.integers(0, units - 1), min_size=1, max_size=4))
        places = [draw(st.sampled_from(pool)) for _ in range(32)]
    else:
        places = draw(st.lists(st.integers(0, units - 1), min_size=32, max_size=32))
    return size, mask, [place * size for place in places]


def active(mask: int, addresses: list[int]) -> np.ndarray:
    """Addresses of the active lanes."""
    lanes = np.flatnonzero([mask >> lane & 1 for lane in range(32)])
    return np.array(addresses, np.int64)[lanes]


def sectors(mask: int, addresses: list[int], size: int) -> int:
    """Distinct 32-byte sectors that the lanes touch."""
    first = active(mask, addresses)
    return len(np.unique((first[:, None] + np.arange(size)) // 32))


def wavefronts(mask: int, addresses: list[int], size: int) -> int:
    """Shared memory: the worst bank's distinct words, summed over the groups of lanes that are served together."""
    group = {4: 32, 8: 16, 16: 8}[size]
    total = 0
    for start in range(0, 32, group):
        part = mask & (((1 << group) - 1) << start)
        if part:
            words = np.unique((active(part, addresses)[:, None] + np.arange(0, size, 4)) // 4)
            total += np.bincount(words % 32).max()
    return int(total)


def ideal(mask: int, size: int) -> int:
    """Groups of lanes with an active lane."""
    group = {4: 32, 8: 16, 16: 8}[size]
    return sum(1 for start in range(0, 32, group) if mask >> start & ((1 << group) - 1))


@settings(max_examples=60)
@given(accesses(1 << 16), st.sampled_from(["load", "store"]))
def test_global_sectors(access: tuple[int, int, list[int]], kind: str) -> None:
    """One access per distinct 32-byte sector of the active lanes."""
    size, mask, addresses = access
    k = KernelBuilder(86)
    where = [BASE + a for a in addresses]
    if kind == "load":
        k.add(f"LDG.E{WIDTHS[size]} R8, [R2.64]", write=0, mask=mask, address=where)
    else:
        k.add(f"STG.E{WIDTHS[size]} [R2.64], R8", mask=mask, address=where)
    c = run_probe(k, overrides=[WARM_ICACHE]).counters
    assert c[f"{kind}_sectors"] == sectors(mask, where, size)
    assert c[f"{kind}_requests"] == 1
    if kind == "load":  # cold: every sector misses, and comes once
        assert c["load_sector_misses"] == c["l2_read_sectors"] == c["load_sectors"]
        assert c["load_sector_hits"] == c["load_sector_pending"] == 0
    else:
        assert c["l2_write_sectors"] == c["store_sectors"]


@settings(max_examples=30)
@given(accesses(1 << 14))
def test_second_load_hits(access: tuple[int, int, list[int]]) -> None:
    """After a load of the same addresses has returned, every sector hits L1."""
    size, mask, addresses = access
    k = KernelBuilder(86)
    for _ in range(2):
        k.add(f"LDG.E{WIDTHS[size]} R8, [R2.64]", write=0, stall=2, mask=mask, address=addresses)
        k.add("NOP", wait=(0,))
    c = run_probe(k, overrides=[WARM_ICACHE]).counters
    assert c["load_sectors"] == 2 * sectors(mask, addresses, size)
    assert c["load_sector_hits"] == c["load_sector_misses"] == sectors(mask, addresses, size)


@settings(max_examples=60)
@given(accesses(1 << 14))
def test_shared_wavefronts(access: tuple[int, int, list[int]]) -> None:
    """Bank conflicts, and the passes of 64- and 128-bit accesses."""
    size, mask, addresses = access
    k = KernelBuilder(86)
    k.add(f"LDS{WIDTHS[size]} R8, [R2]", write=0, mask=mask, address=addresses)
    c = run_probe(k, overrides=[WARM_ICACHE]).counters
    assert c["shared_ideal_wavefronts"] == ideal(mask, size)
    assert c["shared_wavefronts"] == wavefronts(mask, addresses, size)


@pytest.mark.parametrize(("stride", "expected"), [(0, 1), (4, 4), (8, 8), (16, 16), (32, 32), (128, 32), (-4, 4)])
def test_strides(stride: int, expected: int) -> None:
    """gpu-core E.4: a full 32 x 4-byte load makes 4 sectors; one sector a lane at strides of 32 bytes and more."""
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", write=0, address=(BASE, stride) if stride >= 0 else (BASE + 124, stride))
    assert run_probe(k, overrides=[WARM_ICACHE]).counters["load_sectors"] == expected


def test_inactive_load_moves_nothing() -> None:
    """A load with all lanes off still issues, returns, and touches no sector."""
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", write=0, stall=2, mask=0)
    k.add("NOP", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.counters["load_sectors"] == p.counters["l2_read_sectors"] == 0
    assert p.issue(1) - p.issue(0) == 32  # as a hit


@pytest.mark.parametrize("step", [0, 4, 8])
def test_local_memory_interleaves_lanes(step: int) -> None:
    """Word j of the 32 lanes is one 128-byte line: equal offsets make 4 sectors, each further word up to 4 more."""
    k = KernelBuilder(86)
    offsets = [0x20 + step * (lane % 8) for lane in range(32)]
    k.add("LDL R8, [R1]", write=0, address=offsets)
    touched = {(offset // 4, lane // 8) for lane, offset in enumerate(offsets)}
    assert len(touched) == (4 if step == 0 else 32)
    assert run_probe(k, overrides=[WARM_ICACHE]).counters["local_load_sectors"] == len(touched)
