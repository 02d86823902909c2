#!/usr/bin/env bash
# A main on the GPUs of a SLURM cluster: a batch script, so that sbatch's own
# flags say where and how long. From the root of the repository, on a file
# system that all nodes see:
#
#   sbatch --nodes=2 --gpus-per-node=8 --ntasks-per-node=8 --cpus-per-task=8 \
#     --time=24:00:00 launch/slurm.sh [FLAGS] MAIN [the main's flags]
#
# --ntasks-per-node is the GPUs of a node (one process for each) or 1 (one for
# all of them). All tasks see all GPUs of their node and jax gives each its
# own: do not add --gpus-per-task. FLAGS:
#
#   --restarts=20        how often the job is queued again after code 143
#                        (preempted and saved), at most; 0: never
#   --error_restarts=0   how often other errors start the main again on the
#                        same nodes, at most; never 2, bad input
#
# 120 s before the time limit, and when the job is preempted, SLURM sends
# SIGTERM to the main, which saves and ends with 143; then the job queues itself
# again and resumes. A job that somebody cancels stays cancelled. ACCFM_PYTHON
# names an interpreter other than .venv's; it needs jax for GPUs.
#
#SBATCH --job-name=accfm
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log
set -euo pipefail
if [ "${1:-}" = --help ]; then
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"
  exit 0
fi
if [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "error: got no SLURM job, want sbatch launch/slurm.sh MAIN ..." >&2
  exit 2
fi
# SLURM runs a copy of this script, from elsewhere.
cd "$SLURM_SUBMIT_DIR"
if [ ! -f launch/flags.sh ]; then
  echo "error: submitted from $SLURM_SUBMIT_DIR, want the repository's root" >&2
  exit 2
fi
. launch/flags.sh

restarts=20 error_restarts=0
while [ $# -gt 0 ]; do
  case $1 in
    --restarts=*) restarts=${1#*=} ;;
    --error_restarts=*) error_restarts=${1#*=} ;;
    -*) unknown "$1" ;;
    *) break ;;
  esac
  shift
done
whole restarts "$restarts"
whole error_restarts "$error_restarts"
known_main "${1:-}"

gpus=${SLURM_GPUS_ON_NODE:-0} tasks=${SLURM_NTASKS_PER_NODE:-1}
tasks=${tasks%%[!0-9]*}
if [ "$gpus" = 0 ]; then
  fail "got no GPUs, want sbatch --gpus-per-node=N"
elif [ "$tasks" = 1 ]; then
  # Without this jax gives a task the one GPU of its number on the node.
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((gpus - 1)))
  export JAX_LOCAL_DEVICE_IDS
elif [ "$tasks" != "$gpus" ]; then
  fail "--ntasks-per-node: got $tasks for $gpus GPUs on a node, want $gpus or 1"
fi
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then
  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK # srun does not inherit it
fi
export ACCFM_DISTRIBUTED=auto
. launch/venv.sh

# SLURM sends tasks their own SIGTERM; one that reached this script would end it,
# and srun, which would then kill what still saves.
trap '' TERM
used=0
while true; do
  # A task that ends early, as one that has saved does, leaves the others two
  # minutes to end; srun's code is the highest of all.
  code=0
  srun --ntasks-per-node="$tasks" --gpu-bind=none --kill-on-bad-exit=0 \
    --wait=120 --label "$PYTHON" -m "accfm.$1" "${@:2}" || code=$?
  case $code in
    0 | 2 | 143) break ;;
  esac
  [ "$used" -lt "$error_restarts" ] || break
  used=$((used + 1))
  echo "ended with $code: restart $used of $error_restarts" >&2
done

if [ "$code" = 143 ]; then
  state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T || true)
  if [ "$state" != RUNNING ]; then
    echo "preempted and saved; the job is ${state:-gone}: left to SLURM" >&2
  elif [ "${SLURM_RESTART_COUNT:-0}" -ge "$restarts" ]; then
    echo "preempted and saved; queued again $restarts times: no more" >&2
  else
    echo "preempted and saved: queued again" >&2
    scontrol requeue "$SLURM_JOB_ID"
  fi
fi
exit "$code"
