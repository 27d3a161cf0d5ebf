"""Energy from command counts and times, as a band: the published v1 and v2 results differ by 2.7 to 2.8 times.

The speed-ups of the two versions are the same, so only the power of the PIM system changed between them (pim-gpt sheet
G). A datasheet's currents describe one bank at work. Two questions then decide: what an all-bank MAC draws (as one read
of the device, or about three, as the AiM papers say), and what activating all banks draws (one activation, or one for
every bank). ``low`` answers "one" twice, ``high`` answers three and sixteen; every other entry is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from archsim.pim.costs import Counts
from archsim.pim.system import PimSystem

COMPONENTS = ("activate", "mac_read", "access", "pins", "refresh", "background", "mac_units", "asic")


@dataclass(frozen=True)
class EnergyBand:
    """Picojoules by component at both ends of the band."""

    low_pj: dict[str, float]
    high_pj: dict[str, float]

    @property
    def low_total_pj(self) -> float:
        """Sum at the low end."""
        return sum(self.low_pj.values())

    @property
    def high_total_pj(self) -> float:
        """Sum at the high end."""
        return sum(self.high_pj.values())


def pim_energy(system: PimSystem, counts: Counts, total_ps: int, bank_ps: int, refreshes: int) -> EnergyBand:
    """Energy of a run.

    Args:
        system: energy table and sizes.
        counts: commands of the run, all channels.
        total_ps: length of the run.
        bank_ps: time in which the banks had rows open (all channels at the same time).
        refreshes: all-bank refreshes of each channel.
    """
    return EnergyBand(
        _at(system, counts, (total_ps, bank_ps, refreshes), "low"),
        _at(system, counts, (total_ps, bank_ps, refreshes), "high"),
    )


def _at(system: PimSystem, counts: Counts, times: tuple[int, int, int], end: str) -> dict[str, float]:
    e, channels = system.energy, system.memory.channels
    total_ps, bank_ps, refreshes = times
    single = counts.activates - counts.all_bank_activates * system.memory.banks
    per_all_bank = getattr(e, f"all_bank_activates_{end}")
    background_mw_ps = e.active_standby_mw * bank_ps + e.precharge_standby_mw * (total_ps - bank_ps)
    bits = 8 * (counts.bytes_in + counts.bytes_out)
    return {
        "activate": e.activate_pj * (single + per_all_bank * counts.all_bank_activates),
        "mac_read": e.read_pj * getattr(e, f"mac_reads_{end}") * counts.all_bank_macs,
        "access": e.read_pj * counts.reads + e.write_pj * counts.writes,
        "pins": e.io_pj_per_bit * bits,
        "refresh": e.refresh_pj * refreshes * channels,
        "background": background_mw_ps * 1e-3 * channels,  # mW x ps = 1e-3 pJ
        "mac_units": e.mac_units_mw * 1e-3 * channels * counts.all_bank_macs / channels * system.mac_ps,
        "asic": e.asic_mw * 1e-3 * total_ps,
    }
