"""Why is a kernel off? Counters and stall reasons of both sides, and the largest disagreement by name."""

from __future__ import annotations

from archsim.validate.comparison import Kernel
from archsim.validate.quantities import QUANTITIES, STALLS, measured_stalls, simulated_stalls
from archsim.validate.tables import columns, number, percent

#: Reasons are read against this mix of causes when one of them is lost or gained.
_MEANING = {
    "long_scoreboard": "time in global memory (latency, bandwidth, hit rates)",
    "lg_throttle": "room in the queue of local and global accesses",
    "mio_throttle": "room in the queue of shared memory, shuffles and special registers",
    "short_scoreboard": "time in shared memory, special functions, shuffles",
    "no_instruction": "instruction fetch",
    "imc_miss": "constant cache misses",
    "barrier": "waiting for other warps of the block",
    "membar": "memory fences",
    "wait": "fixed latencies",
    "math_pipe_throttle": "issue rates of the execution units",
    "dispatch_stall": "the dispatch stage",
    "branch_resolve": "taken branches",
    "drain": "stores on their way when a warp ends",
    "sleeping": "NANOSLEEP",
}


def explain(kernel: Kernel) -> str:
    """The page that `archsim validate --explain KERNEL` prints."""
    lines = [f"{kernel.name}: simulated against measured", ""]
    rows, scores = [], []
    for quantity in QUANTITIES.values():
        pair, error = kernel.pair(quantity), kernel.error(quantity)
        if pair is None or quantity.name == "stall mix":
            continue
        points = quantity.kind == "points"
        if error is None:
            text = "not on the card"
        else:
            text = f"{100 * error:+.1f} pts" if points else percent(error, 1, True)
            if quantity.name not in ("cycles", "elapsed"):
                scores.append((abs(error) / (quantity.limit or 0.1), quantity.name, pair, text))
        shown = [percent(v) if points else number(v) for v in pair]
        rows.append([quantity.name, *shown, text])
    lines.append(columns(rows, ("counter", "simulated", "card", "error")))
    ours, theirs = simulated_stalls(kernel.simulated_stalls), measured_stalls(kernel.measured)
    stalls = sorted(STALLS, key=lambda r: -max(ours.get(r, 0.0), theirs.get(r, 0.0)))
    shares = [[r, percent(ours.get(r)), percent(theirs.get(r)), f"{100 * (ours.get(r, 0) - theirs.get(r, 0)):+.1f} pts"]
              for r in stalls if max(ours.get(r, 0.0), theirs.get(r, 0.0)) >= 0.005]  # fmt: skip
    if ours and theirs:
        lines += ["", columns(shares, ("stall reason", "simulated", "card", "difference"))]
        lines.append("(simulated: lost issue slots; card: warp states. A slot has one reason, a cycle has many warps.)")
    lines += ["", *_verdict(kernel, ours, theirs, scores)]
    return "\n".join(lines)


def _verdict(
    kernel: Kernel,
    ours: dict[str, float],
    theirs: dict[str, float],
    scores: list[tuple[float, str, tuple[float, float], str]],
) -> list[str]:
    found = []
    cycles = kernel.error(QUANTITIES["cycles"])
    if cycles is not None:
        found.append(f"cycles: {percent(cycles, 1, True)}; launches on the card scatter by {percent(kernel.spread)}")
    wrong = [s for s in scores if s[0] > 1]
    if wrong:
        _, name, pair, text = max(wrong)
        found.append(f"largest disagreement of a counter: {name}: {number(pair[0])}, card {number(pair[1])} ({text})")
    else:
        found.append("no counter is out of its tolerance: the work is the same, the time of it differs")
    if ours and theirs:
        reason = max(STALLS, key=lambda r: abs(ours.get(r, 0.0) - theirs.get(r, 0.0)))
        more = "more" if ours.get(reason, 0.0) > theirs.get(reason, 0.0) else "less"
        found.append(
            f"largest disagreement of a stall: {reason} {percent(ours.get(reason, 0.0))}, card "
            f"{percent(theirs.get(reason, 0.0))}: the model spends {more} on {_MEANING[reason]}"
        )
    return found
