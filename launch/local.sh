#!/usr/bin/env bash
# Runs a main on this machine's CPU with simulated devices, as one process or
# as several that find each other as hosts of a pod do:
#
#   bash launch/local.sh 8 distill --config=configs/acc_distill.py:tiny \
#     --workdir=runs/eight
#   bash launch/local.sh --processes=2 4 distill ...     two processes of four
#
# All give the losses of a run on one device, up to the order of sums. Of
# several processes each line of output begins with the process's number;
# SIGTERM and Ctrl-C go to all of them; when one has failed the others have
# STOP_SECONDS (default 90) to end by themselves, then they are killed; the
# exit code is that of the first that failed.
set -euo pipefail
processes=1
case "${1:-}" in
  --processes=*) processes=${1#*=}; shift ;;
esac
if [ $# -lt 2 ] || ! [[ $processes =~ ^[1-9][0-9]*$ && $1 =~ ^[1-9][0-9]*$ ]]
then
  echo "usage: bash launch/local.sh [--processes=N] DEVICES_OF_A_PROCESS MAIN" \
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

port=$("$PYTHON" -c "
import socket
with socket.create_server(('localhost', 0)) as s:
  print(s.getsockname()[1])")
pids=()
to_all() {
  kill "-$1" "${pids[@]}" 2>/dev/null || true
}
trap 'to_all KILL' EXIT  # nothing is left, however this ends
trap 'to_all TERM' TERM HUP
trap 'to_all INT' INT

for ((i = 0; i < processes; i++)); do
  # Ctrl-C reaches them by the trap alone: a job in the background ignores it.
  ACCFM_DISTRIBUTED=localhost:$port/$processes/$i \
    "$PYTHON" -u -c "
import signal, sys, runpy
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv[0] = 'accfm.$main'
runpy.run_module('accfm.$main', run_name='__main__', alter_sys=True)" "$@" \
    > >(trap '' INT TERM; sed -u "s/^/[$i] /") \
    2> >(trap '' INT TERM; sed -u "s/^/[$i] /" >&2) &
  pids+=($!)
done

# The first exit code that is not 0, then so long for the others.
code=0
left=("${pids[@]}")
deadline=
while [ ${#left[@]} -gt 0 ]; do
  still=()
  for pid in "${left[@]}"; do
    if kill -0 "$pid" 2>/dev/null; then
      still+=("$pid")
      continue
    fi
    ended=0
    wait "$pid" || ended=$?
    if [ "$code" -eq 0 ] && [ "$ended" -ne 0 ]; then
      code=$ended
      deadline=$((SECONDS + ${STOP_SECONDS:-90}))
    fi
  done
  left=(${still[@]+"${still[@]}"})
  if [ -n "$deadline" ] && [ "$SECONDS" -ge "$deadline" ]; then
    to_all KILL
  fi
  [ ${#left[@]} -eq 0 ] || sleep 0.2 &
  wait $! 2>/dev/null || true
done
exit "$code"
