"""The ASIC's SRAM as a limit: heads in work at a time, and what does not fit."""

from __future__ import annotations

import pytest

from archsim.errors import ConfigError
from archsim.pim import buffers, load_model, load_system, run_model
from archsim.pim.mapping import map_model, most_tokens
from archsim.pim.program import ProgramBuilder

VECTORS = 2 * (768 + 768 + 2 * 768 + 768)  # bytes: residual stream, q, k and v, context of GPT2-small
SLOT = 2 * 8  # bytes of scores a token: one head of every channel


def layout(sram, tokens=512, name="gpt2-small"):
    return map_model(load_model(name), load_system(overrides=[f"asic.sram_bytes={sram}"]), tokens)


def test_all_heads_of_the_shipped_models_are_in_work_together():
    for name in ("gpt2-small", "gpt2-xl", "gpt3-xl"):
        placed = map_model(load_model(name), load_system(), 1024)
        assert len(buffers.pairs_in_work(placed, 1024)) == 1


def test_a_small_sram_takes_heads_in_turn_and_nothing_is_lost():
    # GPT2-small on 8 channels: a whole head each, and half a head (12 = 8 + 4 x 2).
    roomy, tight = layout(131072), layout(VECTORS + 512 * SLOT)
    assert buffers.pairs_in_work(roomy, 512) == [range(2)]
    assert buffers.pairs_in_work(tight, 512) == [range(1), range(1, 2)]
    assert buffers.pairs_in_work(tight, 300) == [range(2)]  # 300 + 150 tokens a channel
    whole, parts = (ProgramBuilder(one).layer(512) for one in (roomy, tight))
    for field in ("macs", "bytes_out", "values", "writes"):
        assert sum(getattr(i.counts, field) for i in whole.instructions) == sum(
            getattr(i.counts, field) for i in parts.instructions
        )
    sends = [i for i in parts.instructions if i.name == "SEND q"]
    assert len(sends) == 2
    first_context = max(k for k, i in enumerate(parts.instructions) if i.name == "MAC scores V" and k < 40)
    assert first_context > 0 and len(sends[1].after) >= 2  # waits for the first head's scores to leave


def test_a_small_sram_costs_time():
    runs = [
        run_model(load_model("gpt2-small"), load_system(overrides=[f"asic.sram_bytes={n}"]), 4, prompt=508, mode=mode)
        for n in (131072, VECTORS + 512 * SLOT)
        for mode in ("paper", "overlap")
    ]
    assert runs[2].total_ps > runs[0].total_ps and runs[3].total_ps > runs[1].total_ps


def test_what_does_not_fit_is_one_error():
    with pytest.raises(ConfigError, match=r"asic.sram_bytes = 15,872 overflows at token 513: beside 7,680 bytes"):
        layout(VECTORS + 512 * SLOT, tokens=600)
    with pytest.raises(ConfigError, match=r"the vectors of 1 sequence take 9,216 bytes, asic.sram_bytes is 9,000"):
        layout(9000, tokens=1)  # 2 x 768 and 3072 inner values
    with pytest.raises(ConfigError, match=r"the vectors of 16 sequences take 147,456 bytes"):
        map_model(load_model("gpt2-small"), load_system(), 64, batch=16)


def test_the_longest_sequence_is_the_shorter_of_memory_and_sram():
    model = load_model("gpt3-xl", ["max_positions=0"])
    most = most_tokens(model, load_system())
    assert most == (131072 - 2 * 5 * 2048) // SLOT
    map_model(model, load_system(), most)
    with pytest.raises(ConfigError, match=f"overflows at token {most + 1}"):
        map_model(model, load_system(), most + 1)
    assert most_tokens(model, load_system(overrides=["asic.sram_bytes=1048576"])) > 9000
