#!/usr/bin/env bash
# Runs a command again while it ends with 143: preempted, and saved.
#
#   bash launch/restart.sh RESTARTS ERROR_RESTARTS COMMAND [ARGUMENT...]
#
#   RESTARTS        how often after 143, at most
#   ERROR_RESTARTS  how often after another error, at most; never after 2,
#                   which is bad input and would only come again, nor after
#                   130, which is Ctrl-C
#
# Ends with the last code of COMMAND. SIGTERM to this script goes on to COMMAND,
# which saves; it is not run again then.
set -euo pipefail
child='' signals=0 # first: a run may be stopped as soon as it is started
trap 'signals=$((signals + 1))
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM INT
# Whoever started it may wait to hear that; see launch/worker.sh.
[ -z "${ACCFM_READY:-}" ] || echo > "$ACCFM_READY"
unset ACCFM_READY
# shellcheck source=launch/flags.sh
. "$(dirname "$0")/flags.sh"
if [ "${1:-}" = --help ]; then
  usage
  exit 0
fi
[ $# -ge 3 ] || fail "got $# arguments, want RESTARTS ERROR_RESTARTS COMMAND"
whole RESTARTS "$1"
whole ERROR_RESTARTS "$2"
restarts=$1 error_restarts=$2
shift 2

used=0 error_used=0
while true; do
  "$@" &
  child=$!
  [ "$signals" = 0 ] || kill -TERM "$child" 2>/dev/null || true
  while true; do # a signal ends `wait`, not what it waits for
    seen=$signals code=0
    wait "$child" || code=$?
    [ "$seen" != "$signals" ] || break
  done
  child=''
  if [ "$signals" -gt 0 ] || [ "$code" = 0 ] || [ "$code" = 2 ] ||
    [ "$code" = 130 ]; then
    break
  elif [ "$code" = 143 ] && [ "$used" -lt "$restarts" ]; then
    used=$((used + 1))
    echo "preempted and saved (143): restart $used of $restarts" >&2
  elif [ "$code" != 143 ] && [ "$error_used" -lt "$error_restarts" ]; then
    error_used=$((error_used + 1))
    echo "ended with $code: restart $error_used of $error_restarts" >&2
  else
    break
  fi
done
echo "ended with $code: no restart" >&2
exit "$code"
