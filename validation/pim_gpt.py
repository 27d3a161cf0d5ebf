"""PIM-GPT beside what is published of it: every line of the comparison, for the eight models.

    python validation/pim_gpt.py [--tokens 1024] [--no-t4]

The second table is the GPU side, simulated too: pim/baseline_t4.py says what is in it and what is not.

Published numbers: shared reference/published/pim-gpt.csv (abstract, or second-hand as the table says). docs/pim-gpt.md
explains the model, validation/DEVIATIONS.md (PIMGPT-n) what differs.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from archsim.pim import list_models, load_model, load_system, run_model
from archsim.pim.bf16 import accuracy_report

sys.path.insert(0, str(Path(__file__).with_name("pim")))
import baseline_t4  # noqa: E402

COLUMNS = (
    "paper us", "bound us", "ratio", "overlap us", "gain", "hits", "moves", "with K, V", "ASIC", "100 MHz", "16 ch.",
    "mJ low", "mJ high", "W low", "W high",
)  # fmt: skip


def row(name: str, tokens: int) -> list[str]:
    """Run one model in all variants: the cells of its line."""
    model = load_model(name)
    paper = run_model(model, load_system(), tokens)
    overlap = run_model(model, load_system(), tokens, mode="overlap")
    slow = run_model(model, load_system(overrides=["asic.clock_mhz=100"]), tokens)
    wide = run_model(model, load_system(overrides=["memory.channels=16"]), tokens)
    s, t = paper.summary(), paper.seconds_per_token
    energy, watts = s["energy_joules_per_token"], s["watts"]
    return [
        f"{t * 1e6:.1f}", f"{paper.bound_ps * 1e-6 / tokens:.1f}", f"{paper.bound_ratio:.3f}",
        f"{overlap.seconds_per_token * 1e6:.1f}", f"{100 * (t / overlap.seconds_per_token - 1):.1f} %",
        f"{100 * paper.row_hit_rate:.2f} %", f"{paper.data_movement_reduction:.1f}",
        f"{paper.data_movement_reduction_with_kv:.1f}",
        f"{100 * paper.non_vmm_share:.2f} %", f"{100 * (1 - t / slow.seconds_per_token):.1f} %",
        f"{t / wide.seconds_per_token:.2f} x", f"{energy['low'] * 1e3:.2f}", f"{energy['high'] * 1e3:.2f}",
        f"{watts['low']:.1f}", f"{watts['high']:.1f}",
    ]  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--no-t4", action="store_true", help="leave the simulated GPU out (a minute less)")
    args = parser.parse_args()
    tokens = args.tokens
    models = [name for name in list_models() if name.startswith("gpt")]
    print(f"{tokens} tokens; bound: every MAC unit busy, tRCD + tRP a row, refresh\n")
    print(f"| model | {' | '.join(COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name in models:
        print(f"| {name} | {' | '.join(row(name, tokens))} |", flush=True)
    print("\npublished: hits about 98 %, moves 110 to 259, ASIC share of GPT3-XL 1.16 %, 100 MHz at most 20 %\n")
    if not args.no_t4:
        baseline_t4.table(models, tokens, "parametric", baseline_t4.LAUNCH_US)
    errors = accuracy_report(load_system().asic)
    print("largest errors of the ASIC's units: " + ", ".join(f"{k} {v:.4f}" for k, v in errors.items()))
    begin = time.process_time()
    run_model(load_model("gpt2-xl"), load_system(), tokens)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"gpt2-xl, {tokens} tokens: {time.process_time() - begin:.1f} s of CPU; at most {memory:.0f} MB in this process"
    )


if __name__ == "__main__":
    main()
