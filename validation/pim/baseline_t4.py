"""GPT decoding on a simulated T4, beside PIM-GPT: time of one token, averaged over a sequence, for each model.

    python validation/pim/baseline_t4.py [gpt2-small gpt2-medium ...] [--tokens 1024] [--backend parametric|full]

``validation/pim_gpt.py`` prints the same table for all eight models.

In the baseline: eight kernels of our own for a decoder block (decode.cu: two norms, four products, attention, GELU) in
FP16, captured for sm_75 and simulated on the ``t4`` configuration, each launch with cold caches (a block's weights
exceed the L2 of 4 MB), times the number of layers. Attention is simulated at several lengths of context and integrated
over the sequence by the trapezoid rule; nothing else depends on the context. A second column has the four products in
FP32, PyTorch's default, simulated too.

Not in it: a framework's further kernels (splits, transposes, copies to the cache, masks, a residual addition each), the
host's time in Python, sampling, embedding, output head, and clocks below boost (a T4 at its 70 W limit throttles). The
published 41 to 137 times compare with a software stack that the paper does not describe. ``--launch-us`` is the time
between two launches from a host: an assumption, and a term of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import archsim
import archsim.cuda
from archsim.config import MachineConfig
from archsim.pim import GptModel, load_model, load_system, run_model

KERNELS_PER_BLOCK = 8
PRODUCTS = ("qkv", "projection", "ffn1", "ffn2")
LAUNCH_US = 5.0
T4_GBPS = 320.0  # board specification
T4_WATTS = (30.0, 70.0)  # what a T4 may draw while decoding; 70 W is its board limit (pim-gpt sheet G)
CONTEXTS = 5  # lengths at which attention is simulated: first, last, and evenly between


def _normed(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


class Block:
    """One decoder block on the emulated GPU; `run` emulates, checks and simulates its launches."""

    def __init__(self, model: GptModel, machine: MachineConfig) -> None:
        self.model, self.machine = model, machine
        self.module = archsim.cuda.compile(Path(__file__).with_name("decode.cu"), arch="sm_75")
        self.rng = np.random.default_rng(0)
        self.cycles: dict[str, int] = {}
        self.traces = Path(tempfile.mkdtemp())

    def launch(self, label: str, kernel: str, grid: int, block: int, args: tuple[Any, ...], shared: int = 0) -> None:
        """Emulate, trace, simulate."""
        path = self.traces / f"{label}.h5"
        self.module[kernel].launch(grid=grid, block=block, args=args, shared_bytes=shared, path=path)
        with archsim.load_trace(path) as trace:
            self.cycles[label] = archsim.run(trace, self.machine).kernels[0].active_cycles_max
        path.unlink()

    def product(self, label: str, d_in: int, d_out: int, x: np.ndarray) -> np.ndarray:
        """A matrix-vector product with random weights in FP16 and in FP32, checked; the outputs of FP16."""
        w = self.rng.normal(0, 0.02, (d_out, d_in)).astype(np.float16)
        y = archsim.cuda.array(np.zeros(d_out, np.float16))
        given = archsim.cuda.array(x.astype(np.float16))
        self.launch(label, "gemv", -(-d_out // 8), 256, (archsim.cuda.array(w), given, 0, y, d_out, d_in))
        exact = w.astype(np.float32) @ x.astype(np.float16).astype(np.float32)
        assert np.abs(y.get() - exact).max() < 2e-3 * np.abs(exact).max() + 1e-4, label
        self._product_fp32(label, w.astype(np.float32), x.astype(np.float16).astype(np.float32), exact)
        return y.get().astype(np.float32)

    def _product_fp32(self, label: str, w: np.ndarray, x: np.ndarray, exact: np.ndarray) -> None:
        y = archsim.cuda.array(np.zeros(len(w), np.float32))
        args = (archsim.cuda.array(w), archsim.cuda.array(x), y, *w.shape)
        self.launch(f"{label} fp32", "gemv_fp32", -(-len(w) // 8), 256, args)
        assert np.abs(y.get() - exact).max() < 1e-4 * np.abs(exact).max(), f"{label} in FP32"

    def norm(self, label: str, x: np.ndarray) -> np.ndarray:
        """Layer norm, checked."""
        y = archsim.cuda.array(np.zeros(x.size, np.float16))
        self.launch(label, "layernorm", 1, 256, (archsim.cuda.array(x.astype(np.float16)), y, x.size))
        assert np.abs(y.get() - _normed(x)).max() < 0.01, label
        return y.get().astype(np.float32)

    def attend(self, q: np.ndarray, context: int) -> np.ndarray:
        """One query over a random cache of ``context`` tokens, checked."""
        m, t = self.model, context
        k, v = (self.rng.normal(0, 1, (t, m.heads, m.head_width)).astype(np.float16) for _ in range(2))
        out = archsim.cuda.array(np.zeros(m.d_model, np.float16))
        given, keys, values = (archsim.cuda.array(a) for a in (q.astype(np.float16), k, v))
        sizes = (m.heads, m.head_width, t)
        args = (given, keys, values, out, *sizes)
        self.launch(f"attention{t}", "attention", m.heads, 128, args, shared=4 * t)
        query = q.astype(np.float16).astype(np.float32).reshape(m.heads, m.head_width)
        scores = np.einsum("hw,thw->ht", query, k.astype(np.float32)) / np.sqrt(m.head_width)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        exact = np.einsum("ht,thw->hw", weights / weights.sum(axis=1, keepdims=True), v.astype(np.float32)).ravel()
        assert np.abs(out.get() - exact).max() < 0.01, f"attention over {t} tokens"
        return out.get().astype(np.float32)

    def run(self, contexts: Sequence[int]) -> dict[str, int]:
        """Cycles of every launch of the block, attention at each of ``contexts``."""
        d, ff = self.model.d_model, self.model.ff
        x = self.rng.normal(0, 1, d).astype(np.float32)
        qkv = self.product("qkv", d, 3 * d, self.norm("norm1", x))
        attended = [self.attend(qkv[:d], context) for context in contexts][-1]
        after = x + self.product("projection", d, d, attended)
        inner = self.product("ffn1", d, ff, self.norm("norm2", after))
        y = archsim.cuda.array(np.zeros(ff, np.float16))
        self.launch("gelu", "gelu", -(-ff // 256), 256, (archsim.cuda.array(inner.astype(np.float16)), y, ff))
        self.product("ffn2", ff, d, y.get().astype(np.float32))
        self.traces.rmdir()
        return self.cycles


@dataclass(frozen=True)
class T4Token:
    """Mean microseconds of a token on the simulated T4. ``cycles``: of every launch of one block."""

    kernels_us: float
    kernels_fp32_us: float  # the same with products in FP32
    launches: int
    weights_us: float  # reading FP16 weights once at the board's bandwidth
    cycles: dict[str, int]


def simulate_token(model: GptModel, tokens: int, backend: str = "parametric") -> T4Token:
    """Simulate one block of ``model`` and integrate over ``tokens`` tokens, of contexts 1 to ``tokens``."""
    return _of_shape(model.layers, model.d_model, model.heads, model.ff, tokens, backend)


@cache
def _of_shape(layers: int, d_model: int, heads: int, ff: int, tokens: int, backend: str) -> T4Token:
    """Models of one shape take one simulation."""
    machine = archsim.load_config("t4", overrides=[f"memory.backend={backend}"])
    model = GptModel(layers=layers, d_model=d_model, heads=heads, d_ff=ff)
    contexts = sorted({round(c) for c in np.linspace(1, tokens, CONTEXTS)})
    cycles = Block(model, machine).run(contexts)
    attention = [cycles[f"attention{context}"] for context in contexts]
    mean = np.trapezoid(attention, contexts) / (tokens - 1) if tokens > 1 else attention[0]
    narrow, wide = (
        sum(n for label, n in cycles.items() if not label.startswith("attention") and label not in left_out)
        for left_out in ([f"{name} fp32" for name in PRODUCTS], PRODUCTS)
    )
    kernels, kernels_fp32 = (layers * (float(mean) + rest) / machine.clock_mhz for rest in (narrow, wide))
    weights_us = model.weights * 2 / (T4_GBPS * 1e3)
    return T4Token(kernels, kernels_fp32, layers * KERNELS_PER_BLOCK, weights_us, cycles)


def table(models: Sequence[str], tokens: int, backend: str, launch_us: float) -> None:
    """Print speed-up and energy efficiency over the simulated T4, a line for each model, as they come."""
    print(
        f"T4 (simulated, {backend} memory) against PIM-GPT (paper mode), mean over contexts 1 to {tokens}; launches "
        f"are {KERNELS_PER_BLOCK} a layer, {launch_us:g} us each (assumed).\n"
        "Efficiency: joules of the T4 (FP32 with launches, at 30 W and at 70 W) over joules of PIM-GPT (high and low "
        "end of its band).\n"
    )
    header = ("FP16 kernels us", "weights alone us", "FP32 kernels us", "launches us", "PIM-GPT us", "FP16", "FP32",
              "FP32 and launches", "41x is ms", "137x is ms", "efficiency")  # fmt: skip
    print(f"| model | {' | '.join(header)} |")
    print("|---" * (len(header) + 1) + "|", flush=True)
    for name in models:
        model = load_model(name)
        t4, pim = simulate_token(model, tokens, backend), run_model(model, load_system(), tokens)
        us, joules = pim.seconds_per_token * 1e6, pim.summary()["energy_joules_per_token"]
        launches = t4.launches * launch_us
        whole = t4.kernels_fp32_us + launches
        low = T4_WATTS[0] * whole * 1e-6 / joules["high"]
        high = T4_WATTS[1] * whole * 1e-6 / joules["low"]
        cells = (
            f"{t4.kernels_us:.0f}", f"{t4.weights_us:.0f}", f"{t4.kernels_fp32_us:.0f}", f"{launches:.0f}", f"{us:.1f}",
            f"{t4.kernels_us / us:.1f} x", f"{t4.kernels_fp32_us / us:.1f} x", f"{whole / us:.1f} x",
            f"{41e-3 * us:.1f}", f"{137e-3 * us:.1f}", f"{low:.0f} to {high:.0f}",
        )  # fmt: skip
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(
        "\npublished, all eight models: speed-up 41 to 137; energy efficiency 339 to 1085 (v1), 123 to 383 (v2, npj). "
        "Not in the simulated baseline: kernels of\na framework beyond these eight a layer, Python on the host, "
        "throttling at 70 W (sheet H expects 8 to 12 ms a token for GPT2-small and 30 to 45 ms for the\nlargest models "
        "from a stock framework)."
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["gpt2-small"])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--backend", choices=("parametric", "full"), default="parametric")
    parser.add_argument("--launch-us", type=float, default=LAUNCH_US)
    args = parser.parse_args()
    table(args.models, args.tokens, args.backend, args.launch_us)
    for name in args.models:
        cycles = simulate_token(load_model(name), args.tokens, args.backend).cycles
        print(f"{name}, cycles of a block: " + ", ".join(f"{k} {v}" for k, v in cycles.items()))


if __name__ == "__main__":
    main()
