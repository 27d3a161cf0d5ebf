"""Energy of PIM work from command counts: a pure function of counters, by what was done.

An all-bank activate pays one activate for each bank, a multiply-accumulate never pays the pins, and traffic over the
pins pays its bits (energy sheet, section 7). A table without multiply-accumulate energy is an error once it is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from archsim.dram.config import LEVELS, DramConfig
from archsim.dram.energy import DramEnergy, energy_table
from archsim.dram.pim import command_facts, pim_spec
from archsim.errors import ConfigError


def pim_energy(
    config: DramConfig, counts: Mapping[str, int], active_ns: float, precharged_ns: float
) -> DramEnergy | None:
    """Energy of a run; None if the memory has no power table.

    Args:
        config: a PIM memory.
        counts: commands by name, all channels together.
        active_ns, precharged_ns: time with and without an open row, summed over channels. Refresh lies in the second,
            and what it draws on top is in the refresh energy (counted from active standby: at most 2 % too little).

    Raises:
        ConfigError: the run needs an entry that the power table lacks.
    """
    table = energy_table(config)
    if not table:
        return None
    lanes = pim_spec(config).lanes
    amounts = dict.fromkeys(("activate", "read", "write", "mac", "buffer", "io", "refresh_all", "refresh_bank"), 0.0)
    for command in config.commands:
        n = counts.get(command.name, 0)
        facts = command_facts(command, config)
        if facts["opens"]:
            amounts["activate"] += n * _banks(config, facts["scope"], facts["lockstep"])
        amounts["read"] += n * facts["reads"]
        amounts["write"] += n * facts["writes"]
        amounts["mac"] += n * facts["macs"] / lanes
        amounts["buffer"] += n * facts["buffer"]
        amounts["io"] += n * 8 * (facts["bytes_in"] + facts["bytes_out"])
    amounts["refresh_all"] = counts.get("REFAB", 0)
    amounts["refresh_bank"] = counts.get("REFPB", 0)
    keys = {name: f"{name}_pj" for name in amounts} | {"io": "io_pj_per_bit"}
    keys |= {"active_standby": "active_standby_mw", "precharge_standby": "precharge_standby_mw"}
    amounts |= {"active_standby": active_ns, "precharge_standby": precharged_ns}  # mW x ns = pJ
    components, guessed = {}, 0.0
    for name, amount in amounts.items():
        if amount and keys[name] not in table:
            raise ConfigError(f"{config.name}: power.{keys[name]} is missing, and the run needs it")
        components[name] = table[keys[name]].value * amount if amount else 0.0
        if amount and table[keys[name]].confidence == "guessed":
            guessed += components[name]
    total = sum(components.values())
    return DramEnergy(components, guessed / total if total else 0.0)


def _banks(config: DramConfig, scope: str, lockstep: str) -> int:
    """Banks that one command addresses."""
    units = {"channel": 1}
    for above, level in itertools.pairwise(LEVELS):
        units[level] = units[above] * config.organization[level]
    return units[lockstep] if lockstep else config.banks // units[scope]
