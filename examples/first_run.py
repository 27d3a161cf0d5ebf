"""A kernel on a machine: cycles, and where every issue slot went. Writes first_run.png.

Cells are marked ``# %%``: VS Code, Spyder and Jupytext run them one by one; ``python examples/first_run.py`` runs all.
"""

# %% A shipped trace on a shipped machine
import archsim
from archsim.stats import derived_metrics

config = archsim.load_config("rtx_a6000")
with archsim.load_trace("spmv_csr_vector_sm86") as trace:
    result = archsim.run(trace, config, timeline_samples=128)
kernel = result.kernels[0]
print(f"{kernel.name}: {kernel.cycles:,} cycles, IPC of an SM {kernel.ipc:.2f}")

# %% Where the issue slots went: they add up to cycles x sub-cores
assert sum(kernel.stalls.values()) == kernel.issue_slots
for reason, slots in sorted(kernel.stalls.items(), key=lambda item: -item[1]):
    if slots:
        print(f"{reason:20} {100 * slots / kernel.issue_slots:6.2f} %")

# %% Ratios: hit rates, occupancy, bandwidth
for name, value in derived_metrics(kernel, config).items():
    if value is not None:
        print(f"{name:28} {value:10.4g}")

# %% The same over time, as a picture
from archsim.view.pictures import timeline_figure  # noqa: E402 - needs archsim[report]

timeline_figure(kernel, config.num_sms).savefig("first_run.png", dpi=100)
