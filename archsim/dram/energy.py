"""DRAM energy from command counts and state times: a pure function of counters.

Either the configuration gives picojoules per event, or currents (IDD) from which they follow by the Micron formulae of
the energy sheet, section 5; explicit entries win. Core energy and the I/O term are kept apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from archsim.dram.config import DramConfig
from archsim.errors import ConfigError

EVENTS = (
    "activate_pj", "read_pj", "write_pj", "io_pj_per_bit", "refresh_all_pj", "refresh_bank_pj", "mac_pj", "buffer_pj",
)  # fmt: skip
STATES = ("active_standby_mw", "precharge_standby_mw", "active_power_down_mw", "precharge_power_down_mw")
CONFIDENCE = ("measured", "fitted", "published", "scaled", "guessed")


@dataclass(frozen=True)
class EnergyEntry:
    """One row of an energy table: value (pJ, pJ/bit or mW by its name), where it comes from, how far to trust it."""

    value: float
    source: str
    confidence: str


def energy_table(config: DramConfig) -> dict[str, EnergyEntry]:
    """Energy table of a configuration. ConfigError on unknown keys or missing entries."""
    power = dict(config.power)
    idd = power.pop("idd", None)
    table = _from_currents(config, idd) if idd is not None else {}
    for key, row in power.items():
        if key not in EVENTS + STATES:
            raise ConfigError(f"{config.name}: power: unknown entry {key!r}; known: {', '.join(EVENTS + STATES)}")
        if not isinstance(row, Mapping) or set(row) != {"value", "source", "confidence"}:
            raise ConfigError(f"{config.name}: power.{key}: expected value, source and confidence")
        if row["confidence"] not in CONFIDENCE:
            raise ConfigError(f"{config.name}: power.{key}.confidence: one of {', '.join(CONFIDENCE)}")
        table[key] = EnergyEntry(float(row["value"]), str(row["source"]), str(row["confidence"]))
    return table


def _from_currents(config: DramConfig, idd: Mapping[str, Any]) -> dict[str, EnergyEntry]:
    try:
        volts = float(idd["VDD"])
        i0, i2n, i3n, i2p, i3p = (float(idd[k]) for k in ("IDD0", "IDD2N", "IDD3N", "IDD2P", "IDD3P"))
        i4r, i4w, i5 = (float(idd[k]) for k in ("IDD4R", "IDD4W", "IDD5AB"))
        source, confidence = str(idd["source"]), str(idd["confidence"])
    except KeyError as error:
        raise ConfigError(f"{config.name}: power.idd: {error.args[0]} is missing") from None
    t, devices = config.timing, config.organization["devices"]
    scale = volts * config.clock_ns * devices  # V x mA x ns = pJ
    values = {
        "activate_pj": scale * (i0 * t["nRC"] - i3n * t["nRAS"] - i2n * t["nRP"]),
        "read_pj": scale * (i4r - i3n) * t["nBL"],
        "write_pj": scale * (i4w - i3n) * t["nBL"],
        "refresh_all_pj": scale * (i5 - i3n) * t["nRFCab"],
        "active_standby_mw": volts * i3n * devices,
        "precharge_standby_mw": volts * i2n * devices,
        "active_power_down_mw": volts * i3p * devices,
        "precharge_power_down_mw": volts * i2p * devices,
    }
    return {key: EnergyEntry(float(value), f"IDD formulae, {source}", confidence) for key, value in values.items()}


@dataclass(frozen=True)
class DramEnergy:
    """Picojoules by component, and the share of the total that rests on guessed table rows."""

    components: dict[str, float]
    guessed_share: float

    @property
    def total_pj(self) -> float:
        """Sum of the components."""
        return sum(self.components.values())


def dram_energy(config: DramConfig, counts: Mapping[str, int], state_ns: Mapping[str, float]) -> DramEnergy | None:
    """Energy of a run.

    Args:
        config: the memory; None is returned if it has no power table.
        counts: commands by name, all channels together.
        state_ns: time, summed over refresh scopes, in ``active_standby``, ``precharge_standby``, ``active_power_down``,
            ``precharge_power_down`` and ``refresh``; refresh lies within precharged standby and is charged as active
            standby, which the refresh energy is counted above.
    """
    table = energy_table(config)
    if not table:
        return None
    reads = counts.get("RD", 0) + counts.get("RDA", 0)
    writes = counts.get("WR", 0) + counts.get("WRA", 0)
    bits = 8 * config.burst_bytes
    refresh_ns = state_ns.get("refresh", 0.0)
    amounts = {
        "activate": ("activate_pj", counts.get("ACT", 0)),
        "read": ("read_pj", reads),
        "write": ("write_pj", writes),
        "io": ("io_pj_per_bit", (reads + writes) * bits),
        "refresh_all_bank": ("refresh_all_pj", counts.get("REFAB", 0)),
        "refresh_per_bank": ("refresh_bank_pj", counts.get("REFPB", 0)),
        # mW x ns = pJ
        "active_standby": ("active_standby_mw", state_ns["active_standby"] + refresh_ns),
        "precharge_standby": ("precharge_standby_mw", state_ns["precharge_standby"] - refresh_ns),
        "active_power_down": ("active_power_down_mw", state_ns["active_power_down"]),
        "precharge_power_down": ("precharge_power_down_mw", state_ns["precharge_power_down"]),
    }
    components, guessed = {}, 0.0
    for name, (key, amount) in amounts.items():
        if not amount:
            components[name] = 0.0
            continue
        if key not in table:
            raise ConfigError(f"{config.name}: power.{key} is missing, and the run needs it")
        components[name] = table[key].value * amount
        if table[key].confidence == "guessed":
            guessed += components[name]
    total = sum(components.values())
    return DramEnergy(components, guessed / total if total else 0.0)
