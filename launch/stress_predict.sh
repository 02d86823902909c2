#!/usr/bin/env bash
# Stress-Predict (35 people, Empatica E4): trained on 20 people, scored on 10
# others, once per fold. Writes results/stress_predict_fold{1,2,3}.{md,json}.
#
#   bash launch/stress_predict.sh SOURCE_DIR [WORKDIR]
#                                       (default: runs/stress_predict)
#
# FOLDS="0 1 2 3" chooses folds; other settings as in launch/cohort.sh.
set -euo pipefail
source_dir=${1:?folder of the recordings}
# The E4's steps hide single beats: what the sensors share is movement over
# time, and this encoder keeps time second by second.
export ENCODER=vit_local
# A teacher that learnt from PPG alone keeps what beats look like; going on
# with the pairs, it learns what else the two sensors share. Cut-out and
# magnitude warp would hide or forge just that: when the wrist moved.
export STUDENT_FLAGS="--config.teacher_mode=trained
  --config.head.hidden=128 --config.head.out=480
  --config.augment.student.cutout.prob=0.0
  --config.augment.teacher.cutout.prob=0.0
  --config.augment.student.magnitude_warp.prob=0.0
  --config.augment.teacher.magnitude_warp.prob=0.0"
for fold in ${FOLDS:-1 2 3}; do
  name=stress_predict_fold$fold
  # A window every 20 s gives training more to see; evaluation keeps only
  # windows that do not overlap. E4's own beats label 1 window in 9; beats
  # found in the PPG and gated by quality label twice as many. All folds are
  # of one cohort: its ids decide who is tested in which fold.
  bash "$(dirname "$0")/cohort.sh" "$name" \
    "prepare:e4,fold=$fold,folds=4" "$source_dir" \
    "${2:-$(dirname "$0")/../runs/stress_predict}" \
    --config.hop_sec=20 --config.labels.beat_source=ppg_beats \
    --config.cohort=e4
done
