"""How every main starts: one description, one error line, one way to help.

A main's module ends with

  MAIN = mains.Main(__doc__, run, flags=(...))

  if __name__ == "__main__":
    MAIN.start()

so that `python -m accfm.NAME` and `accfm NAME` do the same.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags as absl_flags

from accfm.base import (
  commandline,
  errors,
  extras,
  faults,
  helptext,
  interrupts,
  plugins,
  quiet,
)
from accfm.base.commandline import Flag
from accfm.base.processes import cluster

__all__ = ["Flag", "Main"]


@dataclasses.dataclass(frozen=True)
class Main:
  """A command of accfm.

  Attributes:
    doc: docstring of its module; the first line tells it in the list of
      commands.
    run: `run(config, **flags)`; `command`, the arguments that led here, is
      among them where `tells_command` is set.
    flags: of the command, besides --config and --plugins.
    config: name of the config where --config is left out; "" if it must be
      given.
    usual: names of the configs that it takes, for --help.
    several: whether it may run as several processes (see
      `accfm.base.processes.cluster`).
    tells_command: see `run`.
    again: how to go on after Ctrl-C.
    short: a flag, and the config whose argument it gives: with ("source",
      "prepare"), --source=X is --config=prepare:X.
  """

  doc: str | None
  run: Callable
  flags: tuple[Flag, ...] = ()
  config: str = ""
  usual: tuple[str, ...] = ()
  several: bool = False
  tells_command: bool = False
  again: str = f"{errors.AGAIN} to go on"
  short: tuple[str, str] | None = None

  @property
  def summary(self) -> str:
    """One line: what it does."""
    return helptext.summary(self.doc)

  def parse(self, arguments: Sequence[str]) -> commandline.Parsed:
    """Reads and checks arguments; raises InputError."""
    return commandline.parse(
        [self._long(argument) for argument in arguments], self.flags,
        self.config, set(absl_flags.FLAGS),
    )

  def _long(self, argument):
    """An argument as it is without `short`."""
    name, config = self.short or ("", "")
    if name and argument.startswith(f"--{name}="):
      return f"--config={config}:{argument.partition('=')[2]}"
    return argument

  def start(
      self, arguments: Sequence[str] | None = None, program: str = ""
  ) -> None:
    """Runs the command and ends the process.

    Args:
      arguments: by default those of this process.
      program: how the command was started, for messages.
    """
    interrupts.install()
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    program = program or (
        f"python -m accfm.{pathlib.Path(sys.argv[0]).stem}"
    )
    parsed = []  # one, once `read` has run

    def read(argv):
      if commandline.wants_help(arguments):
        print(helptext.of_main(
            program, self.doc or "", self.flags, self.parse(arguments).place,
            self.usual,
        ), end="")
        sys.exit(0)
      if self.several:
        cluster.start()  # first, so that the others hear of what is wrong
      else:
        cluster.refuse(program)
      found = cluster.guarded(self.parse)(arguments)
      parsed.append(found)
      plugins.allow(found.plugins)
      absl_flags.FLAGS([argv[0], *found.rest])  # others want theirs parsed
      return argv[:1]

    def main(_):
      quiet.quiet_libraries()
      more = {"command": tuple(arguments)} if self.tells_command else {}
      faults.point("begin", 0)
      interrupts.check()
      with extras.explained(program), errors.of_system():
        self.run(parsed[0].config, **parsed[0].flags, **more)

    errors.run_main(cluster.guarded(main, last=True), read, self.again)
