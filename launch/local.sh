#!/usr/bin/env bash
# Runs a main on this machine's CPU with N simulated devices:
#
#   bash launch/local.sh 8 distill --config=configs/acc_distill.py:tiny \
#     --workdir=runs/eight
#
# A run on 8 devices gives the losses of a run on 1, up to the order of sums.
set -euo pipefail
if [ $# -lt 2 ]; then
  echo "usage: bash launch/local.sh DEVICES MAIN [--config=... --workdir=...]"
  exit 2
fi
cd "$(dirname "$0")/.."
. launch/venv.sh

devices=$1
main=$2
shift 2
export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=$devices
exec "$PYTHON" -m "accfm.$main" "$@"
