#!/usr/bin/env bash
# Measures the kernel suite on the H100 of this machine: checksums, cycles (caches flushed and kept), counters.
# Run from the repository root; writes CSV files to $OUT (default: validation/hw/h100/new). Needs nvcc, ncu, python3.
# Everything in one go may take longer than a nine-minute command; then split it (the built binaries are kept):
#   bash validation/hw/h100/measure_suite.sh --parts plain,flushed,kept --sizes small
#   bash validation/hw/h100/measure_suite.sh --parts counters --sizes small
#   bash validation/hw/h100/measure_suite.sh --sizes large --parts plain,flushed,kept     (and so on)
set -euo pipefail
export PATH="/usr/local/cuda/bin:$PATH"
export LD_LIBRARY_PATH="/usr/local/cuda/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec python3 validation/hw/h100/measure_suite.py --out "${OUT:-validation/hw/h100/new}" "$@"
