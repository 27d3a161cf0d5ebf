"""The PIM program with numbers in it against float32, and the ASIC's approximations against exact functions."""

from __future__ import annotations

import numpy as np
import pytest

from archsim.pim import GptModel, list_models, load_model, load_system
from archsim.pim.bf16 import BfloatUnit, accuracy_report, bf16
from archsim.pim.functional import BankedMatrix, FunctionalModel, relative_error
from archsim.pim.mapping import map_model, matrix_layout
from archsim.pim.system import Asic

EIGHT = [name for name in list_models() if name.startswith("gpt")]
HALF_ULP = 2.0**-8


def test_bf16_rounds_to_nearest_even():
    given = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-16, -(1 + 3 * 2**-8), np.inf], np.float32)
    assert bf16(given).tolist() == [1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -(1 + 2**-6), np.inf]
    assert np.isnan(bf16(np.array([np.nan], np.float32))[0])


def test_approximations_are_good_to_a_few_units_in_the_last_place():
    worst = accuracy_report(Asic())
    for name in ("exp", "reciprocal", "rsqrt"):
        assert HALF_ULP / 2 < worst[name] < 3 * HALF_ULP, name
    assert worst["gelu"] < 0.016 and worst["silu"] < 0.032  # half and one unit of values between 4 and 8


def test_accuracy_depends_on_terms_steps_and_centres():
    usual = accuracy_report(Asic())
    assert accuracy_report(Asic(newton_iterations=1))["reciprocal"] > 1.5 * usual["reciprocal"]
    assert accuracy_report(Asic(taylor_terms=2))["exp"] > 2 * usual["exp"]
    assert accuracy_report(Asic(rsqrt_iterations=2))["rsqrt"] < usual["rsqrt"]
    # A single series about 0, six terms: useless beyond |x| of about 1 (PIMGPT-6).
    single = accuracy_report(Asic(range_reduction=False))
    assert single["exp"] > 0.9 and single["gelu"] > 1


def test_unit_functions_at_the_edges():
    unit = BfloatUnit(Asic())
    assert unit.exp(np.array([0.0, -100.0], np.float32)).tolist() == [1.0, 0.0]
    assert unit.gelu(np.array([-50.0, 0.0, 50.0], np.float32)).tolist() == [0.0, 0.0, 50.0]


@pytest.mark.parametrize(("d_in", "d_out", "bias"), [(768, 300, False), (1600, 200, True), (3072, 130, False)])
def test_banked_product_is_the_product_and_reads_every_weight_once(d_in, d_out, bias):
    rng = np.random.default_rng(3)
    layout = matrix_layout("m", d_in, d_out, load_system(), bias)
    w, x = bf16(rng.normal(0, 0.05, (d_in, d_out))), bf16(rng.normal(0, 1, d_in))
    offset = bf16(rng.normal(0, 1, d_out)) if bias else None
    matrix = BankedMatrix.write(layout, w, offset)
    exact = x.astype(np.float64) @ w + (0 if offset is None else offset)
    assert np.abs(matrix.times(x) - exact).max() < len(layout.chunks) * HALF_ULP * np.abs(exact).max()
    assert (matrix.reads == 1).all()
    full = w if offset is None else np.vstack([w, offset[None, :]])
    i, j = np.indices(full.shape)
    assert (matrix.image[layout.address(i.ravel(), j.ravel())] == full.ravel()).all()
    # Every weight is somewhere, and only once.
    assert np.count_nonzero(matrix.image) == np.count_nonzero(w) + (0 if offset is None else np.count_nonzero(offset))


def reduced(name, layers=1):
    return load_model(name, [f"layers={layers}"])


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "gpt2-small" else pytest.mark.slow) for n in EIGHT])
def test_a_block_of_every_shape_gives_the_float32_result(name):
    model = reduced(name)
    layout = map_model(model, load_system(), 16)
    functional, rng = FunctionalModel(layout), np.random.default_rng(1)
    tokens = 3
    for token in range(tokens):
        x = bf16(rng.normal(0, 1, model.d_model))
        got, exact = functional.step(x, token), functional.exact(x, token)
        # The values are of the order of 1: 3 % is three to eight units in the last place of BF16.
        assert np.abs(got - exact).max() < 0.03 * np.sqrt((exact * exact).mean())
    for matrix in functional.banks[0].values():
        assert (matrix.reads == tokens).all()  # every weight exactly once for every token


SHAPES = {
    "gpt2 with biases and logits": GptModel(
        layers=2, d_model=256, heads=4, bias=True, output_head=True, vocab=500, name="g"
    ),
    "shared heads": GptModel(layers=2, d_model=240, heads=5, name="five heads on eight channels"),
    "llama": GptModel(
        layers=2, d_model=256, heads=8, kv_heads=2, d_ff=688, gated_mlp=True, activation="silu", norm="rmsnorm",
        rotary_fraction=1.0, output_head=True, vocab=300,
    ),
    "neox": GptModel(layers=2, d_model=256, heads=8, rotary_fraction=0.25, parallel_residual=True, bias=True),
}  # fmt: skip


@pytest.mark.parametrize("model", SHAPES.values(), ids=SHAPES)
def test_logits_or_states_of_other_decoders(model):
    layout = map_model(model, load_system(), 40)
    assert relative_error(model, layout, tokens=20) < 0.06


def test_a_wrong_place_shows(monkeypatch):
    """The test can fail: one token's keys written as another head's change the result."""
    model = SHAPES["shared heads"]
    layout = map_model(model, load_system(), 8)
    functional, rng = FunctionalModel(layout), np.random.default_rng(1)
    cache = functional.caches[0]
    right = cache.store
    monkeypatch.setattr(cache, "store", lambda token, k, v: right(token, k[::-1], v[::-1]))
    error = 0.0
    for token in range(4):
        x = bf16(rng.normal(0, 1, model.d_model))
        got, exact = functional.step(x, token), functional.exact(x, token)
        error = max(error, float(np.abs(got - exact).max() / np.sqrt((exact * exact).mean())))
    assert error > 0.1
