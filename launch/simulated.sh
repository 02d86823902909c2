#!/usr/bin/env bash
# The simulated cohort, both difficulties: a PPG teacher, the student
# distilled from it, and the two encoders that see acceleration alone, at
# equal steps and batch. Writes results/simulated_{easy,realistic}.{md,json}.
# About 25 minutes on 2 cores after installation.
#
#   bash launch/simulated.sh [WORKDIR]      (default: runs/simulated)
#
# Run again, it goes on where it stopped. STEPS=200 sets the steps of all;
# DIFFICULTIES=realistic runs one of the two.
set -euo pipefail
mkdir -p "${1:-$(dirname "$0")/../runs/simulated}"
work=$(cd "${1:-$(dirname "$0")/../runs/simulated}" && pwd)
cd "$(dirname "$0")/.."
. launch/venv.sh
. launch/cores.sh
steps=${STEPS:-200}

for difficulty in ${DIFFICULTIES:-easy realistic}; do
  name=simulated_$difficulty
  at=$work/$difficulty
  fields=(--config.data_dir="$work/data" --config.dataset="$name"
    --config.total_steps="$steps")

  train() { # MAIN CONFIG RUN BASELINES [FLAG...]
    echo
    echo "== $difficulty: $3"
    "$PYTHON" -m "accfm.$1" --config="configs/$2.py:laptop" "${fields[@]}" \
      --workdir="$at/$3" "${@:5}"
    "$PYTHON" -m accfm.evaluate --config=evaluate \
      --config.handmade="$4" --config.untrained="$4" \
      --checkpoint="$at/$3" --workdir="$at/$3/evaluation"
  }

  "$PYTHON" -m accfm.prepare --data_dir="$work/data" --config="prepare:simulated,difficulty=$difficulty,participants=300,minutes=24"
  train pretrain ppg_contrastive teacher false
  train distill acc_distill distilled true --config.teacher="$at/teacher"
  train pretrain acc_contrastive acc_contrastive false
  train pretrain acc_mae acc_mae false
  "$PYTHON" -m accfm.tabulate --out="results/$name" --runs="$(printf '%s,' \
    "distilled student=$at/distilled/evaluation" \
    "Accel-CL=$at/acc_contrastive/evaluation" \
    "Accel-MAE=$at/acc_mae/evaluation" \
    "PPG teacher=$at/teacher/evaluation")"
done
