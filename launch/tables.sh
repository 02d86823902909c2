#!/usr/bin/env bash
# The tables of results/ that rest on training or evaluation, made anew by
# name, one after another. Without a name: lists them, each with its commands
# and about how long it takes on 2 idle cores.
#
#   bash launch/tables.sh [FLAG...] [NAME...]      (NAME: a table, or `all`)
#
#   --work=DIR            data sets, runs and notes of what is done
#                         (default: runs/tables)
#   --stress_predict=DIR  recordings of Stress-Predict
#   --ieee_spc=DIR        recordings of the IEEE SPC 2015
#   --evaluate_again      studies and ablations: evaluate anew, without
#                         training; where that was stopped, go on without this
#   --dry_run             print the commands, run nothing
#
# Run again with the same --work, it goes on where it stopped, days later too:
# tables that are done are left, and so are the runs of a table that is not.
# WORK/done/NAME says that a table is done; without this file it is made again
# from the runs that are there, and in another --work from nothing.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
. launch/flags.sh

NAMES=(quickstart simulated_easy simulated_realistic study_easy
  study_realistic ablations_easy ablations_realistic stress_predict_fold1
  stress_predict_fold2 stress_predict_fold3 study_stress_predict ieee_spc
  controls coverage)

minutes() { # NAME, on 2 idle x86 cores
  case $1 in
    quickstart) echo 10 ;;
    simulated_*) echo 15 ;;
    study_easy) echo 150 ;;
    study_realistic) echo 320 ;;
    ablations_easy) echo 100 ;;
    ablations_realistic) echo 90 ;;
    study_stress_predict) echo 40 ;;
    stress_predict_*) echo 15 ;;
    ieee_spc) echo 10 ;;
    controls) echo 10 ;;
    coverage) echo 4 ;;
  esac
}

# --- what makes each table ---------------------------------------------------

make_table() { # NAME
  local difficulty=${1#*_}
  case $1 in
    quickstart)
      act bash launch/quickstart.sh "$work/quickstart"
      act "$PYTHON" -m accfm.tabulate --out="results/$1" \
        --runs="distilled student=$work/quickstart/evaluation"
      ;;
    simulated_*)
      act env DIFFICULTIES="$difficulty" bash launch/simulated.sh \
        "$work/simulated"
      ;;
    study_easy) study study:small easy 300 400 ;;
    study_realistic) study study:small realistic 1000 600 ;;
    ablations_easy) study ablations:easy easy 300 300 ;;
    ablations_realistic) study ablations:realistic realistic 1000 600 ;;
    stress_predict_fold*)
      act env FOLDS="${1##*fold}" bash launch/stress_predict.sh \
        "$stress_predict" "$work/stress_predict"
      ;;
    study_stress_predict) study_stress_predict ;;
    ieee_spc)
      act env ENCODER=vit_local TEACHER_STEPS=60 STUDENT_STEPS=100 BATCH=64 \
        bash launch/cohort.sh ieee_spc prepare:ieee_spc "$ieee_spc" \
        "$work/ieee_spc"
      ;;
    controls) act bash launch/controls.sh "$work/controls" ;;
    coverage) act "$PYTHON" -m benchmarks.coverage --out=results/coverage ;;
  esac
}

study() { # CONFIG DIFFICULTY PARTICIPANTS STEPS
  local name=${1%%:*}_$2
  act "$PYTHON" -m accfm.prepare --data_dir="$work/data" \
    --config="prepare:simulated,difficulty=$2,participants=$3,minutes=24"
  act "$PYTHON" -m accfm.study --config="$1" --config.data_dir="$work/data" \
    --config.datasets="('simulated_$2',)" --config.total_steps="$4" \
    --workdir="$work/$name" --out="results/$name" ${again[@]+"${again[@]}"}
}

