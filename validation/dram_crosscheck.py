"""Our cycles beside those of Ramulator 2.1 and DRAMsim3 on the shared request streams.

    python validation/dram_crosscheck.py [folder of reference/crosscheck/dram]

Ramulator 2.1 stops when the last request has been accepted, so its cycles are compared with our last admission;
DRAMsim3's last column command with ours.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from archsim.dram import DramConfig, load_dram
from archsim.engine.dram import DramResult, Requests, requests_from_fields, run_decoded

HERE = Path(__file__).resolve().parent
REFERENCE = Path("/work/shared/reference/crosscheck/dram")
# configuration of the reference -> ours
RAMULATOR = {
    "gddr6_1ch_2kB_1GHz": "ramulator_gddr6_1ch",
    "stock_GDDR6_8Gb_x16_14000_1250mV_quad": "ramulator_gddr6_14000",
    "stock_DDR4_8Gb_x8_2400R": "ramulator_ddr4_2400r",
}
DRAMSIM3 = {"gddr6_1ch_2kB_1GHz": "dramsim3_gddr6_1ch", "stock_DDR4_8Gb_x8_3200": "dramsim3_ddr4_3200"}


@dataclass(frozen=True)
class Row:
    """One comparison. ``difference``: (ours - theirs) / theirs."""

    simulator: str
    config: str
    refresh: str
    trace: str
    theirs: float
    ours: float
    result: DramResult

    @property
    def difference(self) -> float:
        return (self.ours - self.theirs) / self.theirs


def requests(folder: Path, trace: str, config: DramConfig, spacing: int) -> Requests:
    """A neutral trace; requests without an arrival time of their own come ``spacing`` cycles apart, from cycle 1 on."""
    lines = [line.split() for line in (folder / "traces_neutral" / f"{trace}.txt").read_text().splitlines()]
    write = np.array([line[0] == "W" for line in lines])
    group, bank, row, column, arrival = np.array([[int(x) for x in line[1:]] for line in lines]).T
    time = np.maximum(arrival, np.arange(len(lines)) * spacing) + 1
    return requests_from_fields(config, time, write, bankgroup=group, bank=bank, row=row, column=column)


def compare(folder: Path = REFERENCE) -> Iterator[Row]:
    """All comparisons that the reference data allows."""
    for row in csv.DictReader((folder / "results" / "ramulator21_results.csv").open()):
        refresh = "none" if row["refresh"] == "none" else "all_bank"
        config = load_dram(HERE / "dram" / f"{RAMULATOR[row['config']]}.yaml", {"controller.refresh": refresh})
        result = run_decoded(requests(folder, row["trace"], config, 1), config, log=4000)
        yield Row(
            "Ramulator 2.1", row["config"], refresh, row["trace"], float(row["cycles"]), result.last_admit_cycle, result
        )
    for row in csv.DictReader((folder / "results" / "dramsim3_results.csv").open()):
        if row["config"] not in DRAMSIM3:
            continue
        config = load_dram(HERE / "dram" / f"{DRAMSIM3[row['config']]}.yaml")
        result = run_decoded(requests(folder, row["trace"], config, 1), config, log=4000)
        theirs = float(row["last_column_cmd_cycle"])
        yield Row("DRAMsim3", row["config"], "all_bank", row["trace"], theirs, result.last_column_cycle, result)


def main() -> None:
    print(f"{'simulator':14s} {'config':38s} {'refresh':9s} {'trace':24s} {'theirs':>8s} {'ours':>8s} {'diff':>7s}")
    for row in compare(Path(sys.argv[1]) if len(sys.argv) > 1 else REFERENCE):
        print(
            f"{row.simulator:14s} {row.config:38s} {row.refresh:9s} {row.trace:24s} {row.theirs:8.0f} {row.ours:8.0f}"
            f" {100 * row.difference:6.2f}%",
            flush=True,
        )


if __name__ == "__main__":
    main()
