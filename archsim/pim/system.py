"""The accelerator: PIM memory, ASIC and energy table, every parameter with unit, range and source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from archsim import resources
from archsim.config.spec import Spec, component, param
from archsim.errors import ConfigError
from archsim.pim import reading

VALUE_BYTES = 2  # BF16
_PAPER = "pim-gpt sheet A: two public readings of the paper"
_RECALL = "pim-gpt sheet A/B [R]: recalled, unverified"
_CENT = "energy sheet 7: CENT power script, GDDR6-AiM, +-50 %"


class PimMemory(Spec):
    """DRAM channels with a MAC unit beside every bank; all banks of a channel work in lockstep.

    Times are those of the all-bank commands: ACT, MAC (one column of every bank), PRE, and burst transfers on the pins.
    """

    channels: int = param(8, ge=1, le=1024, doc="channels, one PIM chip each", source=_PAPER)
    banks: int = param(16, ge=1, le=256, doc="banks of a channel", source=_PAPER)
    rows: int = param(16384, ge=1, doc="rows of a bank", source=_RECALL + " (32 MB a bank)")
    row_bytes: int = param(2048, ge=32, unit="bytes", doc="row of a bank", source=_RECALL + "; the 98 % hit rate fits")
    column_bytes: int = param(32, ge=2, unit="bytes", doc="bytes that one column access reads in a bank", source=_PAPER)
    lanes: int = param(16, ge=1, doc="BF16 multipliers of a MAC unit", source=_PAPER)
    mac_clock_mhz: float = param(1000.0, ge=1, unit="MHz", doc="clock of the MAC units", source=_PAPER)
    pins: int = param(16, ge=1, doc="data pins of a channel", source=_RECALL)
    pin_rate_gbps: float = param(16.0, ge=0.01, unit="Gb/s", doc="data rate of a pin", source=_RECALL)
    global_buffer_bytes: int = param(
        2048, ge=32, unit="bytes", doc="input vector buffer of a channel", source=_RECALL + "; 110-259x fits it"
    )
    rcd_ns: float = param(12.0, ge=0, unit="ns", doc="tRCD: activate to column access", source=_RECALL)
    rp_ns: float = param(12.0, ge=0, unit="ns", doc="tRP: precharge to activate", source=_RECALL)
    ccd_ns: float = param(1.0, ge=0.001, unit="ns", doc="tCCD: column access to column access", source=_RECALL)
    wr_ns: float = param(12.0, ge=0, unit="ns", doc="tWR: end of a write to precharge", source=_RECALL)
    cwl_ns: float = param(
        6.0, ge=0, unit="ns", doc="column write to its data", source="configs/pim/pim_gpt.yaml; the paper names none"
    )
    buffer_latency_ns: float = param(
        1.0,
        ge=0,
        unit="ns",
        doc="global buffer write to its data",
        source="aim_simulator's nCWLGB; the paper names none",
    )
    refresh: Literal["all_bank", "none"] = param(
        "all_bank", doc="all-bank refresh, postponed to the next border between instructions", source="sheet J.4"
    )
    rfc_ns: float = param(455.0, ge=0, unit="ns", doc="tRFC: length of a refresh", source=_RECALL + ", low confidence")
    refi_ns: float = param(6825.0, ge=1, unit="ns", doc="tREFI: one refresh in this time", source=_RECALL + ", low")


class Asic(Spec):
    """Vector unit of ``lanes`` pipelined lanes; a lane takes one value a cycle, whatever its pipeline computes.

    Functions: Taylor series (softmax, GELU), Newton-Raphson reciprocal, and the fast inverse square root.
    """

    clock_mhz: float = param(1000.0, ge=0.1, unit="MHz", doc="clock", source=_PAPER)
    lanes: int = param(256, ge=1, doc="values a cycle", source="256 adders [R]; CALIBRATION.md PIMGPT-lanes")
    sram_bytes: int = param(
        131072,
        ge=1,
        unit="bytes",
        doc="buffer for vectors and scores: bounds the heads in work at a time, and the sequence",
        source=_RECALL,
    )
    taylor_terms: int = param(6, ge=2, le=16, doc="terms of the Taylor series", source=_RECALL)
    newton_iterations: int = param(3, ge=1, le=8, doc="steps of the reciprocal", source=_RECALL)
    rsqrt_iterations: int = param(1, ge=1, le=8, doc="Newton steps after the seed of 1/sqrt", source="Quake III: one")
    range_reduction: bool = param(
        True,
        doc="series about the nearest of several centres",
        source="none published; one series is only right near 0",
    )
    add_cycles: int = param(
        1, ge=1, unit="cycles", doc="latency of an addition", source="BF16 at 1 GHz, 28 nm (derived)"
    )
    multiply_cycles: int = param(1, ge=1, unit="cycles", doc="latency of a multiplication", source="same")


class PimEnergy(Spec):
    """Energy of every command, and the two assumptions that span the band of published results."""

    activate_pj: float = param(2950.0, ge=0, unit="pJ", doc="ACT and PRE of one bank", source=_CENT)
    read_pj: float = param(548.0, ge=0, unit="pJ", doc="column read of one bank to the pins' edge", source=_CENT)
    write_pj: float = param(691.0, ge=0, unit="pJ", doc="column write of one bank", source=_CENT)
    io_pj_per_bit: float = param(5.5, ge=0, unit="pJ/bit", doc="data pins", source=_CENT)
    refresh_pj: float = param(
        36450.0, ge=0, unit="pJ", doc="all-bank refresh of a channel", source="configs/dram/gddr6.yaml: IDD formula"
    )
    active_standby_mw: float = param(263.8, ge=0, unit="mW", doc="background of a channel, a row open", source=_CENT)
    precharge_standby_mw: float = param(183.2, ge=0, unit="mW", doc="background of a channel, all closed", source=_CENT)
    mac_units_mw: float = param(149.29, ge=0, unit="mW", doc="MAC units of a channel, at work", source=_PAPER)
    asic_mw: float = param(304.59, ge=0, unit="mW", doc="ASIC, all the time", source=_PAPER)
    mac_reads_low: float = param(
        1.0, ge=0, doc="an all-bank MAC charged as this many reads, low end", source="one IDD4R of the device"
    )
    mac_reads_high: float = param(3.0, ge=0, doc="the same, high end", source="AiM: about three normal reads (sheet 7)")
    all_bank_activates_low: float = param(
        1.0, ge=0, doc="an all-bank ACT charged as this many, low end", source="one IDD0 of the device"
    )
    all_bank_activates_high: float = param(16.0, ge=0, doc="the same, high end", source="energy sheet 7: pays 16")


class PimSystem(Spec):
    """A PIM-GPT accelerator."""

    name: str = param("pim_gpt", doc="name in reports", source="-")
    description: str = param("", doc="one line", source="-")
    mode: Literal["paper", "overlap"] = param(
        "paper", doc="one instruction at a time, or ASIC, pins and banks on their own", source="pim-gpt sheet C"
    )
    memory: PimMemory = component(PimMemory, doc="DRAM with MAC units")
    asic: Asic = component(Asic, doc="the ASIC")
    energy: PimEnergy = component(PimEnergy, doc="energy table")

    def model_post_init(self, context: Any) -> None:
        """Sizes that don't fit together are errors."""
        m = self.memory
        if m.column_bytes % VALUE_BYTES or m.row_bytes % m.column_bytes:
            raise ValueError(f"memory.row_bytes: {m.row_bytes} isn't a multiple of column_bytes {m.column_bytes}")
        if m.global_buffer_bytes % m.column_bytes:
            raise ValueError(f"memory.global_buffer_bytes: {m.global_buffer_bytes} isn't a multiple of column_bytes")
        if m.refresh != "none" and m.rfc_ns >= m.refi_ns:
            raise ValueError(f"memory.rfc_ns: {m.rfc_ns} ns of refresh don't fit into refi_ns {m.refi_ns}")

    @property
    def column_values(self) -> int:
        """BF16 values of one column access."""
        return self.memory.column_bytes // VALUE_BYTES

    @property
    def row_columns(self) -> int:
        """Column accesses of one row."""
        return self.memory.row_bytes // self.memory.column_bytes

    @property
    def buffer_values(self) -> int:
        """BF16 values of the global buffer: the longest chunk of an input vector."""
        return self.memory.global_buffer_bytes // VALUE_BYTES

    @property
    def units(self) -> int:
        """Banks, and MAC units, of the whole system."""
        return self.memory.channels * self.memory.banks

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the whole memory."""
        return self.units * self.memory.rows * self.memory.row_bytes

    @property
    def mac_ps(self) -> int:
        """Picoseconds of one column step: tCCD, or the MAC unit's passes over the column."""
        passes = -(-self.column_values // self.memory.lanes)
        return max(round(self.memory.ccd_ns * 1e3), round(passes * 1e6 / self.memory.mac_clock_mhz))

    @property
    def burst_ps(self) -> int:
        """Picoseconds of one column on the pins, no faster than tCCD."""
        wire = self.memory.column_bytes * 8 / (self.memory.pins * self.memory.pin_rate_gbps)
        return max(round(self.memory.ccd_ns * 1e3), round(wire * 1e3))

    @property
    def cycle_ps(self) -> int:
        """Picoseconds of an ASIC cycle."""
        return round(1e6 / self.asic.clock_mhz)

    @property
    def refresh_factor(self) -> float:
        """Time with refresh over time without it."""
        m = self.memory
        return 1.0 if m.refresh == "none" else 1 / (1 - m.rfc_ns / m.refi_ns)


def load_system(name: str | Path = "pim_gpt", overrides: Sequence[str] = ()) -> PimSystem:
    """A shipped accelerator (``pim_gpt``) or a YAML file, which may say ``extends: NAME``.

    Args:
        name: shipped name or file.
        overrides: ``component.param=value`` strings, applied last, in order.

    Raises:
        ConfigError: unknown name or key (with the nearest valid one), wrong type or range, impossible sizes.
    """
    path = resources.find_config(name, kind="accelerator")
    tree = _layers(path, ())
    for text in overrides:
        tree = reading.override(tree, text)
    return reading.build(tree, PimSystem)


def _layers(path: Path, above: tuple[Path, ...]) -> Any:
    if path.resolve() in above:
        raise ConfigError(f"{path}: extends itself")
    tree = reading.read_mapping(path)
    base = tree.value.pop("extends", None)
    if base is None:
        return tree
    below = resources.find_config(str(base.value), path.parent, kind="accelerator")
    return reading.merge(_layers(below, (*above, path.resolve())), tree)
