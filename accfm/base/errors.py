"""The one error a user sees: what came, what was wanted, how to fix it."""

import sys
from collections.abc import Callable
from typing import Any

from absl import app, flags

LONGEST = 1000  # characters of a message


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  What it quotes may come from anywhere: signs that are not printable are
  escaped, and of a long message the middle is left out.
  """

  def __init__(self, message: str = ""):
    super().__init__(one_line(message))


def one_line(text: str, most: int = LONGEST) -> str:
  """A text as one printable line of at most so many characters."""
  if len(text) > most:
    head = most * 2 // 3
    text = f"{text[:head]} ... {text[len(text) - (most - head) + 5:]}"
  if text.isprintable():
    return text
  shown = "".join(
      sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text
  )
  return shown if len(shown) <= most else one_line(shown, most)


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
