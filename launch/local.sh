#!/usr/bin/env bash
# Runs a main on this machine's CPU with simulated devices, as one process or
# as several that find each other as the hosts of a pod do:
#
#   bash launch/local.sh 8 distill --config=acc_distill:tiny \
#     --workdir=runs/eight
#   bash launch/local.sh --processes=2 4 distill ...     two processes of four
#
# All give the losses of a run on one device, up to the order of sums. Of
# several processes each line begins with the process's number; SIGTERM and
# Ctrl-C go to all. When one has failed the others have STOP_SECONDS (90) to
# end by themselves, then they are killed. The exit code is that of the first
# that failed; nothing is left running.
set -euo pipefail
processes=1
case "${1:-}" in
  --processes=*) processes=${1#*=}; shift ;;
esac
if [ $# -lt 2 ] || ! [[ $processes =~ ^[1-9][0-9]*$ && $1 =~ ^[1-9][0-9]*$ ]]
then
  echo "usage: bash launch/local.sh [--processes=N] DEVICES_OF_EACH MAIN" \
    "[--config=... --workdir=...]" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
. launch/venv.sh

devices=$1
main=$2
shift 2
export JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=$devices
if [ "$processes" -eq 1 ]; then
  exec "$PYTHON" -m "accfm.$main" "$@"
fi

pids=()
to_all() {
  local pid
  for pid in ${pids[@]+"${pids[@]}"}; do
    kill "-$1" "$pid" 2>/dev/null || true
  done
}
trap 'to_all KILL' EXIT
trap 'to_all TERM' TERM HUP
trap 'to_all INT' INT

# A port that was free a moment ago.
port=$(((RANDOM % 20000) + 20000))
while (: < "/dev/tcp/localhost/$port") 2>/dev/null; do
  port=$((port + 1))
done
export PYTHONUNBUFFERED=1
set -m  # jobs in groups of their own: only what is sent on reaches them
for ((i = 0; i < processes; i++)); do
  ACCFM_DISTRIBUTED=localhost:$port/$processes/$i \
    "$PYTHON" -m "accfm.$main" "$@" \
    > >(sed -u "s/^/[$i] /") 2> >(sed -u "s/^/[$i] /" >&2) &
  pids+=($!)
done
set +m

code=0
running=$processes
deadline=
while [ "$running" -gt 0 ]; do
  running=0
  for i in "${!pids[@]}"; do
    if kill -0 "${pids[i]}" 2>/dev/null; then
      running=$((running + 1))
      continue
    fi
    ended=0
    wait "${pids[i]}" 2>/dev/null || ended=$?
    unset "pids[i]"
    if [ "$code" -eq 0 ] && [ "$ended" -ne 0 ]; then
      code=$ended
      deadline=$((SECONDS + ${STOP_SECONDS:-90}))
    fi
  done
  if [ -n "$deadline" ] && [ "$SECONDS" -ge "$deadline" ]; then
    to_all KILL
  fi
  if [ "$running" -gt 0 ]; then
    sleep 0.2 || true
  fi
done
exit "$code"
