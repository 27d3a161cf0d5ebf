"""A cached start imports only what it needs."""

from __future__ import annotations

import subprocess
import sys

RUN = """
import sys
from archsim.cli import main
assert main(["run", "saxpy_sm86", "--config", "rtx_a6000", "--set", "num_sms=2", "--json"]) == 0
print(*(name for name in {unwanted!r} if name in sys.modules), file=sys.stderr)
"""
COMPILER_ONLY = ("numba.np.linalg", "numba.np.arraymath", "numba.np.random.legacy", "numba.typed.typedlist")
NEVER_IN_A_RUN = ("scipy", "matplotlib", "pandas", "dask", "optuna", "plotly", "rich")


def test_a_cached_run_imports_no_compiler_and_no_plots() -> None:
    """Numba's implementations of NumPy are a fifth of the start, and only a compilation needs them."""
    code = RUN.format(unwanted=(*COMPILER_ONLY, *NEVER_IN_A_RUN))
    for _ in range(2):  # the first run may have to compile
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []


def test_help_imports_no_numpy() -> None:
    """``archsim --help`` reads the one-line helps from the sources."""
    code = "import sys; from archsim.cli import main; main(['--help']); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
