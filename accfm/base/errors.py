"""The one error a user sees: what came, what was wanted, how to fix it.

Exit codes of every main: 0 when it is done, 2 for bad input and for what the
system refuses (a full disk, a folder that may not be written), 130 after
Ctrl-C and 143 after SIGTERM, 1 for a bug, whose traceback is shown. Jobs of
several processes have more (`accfm.base.processes.cluster`).
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from absl import app, flags

from accfm.base import interrupts
from accfm.base.oneline import one_line

SHOW = "ACCFM_TRACEBACK"  # any text: show where the system refused something
AGAIN = "run the same command again"
FULL = (errno.ENOSPC, errno.EDQUOT)
# What the system says -> what to do about it.
_FIX = {
    **dict.fromkeys(FULL, f"free some space and {AGAIN}"),
    errno.EFBIG: f"allow larger files (ulimit -f) and {AGAIN}",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS),
        "choose another place, or a user who may",
    ),
    errno.EIO: f"look at the disk or the network's folder, and {AGAIN}",
    errno.ESTALE: f"look at the network's folder, and {AGAIN}",
    errno.ENAMETOOLONG: "choose shorter names",
    errno.ENOTDIR: "a part of this path is a file; choose another",
    errno.EISDIR: "this is a folder; choose another path",
    errno.ELOOP: "its links lead in a circle; choose another path",
    errno.ENOENT: "it was expected there; restore it or choose another path",
    errno.EEXIST: "it is in the way; remove it or choose another path",
    errno.EMFILE: f"allow more open files (ulimit -n) and {AGAIN}",
    errno.ENFILE: f"close other programs and {AGAIN}",
    errno.ENOMEM: f"free some memory and {AGAIN}",
}
# These are never a mistake of the code, whichever file they are about.
_OUTSIDE = (*FULL, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE)


class InputError(ValueError):
  """Bad input, found before any work starts.

  The message is one line that a user can act on: what was got, what was
  wanted and how to mend it. Mains print it alone, without a traceback.
  What it quotes may come from anywhere: signs that are not printable are
  escaped, and of a long message the middle is left out.
  """

  def __init__(self, message: str = ""):
    super().__init__(one_line(message))


def warn(text: str) -> None:
  """Prints a line of warning."""
  print(f"warning: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def of_system(where: str | os.PathLike = "") -> Iterator[None]:
  """Turns what the system refuses inside into one line.

  Args:
    where: what is written, for errors that name no file.

  Raises:
    InputError: for an OSError about a file, and for a full disk, also where
      a library tells it in words of its own. Other errors stay.
  """
  try:
    yield
  except (OSError, RuntimeError) as error:
    text = _explain(error, os.fspath(where))
    if not text:
      raise
    raise InputError(text) from error


def _explain(error: OSError | RuntimeError, where: str) -> str:
  """The line for an error of the system, "" for any other error."""
  number = getattr(error, "errno", None)
  if number is None:  # array_record tells it in a RuntimeError
    number = next((n for n in FULL if os.strerror(n) in str(error)), None)
  name = getattr(error, "filename", None)
  if number not in _FIX or name is None and number not in _OUTSIDE:
    return ""
  what = os.strerror(number)
  if number in FULL:
    what = "the disk is full" if number == errno.ENOSPC else what
  place = os.fsdecode(name) if isinstance(name, str | bytes) else where
  place = place or "a file"
  return f"{' '.join(place.split())}: {what}; {_FIX[number]}"


def run_main(
    main: Callable[[list[str]], Any],
    parse: Callable[[list[str]], list[str]] | None = None,
    again: str = f"{AGAIN} to go on",
) -> None:
  """Runs an absl `main`; bad input ends it with one line and exit code 2.

  Args:
    main: `main(argv)`.
    parse: `parse(argv) -> argv` without flags; by default absl's own.
    again: how to go on after Ctrl-C.
  """
  app.run(
      _guarded(main, again), flags_parser=_guarded(parse or flags.FLAGS, again)
  )


def _guarded(function, again):
  def guarded(argv):
    try:
      with of_system():
        return function(argv)
    except InputError as error:
      if os.environ.get(SHOW):
        traceback.print_exc()
      _end(f"error: {error}", 2)
    except KeyboardInterrupt as error:
      _end(interrupts.line(error, again), interrupts.code(error))

  return guarded


def _end(line, code):
  with contextlib.suppress(OSError):  # nobody reads, or the disk is full
    print(line, file=sys.stderr, flush=True)
  sys.exit(code)
