#!/usr/bin/env bash
# Builds and runs the micro-benchmarks on the H100 of this machine. Run from the repository root; writes $OUT/micro.csv and
# $OUT/micro.log (default: validation/hw/h100/new). Needs nvcc, nvidia-smi, ncu, python3 (standard library only). Never changes clocks.
set -euo pipefail
export PATH="/usr/local/cuda/bin:$PATH"
exec python3 "$(dirname "$0")/measure_micro.py" "$@"
