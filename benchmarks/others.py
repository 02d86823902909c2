"""The Python interpreter that has the packages that accfm is compared with."""

import argparse
import subprocess
from collections.abc import Iterable, Mapping

from accfm.base.errors import InputError
from benchmarks import interleave

_LOOK = (
    "import importlib.util, sys\n"
    "print(' '.join(n for n in sys.argv[1:] "
    "if importlib.util.find_spec(n) is None))"
)


def check(python: str, packages: Mapping[str, str]) -> None:
  """Raises InputError unless an interpreter has packages.

  Args:
    python: path of the interpreter.
    packages: {name of a module: name of its package}.
  """
  want = ("want an interpreter with benchmarks/requirements.txt installed; "
          "set --peers_python")
  try:
    done = subprocess.run(
        [python, "-c", _LOOK, *packages], capture_output=True, text=True,
        check=True,
    )
  except (OSError, subprocess.CalledProcessError) as error:
    raise InputError(
        f"peers_python: got {python}, which cannot be run ({error}), {want}"
    ) from error
  missing = [packages[name] for name in done.stdout.split()]
  if missing:
    raise InputError(
        f"peers_python: got {python} without {', '.join(missing)}, {want}"
    )


def command(
    parser: argparse.ArgumentParser, args: argparse.Namespace, module: str,
    names: Iterable[str],
) -> str:
  """`interleave.command` of a benchmark that runs other packages."""
  return " ".join([
      interleave.command(parser, args, module, names, ("OMP_WAIT_POLICY",)),
      "--peers_python=PYTHON",
  ])
