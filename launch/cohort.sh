#!/usr/bin/env bash
# One cohort from recordings to a table: prepare, teacher, distilled student,
# evaluation on unseen people, results/NAME.{md,json}.
#
#   bash launch/cohort.sh NAME PREPARE_CONFIG SOURCE_DIR WORKDIR [FLAG...]
#
#   NAME            of the data set and of the table
#   PREPARE_CONFIG  e.g. prepare:e4; NAME becomes the name of its data set and
#                   of its cohort
#   FLAG...         for prepare, e.g. --config.hop_sec=20; folds of one cohort
#                   need one --config.cohort
#
# TEACHER_STEPS (200), STUDENT_STEPS (400), ENCODER (vit_laptop), BATCH (128),
# PROBE_FOLDS (5) and STUDENT_FLAGS (further flags of accfm.distill) are taken
# from the environment; with PREPARE_ONLY=1 it ends with the data set. Run
# again, it goes on where it stopped.
set -euo pipefail
name=${1:?name} config=${2:?prepare config}
source_dir=$(cd "${3:?folder of the recordings}" && pwd)
mkdir -p "${4:?workdir}"
work=$(cd "$4" && pwd)
cd "$(dirname "$0")/.."
. launch/venv.sh
. launch/cores.sh
at=$work/$name
recipe=laptop,encoder=${ENCODER:-vit_laptop}
fields=(--config.data_dir="$work/data" --config.dataset="$name"
  --config.batch_size="${BATCH:-128}")

"$PYTHON" -m accfm.prepare "--config=$config,name=$name" \
  "--config.cohort=$name" "${@:5}" \
  --source_dir="$source_dir" --data_dir="$work/data"
[ -z "${PREPARE_ONLY:-}" ] || exit 0
"$PYTHON" -m accfm.pretrain "--config=ppg_contrastive:$recipe,jitter" \
  "${fields[@]}" --config.total_steps="${TEACHER_STEPS:-200}" \
  --workdir="$at/teacher"
# shellcheck disable=SC2086  # several flags in one variable
"$PYTHON" -m accfm.distill "--config=acc_distill:$recipe" \
  "${fields[@]}" --config.total_steps="${STUDENT_STEPS:-400}" \
  --config.teacher="$at/teacher" ${STUDENT_FLAGS:-} --workdir="$at/student"
"$PYTHON" -m accfm.evaluate --config=evaluate \
  --config.probe_folds="${PROBE_FOLDS:-5}" --checkpoint="$at/student" \
  --workdir="$at/evaluation"
"$PYTHON" -m accfm.tabulate --out="results/$name" \
  --runs="distilled student=$at/evaluation"
