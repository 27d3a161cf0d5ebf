"""The datasheet rules of every standard, written by hand: the oracle of the timing probes and of the schedule checker.

Nothing here comes from archsim's tables or compiler; only the numbers (clocks) do. Each rule: preceding commands,
following commands, relation of their banks, least distance in clocks between their *last* cycles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

T = Mapping[str, float]
Relation = str  # "bank", "bankgroup" (same or same bank), "unit" (rank or pseudo-channel), "other_bank"


@dataclass(frozen=True)
class Rule:
    name: str
    first: str
    then: str
    relation: Relation
    gap: Callable[[T], float]
    window: int = 1


@dataclass(frozen=True)
class Sheet:
    """``clocks``: command clocks by name (default 1); ``buses``: groups of commands that share command pins."""

    rules: tuple[Rule, ...]
    clocks: Mapping[str, float]
    buses: tuple[str, ...]
    bank_groups: bool = True
    per_bank_refresh: bool = True


ALL = "ACT PRE PREA RD RDA WR WRA REFAB REFPB"
ROW, COLUMN = "ACT PRE PREA REFAB REFPB", "RD RDA WR WRA"


def _common(
    rcd_read: str, rcd_write: str, ccd_write: tuple[str, str], refpb: bool, act_refpb: str, refpb_act: str
) -> list[Rule]:
    ref = "REFAB REFPB" if refpb else "REFAB"
    rules = [
        Rule("tCCD_S read", "RD RDA", "RD RDA", "unit", lambda t: t["nCCDS"]),
        Rule("tCCD_S write", "WR WRA", "WR WRA", "unit", lambda t: t[ccd_write[0]]),
        Rule("tRTW", "RD RDA", "WR WRA", "unit", lambda t: t["nRTW"]),
        Rule("tWTR_S", "WR WRA", "RD RDA", "unit", lambda t: t["nCWL"] + t["nBL"] + t["nWTRS"]),
        Rule("tRRD_S", "ACT", "ACT", "unit", lambda t: t["nRRDS"]),
        Rule("tRCD read", "ACT", "RD RDA", "bank", lambda t: t[rcd_read]),
        Rule("tRCD write", "ACT", "WR WRA", "bank", lambda t: t[rcd_write]),
        Rule("tRAS", "ACT", "PRE PREA", "bank", lambda t: t["nRAS"]),
        Rule("tRC", "ACT", "ACT " + ref, "bank", lambda t: t["nRC"]),
        Rule("tRTP", "RD", "PRE PREA", "bank", lambda t: t["nRTP"]),
        Rule("tWR", "WR", "PRE PREA", "bank", lambda t: t["nCWL"] + t["nBL"] + t["nWR"]),
        Rule("tRP", "PRE", "ACT " + ref, "bank", lambda t: t["nRP"]),
        Rule("tRP all", "PREA", "ACT " + ref, "bank", lambda t: t.get("nRPab", t["nRP"])),
        Rule("RDA to row", "RDA", "ACT " + ref, "bank", lambda t: t["nRTP"] + t["nRP"]),
        Rule("WRA to row", "WRA", "ACT " + ref, "bank", lambda t: t["nCWL"] + t["nBL"] + t["nWR"] + t["nRP"]),
        Rule("tRFC", "REFAB", "ACT PRE PREA " + ref, "unit", lambda t: t["nRFCab"]),
    ]
    if refpb:
        rules += [
            Rule("tRFCpb", "REFPB", "ACT REFAB REFPB", "bank", lambda t: t["nRFCpb"]),
            Rule("tRREFD", "REFPB", "ACT REFPB", "unit", lambda t: t[refpb_act]),
            Rule("ACT to REFpb", "ACT", "REFPB", "unit", lambda t: t[act_refpb]),
        ]
    return rules


def _groups(ccdl_write: str) -> list[Rule]:
    return [
        Rule("tCCD_L read", "RD RDA", "RD RDA", "bankgroup", lambda t: t["nCCDL"]),
        Rule("tCCD_L write", "WR WRA", "WR WRA", "bankgroup", lambda t: t[ccdl_write]),
        Rule("tWTR_L", "WR WRA", "RD RDA", "bankgroup", lambda t: t["nCWL"] + t["nBL"] + t["nWTRL"]),
        Rule("tRRD_L", "ACT", "ACT", "bankgroup", lambda t: t["nRRDL"]),
        Rule("tFAW", "ACT", "ACT", "unit", lambda t: t["nFAW"], window=4),
    ]


_PPD = [Rule("tPPD", "PRE PREA", "PRE PREA", "unit", lambda t: t["nPPD"])]
_GDDR6 = (*_common("nRCDRD", "nRCDWR", ("nCCDS", "nCCDS"), True, "nRRDL", "nRREFD"), *_groups("nCCDL"), *_PPD)
_HBM = (*_common("nRCDRD", "nRCDWR", ("nCCDS", "nCCDS"), True, "nRRDS", "nRREFD"), *_groups("nCCDL"))
_HBM3_CLOCKS = {"ACT": 1.5, "PRE": 0.5, "PREA": 0.5, "REFAB": 0.5, "REFPB": 0.5}
_GDDR7 = (
    *_common("nRCDRD", "nRCDWR", ("nCCDS", "nCCDS"), True, "nRRDS", "nRREFD"),
    *_PPD,
    Rule("tCCDSB read", "RD RDA", "RD RDA", "bank", lambda t: t["nCCDSB"]),
    Rule("tCCDSB write", "WR WRA", "WR WRA", "bank", lambda t: t["nCCDSB"]),
    Rule("tWTRSB", "WR WRA", "RD RDA", "bank", lambda t: t["nCWL"] + t["nBL"] + t["nWTRSB"]),
    Rule("tRPD", "PRE", "ACT REFPB", "other_bank", lambda t: t["nRPD"]),
)
_TWO = {"ACT": 2, "RD": 2, "RDA": 2, "WR": 2, "WRA": 2}
SHEETS: dict[str, Sheet] = {
    "ddr4": Sheet(
        (*_common("nRCD", "nRCD", ("nCCDS", "nCCDS"), False, "", ""), *_groups("nCCDL")),
        {},
        (ALL,),
        per_bank_refresh=False,
    ),
    "ddr5": Sheet(
        (*_common("nRCD", "nRCD", ("nCCDS", "nCCDS_WR"), False, "", ""), *_groups("nCCDL_WR"), *_PPD),
        _TWO,
        (ALL,),
        per_bank_refresh=False,
    ),
    "lpddr5": Sheet(
        (*_common("nRCD", "nRCD", ("nCCDS", "nCCDS"), True, "nRRDS", "nPBR2ACT"), *_groups("nCCDL"), *_PPD),
        {"ACT": 2},
        (ALL,),
    ),
    "gddr6": Sheet(_GDDR6, {}, (ALL,)),
    "gddr6x": Sheet(_GDDR6, {}, (ALL,)),
    "gddr7": Sheet(_GDDR7, _TWO, (ROW, COLUMN), bank_groups=False),
    "hbm2e": Sheet(_HBM, {"ACT": 2}, (ROW, COLUMN)),
    "hbm3": Sheet((*_HBM, *_PPD), _HBM3_CLOCKS, (ROW, COLUMN)),
    "hbm3e": Sheet((*_HBM, *_PPD), _HBM3_CLOCKS, (ROW, COLUMN)),
}


def gap_ticks(sheet: Sheet, timing: T, ticks: int, first: str, then: str, where: set[str]) -> int:
    """Least distance in ticks between first cycles; ``where``: relations that hold between the two banks."""
    late = {name: int(sheet.clocks.get(name, 1) * ticks + 0.5) - 1 for name in ALL.split()}
    gap = 0
    for bus in sheet.buses:
        if first in bus.split() and then in bus.split():
            gap = late[first] + 1
    for rule in sheet.rules:
        if rule.window == 1 and first in rule.first.split() and then in rule.then.split() and rule.relation in where:
            gap = max(gap, int(-(-rule.gap(timing) * ticks // 1)) + late[first] - late[then])
    return gap


class Checker:
    """Replays a command log in plain Python and lists every violation of the rules above."""

    def __init__(self, sheet: Sheet, timing: T, ticks: int, groups: int, banks: int, units: int) -> None:
        self.sheet, self.timing, self.ticks = sheet, timing, ticks
        self.banks, self.groups, self.units = banks, groups, units  # banks per group, groups per unit
        self.gaps: dict[tuple[str, str, frozenset[str]], int] = {}
        self.last: dict[tuple[str, object], int] = {}  # (command, place) -> time of the last one
        self.open: dict[int, int] = {}
        self.acts: dict[int, list[int]] = {}
        self.pins: list[int] = [-1] * units  # end of the last data burst
        self.problems: list[str] = []
        relations = [("bank", {"bank", "bankgroup", "unit"}), ("bankgroup", {"bankgroup", "unit"}), ("unit", {"unit"})]
        self.rules: dict[str, list[tuple[str, str, int]]] = {name: [] for name in ALL.split()}
        for then in ALL.split():
            for first in ALL.split():
                for level, where in relations:
                    gap = gap_ticks(sheet, timing, ticks, first, then, where)
                    if gap > 0:
                        self.rules[then].append((first, level, gap))
                for bus in sheet.buses:
                    if first in bus.split() and then in bus.split():
                        late = int(sheet.clocks.get(first, 1) * ticks + 0.5)
                        self.rules[then].append((first, "pins", late))

    def places(self, bank: int) -> dict[str, object]:
        group = bank // self.banks
        return {"bank": ("b", bank), "bankgroup": ("g", group), "unit": ("u", group // self.groups), "pins": ("p",)}

    def feed(self, time: int, command: str, bank: int, row: int) -> None:
        unit_banks = self.banks * self.groups
        targets = range(bank // unit_banks * unit_banks, bank // unit_banks * unit_banks + unit_banks)
        touched = list(targets) if command in ("PREA", "REFAB") else [bank]
        for b in touched:
            places = self.places(b)
            for first, level, gap in self.rules[command]:
                before = self.last.get((first, places[level]))
                if before is not None and time - before < gap:
                    self.problems.append(
                        f"{time}: {command} to bank {b}: {time - before} after {first} ({level}), least {gap}"
                    )
            if command in ("RD", "RDA", "WR", "WRA", "PRE", "ACT", "REFAB", "REFPB"):
                self._state(time, command, b, row)
        self._window(time, command, bank // unit_banks)
        self._data(time, command, bank // unit_banks)
        for b in touched:
            for place in self.places(b).values():
                self.last[command, place] = time
            if command in ("PRE", "PREA", "RDA", "WRA"):
                self.open.pop(b, None)
        if command == "ACT":
            self.open[bank] = row

    def _state(self, time: int, command: str, bank: int, row: int) -> None:
        is_open = self.open.get(bank)
        if command in ("ACT", "REFAB", "REFPB") and is_open is not None:
            self.problems.append(f"{time}: {command} to open bank {bank}")
        if command in ("RD", "RDA", "WR", "WRA") and is_open != row:
            self.problems.append(f"{time}: {command} to row {row} of bank {bank}, open is {is_open}")

    def _window(self, time: int, command: str, unit: int) -> None:
        spans = [rule for rule in self.sheet.rules if rule.window > 1]
        if command != "ACT" or not spans:
            return
        acts = self.acts.setdefault(unit, [])
        span = int(-(-spans[0].gap(self.timing) * self.ticks // 1))
        if len(acts) == 4 and time - acts[0] < span:
            self.problems.append(f"{time}: fifth ACT within tFAW of unit {unit}: {time - acts[0]} < {span}")
        acts.append(time)
        del acts[:-4]

    def _data(self, time: int, command: str, unit: int) -> None:
        """No two bursts on the data pins at the same time."""
        if command not in ("RD", "RDA", "WR", "WRA"):
            return
        latency = self.timing["nCL"] if command.startswith("RD") else self.timing["nCWL"]
        begin = time + int(latency * self.ticks)
        if begin < self.pins[unit]:
            self.problems.append(f"{time}: data of {command} collides, {begin} < {self.pins[unit]}")
        self.pins[unit] = begin + int(self.timing["nBL"] * self.ticks)
