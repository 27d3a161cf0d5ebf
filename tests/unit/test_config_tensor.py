"""Tensor-core timings against the published measurements."""

from __future__ import annotations

import pytest

from archsim.config import load_config
from archsim.config.tensor import TensorSpec


def interval(machine, opcode):
    return load_config(machine).sm.units.tensor.timing(opcode)[1]


@pytest.mark.parametrize(
    ("machine", "opcode", "macs", "measured_macs_per_clk_sm", "tolerance"),
    [
        ("rtx_4090", "HMMA.16816.F32", 16 * 8 * 16, 256, 0.01),  # gpu-core F.4
        ("rtx_4090", "HMMA.16816.F16", 16 * 8 * 16, 511, 0.01),  # gpu-core F.4
        ("h100_sxm", "IMMA.16832.S8.S8", 16 * 8 * 32, 0.664 * 4096, 0.01),  # gpu-core F.4
        ("a100_80gb", "HMMA.16816.F32", 16 * 8 * 16, 310.6e12 / (2 * 108 * 1.41e9), 0.01),  # Hopper sheet 8, L24
        ("h100_sxm", "HGMMA.64x256x16.F32", 64 * 256 * 16, 64 * 256 * 16 / 128, 0.0),  # Hopper sheet 8: 128 cycles
        ("a100_80gb", "DMMA.884", 8 * 8 * 4, 64, 0.0),  # Hopper sheet 8: 16 cycles each, 4 sub-cores
    ],
)
def test_rates_match_measurements(machine, opcode, macs, measured_macs_per_clk_sm, tolerance):
    warps = 1 if opcode.startswith("HGMMA") else 4  # a warp group's instruction occupies all four sub-cores
    rate = warps * macs / interval(machine, opcode)
    assert rate == pytest.approx(measured_macs_per_clk_sm, rel=max(tolerance, 1e-9))


@pytest.mark.parametrize(
    ("machine", "opcode", "cycles"),
    [
        ("rtx_4090", "HMMA.16816.F32", 32),  # gpu-core F.4
        ("a100_80gb", "HMMA.16816.F16", 24),  # Hopper sheet 8: 24.6
        ("h100_sxm", "IMMA.16832.S8.S8", 24),  # gpu-core F.4: 24.0
    ],
)
def test_dependent_latency(machine, opcode, cycles):
    assert load_config(machine).sm.units.tensor.timing(opcode)[0] == cycles


def test_operand_types_scale_the_rate():
    tensor = TensorSpec(mma_macs_per_cycle=128)
    half, byte, tf32 = (tensor.timing(op)[1] for op in ("HMMA.16816.F16", "IMMA.16816.S8.S8", "HMMA.1688.F32.TF32"))
    assert (half, byte, tf32) == (16, 8, 16)
    assert tensor.timing("HMMA.16832.F32.SP")[1] == tensor.timing("HMMA.16816.F32")[1]


def test_longest_table_prefix_wins():
    rows = {
        "hmma_16816": {"latency_cycles": 20, "initiation_interval_cycles": 5},
        "hmma_16816_f32": {"latency_cycles": 30, "initiation_interval_cycles": 6},
    }
    tensor = TensorSpec.model_validate({"table": rows})
    assert tensor.timing("HMMA.16816.F32.BF16") == (30, 6)
    assert tensor.timing("HMMA.16816.F16") == (20, 5)
    assert tensor.timing("HMMA.168160") is None


@pytest.mark.parametrize("opcode", ["FADD", "DMMA.884", "HGMMA.64x256x16.F32", "HMMA"])
def test_what_this_unit_cannot_do_has_no_timing(opcode):
    assert TensorSpec().timing(opcode) is None
