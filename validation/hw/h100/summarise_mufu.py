"""Makes `mufu_DATE.csv` and `mufu_edges_DATE.csv` of what `measure_mufu.cu` printed.

    nvcc -O2 -arch=sm_90 -o mufu measure_mufu.cu && ./mufu OUT        # on the card; writes OUT/mufu_stats.txt
    python summarise_mufu.py OUT/mufu_stats.txt DATE CARD DRIVER

`mufu_DATE.csv`: a row a function and binade: how far MUFU is from the correctly rounded result, in units of the last place
(bit patterns subtracted, clamped to -127 .. 127) and as an absolute error, and which part is the same.
`mufu_edges_DATE.csv`: MUFU's result for zeros, denormals, infinities, NaNs and ends of ranges, bit by bit.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

COLUMNS = ["function", "begin", "stride", "count", "min_ulp", "max_ulp", "worst_absolute", "same"]


def main() -> None:
    """Command line."""
    source, date, card, driver = Path(sys.argv[1]), *sys.argv[2:5]
    note = f"# {card}, driver {driver}, {date}: measure_mufu.cu, summarise_mufu.py"
    ranges: dict[tuple[str, str, str], list[object]] = {}
    edges: list[tuple[str, str, str]] = []
    for line in source.read_text().splitlines():
        words = line.split()
        if words[0] == "edges":
            edges += [(words[1], *pair.split(":")) for pair in words[2:]]
            continue
        function, begin, stride = words[:3]
        values = dict(zip(words[3:13:2], words[4:13:2], strict=True))
        counts = dict(pair.split(":") for pair in words[14:])
        same = int(counts.get("0", 0)) / int(values["count"])
        ranges[function, begin, stride] = [
            function, begin, stride, values["count"], values["min_ulp"], values["max_ulp"],
            f"{float(values['worst_abs']):.3g}", f"{same:.4f}",
        ]  # fmt: skip
    folder = Path(__file__).resolve().parent
    with (folder / f"mufu_{date}.csv").open("w", newline="") as file:
        print(note, file=file)
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *ranges.values()])
    with (folder / f"mufu_edges_{date}.csv").open("w", newline="") as file:
        print(note, file=file)
        csv.writer(file, lineterminator="\n").writerows([["function", "input", "output"], *edges])


if __name__ == "__main__":
    main()
