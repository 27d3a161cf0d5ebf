"""Which instructions cost the most, and why: issue slots by instruction (compiles the model once more)."""

# %% Run with counters by instruction
import archsim

with archsim.load_trace("bigcode_sm86") as trace:
    kernel = archsim.run(trace, archsim.load_config("rtx_a6000"), per_pc=True).kernels[0]
reasons = list(kernel.stalls)

# %% The ten most expensive instructions
cost = kernel.per_pc[:-1].sum(axis=1)
for number in cost.argsort()[::-1][:10]:
    line = kernel.listing[number]
    slots = dict(zip(reasons, kernel.per_pc[number].tolist(), strict=True))
    issued = slots.pop("issued")
    worst = max(slots, key=slots.get)
    share = 100 * cost[number] / kernel.issue_slots
    print(f"{share:5.2f} %  {issued:8,} issued  {worst:18} {line.address:#06x} {line.control}  {line.text}")

# %% It adds up
assert kernel.per_pc.sum() == kernel.issue_slots
