"""Kanata and Perfetto output of a made-up event log."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np

from archsim.config import load_config
from archsim.kernels import layout as lay
from archsim.testing import KernelBuilder
from archsim.view import Pipeline, log_entries, log_from, write_kanata, write_perfetto

CONFIG = load_config("rtx_a6000", overrides=["num_sms=1"])


def pipeline(window=(0, 1000)):
    """A load at cycle 10, an FADD that waits for it at 60, of warp 2 on SM 0."""
    builder = KernelBuilder(arch=86, name="made_up")
    builder.add("LDG.E R2, [R4.64]", stall=1, write=0)
    builder.add("FADD R3, R2, R2", stall=4, wait=(0,))
    kernel = builder.build().kernels[0]
    entries = [
        (10, lay.LOG_ISSUE, 0, 2, 0, 0xFFFFFFFF),
        (11, lay.LOG_CONTROL, 0, 2, 0, 0),
        (13, lay.LOG_READ, 0, 2, 0, 0),
        (21, lay.LOG_ACCEPT, 0, 2, 0, 0),
        (59, lay.LOG_WRITEBACK, 0, 2, 0, 0),
        (60, lay.LOG_ISSUE, 0, 2, 1, 0xF),
        (61, lay.LOG_CONTROL, 0, 2, 1, 0),
        (63, lay.LOG_ALLOCATE, 0, 2, 1, 0),
    ]
    result = SimpleNamespace(name="made_up", log=np.array(entries, lay.LOG))
    return Pipeline.from_result(result, kernel, CONFIG, window)


def test_stages_of_a_load_and_of_a_fixed_latency_instruction():
    load, add = pipeline().instructions
    assert load.stages() == [("Is", 10), ("Ct", 11), ("Mq", 12), ("Ag", 13), ("Me", 21), ("Wb", 59)]
    latency = CONFIG.sm.units.fp32.latency_cycles
    assert add.stages() == [("Is", 60), ("Ct", 61), ("Al", 62), ("Rd", 64), ("Ex", 67), ("Wb", 63 + 4 + latency)]
    assert (load.end, add.mask) == (60, 0xF)


def test_window_chooses_by_cycle_of_issue():
    assert [one.pc for one in pipeline((50, 100)).instructions] == [1]
    assert "nothing was issued" in pipeline((200, 300)).notes[0]


def test_log_is_sized_for_the_window():
    one = log_entries(CONFIG, (0, 1000))
    assert one >= 1000 * CONFIG.sm.num_subcores * 5
    assert log_entries(CONFIG, (0, 10**9)) < 10**8
    assert log_entries(CONFIG, (10**6, 10**6 + 1000)) < 6 * one


def test_a_late_window_shows_the_same_without_logging_what_came_before():
    from archsim.engine.run import run
    from archsim.resources import find_trace
    from archsim.trace import open_trace

    window = (20_000, 20_300)
    with open_trace(find_trace("saxpy_sm86")) as trace:
        kernel = trace.kernels[0]
        whole = run(trace, CONFIG, log_entries=1 << 20).kernels[0]
        late = run(trace, CONFIG, log_entries=log_entries(CONFIG, window), log_from=log_from(window)).kernels[0]
    assert late.log["cycle"].min() >= log_from(window) > 0
    assert late.cycles == whole.cycles
    views = [Pipeline.from_result(result, kernel, CONFIG, window) for result in (whole, late)]
    assert views[0].instructions == views[1].instructions
    assert len(views[0].instructions) > 50
    blocks = [{(sm, slot, cta) for sm, slot, cta, _, _ in view.ctas} for view in views]
    assert blocks[0] == blocks[1] != set()
    full = Pipeline.from_result(whole, kernel, CONFIG, (0, whole.cycles + 1))
    blocks_x, *_ = kernel.launch.grid
    assert sorted(cta for _, _, cta, _, _ in full.ctas) == list(range(blocks_x))
    assert max(end for *_, end in full.ctas) == whole.cycles


def test_kanata_is_in_order_of_time_and_complete(tmp_path):
    write_kanata(pipeline(), tmp_path / "a.kanata")
    lines = (tmp_path / "a.kanata").read_text().splitlines()
    assert lines[:3] == ["Kanata\t0004", "C=\t10", "I\t0\t0\t2"]
    now = 10
    started, ended = {}, {}
    for line in lines[2:]:
        fields = line.split("\t")
        if fields[0] == "C":
            assert int(fields[1]) > 0
            now += int(fields[1])
        elif fields[0] in "SE":
            (started if fields[0] == "S" else ended)[fields[1], fields[3]] = now
    assert started["0", "Me"] == 21
    assert ended["0", "Me"] == started["0", "Wb"] == 59
    assert started.keys() == ended.keys()
    assert [line for line in lines if line[0] == "R"] == ["R\t0\t0\t0", "R\t1\t1\t0"]
    assert any("LDG.E R2" in line for line in lines)


def test_perfetto_tracks(tmp_path):
    write_perfetto(pipeline(), tmp_path / "a.json")
    events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
    warp = [e for e in events if e["ph"] == "X" and e["tid"] == 102]
    assert [(e["ts"], e["dur"]) for e in warp] == [(10, 50), (60, 12)]
    sub_core = [e for e in events if e["ph"] == "X" and e["tid"] == 2]
    assert [(e["ts"], e["dur"]) for e in sub_core] == [(10, 1), (60, 1)]
    spans = [(e["cat"], e["ph"], e["ts"]) for e in events if e["ph"] in "bne"]
    assert spans == [
        ("memory", "b", 10),
        ("warps", "b", 10),
        ("memory", "n", 21),
        ("memory", "e", 60),
        ("warps", "e", 72),
    ]
    names = {e["args"]["name"] for e in events if e["ph"] == "M"}
    assert names == {"SM 0", "sub-core 2", "warp 2"}


def test_blocks_are_spans_cut_where_the_log_ends(tmp_path):
    kernel = KernelBuilder(arch=86).nops(2).build().kernels[0]
    entries = [
        (100, lay.LOG_ISSUE, 0, 4, 0, 1),
        (150, lay.LOG_CTA_END, 0, 1, -1, 7),
        (160, lay.LOG_CTA_BEGIN, 0, 1, -1, 9),
        (170, lay.LOG_ISSUE, 0, 4, 0, 1),
    ]
    result = SimpleNamespace(name="blocks", log=np.array(entries, lay.LOG))
    view = Pipeline.from_result(result, kernel, CONFIG, (0, 1000))
    assert view.ctas == [(0, 1, 7, 100, 150), (0, 1, 9, 160, 170)]
    write_perfetto(view, tmp_path / "a.json")
    events = json.loads((tmp_path / "a.json").read_text())["traceEvents"]
    spans = [(e["name"], e["ph"], e["ts"]) for e in events if e.get("cat") == "CTAs"]
    assert spans == [("CTA 7", "b", 100), ("CTA 7", "e", 150), ("CTA 9", "b", 160), ("CTA 9", "e", 170)]


def test_a_new_warp_in_the_same_slot_starts_at_instruction_0():
    kernel = KernelBuilder(arch=86).nops(2).build().kernels[0]
    issues = [(10, 0), (11, 1), (12, 2), (200, 0), (201, 1)]
    entries = [(cycle, lay.LOG_ISSUE, 0, 4, pc, 1) for cycle, pc in issues]
    result = SimpleNamespace(name="twice", log=np.array(entries, lay.LOG))
    assert Pipeline.from_result(result, kernel, CONFIG, (0, 1000)).warps == [(0, 4, 10, 13), (0, 4, 200, 202)]
