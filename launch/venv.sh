# Sourced by launch/*.sh and check.sh from the repository root: leaves in
# $PYTHON an interpreter that has accfm and the exact versions of
# requirements.lock, in .venv. Needs Python 3.11 or newer, and pip.
#
# An interpreter of your own: ACCFM_PYTHON=/path/to/python (nothing is
# installed). The stamp is written last, so an interrupted set-up is redone.

_is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

_find_python() {
  local name
  for name in python3 python python3.11 python3.12 python3.13 python3.14; do
    if _is_new_enough "$name"; then
      echo "$name"
      return
    fi
  done
  echo "error: no Python 3.11 or newer on PATH (python3 is" \
    "$(python3 --version 2>&1 || true)); install one, or name one with" \
    "ACCFM_PYTHON=/path/to/python" >&2
  return 1
}

_set_up() {
  local stamp=.venv/accfm-stamp host wanted
  if [ -e .venv ] && ! _is_new_enough .venv/bin/python; then
    echo "error: .venv has no Python 3.11 or newer; remove it and run this" \
      "again" >&2
    return 1
  fi
  if [ ! -x .venv/bin/python ]; then
    host=$(_find_python)
    echo "Making .venv with $("$host" --version)"
    # Some systems ship venv without pip; theirs then installs from outside.
    "$host" -m venv .venv >/dev/null 2>&1 ||
      "$host" -m venv --without-pip .venv
  fi
  wanted=$(.venv/bin/python - <<'PY'
import hashlib, pathlib, sys
parts = [pathlib.Path(name).read_bytes()
         for name in ("requirements.lock", "setup.py", "pyproject.toml")]
parts += [sys.version.encode(), str(pathlib.Path.cwd()).encode()]
print(hashlib.sha256(b"\0".join(parts)).hexdigest())
PY
  )
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -f "$stamp"
  echo "Installing requirements.lock into .venv (up to two minutes) ..."
  _install_lock
  _pip install -qq --no-deps --no-build-isolation -e .
  echo "$wanted" > "$stamp"
}

# uv takes seconds where pip takes a minute; where it cannot install them (it
# reads no pip.conf, say), pip does.
_install_lock() {
  if _pip install -qq uv 2>/dev/null &&
    .venv/bin/python -m uv pip install --quiet \
      --python .venv/bin/python -r requirements.lock 2>/dev/null; then
    return
  fi
  _pip install -qq -r requirements.lock
}

_pip() {
  export PIP_DISABLE_PIP_VERSION_CHECK=1
  if .venv/bin/python -m pip --version >/dev/null 2>&1; then
    .venv/bin/python -m pip "$@"
  else
    "$(_find_python)" -m pip --python .venv/bin/python "$@"
  fi
}

# shellcheck disable=SC2034  # for the script that sources this
if [ -n "${ACCFM_PYTHON:-}" ]; then
  PYTHON=$ACCFM_PYTHON
else
  _set_up
  PYTHON=$PWD/.venv/bin/python
fi
