"""The one error a user sees: what came, what was wanted, how to fix it."""

import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  """


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
