"""Reads of one line by several SMs: sectors that the SMs take and that reach L2. Writes $OUT/share.csv. Standard library only.

    python3 validation/hw/h100/measure_share.py     (needs nvcc and ncu)

Rows: name,variant,value,unit,repeat as in micro_*.csv; three rows a launch: asked for, taken by L1, read from L2.
"""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
METRICS = ("l1tex__m_xbar2l1tex_read_sectors.sum", "lts__t_sectors_srcunit_tex_op_read.sum")


def main() -> int:
    out = Path(os.environ.get("OUT", HERE / "new"))
    out.mkdir(parents=True, exist_ok=True)
    program = out / "chip.bin"
    source = HERE / "micro" / "chip.cu"
    subprocess.run(["nvcc", "-arch=sm_90", "-O3", "-std=c++17", "-o", str(program), str(source)], check=True)
    log = out / "share.ncu"
    command = ["ncu", "--clock-control", "none", "--cache-control", "none", "--csv", "--page", "raw", "--print-units", "base",
               "--kernel-name", "regex:share", "--metrics", ",".join(METRICS), "--log-file", str(log), str(program), "shares"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    print(done.stderr[-2000:])
    asked = [r for r in csv.reader(io.StringIO(done.stdout)) if len(r) == 5 and r[0] == "shared_reads"]
    text = log.read_text(errors="replace")
    lines = text[text.find('"ID"') :].splitlines()
    counted = [r for r in csv.DictReader(line for line in lines if line.startswith('"')) if r["ID"].isdigit()]
    print(f"{len(asked)} launches, {len(counted)} profiled")
    with open(out / "share.csv", "w", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["name", "variant", "value", "unit", "repeat"])
        for row, counters in zip(asked, counted, strict=True):
            writer.writerow(row)
            for metric in METRICS:
                writer.writerow([metric, row[1], counters[metric].replace(",", ""), "sectors", "0"])
    program.unlink()
    log.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
