"""The one error a user sees: what came, what was wanted, how to fix it."""

import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags

from accfm.base.oneline import one_line


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  What it quotes may come from anywhere: signs that are not printable are
  escaped, and of a long message the middle is left out.
  """

  def __init__(self, message: str = ""):
    super().__init__(one_line(message))


def run_main(
    main: Callable[[list[str]], Any],
    parse: Callable[[list[str]], list[str]] | None = None,
) -> None:
  """Runs an absl `main`; bad input ends it with one line and exit code 2.

  Args:
    main: `main(argv)`.
    parse: `parse(argv) -> argv` without flags; by default absl's own.
  """
  app.run(_guarded(main), flags_parser=_guarded(parse or flags.FLAGS))


def _guarded(function):
  def guarded(argv):
    try:
      return function(argv)
    except InputError as error:
      print(f"error: {error}", file=sys.stderr, flush=True)
      sys.exit(2)

  return guarded
