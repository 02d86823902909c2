#!/usr/bin/env bash
# One host's part of launch/tpu_vm.sh, which starts it on all of them: there
# the repository lies in ~/accfm, a run's log and process id in ~/accfm.run.
#
#   bash launch/worker.sh install              from ~/accfm.new, to ~/accfm
#   bash launch/worker.sh start RESTARTS ERROR_RESTARTS MAIN [FLAG...]
#   bash launch/worker.sh status | stop
#   bash launch/worker.sh tail LINES [-f]
#
# `install` makes .venv with jax for TPUs. `start` returns at once; it leaves
# alone a run that is alive. `stop` lets the run save.
set -euo pipefail
cd "$(dirname "$0")/.."
. launch/flags.sh
run=$HOME/accfm.run

alive() { # whether the run is; a process id may be another's after a reboot
  [ -f "$run/pid" ] && grep -qs launch/restart.sh \
    "/proc/$(cat "$run/pid")/cmdline"
}

install() {
  if alive; then
    fail "a run is alive on $(hostname): stop it, then install"
  fi
  if [ -e "$HOME/accfm/.venv" ]; then
    mv "$HOME/accfm/.venv" "$HOME/accfm.new/.venv"
  fi
  rm -rf "$HOME/accfm"
  mv "$HOME/accfm.new" "$HOME/accfm"
  cd "$HOME/accfm"
  # Images of TPU VMs bring an older Python than accfm wants.
  if [ -z "${ACCFM_PYTHON:-}" ] && [ ! -e .venv ] &&
    ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    python3 -m pip install -q --user uv
    python3 -m uv venv -q --seed --python 3.12 .venv
  fi
  . launch/venv.sh
  if [ -z "${ACCFM_PYTHON:-}" ]; then
    _pip install -qq -c requirements.lock --no-build-isolation -e ".[tpu]"
  fi
  "$PYTHON" -c 'import accfm.version as v; print("accfm", v.__version__)'
}

start() { # RESTARTS ERROR_RESTARTS MAIN [FLAG...]
  if alive; then
    echo "already running on $(hostname), process $(cat "$run/pid")"
    return
  fi
  known_main "${3:-}"
  local python=${ACCFM_PYTHON:-$PWD/.venv/bin/python}
  [ -x "$python" ] || fail "no $python on $(hostname): run install first"
  mkdir -p "$run"
  echo "== $(date -u +%FT%TZ) accfm.$3 $(quoted "${@:4}")" >> "$run/log.txt"
  # The run says through a pipe when it can be stopped in good order.
  local ready
  rm -f "$run/ready"
  mkfifo "$run/ready"
  exec {ready}<> "$run/ready"
  ACCFM_READY=$run/ready setsid nohup bash launch/restart.sh "$1" "$2" \
    "$python" -m "accfm.$3" "${@:4}" \
    < /dev/null >> "$run/log.txt" 2>&1 {ready}>&- &
  echo $! > "$run/pid"
  read -r -t 60 -u "$ready" _ || true # or it has ended by now, as its log says
  exec {ready}>&-
  rm -f "$run/ready"
  echo "started on $(hostname), process $!"
}

status() {
  if alive; then
    echo "$(hostname): running, process $(cat "$run/pid")"
  else
    echo "$(hostname): not running"
  fi
  tail -n 2 "$run/log.txt" 2>/dev/null || echo "no log"
}

stop() {
  if alive; then
    kill -TERM "$(cat "$run/pid")"
    echo "$(hostname): told to save and stop"
  else
    echo "$(hostname): not running"
  fi
}

case ${1:-} in
  install) install ;;
  start) start "${@:2}" ;;
  status) status ;;
  stop) stop ;;
  tail) tail -n "${@:2}" "$run/log.txt" ;;
  --help) usage ;;
  *) unknown "${1:-}" ;;
esac
