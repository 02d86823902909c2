"""The command `accfm`: every main as a sub-command.

  accfm                     the commands, a line each
  accfm COMMAND --help      its flags, and every field of its config
  accfm COMMAND [FLAG...]   the same as python -m accfm.COMMAND
  accfm config [NAME[:ARGUMENT]]
                            the configs, or one with every field
"""

import ast
import pathlib
import sys

from accfm.base import (
  configfiles,
  configlib,
  errors,
  extras,
  helptext,
  plugins,
)
from accfm.base.errors import InputError
from accfm.version import __version__

# In the order of a first use.
COMMANDS = (
    "prepare", "pretrain", "distill", "supervise", "evaluate", "study",
    "tabulate", "export", "embed", "collate", "plan",
)


def main(arguments: list[str] | None = None) -> None:
  """Runs one command; ends the process."""
  arguments = list(sys.argv[1:] if arguments is None else arguments)
  name, rest = (arguments or [""])[0], arguments[1:]
  try:
    if name in ("--help", "-h", "help"):
      print(overview(), end="")
    elif name == "--version":
      print(f"accfm {__version__}")
    elif name == "config":
      with errors.of_system():
        print(_config(rest))
    elif name in COMMANDS:
      with extras.explained(f"accfm {name}"):
        module = plugins.load_own(f"accfm.{name}")
      module.MAIN.start(rest, f"accfm {name}")
    elif not name:
      print(overview(), end="", file=sys.stderr)
      sys.exit(2)
    else:
      raise InputError(_unknown(name))
  except InputError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def overview() -> str:
  """The commands, a line each; none of them is imported."""
  lines = ["accfm: train and judge accelerometer foundation models.", ""]
  for name in COMMANDS:
    lines.append(f"  accfm {name:<10} {_summary(name)}")
  lines += [
      f"  accfm {'config':<10} a config with every field: accfm config NAME",
      "", "accfm COMMAND --help says its flags and the fields of its config.",
  ]
  return "\n".join(lines) + "\n"


def _summary(name: str) -> str:
  """The first line of a main's docstring, read without importing it."""
  path = pathlib.Path(__file__).with_name(f"{name}.py")
  return helptext.summary(ast.get_docstring(ast.parse(path.read_text())))


def _unknown(name: str) -> str:
  known = (*COMMANDS, "config")
  return (
      f"command: got {name!r}, want one of {', '.join(known)}"
      f"{configlib.nearest(name, known)}"
  )


def _config(rest: list[str]) -> str:
  if len(rest) > 1 or rest[:1] and rest[0].startswith("-"):
    raise InputError(f"accfm config: got {rest}, want one NAME[:ARGUMENT]")
  if not rest:
    return "\n".join(configfiles.names())
  return helptext.of_config(rest[0])


if __name__ == "__main__":
  main()
