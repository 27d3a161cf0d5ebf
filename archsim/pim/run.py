"""Run a model on an accelerator: programs for every length of context, the token loop, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from archsim.errors import ConfigError
from archsim.kernels import asic as kernel
from archsim.model.compile import entry
from archsim.pim.costs import Counts
from archsim.pim.energy import EnergyBand, pim_energy
from archsim.pim.mapping import ModelLayout, map_model
from archsim.pim.models import GptModel
from archsim.pim.program import OPERATIONS, ProgramBuilder
from archsim.pim.system import VALUE_BYTES, PimSystem

UNITS = ("pins", "banks", "asic", "refresh")
_NON_VMM = 2  # column of the ASIC in the table of busy times


@dataclass(frozen=True)
class PimResult:
    """One run. Times are those of all sequences of the batch together; counts are of the generated tokens."""

    model: GptModel
    system: PimSystem
    layout: ModelLayout
    mode: str
    tokens: int
    prompt: int
    batch: int
    prefill_ps: int
    token_end_ps: np.ndarray  # i8[tokens], end of each generated token, counted from the end of the prefill
    busy_ps: np.ndarray  # i8[operations, units] of the generated tokens
    counts: Counts
    counts_by_op: dict[str, Counts]
    refreshes: int
    most_owed: int
    bound_ps: float
    energy: EnergyBand

    @property
    def total_ps(self) -> int:
        """Picoseconds of the generated tokens."""
        return int(self.token_end_ps[-1])

    @property
    def seconds_per_token(self) -> float:
        """Mean time between two tokens of a sequence."""
        return self.total_ps * 1e-12 / self.tokens

    @property
    def tokens_per_second(self) -> float:
        """Of all sequences together."""
        return self.batch / self.seconds_per_token

    @property
    def row_hit_rate(self) -> float:
        """Share of column accesses (by MAC units, writes, reads) that found their row open."""
        accesses = self.counts.macs + self.counts.writes + self.counts.reads
        return 1 - self.counts.activates / accesses

    @property
    def pin_bytes_per_token(self) -> float:
        """Bytes over the pins, both ways, for one token of one sequence."""
        return (self.counts.bytes_in + self.counts.bytes_out) / (self.tokens * self.batch)

    @property
    def data_movement_reduction(self) -> float:
        """Weight bytes, which a machine without PIM moves over the pins for every token, over the bytes moved here."""
        return self.model.weights * VALUE_BYTES / self.pin_bytes_per_token

    @property
    def data_movement_reduction_with_kv(self) -> float:
        """The same, if that machine also reads all keys and values and writes the new ones."""
        context = self.prompt + (self.tokens + 1) / 2
        values = self.model.weights + self.model.kv_values_per_token * (context + 1)
        return values * VALUE_BYTES / self.pin_bytes_per_token

    @property
    def non_vmm_share(self) -> float:
        """Share of the time that is ASIC arithmetic (of the busy time, in overlap mode)."""
        return float(self.busy_ps[:, _NON_VMM].sum() / self.total_ps)

    @property
    def bound_ratio(self) -> float:
        """Time over the analytic lower bound."""
        return self.total_ps / self.bound_ps

    def summary(self) -> dict[str, Any]:
        """Everything as plain numbers, for ``--json``."""
        tokens = self.tokens * self.batch
        joules = 1e-12 / tokens
        return {
            "model": self.model.name,
            "config": self.system.name,
            "mode": self.mode,
            "tokens": self.tokens,
            "prompt": self.prompt,
            "batch": self.batch,
            "seconds_per_token": self.seconds_per_token,
            "tokens_per_second": self.tokens_per_second,
            "prefill_seconds": self.prefill_ps * 1e-12,
            "analytic_bound_seconds_per_token": self.bound_ps * 1e-12 / self.tokens,
            "ratio_to_bound": self.bound_ratio,
            "row_hit_rate": self.row_hit_rate,
            "pin_bytes_per_token": self.pin_bytes_per_token,
            "data_movement_reduction": self.data_movement_reduction,
            "data_movement_reduction_with_kv": self.data_movement_reduction_with_kv,
            "non_vmm_share": self.non_vmm_share,
            "refresh_share": float(self.busy_ps[:, 3].sum() / self.total_ps),
            "most_refreshes_owed": self.most_owed,
            "energy_joules_per_token": {
                "low": self.energy.low_total_pj * joules,
                "high": self.energy.high_total_pj * joules,
                "low_by_component": {k: v * joules for k, v in self.energy.low_pj.items()},
                "high_by_component": {k: v * joules for k, v in self.energy.high_pj.items()},
            },
            "watts": {
                "low": self.energy.low_total_pj / self.total_ps,
                "high": self.energy.high_total_pj / self.total_ps,
            },
            "seconds_per_token_by_operation": {
                op: {unit: float(self.busy_ps[k, u]) * 1e-12 / self.tokens for u, unit in enumerate(UNITS)}
                for k, op in enumerate(OPERATIONS)
                if self.busy_ps[k].any()
            },
        }


def analytic_bound_ps(model: GptModel, system: PimSystem, contexts: np.ndarray, batch: int = 1) -> float:
    """Lower bound for tokens with these context lengths: pim-gpt sheet H.

    All MAC units busy with weights, K and V; tRCD + tRP for every full row; nothing else but refresh. No schedule that
    keeps rows in one bank can be faster, because the banks work in lockstep and a row costs them that much.
    """
    # K and V are read once for each query head of a group, but their rows need only be opened once.
    kv = 2.0 * model.layers * model.kv * model.head_width * contexts
    columns = (model.weights * len(contexts) + (kv * model.group).sum()) / (system.units * system.column_values)
    rows = (model.weights * len(contexts) + kv.sum()) / (system.units * system.column_values * system.row_columns)
    row_ps = 1e3 * (system.memory.rcd_ns + system.memory.rp_ns)
    return float(batch * (columns * system.mac_ps + rows * row_ps) * system.refresh_factor)


def run_model(
    model: GptModel,
    system: PimSystem,
    tokens: int = 1024,
    *,
    prompt: int = 0,
    batch: int = 1,
    mode: Literal["paper", "overlap"] | None = None,
    reserve: int | None = None,
) -> PimResult:
    """Generate ``tokens`` tokens.

    Args:
        model, system: what runs on what.
        tokens: generated tokens of each sequence; the first one attends to ``prompt + 1`` tokens.
        prompt: tokens of the prompt, which are processed one after the other (a PIM has no use of weights in common).
        batch: sequences that are decoded together, every instruction once for each.
        mode: "paper" or "overlap"; default: the system's.
        reserve: tokens that the K and V regions have room for; default: what the run needs.

    Raises:
        ConfigError: model or KV cache that doesn't fit, numbers below one.
    """
    if tokens < 1 or prompt < 0:
        raise ConfigError(f"tokens is at least 1 and prompt at least 0, got {tokens} and {prompt}")
    mode = mode or system.mode
    layout = map_model(model, system, prompt + tokens, batch, reserve)
    builder = ProgramBuilder(layout)
    loop = _TokenLoop(layout, mode)
    prefill_ps = 0
    if prompt:
        loop.run(builder, range(1, prompt + 1), closing_from=prompt)
        prefill_ps = int(loop.state[0]["now_ps"])
        loop.forget()
    contexts = range(prompt + 1, prompt + tokens + 1)
    ends, counts_by_op = loop.run(builder, contexts, closing_from=0)
    counts = Counts(*np.array(list(counts_by_op.values())).sum(axis=0).tolist())
    busy, refreshes = loop.busy, int(loop.state[0]["refreshes"])
    total = int(ends[-1]) - prefill_ps
    bound = analytic_bound_ps(model, system, np.arange(prompt + 1, prompt + tokens + 1), batch)
    energy = pim_energy(system, counts, total, int(busy[:, kernel.BANKS].sum()), refreshes)
    return PimResult(
        model, system, layout, mode, tokens, prompt, batch, prefill_ps, ends - prefill_ps, busy, counts, counts_by_op,
        refreshes, int(loop.state[0]["most_owed"]), bound, energy,
    )  # fmt: skip


def parameters(layout: ModelLayout, mode: str) -> np.ndarray:
    """PARAMETERS record of the token loop."""
    m, par = layout.system.memory, np.zeros(1, kernel.PARAMETERS)
    par["mode"] = kernel.PAPER if mode == "paper" else kernel.OVERLAP
    par["refi_ps"] = 0 if m.refresh == "none" else round(m.refi_ns * 1e3)
    par["rfc_ps"] = round(m.rfc_ns * 1e3)
    par["reopen_ps"] = round(m.rp_ns * 1e3) + round(m.rcd_ns * 1e3)
    par["sequences"] = layout.batch
    return par


def fresh_state(par: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """State, busy table and ready times at time 0."""
    state = np.zeros(1, kernel.STATE)
    state["due_ps"] = par["refi_ps"]
    return state, np.zeros((len(OPERATIONS), kernel.UNITS), np.int64), np.zeros(batch + 3, np.int64)


class _TokenLoop:
    """The compiled loop and its state; programs are handed over in blocks, so that memory stays bounded."""

    BLOCK = 256  # tokens

    def __init__(self, layout: ModelLayout, mode: str) -> None:
        self.layout = layout
        self.par = parameters(layout, mode)
        self.state, self.busy, self.ready = fresh_state(self.par, layout.batch)
        self.function = entry("asic", "run_tokens")

    def forget(self) -> None:
        """Start counting anew; time goes on."""
        self.busy[:] = 0
        self.state["refreshes"] = self.state["reopened"] = self.state["most_owed"] = 0

    def run(self, builder: ProgramBuilder, contexts: range, closing_from: int) -> tuple[np.ndarray, dict[str, Counts]]:
        """Run tokens of these context lengths; those from ``closing_from`` on go through the output head."""
        ends, layers = [], self.layout.model.layers
        counts = np.zeros((len(OPERATIONS), len(Counts._fields)), np.int64)
        for begin in range(0, len(contexts), self.BLOCK):
            block = contexts[begin : begin + self.BLOCK]
            parts: list[np.ndarray] = []
            first = np.zeros((len(block), 3), np.int64)
            position = 0
            for t, context in enumerate(block):
                for k, (program, times) in enumerate(
                    ((builder.layer(context), layers), (builder.closing(context >= closing_from), 1))
                ):
                    first[t, k] = position
                    parts.append(program.records())
                    position += len(program.instructions)
                    counts += times * program.counts_by_operation()
                first[t, 2] = position
            records = np.concatenate(parts)
            end = np.zeros(len(block), np.int64)
            self.function(
                records, first, layers, self.par, self.state, self.busy, self.ready,
                np.zeros(max(map(len, parts)), np.int64), end, np.zeros((0, 2), np.int64),
            )  # fmt: skip
            ends.append(end)
        used = {op: Counts(*row.tolist()) for op, row in zip(OPERATIONS, counts, strict=True) if row.any()}
        return np.concatenate(ends), used
