#!/usr/bin/env bash
# The controls of docs/controls.md as a table: identity alone (in closed form),
# encoders that were pre-trained apart and aligned afterwards beside a
# distilled student, and hand-made heart rates.
# Writes results/controls.{md,json,png}. About 10 minutes of one core.
#
#   bash launch/controls.sh [WORKDIR]         (default: runs/controls)
#
# Run again, it goes on where it stopped. STEPS=150 sets the steps of all runs.
# REAL="stress_predict=DIR tfg_e4=DIR" reads hand-made heart rates from Empatica
# E4 recordings, too: folders as docs/cohort.md says.
set -euo pipefail
mkdir -p "${1:-$(dirname "$0")/../runs/controls}"
work=$(cd "${1:-$(dirname "$0")/../runs/controls}" && pwd)
cd "$(dirname "$0")/.."
. launch/venv.sh
. launch/cores.sh
accfm() { "$PYTHON" -m "accfm.$1" "${@:2}"; }
fields=(--config.data_dir="$work/data" --config.dataset=simulated_easy
  --config.total_steps="${STEPS:-150}" --config.batch_size=64)

for name in easy realistic; do
  accfm prepare --data_dir="$work/data" \
    --config="prepare:simulated,difficulty=$name,participants=150,minutes=16"
done
sets=simulated_easy,simulated_realistic
for real in ${REAL:-}; do
  name=${real%%=*}
  accfm prepare --data_dir="$work/data" --config="prepare:e4,name=$name" \
    --source_dir="${real#*=}" --config.labels.beat_source=ppg_beats
  sets=$sets,$name
done
accfm pretrain --config=ppg_contrastive:quickstart "${fields[@]}" \
  --workdir="$work/ppg"
accfm pretrain --config=acc_contrastive:quickstart "${fields[@]}" \
  --workdir="$work/acc"
accfm distill --config=acc_distill:quickstart "${fields[@]}" \
  --config.teacher="$work/ppg" --workdir="$work/student"
for run in acc student; do
  accfm evaluate --config=evaluate --checkpoint="$work/$run" \
    --config.align_with="$work/ppg" --workdir="$work/$run/evaluation"
done
"$PYTHON" -m benchmarks.controls --workdir="$work" --datasets="$sets" \
  --out=results/controls
