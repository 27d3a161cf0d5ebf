"""``archsim pim``."""

from __future__ import annotations

import csv
import json

import pytest

from archsim.cli import main


def test_run_prints_json(capsys):
    assert main(["pim", "run", "gpt2-small", "--tokens", "8", "--config", "pim_gpt", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["model"] == "gpt2-small" and result["mode"] == "paper" and result["tokens"] == 8
    assert {"seconds_per_token", "row_hit_rate", "data_movement_reduction", "non_vmm_share"} <= set(result)
    parts = result["seconds_per_token_by_operation"]
    assert sum(sum(units.values()) for units in parts.values()) == pytest.approx(result["seconds_per_token"])


def test_run_writes_picture_and_timeline(tmp_path, capsys):
    picture, timeline = tmp_path / "b.svg", tmp_path / "t.json"
    command = ["pim", "run", "gpt2-small", "--tokens", "8", "--mode", "overlap"]
    assert main([*command, "--plot", str(picture), "--perfetto", str(timeline)]) == 0
    assert "time per token" in capsys.readouterr().out
    assert "ffn2" in picture.read_text() and picture.read_text().endswith("</svg>\n")
    events = json.loads(timeline.read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert {event["tid"] for event in spans} == {0, 1, 2}
    for unit in range(3):  # a resource does one thing at a time
        own = sorted((e["ts"], e["ts"] + e["dur"]) for e in spans if e["tid"] == unit)
        assert all(b[0] >= a[1] - 1e-9 for a, b in zip(own, own[1:], strict=False))
    starts = sorted((e["ts"], e["ts"] + e["dur"]) for e in spans)
    assert any(b[0] < a[1] - 1e-9 for a, b in zip(starts, starts[1:], strict=False))  # different ones overlap


def test_map_shows_matrices_and_heads(capsys):
    assert main(["pim", "map", "gpt2-xl", "--show"]) == 0
    out = capsys.readouterr().out
    assert "1600 x 4800" in out and "24 (tokens 7 mod 8)" in out and "longest sequence that fits" in out


def test_sweep_writes_one_table(tmp_path, capsys):
    file, table = tmp_path / "sweep.yaml", tmp_path / "out.csv"
    file.write_text(
        "models: [gpt2-small]\ntokens: 4\nparameters:\n  memory.channels: [8, 16]\n  memory.lanes: [8, 16]\n"
        "  memory.pin_rate_gbps: [2, 16]\n  asic.clock_mhz: [100, 1000]\n"
    )
    assert main(["pim", "sweep", str(file), "-o", str(table)]) == 0
    assert "joules_per_token_low" in capsys.readouterr().out
    with table.open() as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 16
    best = min(rows, key=lambda row: float(row["seconds_per_token"]))
    assert (best["memory.channels"], best["memory.lanes"], best["asic.clock_mhz"]) == ("16", "16", "1000")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["run", "gpt2-smal"], "nearest: gpt2-small"),
        (["run", "gpt2-small", "--tokens", "0"], "tokens is at least 1"),
        (["run", "gpt2-small", "--set", "memory.chanels=4"], "did you mean 'channels'"),
        (["run", "gpt2-small", "--tokens", "9", "--reserve", "8"], "KV cache overflows at token 9"),
        (["map", "gpt2-xl", "--set", "memory.rows=100"], "bytes short"),
        (["sweep", "nowhere.yaml"], "nowhere.yaml: no such file"),
    ],
)
def test_bad_input_is_one_message(command, message, capsys):
    assert main(["pim", *command]) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and len(err.strip().splitlines()) == 1


def test_sweep_file_errors_name_the_line(tmp_path, capsys):
    file = tmp_path / "s.yaml"
    file.write_text("models: [gpt2-small]\nparameter:\n  memory.channels: [8]\n")
    assert main(["pim", "sweep", str(file)]) == 2
    assert "s.yaml:2: unknown key 'parameter'" in capsys.readouterr().err


def test_list_and_describe(capsys):
    assert main(["pim", "list"]) == 0
    assert "gpt3-xl" in capsys.readouterr().out
    assert main(["pim", "describe"]) == 0
    out = capsys.readouterr().out
    assert "unverified" in out and "memory.rcd_ns" in out
