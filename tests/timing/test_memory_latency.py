"""Memory instructions that hit: queue, latencies, bank conflicts. gpu-core sheet, E.2, H.10 to H.13 (tables 1, 2)."""

from __future__ import annotations

from typing import Any

import pytest

from archsim.testing import WARM_ICACHE, KernelBuilder, Probe, run_probe

WIDTHS = ("", ".64", ".128")
GLOBAL, SHARED = 0x10000, 0x0


def after_warm_up(k: KernelBuilder, text: str, **addresses: Any) -> int:
    """Add one execution of ``text`` that warms the caches, and a long wait; returns the index of what comes next."""
    store = text.startswith("ST")
    k.add(text, write=None if store else 5, read=5 if store else None, stall=2, **addresses)
    k.add("NOP", wait=(5,))
    for _ in range(30):
        k.add("NOP", stall=0, yield_=True)
    return 32


def distance(text: str, dependence: str, **addresses: Any) -> int:
    """Issue of a memory instruction that hits -> issue of the instruction that waits for it.

    ``dependence``: RAW or WAW (the write barrier), WAR (the read barrier).
    """
    k = KernelBuilder(86)
    first = after_warm_up(k, text, **addresses)
    barrier: dict[str, Any] = {"read": 0} if dependence == "WAR" else {"write": 0}
    k.add(text, stall=2, **barrier, **addresses)
    consumer = {"RAW": "FADD R60, R8, R61", "WAW": "FADD R8, R60, R61", "WAR": "FADD R2, R60, R61"}[dependence]
    k.add(consumer, wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    return p.issue(first + 1) - p.issue(first)


# --- H.11: every cell of table E.2 -------------------------------------------------------------------------------

LOADS = [
    ("LDG.E{w} R8, [UR4]", GLOBAL, (9, 9, 9), (29, 31, 35)),
    ("LDG.E{w} R8, [R2.64]", GLOBAL, (11, 11, 11), (32, 34, 38)),
    ("LDG.E{w} R8, desc[UR4][R2.64]", GLOBAL, (11, 11, 11), (32, 34, 38)),
    ("LDS{w} R8, [UR4]", SHARED, (9, 9, 9), (23, 23, 25)),
    ("LDS{w} R8, [R2]", SHARED, (9, 9, 9), (24, 24, 26)),
]
STORES = [
    ("STG.E{w} [UR4], R8", GLOBAL, (10, 12, 16)),
    ("STG.E{w} [R2.64], R8", GLOBAL, (14, 16, 20)),
    ("STS{w} [UR4], R8", SHARED, (10, 12, 16)),
    ("STS{w} [R2], R8", SHARED, (12, 14, 18)),
]


@pytest.mark.parametrize("width", range(3))
@pytest.mark.parametrize(("text", "base", "war", "raw"), LOADS)
def test_load_latency(text: str, base: int, war: tuple[int, ...], raw: tuple[int, ...], width: int) -> None:
    """gpu-core E.2: loads, 32/64/128 bits. All lanes on one address: one sector, one wavefront."""
    line = text.format(w=WIDTHS[width])
    assert distance(line, "WAR", address=(base, 0)) == war[width]
    assert distance(line, "RAW", address=(base, 0)) == raw[width]
    assert distance(line, "WAW", address=(base, 0)) == raw[width]


@pytest.mark.parametrize("width", range(3))
@pytest.mark.parametrize(("text", "base", "war"), STORES)
def test_store_latency(text: str, base: int, war: tuple[int, ...], width: int) -> None:
    """gpu-core E.2: stores (uniform 64 and 128 bits are the authors' estimates)."""
    assert distance(text.format(w=WIDTHS[width]), "WAR", address=(base, 0)) == war[width]


@pytest.mark.parametrize(
    ("text", "addresses", "war", "raw"),
    [
        ("LDC R8, c[0x0][0x160]", {}, 10, 26),
        ("LDC R8, c[0x0][R2+0x160]", {"address": (0x160, 0)}, 29, 29),
        ("LDC.64 R8, c[0x0][R2+0x160]", {"address": (0x160, 0)}, 29, 29),
    ],
)
def test_constant_load_latency(text: str, addresses: dict[str, Any], war: int, raw: int) -> None:
    """gpu-core E.2: LDC that hits the VL cache."""
    assert distance(text, "WAR", **addresses) == war
    assert distance(text, "RAW", **addresses) == raw
    assert distance(text, "WAW", **addresses) == raw


@pytest.mark.parametrize("width", range(3))
def test_ldgsts_latency(width: int) -> None:
    """gpu-core E.2, H.13: LDGSTS of 4, 8 and 16 bytes: WAR 13, RAW 39."""
    text = f"LDGSTS.E{WIDTHS[width]} [R10], [R2.64]"
    where = {"address": (GLOBAL, 0), "shared_address": (0, 4 << width)}
    assert distance(text, "WAR", **where) == 13
    assert distance(text, "RAW", **where) == 39


@pytest.mark.parametrize("width", range(3))
def test_whole_lines_take_no_longer(width: int) -> None:
    """32 consecutive elements: E.2 holds for a warp's usual access too (the released model adds 1 a sector, E.3)."""
    stride = 4 << width
    assert distance(f"LDG.E{WIDTHS[width]} R8, [R2.64]", "RAW", address=(GLOBAL, stride)) == (32, 34, 38)[width]
    assert distance(f"LDS{WIDTHS[width]} R8, [R2]", "RAW", address=(SHARED, stride)) == (24, 24, 26)[width]


def test_one_address_register_is_a_cycle_faster() -> None:
    """Figure 2 against table 2 (DEVIATIONS SM-1): an address in one 32-bit register gives WAR 10 and RAW 31."""
    assert distance("LD R8, [R2]", "WAR", address=(GLOBAL, 0)) == 10
    assert distance("LD R8, [R2]", "RAW", address=(GLOBAL, 0)) == 31


# --- H.10: memory queue, table 1 ---------------------------------------------------------------------------------

TABLE_1 = {
    1: ([13], [17], [21], 4),
    2: ([13, 15], [17, 19], [21, 23], 4),
    3: ([13, 15, 17], [19, 21, 23], [25, 27, 29], 6),
    4: ([13, 15, 17, 19], [21, 23, 25, 27], [29, 31, 33, 35], 8),
}


def queue_times(text: str, base: int, active: int) -> list[list[int]]:
    """Issue cycles of 12 memory instructions in each active sub-core, the first in cycle 2."""
    k = KernelBuilder(86)
    store = text.startswith("ST")
    with k.warp(0):
        k.add(text, write=None if store else 5, read=5 if store else None, stall=2, address=(base, 0))
        k.add("NOP", wait=(5,))
    for _ in range(12):
        k.add("NOP", stall=0, yield_=True)
    k.add("BAR.SYNC 0x0", stall=5)
    first = 15
    for _ in range(12):
        k.add(text, write=None if store else 0, address=(base, 0))
    p = run_probe(k, overrides=[WARM_ICACHE], block=(32 * active, 1, 1))
    zero = p.issue(first) - 2
    return [[p.issue(first + i, warp=w) - zero for i in range(12)] for w in range(active)]


@pytest.mark.parametrize("active", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("LDG.E R8, [R2.64]", GLOBAL),
        ("LDS R8, [R2]", SHARED),
        ("STG.E [R2.64], R8", GLOBAL),
        ("STS [R2], R8", SHARED),
    ],
)
def test_memory_queue_table_1(text: str, base: int, active: int) -> None:
    """gpu-core H.10: five instructions back to back, then one per 4 cycles and sub-core, per 2 cycles and SM; fair."""
    times = queue_times(text, base, active)
    sixth, seventh, eighth, step = TABLE_1[active]
    for i in range(5):
        assert [t[i] for t in times] == [2 + i] * active
    for i, expected in ((5, sixth), (6, seventh), (7, eighth)):
        assert sorted(t[i] for t in times) == expected  # which sub-core goes first is a matter of the arbiter's turn
    for i in range(8, 12):
        assert [t[i] - t[i - 1] for t in times] == [step] * active


