"""One kernel on several machines, with one parameter changed: a table, and a picture of the stall reasons."""

# %% The machines
import archsim

TRACE = "gemm_tiled_sm86"
machines = {
    "rtx_3070": archsim.load_config("rtx_3070"),
    "rtx_a6000": archsim.load_config("rtx_a6000"),
    "rtx_a6000, half the L2": archsim.load_config("rtx_a6000", overrides=["l2.bytes=3145728"]),
}

# %% Run
kernels = {}
with archsim.load_trace(TRACE) as trace:
    for name, config in machines.items():
        kernels[name] = archsim.run(trace, config).kernels[0]
base = kernels["rtx_a6000"].cycles
for name, kernel in kernels.items():
    print(f"{name:24} {kernel.cycles:10,} cycles  {base / kernel.cycles:5.2f} x  IPC of an SM {kernel.ipc:.2f}")

# %% Picture
from matplotlib.figure import Figure  # noqa: E402 - needs archsim[report]

from archsim.view.page import COLOURS  # noqa: E402

figure = Figure(figsize=(8, 3), layout="constrained")
axes = figure.subplots()
left = dict.fromkeys(kernels, 0.0)
for reason, colour in COLOURS.items():
    shares = {name: 100 * kernel.stalls[reason] / kernel.issue_slots for name, kernel in kernels.items()}
    if any(shares.values()):
        axes.barh(list(shares), list(shares.values()), left=list(left.values()), color=colour, label=reason)
        left = {name: left[name] + share for name, share in shares.items()}
axes.set_xlabel("% of issue slots")
figure.legend(loc="outside right upper", fontsize="small")
figure.savefig("compare_machines.png", dpi=100)
