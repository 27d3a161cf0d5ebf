"""Random kernels: whatever the instructions and control bits, the accounts balance and every warp ends."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from archsim.testing import KernelBuilder, run_probe

FIXED = (
    "FADD R{d}, R{a}, R{b}",
    "FFMA R{d}, R{a}.reuse, R{b}, R{c}",
    "IADD3 R{d}, R{a}, R{b}, R{c}",
    "IMAD.WIDE R2, R{a}, R{b}, R{c}",
    "HADD2 R{d}, R{a}, R{b}",
    "ISETP.GE.AND P0, PT, R{a}, R{b}, PT",
    "UIADD3 UR4, UR5, UR6, URZ",
    "FFMA R{d}, R{a}, c[0x0][0x{c:x}0], R{b}",
    "HMMA.16816.F32 R4, R8, R12, R16",
    "NOP",
)
VARIABLE = ("MUFU.RCP R{d}, R{a}", "DFMA R4, R6, R8, R10", "S2R R{d}, SR_TID.X", "SHFL.IDX PT, R{d}, R{a}, R{b}, R{c}")
MEMORY = (
    "LDG.E{w} R8, [R2.64]",
    "STG.E{w} [R2.64], R8",
    "LDS{w} R8, [R2]",
    "STS{w} [R2], R8",
    "LDL{w} R8, [R2]",
    "ATOMG.E.ADD.STRONG.GPU PT, R8, [R2.64], R4",
    "RED.E.ADD.STRONG.GPU [R2.64], R4",
    "LDC R8, c[0x0][R2+0x160]",
    "LD.E{w} R8, [R2.64]",
)
SINGLE = ("LDGDEPBAR", "DEPBAR.LE SB0, 0x1", "MEMBAR.SC.CTA", "WARPSYNC 0xffffffff")


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """One instruction with random control bits, mask and addresses."""
    control: dict[str, Any] = {
        "stall": draw(st.integers(0, 15)),
        "yield_": draw(st.booleans()),
        "wait": draw(st.lists(st.integers(0, 5), max_size=2)),
    }
    mask = draw(st.sampled_from([0xFFFFFFFF, 0, 1, 0x0F0F0F0F]))
    numbers = {x: draw(st.integers(4, 40)) for x in "abcd"}
    kind = draw(st.sampled_from(["fixed", "fixed", "variable", "memory", "memory", "copy", "single"]))
    if kind == "single":
        return draw(st.sampled_from(SINGLE)), {**control, "stall": max(control["stall"], 1)}
    barrier = st.one_of(st.none(), st.integers(0, 5))
    control |= {"write": draw(barrier), "read": draw(barrier), "mask": mask}
    if kind == "fixed":
        return draw(st.sampled_from(FIXED)).format(**numbers), control
    if kind == "variable":
        return draw(st.sampled_from(VARIABLE)).format(**numbers), control
    stride = draw(st.sampled_from([0, 16, 32, 144, 4096]))
    base = draw(st.sampled_from([0, 0x100, 0x20000]))
    if kind == "copy":
        where = {"address": (base, stride), "shared_address": (0, 16)}
        return "LDGSTS.E.128 [R10], [R2.64]", {**control, **where}
    text = draw(st.sampled_from(MEMORY)).format(w=draw(st.sampled_from(["", ".64", ".128"])))
    return text, {**control, "address": (base, stride)}


@settings(max_examples=60)
@given(
    st.lists(lines(), min_size=1, max_size=25),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 300),
    st.booleans(),
    st.sampled_from(["control_bits", "scoreboard"]),
)
def test_accounts_balance(
    body: list[tuple[str, dict[str, Any]]], passes: int, ctas: int, threads: int, barrier: bool, dependence: str
) -> None:
    """`run_probe` checks that slots and stall reasons agree and that all instructions issued; here, the counters."""
    k = KernelBuilder(86)
    with k.loop(passes):
        for text, control in body:
            k.add(text, **control)
        if barrier:
            k.add("BAR.SYNC 0x0", stall=5)
    p = run_probe(
        k,
        overrides=[f"sm.issue.dependence={dependence}"],
        num_sms=2,
        grid=ctas,
        block=threads,
        shared_bytes=1024,
        log_entries=1 << 18,
    )
    c = p.counters
    warps = ctas * -(-threads // 32)
    assert c["ctas"] == ctas
    assert c["warp_instructions"] == warps * (passes * (len(body) + 1 + barrier) + 1)
    assert c["load_sectors"] == c["load_sector_hits"] + c["load_sector_pending"] + c["load_sector_misses"]
    assert c["barriers"] == warps * passes * barrier
    assert c["taken_branches"] == warps * (passes - 1)
    assert c["warp_cycles"] <= c["active_cycles"] * p.config.sm.num_warps
    assert sum(p.result.unit_instructions.values()) == c["warp_instructions"]
    assert c["rfc_hits"] <= c["rfc_lookups"] <= c["register_reads"]
