#!/usr/bin/env bash
# From nothing to an accelerometer encoder that finds the right PPG minute:
# a simulated cohort, a PPG teacher, a student distilled from it, and what
# the student knows of people it never saw. At most 10 minutes on 2 cores
# after installation.
#
#   bash launch/quickstart.sh [WORKDIR]      (default: runs/quickstart)
#
# Run again, it goes on where it stopped. WORKDIR ends up with data/,
# teacher/, student/ and evaluation/ (metrics.json, report.html).
set -euo pipefail
mkdir -p "${1:-$(dirname "$0")/../runs/quickstart}"
work=$(cd "${1:-$(dirname "$0")/../runs/quickstart}" && pwd)
cd "$(dirname "$0")/.."
. launch/venv.sh
. launch/cores.sh

step() {
  echo
  echo "== $1"
}

step "1/4 the cohort: 240 simulated people, PPG and acceleration"
"$PYTHON" -m accfm.prepare \
  --config=prepare:simulated,difficulty=easy \
  --data_dir="$work/data"

step "2/4 the teacher: an encoder of PPG, taught by contrast"
"$PYTHON" -m accfm.pretrain \
  --config=ppg_contrastive:quickstart \
  --config.data_dir="$work/data" --workdir="$work/teacher"

step "3/4 the student: an encoder of acceleration, distilled"
"$PYTHON" -m accfm.distill \
  --config=acc_distill:quickstart \
  --config.data_dir="$work/data" --config.teacher="$work/teacher" \
  --workdir="$work/student"

step "4/4 people that neither has seen"
"$PYTHON" -m accfm.evaluate --config=evaluate \
  --checkpoint="$work/student" --workdir="$work/evaluation"

echo
echo "Open $work/evaluation/report.html"
