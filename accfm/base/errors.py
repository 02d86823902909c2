"""The one error a user sees: what came, what was wanted, how to fix it."""

import sys

from absl import app, flags


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  """


def run_main(main):
  """Runs an absl `main`; bad input ends it with one line and exit code 2.

  Config files are read and overrides applied while flags are parsed, before
  `main`: what goes wrong there is a user's error too.
  """

  def parse(argv):
    try:
      return flags.FLAGS(argv)
    except InputError as error:
      _stop(error)
    except (
        flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError
    ) as error:
      cause = error
      while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
      text = error.args[0] if error.args else error
      _stop(cause or " ".join(str(text).split()))

  def guarded(argv):
    try:
      return main(argv)
    except InputError as error:
      _stop(error)

  app.run(guarded, flags_parser=parse)


def _stop(message):
  print(f"error: {message}", file=sys.stderr, flush=True)
  sys.exit(2)