# --- H.12: constants ---------------------------------------------------------------------------------------------


def test_fixed_latency_constant_misses_its_own_cache_once() -> None:
    """gpu-core H.12: LDC warms only VL; an FFMA with the same word waits 79 cycles the first time, 0 the second."""
    k = KernelBuilder(86)
    first = after_warm_up(k, "LDC R8, c[0x0][0x160]")
    k.add("NOP")
    k.add("FFMA R1, R2, c[0x0][0x160], R3")
    k.add("FFMA R1, R2, c[0x0][0x160], R3")
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.issue(first + 1) - p.issue(first) == 1 + 79
    assert p.issue(first + 2) - p.issue(first + 1) == 1
    assert p.counters["fl_misses"] == 1


def test_greedy_warp_that_misses_a_constant_gives_way_after_4_cycles() -> None:
    """gpu-core H.12: 4 dead issue cycles, then the youngest ready warp runs."""
    k = KernelBuilder(86)
    first = after_warm_up(k, "LDC R8, c[0x0][0x160]") + 3
    with k.warp(4):
        k.nops(3, stall=11)  # the last to arrive, and so the greedy warp when the barrier opens
    k.add("BAR.SYNC 0x0", stall=5)
    with k.warp(4):
        k.nops(2)
        k.add("FFMA R1, R2, c[0x0][0x160], R3")
    with k.warp(0):
        k.nops(20)
    p = run_probe(k, overrides=[WARM_ICACHE], block=(32 * 5, 1, 1))
    issues = [(cycle, warp) for cycle, warp, pc in p.issue_order(0) if pc > first]
    zero = issues[0][0]
    assert [(cycle - zero, warp) for cycle, warp in issues[:4]] == [(0, 4), (1, 4), (6, 0), (7, 0)]
    assert p.stalls["imc_miss"] >= 4
    assert p.issue(first + 3, warp=4) - zero == 2 + 79


