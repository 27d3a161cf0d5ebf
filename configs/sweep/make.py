"""Writes the request streams of dram_standard.yaml: python configs/sweep/make.py"""

from __future__ import annotations

import random
from pathlib import Path

HERE = Path(__file__).parent
REQUESTS = 3000
SPAN = 1 << 28  # bytes; fits one channel of every standard


def lines() -> dict[str, list[str]]:
    """Ramulator form, 64-byte aligned, all at cycle 0: the channel is never idle."""
    rng = random.Random(2026)
    anywhere = [rng.randrange(SPAN // 64) * 64 for _ in range(REQUESTS)]
    mixed = [f"0x{64 * i:x} {'W' if rng.random() < 0.3 else 'R'}" for i in range(REQUESTS)]
    return {
        "stream_read": [f"0x{64 * i:x} R" for i in range(REQUESTS)],
        "random_read": [f"0x{address:x} R" for address in anywhere],
        "mixed": mixed,
    }


if __name__ == "__main__":
    for name, content in lines().items():
        text = f"# {name}: {REQUESTS} requests of 64 bytes, by make.py\n" + "\n".join(content) + "\n"
        (HERE / f"{name}.txt").write_text(text)
