"""Counters are documented, derived metrics and Nsight Compute names follow from them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from archsim.config import load_config
from archsim.kernels import layout as lay
from archsim.stats import COUNTERS, DERIVED, NCU, derived_metrics, ncu_metrics, stats_text
from archsim.stats.counters import REASONS
from archsim.stats.derived import stall_shares

CONFIG = load_config("rtx_a6000", overrides=["num_sms=2"])
UNITS = ["int", "fp32", "fp16", "fp64", "sfu", "tensor", "uniform", "branch", "misc", "misc_queue", "memory"]


def kernel(**counts):
    """A made-up result: 2 SMs x 4 sub-cores for 100 cycles, 200 slots issued."""
    counters = dict.fromkeys(lay.COUNTERS, 0) | {"warp_instructions": 200, "active_cycles": 160} | counts
    stalls = dict.fromkeys(lay.REASON_NAMES, 0) | {"issued": 200, "wait": 350, "no_warp": 250}
    launch = SimpleNamespace(grid=(4, 1, 1), block=(256, 1, 1), warps_per_cta=8)
    return SimpleNamespace(
        name="made_up",
        cycles=100,
        active_cycles_max=90,
        elapsed_cycles=3800,
        issue_slots=800,
        stalls=stalls,
        counters=counters,
        unit_instructions=dict.fromkeys(UNITS, 0) | {"fp32": 100, "sfu": 40, "memory": 20},
        launch=launch,
        residency=SimpleNamespace(ctas_per_sm=3, limiter="registers"),
    )


def test_every_counter_of_the_model_is_documented():
    assert list(COUNTERS) == list(lay.COUNTERS)
    assert all(c.unit and c.doc for c in COUNTERS.values())


def test_every_issue_slot_reason_is_documented():
    assert tuple(REASONS) == lay.REASON_NAMES


def test_metric_tables_have_no_name_twice_and_all_texts():
    for table in (DERIVED, NCU):
        assert all(name == metric.name and metric.unit and metric.doc for name, metric in table.items())


def test_ipc_is_per_sm_and_active_cycle():
    assert derived_metrics(kernel(), CONFIG)["ipc"] == 200 / 160


def test_elapsed_time_is_at_the_sm_clock():
    assert derived_metrics(kernel(), CONFIG)["elapsed_ms"] == pytest.approx(3800 / 1.8e9 * 1e3)


def test_issue_utilisation_leaves_out_sub_cores_without_a_warp():
    assert derived_metrics(kernel(), CONFIG)["issue_utilisation"] == 200 / (800 - 250)


def test_theoretical_occupancy_counts_the_resident_blocks():
    assert derived_metrics(kernel(), CONFIG)["theoretical_occupancy"] == 3 * 8 / CONFIG.sm.num_warps


def test_achieved_occupancy_is_absent_when_not_counted():
    assert derived_metrics(kernel(), CONFIG)["achieved_occupancy"] is None
    value = derived_metrics(kernel(warp_cycles=160 * 12), CONFIG)["achieved_occupancy"]
    assert value == 12 / CONFIG.sm.num_warps


def test_unit_utilisation_weighs_instructions_with_their_initiation_interval():
    d = derived_metrics(kernel(), CONFIG)
    fp32, sfu = CONFIG.sm.units.fp32, CONFIG.sm.units.sfu
    assert d["fp32_utilisation"] == pytest.approx(100 * fp32.initiation_interval_cycles / fp32.pipes / 550)
    assert d["sfu_utilisation"] == pytest.approx(40 * sfu.initiation_interval_cycles / 550)
    assert d["int_utilisation"] == 0


def test_l1d_hits_include_sectors_on_their_way():
    k = kernel(load_sectors=100, load_sector_hits=30, load_sector_pending=20, load_sector_misses=50, global_loads=25)
    d = derived_metrics(k, CONFIG)
    assert d["l1d_hit_rate"] == 0.5
    assert d["load_sectors_per_request"] == 4
    ncu = ncu_metrics(k, CONFIG)
    name = "l1tex__t_sectors_pipe_lsu_mem_global_op_ld"
    assert ncu[f"{name}_lookup_hit.sum"] + ncu[f"{name}_lookup_miss.sum"] == ncu[f"{name}.sum"] == 100


def test_bank_conflicts_are_wavefronts_beyond_the_ideal():
    k = kernel(shared_wavefronts=64, shared_ideal_wavefronts=16, shared_loads=12, shared_stores=4)
    d = derived_metrics(k, CONFIG)
    assert (d["bank_conflicts"], d["bank_conflicts_per_access"]) == (48, 3)
    assert ncu_metrics(k, CONFIG)["l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum"] == 48


def test_rates_of_what_never_happened_are_none():
    d = derived_metrics(kernel(), CONFIG)
    assert [d[n] for n in ("l1d_hit_rate", "l2_read_hit_rate", "vl_hit_rate", "bank_conflicts")] == [None] * 4


def test_dram_utilisation_is_of_the_boards_bandwidth():
    k = kernel(dram_read_bytes=8000, dram_write_bytes=2000)
    d = derived_metrics(k, CONFIG)
    assert d["dram_bandwidth_gbps"] == pytest.approx(10000 / (100 / 1.8))
    assert d["dram_utilisation"] == pytest.approx(d["dram_bandwidth_gbps"] / CONFIG.dram.bandwidth_gbps)


def test_l2_reads_of_nsight_include_instructions_and_constants():
    k = kernel(l2_read_sectors=10, l2_inst_sectors=4, l2_const_sectors=2, l2_read_hits=5)
    ncu = ncu_metrics(k, CONFIG)
    assert ncu["lts__t_sectors_op_read.sum"] == 16
    assert ncu["lts__t_sectors_srcunit_tex_op_read.sum"] == 10


def test_store_hits_are_not_reported_when_local_stores_are_in_them():
    name = "l1tex__t_sectors_pipe_lsu_mem_global_op_st_lookup_hit.sum"
    assert ncu_metrics(kernel(store_sector_hits=3), CONFIG)[name] == 3
    assert name not in ncu_metrics(kernel(store_sector_hits=3, local_stores=1), CONFIG)


@pytest.mark.parametrize("digits", [0, 1, 3])
def test_stall_shares_sum_to_exactly_100(digits):
    k = kernel()
    k.stalls = dict.fromkeys(lay.REASON_NAMES, 0) | {"issued": 1, "wait": 1, "drain": 1}
    k.issue_slots = 3
    shares = stall_shares(k, digits)
    scale = 10**digits
    assert sum(round(v * scale) for v in shares.values()) == 100 * scale
    assert all(abs(shares[n] - 100 / 3) < 1 / scale for n in ("issued", "wait", "drain"))


def test_stats_text_is_name_value_description_and_unit():
    text = stats_text([kernel()], CONFIG, {"machine": "x"})
    assert text.startswith("# machine: x\n")
    assert text.count("Begin Simulation Statistics") == text.count("End Simulation Statistics") == 1
    line = next(row for row in text.splitlines() if row.startswith("kernel0.issue_slots::wait "))
    assert line.split("#")[0].split() == ["kernel0.issue_slots::wait", "350"]
    assert line.endswith("(slots)")
    known = {row.split()[0] for row in text.splitlines() if row.startswith("kernel0.")}
    assert {f"kernel0.{name}" for name in (*COUNTERS, "derived.ipc", "smsp__inst_executed.sum")} <= known
