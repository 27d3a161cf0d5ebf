"""The closed forms of archsim/pim/costs.py against the DRAM engine, which runs the commands themselves."""

from __future__ import annotations

import pytest

from archsim.kernels.asic import BANKS, PINS
from archsim.pim import GptModel, load_model, load_system
from archsim.pim import commands as emit
from archsim.pim.mapping import map_model
from archsim.pim.program import ProgramBuilder

SYSTEMS = {
    "paper": [],
    "slow pins": ["memory.pin_rate_gbps=4.0"],
    "very slow pins": ["memory.pin_rate_gbps=0.5"],
    "half the lanes": ["memory.lanes=8"],
    "slow rows": ["memory.rcd_ns=17.0", "memory.rp_ns=18.0", "memory.wr_ns=15.0"],
    "short rows": ["memory.row_bytes=1024", "memory.banks=8", "memory.rows=65536"],
}
MODELS = [
    "gpt2-small",
    pytest.param("gpt2-xl", marks=pytest.mark.slow),
    pytest.param("gpt3-xl", marks=pytest.mark.slow),
]


def both(name, overrides, tokens=1024):
    layout = map_model(load_model(name) if isinstance(name, str) else name, load_system(overrides=overrides), tokens)
    return layout, ProgramBuilder(layout)


def closed_form(program, *operations):
    return sum(i.duration_ps for i in program.instructions if i.op in operations and i.unit in (PINS, BANKS))


def engine(layout, commands):
    return emit.run_commands(emit.machine_for(layout.system), commands)


@pytest.mark.parametrize("overrides", SYSTEMS.values(), ids=SYSTEMS)
@pytest.mark.parametrize("name", MODELS)
def test_matrix_products(name, overrides):
    layout, builder = both(name, overrides, 64)
    program = builder.layer(1)
    for op, matrix in layout.matrices.items():
        assert engine(layout, emit.product_commands(matrix)) == closed_form(program, op)


@pytest.mark.parametrize("overrides", SYSTEMS.values(), ids=SYSTEMS)
@pytest.mark.parametrize("name", MODELS)
def test_attention(name, overrides):
    """The slowest channel is the one with the most tokens of shared heads, channel 0; it holds what the form counts."""
    layout, builder = both(name, overrides)
    for context in (1, 17, 300, 777):
        program = builder.layer(context)
        assert engine(layout, emit.score_commands(layout, context, 0)) == closed_form(program, "scores")
        slots = range(layout.attention.slots)
        times = [engine(layout, emit.context_commands(layout, context, 0, slot)) for slot in slots]
        assert sum(times) == closed_form(program, "context")


@pytest.mark.parametrize("overrides", SYSTEMS.values(), ids=SYSTEMS)
@pytest.mark.parametrize("name", MODELS)
def test_stores(name, overrides):
    layout, builder = both(name, overrides)
    channels = range(layout.system.memory.channels)
    for context in (1, 2, 300, 1024):
        program = builder.layer(context)
        keys = max(engine(layout, emit.store_key_commands(layout, context, c)) for c in channels)
        values = max(engine(layout, emit.store_value_commands(layout, context, c)) for c in channels)
        assert (keys, values) == (closed_form(program, "store_k"), closed_form(program, "store_v"))


def test_counts_are_the_engines():
    layout, builder = both("gpt2-small", [])
    program = builder.layer(512)
    machine = emit.machine_for(layout.system)
    emit.run_commands(machine, emit.product_commands(layout.matrices["ffn2"]))
    counts = [i.counts for i in program.instructions if i.op == "ffn2"]
    channels, banks = 8, 16
    assert machine.counts()["ACT16"] * channels * banks == sum(c.activates for c in counts)
    assert machine.counts()["MAC16"] * channels * banks == sum(c.macs for c in counts)
    assert int(machine.channel["bytes_in"][0]) * channels == sum(c.bytes_in for c in counts)
    assert int(machine.channel["bytes_out"][0]) * channels == sum(c.bytes_out for c in counts)
    hits = 1 - machine.counts()["ACT16"] / machine.counts()["MAC16"]
    assert hits == pytest.approx(63 / 64, abs=1e-3)


def test_a_whole_layer_on_the_engine_is_the_simulated_layer():
    """Paper mode without refresh: ASIC time plus the engine's time for every command, one after the other."""
    system = load_system(overrides=["memory.refresh=none"])
    model = GptModel(layers=1, d_model=512, heads=8)
    layout = map_model(model, system, 256)
    from archsim.pim import run_model

    context = 200
    times = [engine(layout, emit.product_commands(matrix)) for matrix in layout.matrices.values()]
    times.append(engine(layout, emit.score_commands(layout, context, 0)))
    times += [engine(layout, emit.context_commands(layout, context, 0, s)) for s in range(layout.attention.slots)]
    times.append(engine(layout, emit.store_key_commands(layout, context, 0)))
    times.append(engine(layout, emit.store_value_commands(layout, context, 0)))
    result = run_model(model, system, 1, prompt=context - 1, reserve=256)
    assert sum(times) + int(result.busy_ps[:, 2].sum()) == result.total_ps
