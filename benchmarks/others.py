"""The interpreter that has other packages."""

import os
import subprocess

from accfm.base.errors import InputError

_LOOK = (
    "import importlib.util, sys\n"
    "print(' '.join(n for n in sys.argv[1:] "
    "if importlib.util.find_spec(n) is None))"
)


def check(python, packages):
  """Raises InputError unless an interpreter has packages.

  Args:
    python: path of the interpreter.
    packages: {name of the module: name of the package}.
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


def command(module, parser, args, names):
  """How a reader runs a benchmark with peers again.

  Args:
    module: name of the benchmark.
    parser, args: its argparse parser and what that read.
    names: of the arguments that are told where they are not the default.
  """
  words = [f"--{name}={getattr(args, name)}" for name in names
           if getattr(args, name) != parser.get_default(name)]
  given = [f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY",)
           if name in os.environ]
  return " ".join([*given, f"python -m benchmarks.{module}", *words,
                   "--peers_python=PYTHON"])
