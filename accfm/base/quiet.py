"""What a main keeps the libraries below it from printing.

Orbax narrates every save, and reports again, with tracebacks, errors that
accfm reports in one line. A main owns its process and calls `quiet_libraries`
once as it starts. Nothing else does: who imports accfm or loads a model keeps
their own logging, warnings and hooks.
"""

import functools
import logging
import os
import sys
import traceback
import warnings

from absl import logging as absl_logging

_ORBAX = f"{os.sep}orbax{os.sep}checkpoint{os.sep}"  # part of its files' paths


def quiet_libraries() -> None:
  """Silences what repeats our own messages, for the rest of this process."""
  absl_logging.set_verbosity(absl_logging.WARNING)
  logging.getLogger("absl").addFilter(_not_by_orbax)
  logging.getLogger("asyncio").addFilter(_not_about_orbax)
  # Writes that a failed save never began.
  warnings.filterwarnings("ignore", "coroutine 'async_serialize")
  if getattr(sys.unraisablehook, "func", None) is not _report:
    sys.unraisablehook = functools.partial(_report, sys.unraisablehook)


def _not_by_orbax(record: logging.LogRecord) -> bool:
  return _ORBAX not in record.pathname


def _not_about_orbax(record: logging.LogRecord) -> bool:
  """Whether asyncio speaks of somebody else's task than Orbax's."""
  text = record.getMessage()
  if record.exc_info:  # a bare future names nobody, its traceback does
    text += "".join(traceback.format_exception(*record.exc_info))
  return _ORBAX not in text


def _report(hook, unraisable) -> None:
  """`sys.unraisablehook` without the threads that outlive a failed save.

  When one file of a checkpoint cannot be written, TensorStore's threads for
  the other files find Orbax's event loop closed, and each raises an error.
  """
  closed = str(unraisable.exc_value) == "Event loop is closed"
  if not (unraisable.exc_type is RuntimeError and closed):
    hook(unraisable)
