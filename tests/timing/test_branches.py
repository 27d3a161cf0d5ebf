"""Cost of control instructions on h100_sxm (hw/h100/micro/branch.cu) and where none was measured."""

from __future__ import annotations

import pytest

import archsim
from archsim.testing import KernelBuilder

TRIPS = 200


def cycles_a_trip(machine: str, *body: tuple[str, int]) -> float:
    """Cycles of one iteration of a loop of (instruction, stall count), closed by a branch with a stall count of 5."""
    config = archsim.load_config(machine)
    cycles = []
    for trips in (TRIPS, 2 * TRIPS):
        k = KernelBuilder(config.arch)
        with k.loop(trips):
            for text, stall in body:
                k.add(text, stall=stall, yield_=stall > 11)  # as the compiler writes it
        cycles.append(archsim.run(k.build(grid=1, block=32), config).kernels[0].active_cycles_max)
    return (cycles[1] - cycles[0]) / TRIPS


SHORT = (("IMAD R15, R15, R0, 0x1", 5), ("ISETP.NE.U32.AND P0, PT, R15, R1, PT", 13))


def test_taken_branch() -> None:
    """loop_IMAD_ISETP_BRA_iteration: 28.0 = 5 + 13 + 10."""
    assert cycles_a_trip("h100_sxm", *SHORT) == 28


def test_taken_branch_where_none_was_measured() -> None:
    """gpu-core C.3: stall count and refill only."""
    assert cycles_a_trip("rtx_a6000", *SHORT) == 5 + 13 + 5


@pytest.mark.parametrize(
    ("instruction", "cycles"),
    [
        ("BSYNC B0", 13),  # branch_over_24 not taken: 547 + 4 * 13.1
        ("BRX R10 -0x190", 38),  # jump_table 1targets
        ("RET.REL.NODEC R20 0x0", 38),  # call_direct uniform: 48 for CALL (10) and RET
        ("CALL.REL.NOINC R6 0x0", 38),  # call_indirect 1targets
        ("BSSY B0, 0x40", 5),  # no decision: its stall count
    ],
)
def test_control_instruction(instruction: str, cycles: int) -> None:
    assert cycles_a_trip("h100_sxm", *SHORT, (instruction, 5)) == 28 + cycles


def test_branch_not_taken_costs_its_stall_count() -> None:
    """branch_over_24 not_taken: 4 + 5 + 122 + 13 cycles a copy."""
    config = archsim.load_config("h100_sxm")
    cycles = []
    for branches in (0, 1):
        k = KernelBuilder(config.arch)
        with k.loop(TRIPS):
            k.add("NOP", stall=5)
            for _ in range(branches):
                k.add("@P1 BRA 0x0", stall=5, mask=0)
        cycles.append(archsim.run(k.build(grid=1, block=32), config).kernels[0].active_cycles_max)
    assert cycles[1] - cycles[0] == 5 * TRIPS


def test_waiting_for_a_branch_is_branch_resolve() -> None:
    config = archsim.load_config("h100_sxm")
    k = KernelBuilder(config.arch)
    with k.loop(TRIPS):
        k.add("BRX R10 -0x190", stall=5)
    kernel = archsim.run(k.build(grid=1, block=32), config).kernels[0]
    assert kernel.stalls["branch_resolve"] >= (37 + 9) * (TRIPS - 1)