# --- shared memory -------------------------------------------------------------------------------------------------


def conflict(ways: int) -> list[int]:
    """Addresses of 32 lanes with ``ways`` different words in a bank."""
    return [(lane % ways) * 128 + (lane // ways) * 4 for lane in range(32)]


@pytest.mark.parametrize("ways", [1, 2, 3, 4, 8, 16, 32])
def test_bank_conflicts_add_2_cycles_a_way(ways: int) -> None:
    """Hopper sheet 5: 25 / 29 / 37 cycles for 2 / 4 / 8 ways where a load without conflict takes 23."""
    k = KernelBuilder(86)
    k.add("LDS R8, [R2]", write=0, stall=2, address=conflict(ways))
    k.add("FADD R60, R8, R8", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.issue(1) - p.issue(0) == 24 + 2 * (ways - 1)
    assert p.counters["shared_wavefronts"] == ways
    assert p.counters["shared_ideal_wavefronts"] == 1


@pytest.mark.parametrize(
    ("text", "stride", "cycles", "wavefronts"),
    [
        ("LDSM.16.M88 R8, [R2]", 16, 24, 1),
        ("LDSM.16.M88.2 R8, [R2]", 16, 26, 2),
        ("LDSM.16.M88.4 R8, [R2]", 16, 30, 4),
        ("LDSM.16.M88.4 R8, [R2]", 144, 30, 4),  # rows padded by 16 bytes: no conflict
        ("LDSM.16.M88.4 R8, [R2]", 128, 30 + 2 * 28, 32),  # all rows in the same banks: 8 ways
    ],
)
def test_ldsm(text: str, stride: int, cycles: int, wavefronts: int) -> None:
    """Hopper sheet 5: ldmatrix x1 / x2 / x4 23.1 / 25.1 / 29.3 cycles where LDS takes 23; here LDS takes 24 (E.2)."""
    k = KernelBuilder(86)
    k.add(text, write=0, stall=2, address=(0, stride))
    k.add("FADD R60, R8, R8", wait=(0,))
    p = run_probe(k, overrides=[WARM_ICACHE])
    assert p.issue(1) - p.issue(0) == cycles
    assert p.counters["shared_wavefronts"] == wavefronts


# --- asynchronous copies ---------------------------------------------------------------------------------------------


def copy_groups(groups: int) -> tuple[Probe, int]:
    """``groups`` groups of one LDGSTS each, issued two cycles apart: (probe, index of the first LDGSTS)."""
    k = KernelBuilder(86)
    first = after_warm_up(k, "LDG.E R8, [R2.64]", address=(GLOBAL, 0))
    for _ in range(groups):
        k.add("LDGSTS.E [R10], [R2.64]", address=(GLOBAL, 0), shared_address=(0, 4))
        k.add("LDGDEPBAR", write=0)
    for left in range(min(groups, 3) - 1, -1, -1):
        k.add(f"DEPBAR.LE SB0, 0x{left:x}", stall=4)
        k.add("NOP")
    return run_probe(k, overrides=[WARM_ICACHE]), first


def test_copy_groups_complete_in_order() -> None:
    """cp.async.wait_group n: DEPBAR.LE SB0, n waits for all but the youngest n groups; copies return 4 apart (H.8)."""
    p, first = copy_groups(3)
    done = [p.writeback(first + 2 * g) for g in range(3)]
    assert [t - p.issue(first) for t in done] == [39, 43, 47]
    after = [p.issue(first + 6 + 2 * i + 1) for i in range(3)]  # the NOP behind each DEPBAR
    counter_falls = [t + 1 for t in done]
    assert after[0] == counter_falls[0]
    assert after[1] == max(counter_falls[1], after[0] + 1 + 4)
    assert after[2] == max(counter_falls[2], after[1] + 1 + 4)


def test_ninth_open_group_waits() -> None:
    """At most 8 groups of a warp are open: the next LDGDEPBAR issues when the oldest has closed."""
    p, first = copy_groups(9)
    assert p.issue(first + 17) == p.writeback(first)
    assert p.counters["ldgsts"] == 9


def test_a_copy_without_active_lanes_does_not_hold_its_group() -> None:
    """A predicated-off LDGSTS copies nothing: its group closes without it and the warp ends (found on cp_async)."""
    k = KernelBuilder(86)
    k.add("LDGSTS.E.128 [R20], [R12.64]", address=(0, 16), shared_address=(0, 16))
    k.add("LDGDEPBAR", write=0)
    k.add("@!P0 LDGSTS.E.128 [R20], [R12.64]", mask=0, address=(512, 16), shared_address=(512, 16))
    k.add("LDGDEPBAR", write=0, stall=4)
    k.add("DEPBAR.LE SB0, 0x0", stall=4)
    k.add("NOP")
    assert run_probe(k, overrides=[WARM_ICACHE]).result.complete


def test_a_stored_sector_that_is_still_on_its_way_is_a_hit() -> None:
    """A store that writes a whole missing sector makes it valid: the next load hits and does not wait for the fill."""
    k = KernelBuilder(86)
    k.add("LDG.E R8, [R2.64]", write=0, address=(GLOBAL, 4))
    k.add("STG.E [R2.64], R9", address=(GLOBAL, 4))
    k.nops(40)
    k.add("LDG.E R10, [R2.64]", write=1, stall=2, address=(GLOBAL, 4))
    k.add("FADD R11, R10, R10", wait=(1,))
    c = run_probe(k, overrides=[WARM_ICACHE]).counters
    assert c["load_sectors"] == c["load_sector_hits"] + c["load_sector_misses"] == 8
    assert c["load_sector_hits"] == 4
