"""The one error a user sees: what came, what was wanted, how to fix it."""

import sys

from absl import app


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  """


def run_main(main, **kwargs):
  """Runs an absl `main`; an `InputError` ends it with one line and code 2."""

  def guarded(argv):
    try:
      return main(argv)
    except InputError as error:
      print(f"error: {error}", file=sys.stderr, flush=True)
      sys.exit(2)

  app.run(guarded, **kwargs)
