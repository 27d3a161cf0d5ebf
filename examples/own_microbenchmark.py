"""A kernel written instruction by instruction: how many cycles does a dependent FFMA cost, and an independent one?

The answers are the model's `sm.units.fp32` latency and rate, measured the way one measures a real GPU: run a loop of N,
run a loop of 2N, divide the difference by the instructions added.
"""

# %% A loop of FFMA, one warp
import archsim
from archsim.testing import KernelBuilder

config = archsim.load_config("rtx_a6000", overrides=["num_sms=1", "sm.front_end.perfect_icache=true"])
UNROLL = 8


def cycles(rounds: int, stall: int) -> int:
    """Cycles of ``rounds`` x UNROLL FFMA with this stall count (the compiler's distance to the next instruction)."""
    k = KernelBuilder(arch=86, name="chain")
    with k.loop(rounds):
        for _ in range(UNROLL):
            k.add("FFMA R5, R2, R3, R5", stall=stall)
    return archsim.run(k.build(grid=1, block=32), config).kernels[0].cycles


# %% Differences, so that launch and drain cancel
def per_instruction(stall: int) -> float:
    """Cycles an FFMA, branch of the loop included (its cost is spread over UNROLL)."""
    return (cycles(40, stall) - cycles(20, stall)) / (20 * UNROLL)


dependent, independent = per_instruction(stall=4), per_instruction(stall=1)
print(f"dependent (stall 4): {dependent:.2f} cycles; independent (stall 1): {independent:.2f} cycles")
assert dependent > independent >= 1
