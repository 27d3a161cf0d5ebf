"""Model shapes and mapping of the PIM-GPT accelerator: addresses, capacity, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from archsim.errors import ConfigError
from archsim.pim import GptModel, list_models, load_model, load_system
from archsim.pim.costs import rows_of_runs, rows_spanned
from archsim.pim.mapping import head_layout, map_model, matrix_layout, most_tokens

PAPER_MODELS = [name for name in list_models() if name.startswith("gpt")]


def hugging_face(tmp_path, **content):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(content))
    return path


GPT2 = {"model_type": "gpt2", "n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}
NEOX = {
    "model_type": "gpt_neox", "num_hidden_layers": 16, "hidden_size": 2048, "num_attention_heads": 8,
    "intermediate_size": 8192, "vocab_size": 50304, "rotary_pct": 0.25,
}  # fmt: skip
LLAMA = {
    "model_type": "llama", "num_hidden_layers": 22, "hidden_size": 2048, "num_attention_heads": 32,
    "num_key_value_heads": 4, "intermediate_size": 5632, "vocab_size": 32000, "hidden_act": "silu",
}  # fmt: skip


def test_the_eight_models_have_the_published_parameter_counts():
    assert len(PAPER_MODELS) == 8
    millions = {name: load_model(name).weights / 2**20 for name in PAPER_MODELS}
    # The paper says 1.15 billion for GPT3-XL and 1.4 for the largest, and counts 12 L d^2 (pim-gpt sheet F).
    assert millions["gpt3-xl"] == 1152 and max(millions.values()) == millions["gpt2-xl"] == 1406.25
    for name in PAPER_MODELS:
        m = load_model(name)
        assert m.weights == 12 * m.layers * m.d_model**2


def test_hugging_face_configs(tmp_path):
    gpt2 = load_model(hugging_face(tmp_path, **GPT2))
    assert (gpt2.ff, gpt2.bias, gpt2.output_head, gpt2.max_positions) == (3072, True, True, 1024)
    neox = load_model(hugging_face(tmp_path, **NEOX))
    assert neox.parallel_residual and neox.rotary_fraction == 0.25
    llama = load_model(tmp_path if hugging_face(tmp_path, **LLAMA) else "")
    shipped = load_model("tinyllama-1.1b")
    assert llama.matrices == shipped.matrices and llama.kv == 4 and llama.group == 8 and llama.norm == "rmsnorm"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**GPT2, "n_head": 11}, "11 heads don't divide d_model 768"),
        ({**LLAMA, "num_key_value_heads": 5}, "5 key/value heads don't divide 32"),
        ({**LLAMA, "hidden_act": "tanh"}, "activation 'tanh'"),
        ({"model_type": "gpt2", "n_layer": 12}, "n_embd is missing"),
        ({"model_type": "mamba"}, "model_type 'mamba' isn't one of gpt2"),
    ],
)
def test_bad_hugging_face_configs(tmp_path, content, message):
    with pytest.raises(ConfigError, match="config.json: .*") as error:
        load_model(hugging_face(tmp_path, **content))
    assert message in str(error.value)


def test_bad_model_files_name_file_line_and_key(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nd_model: 768\nheads: 10\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:1: heads: 10 heads don't divide d_model 768"):
        load_model(path)
    path.write_text("name: mine\nhead: 12\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:2: unknown key 'head'; did you mean 'heads'"):
        load_model(path)
    with pytest.raises(ConfigError, match="no model 'gpt2-tiny'.*gpt2-"):
        load_model("gpt2-tiny")


def test_bad_accelerators_are_explained():
    with pytest.raises(ConfigError, match="unknown key 'asic.clok'; did you mean 'clock_mhz'"):
        load_system(overrides=["asic.clok=100"])
    with pytest.raises(ConfigError, match="2000 isn't a multiple of column_bytes"):
        load_system(overrides=["memory.row_bytes=2000"])
    with pytest.raises(ConfigError, match=r"memory.channels: .*1.*got 0"):
        load_system(overrides=["memory.channels=0"])


@pytest.mark.parametrize(("d_in", "d_out"), [(768, 768), (1600, 800), (3200, 130), (300, 77)])
def test_every_weight_has_an_address_of_its_own(d_in, d_out):
    system = load_system()
    m = matrix_layout("m", d_in, d_out, system)
    i, j = np.meshgrid(np.arange(d_in), np.arange(d_out), indexing="ij")
    unit, column, lane = m.address(i.ravel(), j.ravel())
    flat = (unit * m.columns + column) * m.column_values + lane
    assert np.bincount(flat).max() == 1
    assert unit.max() < system.units and column.max() < m.columns and lane.max() < 16
    # Packed without gaps: no more than the last outputs of a bank and the last column of a piece are empty.
    assert m.rows == -(-m.columns // 64)


@pytest.mark.parametrize("channels", [1, 3, 8, 16, 32])
@pytest.mark.parametrize("heads", [12, 16, 20, 25, 4])
def test_every_token_of_every_head_is_in_one_channel_and_channels_are_balanced(channels, heads):
    model = GptModel(d_model=64 * heads, heads=heads)
    layout = head_layout(model, load_system(overrides=[f"memory.channels={channels}"]), 256)
    owners = np.zeros((heads, 64), np.int64)
    for channel in range(channels):
        pieces = layout.pieces(channel)
        assert len(pieces) == layout.slots
        for head, ways, residue in pieces:
            owners[head, np.arange(64) % ways == residue] += 1
    assert (owners == 1).all()


def test_rows_of_runs_counts_row_changes():
    rng = np.random.default_rng(1)
    for _ in range(200):
        first, stride, runs, columns = (int(rng.integers(0, n)) for n in (100, 130, 9, 90))
        stride = max(stride, columns)
        touched = [(first + k * stride + c) // 64 for k in range(runs) for c in range(columns)]
        changes = sum(1 for k, row in enumerate(touched) if k == 0 or row != touched[k - 1])
        assert rows_of_runs(first, stride, runs, columns, 64) == changes
    assert [rows_spanned(0, 64, 64), rows_spanned(64, 1, 64), rows_spanned(10, 54, 64), rows_spanned(0, 0, 64)] == [
        1, 1, 0, 0,
    ]  # fmt: skip


def test_a_model_that_does_not_fit_says_how_many_bytes_are_missing(tmp_path):
    system = load_system(overrides=["memory.rows=9000"])
    with pytest.raises(ConfigError, match="gpt3-xl doesn't fit into pim_gpt: ([0-9,]+) bytes short") as error:
        map_model(load_model("gpt3-xl"), system, 1)
    # 2,415,919,104 bytes of weights in 9000 rows x 2 KB x 128 banks.
    assert f"{2_415_919_104 - 9000 * 2048 * 128:,} bytes short" in str(error.value)


def test_kv_cache_overflow_names_the_token():
    model, system = load_model("gpt2-xl", ["max_positions=0"]), load_system()
    most = most_tokens(model, system)
    assert 3500 < most < 4400  # capacity alone gives 4381 (pim-gpt sheet D); rows are not shared between regions
    map_model(model, system, most)
    with pytest.raises(ConfigError, match=f"KV cache overflows at token {most + 1}: [0-9,]+ bytes short"):
        map_model(model, system, most + 1)
    with pytest.raises(ConfigError, match="KV cache overflows at token 101: room is reserved for 100"):
        map_model(model, system, 200, reserve=100)
    with pytest.raises(ConfigError, match="made for 1024 positions, token 1025 has none"):
        map_model(load_model("gpt2-xl"), system, 2000)


def test_regions_do_not_overlap_and_fill_the_bank_in_order():
    layout = map_model(load_model("gpt2-small"), load_system(), 1024, batch=2)
    row = 0
    for _, first, rows in layout.rows_of():
        assert first == row
        row += rows
    assert row == layout.weight_rows + layout.kv_rows <= 16384


def test_every_parameter_of_an_accelerator_is_read(monkeypatch):
    from archsim.config.spec import Spec
    from archsim.pim import run_model

    seen = set()
    plain = Spec.__getattribute__

    def access(self, name):
        seen.add((type(self).__name__, name))
        return plain(self, name)

    system, model = load_system(), load_model("tinyllama-1.1b")
    monkeypatch.setattr(Spec, "__getattribute__", access)
    run_model(model, system, 2, prompt=2)
    monkeypatch.undo()
    parts = (system.memory, system.asic, system.energy)
    unread = {(type(part).__name__, field) for part in parts for field in type(part).model_fields} - seen
    assert not unread
