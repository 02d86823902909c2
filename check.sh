#!/usr/bin/env bash
# Checks everything: lint, types, the documentation's site, then the tests.
# Makes .venv when there is none.
#
#   bash check.sh           at most 8 minutes on 2 cores
#   bash check.sh --full    the slow tests too; writes results/check_full.txt.
#                           Adds libtpu to .venv, to compile for TPUs on a CPU
#
# ACCFM_REAL_DATA=DIR runs the tests on real recordings, from DIR's folders
# stress_predict/ and ieee_spc_2015/. Skipped tests are listed at the end.
# Further arguments go to pytest, e.g. `bash check.sh tests/base -x`; with a
# path among them only ruff and these tests run.
set -euo pipefail
cd "$(dirname "$0")"
. launch/venv.sh

if [ "${1:-}" = "--full" ]; then
  shift
  set -- --full --summary=results/check_full.txt "$@"
  if [ -z "${ACCFM_PYTHON:-}" ]; then
    _pip install -qq "jax[tpu]" || echo "No libtpu here: its tests are skipped"
  fi
fi

"$PYTHON" -m ruff check .
# Two workers, a file's tests on one of them. BLAS threads would only fight.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
case " $*" in
  *" tests"*) ;;
  *)
    site=$(mktemp -d)
    trap 'wait; rm -rf "$site"' EXIT
    NO_MKDOCS_2_WARNING=1 JAX_PLATFORMS=cpu "$PYTHON" -m mkdocs build \
      --quiet --strict --site-dir="$site" &
    "$PYTHON" -m basedpyright --level error --pythonpath "$PYTHON"
    wait "$!"
    ;;
esac
"$PYTHON" -m pytest --quiet -n 2 --dist loadfile "$@"
