#!/usr/bin/env bash
# Stress-Predict (35 people, Empatica E4): a PPG teacher and the student
# distilled from it, trained on 20 people and scored on 10 others, once per
# fold. Writes results/stress_predict_fold{1,2}.{md,json}. Six minutes a
# fold on 2 cores after installation.
#
#   bash launch/stress_predict.sh SOURCE_DIR [WORKDIR]
#                                       (default: runs/stress_predict)
#
# FOLDS="0 1 2 3" sets the folds, STEPS=300 the student's steps. Run again,
# it goes on where it stopped.
set -euo pipefail
source_dir=$(cd "${1:?folder of the E4 sessions}" && pwd)
mkdir -p "${2:-$(dirname "$0")/../runs/stress_predict}"
work=$(cd "${2:-$(dirname "$0")/../runs/stress_predict}" && pwd)
cd "$(dirname "$0")/.."
. launch/venv.sh
. launch/cores.sh

for fold in ${FOLDS:-1 2}; do
  name=stress_predict_fold$fold
  at=$work/$name
  fields=(--config.data_dir="$work/data" --config.dataset="$name")
  # A window every 20 s gives training more to see; evaluation keeps only
  # windows that do not overlap. E4's own beats label 1 window in 9; beats
  # found in the PPG and gated by quality label twice as many.
  "$PYTHON" -m accfm.prepare \
    --config="configs/prepare.py:e4,name=$name,fold=$fold,folds=4" \
    --config.hop_sec=20 --config.labels.beat_source=ppg_beats \
    --source_dir="$source_dir" --data_dir="$work/data"
  "$PYTHON" -m accfm.pretrain --config=configs/ppg_contrastive.py:laptop \
    "${fields[@]}" --config.total_steps=200 --workdir="$at/teacher"
  "$PYTHON" -m accfm.distill --config=configs/acc_distill.py:laptop \
    "${fields[@]}" --config.total_steps="${STEPS:-300}" \
    --config.teacher="$at/teacher" --workdir="$at/student"
  "$PYTHON" -m accfm.evaluate --config=configs/evaluate.py \
    --config.probe_folds=5 --checkpoint="$at/student" \
    --workdir="$at/evaluation"
  "$PYTHON" -m accfm.tabulate --out="results/$name" \
    --runs="distilled student=$at/evaluation"
done
