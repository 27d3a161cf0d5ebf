"""Tensor cores: cycles of a matrix instruction from its shape, operand type and accumulator.

Sources: gpu-core F.2, F.4; Hopper sheet 8. The released model halves M*N*K*bits/2048 into latency and interval, which
fits neither Hopper (latency 24, interval 6) nor INT8 (gpu-core L.2 row 7). Here the interval is the work divided by the
unit's multiply-accumulate rate, and the latency a measured constant (never less than the interval); ``table`` overrides
single opcodes.
"""

from __future__ import annotations

import re

from archsim.config.spec import Spec, param

_SHAPE = re.compile(r"^(?:(\d+)x(\d+)x(\d+)|\d{3,6})$")
# The digits of warp-level shapes run together (".16816" is 16 x 8 x 16). N is 8 in every warp-level instruction.
_WARP_SHAPES = {
    "884": (8, 8, 4),
    "8816": (8, 8, 16),
    "8832": (8, 8, 32),
    "88128": (8, 8, 128),
    "1684": (16, 8, 4),
    "1688": (16, 8, 8),
    "16816": (16, 8, 16),
    "16832": (16, 8, 32),
    "16864": (16, 8, 64),
    "168128": (16, 8, 128),
    "168256": (16, 8, 256),
}
_BITS = {"HMMA": 16, "IMMA": 8, "BMMA": 1, "DMMA": 64, "QMMA": 8, "HGMMA": 16, "IGMMA": 8, "QGMMA": 8, "BGMMA": 1}
_TOKEN_BITS = {"TF32": 32, "S8": 8, "U8": 8, "S4": 4, "U4": 4, "E4M3": 8, "E5M2": 8}


class TensorTiming(Spec):
    """Timing of one matrix instruction."""

    latency_cycles: int = param(
        32,
        unit="cycles",
        ge=1,
        le=10_000,
        doc="issue to earliest dependent issue",
        source="gpu-core F.2, HMMA.16816.F32",
    )
    initiation_interval_cycles: int = param(
        16, unit="cycles", ge=1, le=10_000, doc="cycles between two of them", source="gpu-core F.2, HMMA.16816.F32"
    )


class TensorSpec(Spec):
    """Tensor core of one sub-core."""

    mma_macs_per_cycle: int = param(
        128,
        unit="MAC/cycle",
        ge=1,
        le=1 << 14,
        doc="16-bit multiply-accumulates of warp-level MMA; 8-bit operands run at twice, TF32 at half this rate",
        source="gpu-core F.4: 511 FMA/clk/SM = 128 per sub-core on sm_89",
    )
    wgmma_macs_per_cycle: int = param(
        0,
        unit="MAC/cycle",
        ge=0,
        le=1 << 14,
        doc="16-bit multiply-accumulates of warp-group MMA (0 = the chip has none)",
        source="Hopper sheet 8: m64nNk16 takes N/2 cycles = 512 on H100",
    )
    dmma_macs_per_cycle: int = param(
        0,
        unit="MAC/cycle",
        ge=0,
        le=1 << 12,
        doc="FP64 multiply-accumulates (0 = DMMA runs on the FP64 unit)",
        source="Hopper sheet 8: DMMA 8x8x4 takes 16 cycles on A100 = 16",
    )
    f32_accumulate_divisor: int = param(
        1,
        ge=1,
        le=4,
        doc="rate divisor of 16-bit MMA with FP32 accumulation",
        source="gpu-core F.2: half rate on GeForce, full rate on RTX A6000",
    )
    latency_cycles: int = param(
        24,
        unit="cycles",
        ge=1,
        le=1000,
        doc="least issue-to-dependent-issue distance of a matrix instruction",
        source="Hopper sheet 8: 24.1 H800, 24.6 A100, 24.6 RTX 4090",
    )
    movm_latency_cycles: int = param(
        10,
        unit="cycles",
        ge=1,
        le=1000,
        doc="MOVM (register transpose)",
        source="estimate: no source gives it (gpu-core L.2 row 7)",
    )
    movm_initiation_interval_cycles: int = param(
        4,
        unit="cycles",
        ge=1,
        le=1000,
        doc="MOVM issue interval",
        source="estimate: no source gives it (gpu-core L.2 row 7)",
    )
    table: dict[str, TensorTiming] = param(
        {},
        doc="measured timings, keyed by the lower-case opcode with '_' for '.'; the longest matching prefix wins",
        source="none: the rates above reproduce gpu-core F.4 (sm_89, HMMA 16816: 32 cycles F32, 16.5 F16)",
    )

    def timing(self, opcode: str) -> tuple[int, int] | None:
        """``(latency_cycles, initiation_interval_cycles)`` of a full opcode such as ``HMMA.16816.F32.BF16``.

        None when the opcode isn't a matrix instruction of this unit (DMMA without ``dmma_macs_per_cycle``, no shape).
        """
        if opcode.startswith("MOVM"):
            return self.movm_latency_cycles, self.movm_initiation_interval_cycles
        key = opcode.lower().replace(".", "_")
        matches = [name for name in self.table if key == name or key.startswith(name + "_")]
        if matches:
            entry = self.table[max(matches, key=len)]
            return entry.latency_cycles, entry.initiation_interval_cycles
        interval = self._interval(opcode)
        return None if interval is None else (max(self.latency_cycles, interval), interval)

    def _interval(self, opcode: str) -> int | None:
        """Interval from the work and the rate, rounded up; a warp of a warp group does a quarter of the M rows."""
        name, *tokens = opcode.split(".")
        shape = _shape(tokens)
        if name not in _BITS or shape is None:
            return None
        m, n, k = shape
        bits = next((_TOKEN_BITS[token] for token in reversed(tokens) if token in _TOKEN_BITS), _BITS[name])
        if name == "DMMA":
            rate, scale = self.dmma_macs_per_cycle, 1.0
        elif name.endswith("GMMA"):
            rate, scale, m = self.wgmma_macs_per_cycle, 16 / bits, m // 4
        else:
            rate, scale = self.mma_macs_per_cycle, 16 / bits
            if name == "HMMA" and "F32" in tokens:
                scale /= self.f32_accumulate_divisor
        if rate == 0:
            return None
        work = m * n * k / (2 if "SP" in tokens else 1)
        return max(1, -int(-work // (rate * scale)))


def _shape(tokens: list[str]) -> tuple[int, int, int] | None:
    """M, N, K from the first token that looks like a shape."""
    for token in tokens:
        match = _SHAPE.match(token)
        if match is None:
            continue
        if match.group(1):
            return int(match.group(1)), int(match.group(2)), int(match.group(3))
        if token in _WARP_SHAPES:
            return _WARP_SHAPES[token]
    return None
