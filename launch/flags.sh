# Sourced by launch/*.sh that take flags: errors in one line, --help from the
# head of the script, commands that --dry_run prints instead of running.

fail() { # MESSAGE; code 2 as a main's own for bad input
  echo "error: $1" >&2
  exit 2
}

usage() { # the comment at the head of the script
  awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' \
    "$(dirname "${BASH_SOURCE[0]}")/$(basename "$0")"
}

need() { # FLAG VALUE WHAT-IT-IS
  [ -n "$2" ] || fail "--$1 is missing, want --$1=... ($3)"
}

whole() { # FLAG VALUE
  case $2 in
    '' | *[!0-9]*) fail "--$1: got '$2', want a whole number" ;;
  esac
}

unknown() { # ARGUMENT
  fail "got '$1', want the flags that --help lists"
}

known_main() { # NAME; from the root of the repository
  [ -n "${1:-}" ] || fail "got no main, want one such as distill"
  case $1 in
    *[!a-z_]*) ;;
    *) [ ! -f "accfm/$1.py" ] || return 0 ;;
  esac
  fail "main: got '$1', want one of accfm/*.py, such as distill"
}

quoted() { # the arguments as one line that bash reads back as they are
  local line
  printf -v line '%q ' "$@"
  printf '%s' "${line% }"
}

dry_run='' # the scripts set it
act() { # COMMAND [ARGUMENT...]
  if [ -n "$dry_run" ]; then
    quoted "$@"
    echo
  else
    "$@"
  fi
}
