"""Writes the request streams of dram_standard.yaml: python configs/sweep/make.py"""

from __future__ import annotations

import random
from pathlib import Path

HERE = Path(__file__).parent
REQUESTS = 3000
STEP = 32  # bytes
SPAN = 1 << 28  # bytes; fits one channel of every standard


def lines() -> dict[str, list[str]]:
    """Ramulator form, all at cycle 0: the channel is never idle.

    Steps of 32 bytes, the burst of most standards, so a stream leaves no burst out and uses both pseudo-channels of
    HBM. Where a burst is 64 bytes (DDR4, DDR5) a stream reads each one twice, which costs the bus what two bursts do.
    """
    rng = random.Random(2026)
    anywhere = [rng.randrange(SPAN // STEP) * STEP for _ in range(REQUESTS)]
    mixed = [f"0x{STEP * i:x} {'W' if rng.random() < 0.3 else 'R'}" for i in range(REQUESTS)]
    return {
        "stream_read": [f"0x{STEP * i:x} R" for i in range(REQUESTS)],
        "random_read": [f"0x{address:x} R" for address in anywhere],
        "mixed": mixed,
    }


if __name__ == "__main__":
    for name, content in lines().items():
        text = f"# {name}: {REQUESTS} requests, steps of {STEP} bytes, by make.py\n" + "\n".join(content) + "\n"
        (HERE / f"{name}.txt").write_text(text)
