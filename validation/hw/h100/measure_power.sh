#!/usr/bin/env bash
# Steady-state power of the suite's kernels and of micro-kernels on the H100 of this machine, from the board's energy
# counter. Run from the repository root: bash validation/hw/h100/measure_power.sh --out FOLDER
# Needs nvcc, python3 and the driver; takes about six minutes; changes no clock or other setting.
set -euo pipefail
export PATH="/usr/local/cuda/bin:$PATH"
export LD_LIBRARY_PATH="/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec python3 validation/hw/h100/measure_power.py "$@"
