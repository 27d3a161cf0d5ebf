"""GPT decoding on a simulated T4, beside PIM-GPT: kernel time of one token at context 512, launch overhead apart.

    python validation/pim/baseline_t4.py gpt2-small [gpt2-medium ...] [--context 512] [--launch-us 5]

In the baseline: the eight kernels of a decoder block (decode.cu: two norms, four products, attention, GELU), FP16,
written by us, captured for sm_75 and simulated on the t4 configuration, each launch with cold caches (a block's weights
exceed the L2). Not in it: a framework's further kernels (transposes, splits, copies to the cache, dropout), the host's
time in Python, sampling, embedding and output head. The published 41 to 137 times compare with an undescribed software
stack on a real T4. ``--launch-us`` is the time between two launches from a host; 5 us is an assumption, and a term of
its own.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import archsim
import archsim.cuda
from archsim.pim import GptModel, load_model, load_system, run_model

KERNELS_PER_BLOCK = 8


def _normed(x: np.ndarray) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


class Block:
    """One decoder block on the emulated GPU; ``cycles`` runs and simulates its launches."""

    def __init__(self, model: GptModel, context: int, machine: Any) -> None:
        self.model, self.context, self.machine = model, context, machine
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
        """A matrix-vector product with random weights, checked."""
        w = self.rng.normal(0, 0.02, (d_out, d_in)).astype(np.float16)
        y = archsim.cuda.array(np.zeros(d_out, np.float16))
        given = archsim.cuda.array(x.astype(np.float16))
        self.launch(label, "gemv", -(-d_out // 8), 256, (archsim.cuda.array(w), given, 0, y, d_out, d_in))
        exact = w.astype(np.float32) @ x.astype(np.float16).astype(np.float32)
        assert np.abs(y.get() - exact).max() < 2e-3 * np.abs(exact).max() + 1e-4, label
        return y.get().astype(np.float32)

    def norm(self, label: str, x: np.ndarray) -> np.ndarray:
        """Layer norm, checked."""
        y = archsim.cuda.array(np.zeros(x.size, np.float16))
        self.launch(label, "layernorm", 1, 256, (archsim.cuda.array(x.astype(np.float16)), y, x.size))
        assert np.abs(y.get() - _normed(x)).max() < 0.01, label
        return y.get().astype(np.float32)

    def attend(self, q: np.ndarray) -> np.ndarray:
        """One query over a random cache, checked."""
        m, t = self.model, self.context
        k, v = (self.rng.normal(0, 1, (t, m.heads, m.head_width)).astype(np.float16) for _ in range(2))
        out = archsim.cuda.array(np.zeros(m.d_model, np.float16))
        given, keys, values = (archsim.cuda.array(a) for a in (q.astype(np.float16), k, v))
        sizes = (m.heads, m.head_width, t)
        self.launch("attention", "attention", m.heads, 128, (given, keys, values, out, *sizes), shared=4 * t)
        query = q.astype(np.float16).astype(np.float32).reshape(m.heads, m.head_width)
        scores = np.einsum("hw,thw->ht", query, k.astype(np.float32)) / np.sqrt(m.head_width)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        exact = np.einsum("ht,thw->hw", weights / weights.sum(axis=1, keepdims=True), v.astype(np.float32)).ravel()
        assert np.abs(out.get() - exact).max() < 0.01, "attention"
        return out.get().astype(np.float32)

    def run(self) -> dict[str, int]:
        """Cycles of every launch of the block."""
        d, ff = self.model.d_model, self.model.ff
        x = self.rng.normal(0, 1, d).astype(np.float32)
        qkv = self.product("qkv", d, 3 * d, self.norm("norm1", x))
        after = x + self.product("projection", d, d, self.attend(qkv[:d]))
        inner = self.product("ffn1", d, ff, self.norm("norm2", after))
        y = archsim.cuda.array(np.zeros(ff, np.float16))
        self.launch("gelu", "gelu", -(-ff // 256), 256, (archsim.cuda.array(inner.astype(np.float16)), y, ff))
        self.product("ffn2", ff, d, y.get().astype(np.float32))
        return self.cycles


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["gpt2-small"])
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--launch-us", type=float, default=5.0)
    args = parser.parse_args()
    machine = archsim.load_config("t4")
    print(
        "| model | T4 kernels us | weights at 320 GB/s us | launches us | PIM-GPT us | kernels only | with launches |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in args.models:
        model = load_model(name)
        cycles = Block(model, args.context, machine).run()
        kernels = model.layers * sum(cycles.values()) / machine.clock_mhz
        launches = model.layers * KERNELS_PER_BLOCK * args.launch_us
        floor = model.weights * 2 / 320e3
        pim = run_model(model, load_system(), 1, prompt=args.context - 1).seconds_per_token * 1e6
        print(
            f"| {name} | {kernels:.0f} | {floor:.0f} | {launches:.0f} | {pim:.1f} | {kernels / pim:.1f} x | "
            f"{(kernels + launches) / pim:.1f} x |",
            flush=True,
        )
        print("  cycles of a block: " + ", ".join(f"{k} {v}" for k, v in cycles.items()))
    print("published: 41 to 137 times, all eight models, software stack not described")


if __name__ == "__main__":
    main()
