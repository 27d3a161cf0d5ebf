"""KernelBuilder: hand-written kernels become traces."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.errors import TraceError
from archsim.testing import FULL_MASK, KernelBuilder
from archsim.trace.layout import SEGMENT_INSTRUCTIONS, record_addresses


def test_control_bits_reach_the_program():
    k = KernelBuilder(86)
    k.add("LDG.E R2, [R4.64]", stall=2, write=3, read=1, yield_=True)
    k.add("FFMA R5, R2, R3, R4", stall=4, wait=(3, 0))
    program = k.build().kernels[0].program
    load, add, leave = program.instructions
    assert (load.control.stall, load.control.write_barrier, load.control.read_barrier) == (2, 3, 1)
    assert load.control.yield_ and add.control.wait_mask == 0b1001
    assert leave.base == "EXIT"
    assert [i.address for i in program.instructions] == [0, 16, 32]


def test_exit_is_not_appended_twice():
    k = KernelBuilder(86)
    k.add("EXIT")
    assert len(k.build().kernels[0].program.instructions) == 1


def test_loop_emits_a_backward_branch_not_taken_last():
    k = KernelBuilder(86)
    k.add("MOV R1, R2")
    with k.loop(3):
        k.add("FADD R5, R5, R6")
    kernel = k.build().kernels[0]
    branch = kernel.program.instructions[2]
    assert branch.base == "BRA" and branch.sources[-1].value == 16
    runs = [tuple(r) for r in kernel.read_ctas(0, 1).runs.tolist()]
    assert runs == [(0, 3, FULL_MASK), (1, 2, FULL_MASK), (1, 1, FULL_MASK), (2, 1, 0), (3, 1, FULL_MASK)]
    assert kernel.warp_instructions == 8


def test_long_streams_are_cut_in_segments():
    k = KernelBuilder(86)
    with k.loop(3000):
        k.add("LDG.E R2, [R4.64]", address=lambda cta, warp, i: (i * 128, 4))
    kernel = k.build().kernels[0]
    first = kernel.read_ctas(0, 1)
    assert first.warps["n_inst"].tolist() == [SEGMENT_INSTRUCTIONS] and first.warps["last"].tolist() == [0]
    second = kernel.read_segments(np.array([0]), np.array([0]), np.array([1]))
    assert second.warps["n_inst"].tolist() == [6001 - SEGMENT_INSTRUCTIONS] and second.warps["last"].tolist() == [1]
    assert second.mems["base"][0] == 128 * (SEGMENT_INSTRUCTIONS // 2)


def test_addresses_as_pair_list_and_function():
    k = KernelBuilder(86)
    k.add("LDG.E R2, [R4.64]", address=(0x1000, 8))
    k.add("LDG.E R2, [R4.64]", address=[7, 9, 100], mask=0b10110)
    k.add("LDG.E R2, [R4.64]", address=lambda cta, warp, i: (cta * 1000 + warp * 10, 0))
    batch = k.build(grid=2, block=64).kernels[0].read_segments(*(np.array([1]) for _ in range(2)), np.array([0]))
    one, two, three = batch.mems
    assert [a for _, a in record_addresses(one, FULL_MASK, batch.lanes)] == [0x1000 + 8 * lane for lane in range(32)]
    assert list(record_addresses(two, 0b10110, batch.lanes)) == [(1, 7), (2, 9), (4, 100)]
    assert three["base"] == 1010


def test_ldgsts_leaves_global_then_shared():
    k = KernelBuilder(86)
    k.add("LDGSTS.E.128 [R9], [R2.64]", address=(0x1000, 16), shared_address=(0x40, 16))
    kernel = k.build().kernels[0]
    assert kernel.mem_records.tolist() == [2, 0]
    assert kernel.read_ctas(0, 1).mems["base"].tolist() == [0x1000, 0x40]


def test_predicated_off_memory_leaves_no_record():
    k = KernelBuilder(86)
    k.add("@P0 LDG.E R2, [R4.64]", address=(0, 4), mask=lambda cta, warp, i: 0 if warp else FULL_MASK)
    batch = k.build(block=64).kernels[0].read_ctas(0, 1)
    assert batch.warps["mem_count"].tolist() == [1, 0]


def test_warps_with_code_of_their_own():
    k = KernelBuilder(86)
    with k.warp(1):
        k.add("FADD R1, R2, R3")
    kernel = k.build(block=64).kernels[0]
    assert kernel.read_ctas(0, 1).warps["n_inst"].tolist() == [1, 2]


def test_last_warp_of_a_ragged_block_is_narrow():
    k = KernelBuilder(86)
    k.add("NOP")
    trace = k.build(block=40)
    batch = trace.kernels[0].read_ctas(0, 1)
    assert batch.runs[batch.warps["run_begin"][1]]["mask"] == 0xFF
    assert trace.kernels[0].launch.thread_instructions == 2 * 40


def test_cta_instructions():
    k = KernelBuilder(86)
    with k.loop(lambda cta, warp: cta + 1):
        k.add("NOP")
    assert k.build(grid=3, block=64).kernels[0].cta_instructions(0, 3).tolist() == [6, 10, 14]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": "NOP", "stall": 16}, "stall 16"),
        ({"text": "LDG.E R2, [R4.64]", "write": 6}, "barriers are 0..5"),
        ({"text": "LDG.E R2, [R4.64]", "address": [1, 2, 3]}, "3 addresses for 32 active lanes"),
        ({"text": "FADD R1, R2, R3", "address": (0, 4)}, "takes 0 addresses"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(TraceError, match=message):
        KernelBuilder(86).add(**arguments).build()