study_stress_predict() { # fold 1, its teachers by contrast of segments
  local of=--config.runs part name order
  order="'teacher','distilled','accel_cl','accel_mae','supervised_10pct'"
  for name in 1 2 3 4; do # the other draws of 10 % of the people
    order+=",'supervised_10pct_draw$name'"
  done
  local flags=(
    --config="study:small,encoder=vit_local,positives=segment"
    --config.data_dir="$work/stress_predict/data"
    --config.datasets="('stress_predict_fold1',)"
    --config.order="($order,'supervised_100pct')"
    --config.evaluate.label_fractions="(0.1,1.0)" --config.total_steps=200
    "$of.distilled.config.teacher_mode=trained"
    "$of.distilled.config.head.hidden=128" "$of.distilled.config.head.out=480"
  )
  for part in teacher accel_cl; do
    for name in time_shift time_jitter; do
      flags+=("$of.$part.config.augment.$name.prob=1.0")
    done
  done
  for part in student teacher; do
    for name in cutout magnitude_warp; do
      flags+=("$of.distilled.config.augment.$part.$name.prob=0.0")
    done
  done
  act env FOLDS=1 PREPARE_ONLY=1 bash launch/stress_predict.sh \
    "$stress_predict" "$work/stress_predict"
  act "$PYTHON" -m accfm.study "${flags[@]}" \
    --workdir="$work/study_stress_predict" \
    --out=results/study_stress_predict ${again[@]+"${again[@]}"}
}

# --- arguments ---------------------------------------------------------------

known() { # NAME
  local name
  for name in "${NAMES[@]}"; do
    [ "$1" != "$name" ] || return 0
  done
  fail "got '$1', want one of ${NAMES[*]}, or all"
}

absolute() { # PATH, as seen from where this was called
  case $1 in
    /*) echo "$1" ;;
    *) echo "$here/$1" ;;
  esac
}

recordings() { # FLAG PATH
  [ -n "$2" ] || return 0
  local path
  path=$(absolute "$2")
  [ -d "$path" ] || [ -n "$dry_run" ] || fail "--$1: got '$2', want a folder"
  echo "$path"
}

work='' stress_predict='' ieee_spc='' again=() chosen=()
for argument in "$@"; do
  case $argument in
    --work=*) work=${argument#*=} ;;
    --stress_predict=*) stress_predict=${argument#*=} ;;
    --ieee_spc=*) ieee_spc=${argument#*=} ;;
    --evaluate_again) again=(--evaluate_again) ;;
    --dry_run) dry_run=yes ;;
    --help | -h)
      usage
      exit 0
      ;;
    -*) unknown "$argument" ;;
    all) chosen+=("${NAMES[@]}") ;;
    *)
      known "$argument"
      chosen+=("$argument")
      ;;
  esac
done
if [ ${#chosen[@]} = 0 ]; then
  dry_run=yes PYTHON=python work=${work:-runs/tables}
  stress_predict=${stress_predict:-STRESS_PREDICT_DIR}
  ieee_spc=${ieee_spc:-IEEE_SPC_DIR}
  for name in "${NAMES[@]}"; do
    echo "$name ($(minutes "$name") minutes)"
    make_table "$name" | sed 's/^/  /'
  done
  exit 0
fi
for name in "${chosen[@]}"; do # all of them, before hours of work
  case $name in
    *stress_predict*) need stress_predict "$stress_predict" recordings ;;
    ieee_spc) need ieee_spc "$ieee_spc" recordings ;;
  esac
done
work=${work:-$PWD/runs/tables}
work=$(absolute "$work")
stress_predict=$(recordings stress_predict "$stress_predict")
ieee_spc=$(recordings ieee_spc "$ieee_spc")
[ -n "$dry_run" ] || mkdir -p "$work/done"
if [ -n "$dry_run" ]; then
  PYTHON=${ACCFM_PYTHON:-python}
else
  . launch/venv.sh
  . launch/cores.sh
fi
for name in "${chosen[@]}"; do
  if [ -e "$work/done/$name" ] && [ ${#again[@]} = 0 ]; then
    echo "$name: done before; remove $work/done/$name to make it again"
    continue
  fi
  [ -n "$dry_run" ] || echo "== $name, about $(minutes "$name") minutes"
  make_table "$name"
  [ -n "$dry_run" ] || touch "$work/done/$name"
done
