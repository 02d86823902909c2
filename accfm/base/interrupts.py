"""Ctrl-C and SIGTERM: noted when they come, obeyed at safe points.

An exception in the midst of anything is dangerous: a library may swallow it
(JAX runs Python as it collects garbage), and a compiler may crash. So a main
notes the signal alone and goes on to its next safe point, a call of `check`
or `wait`, where Interrupted is raised. Loops have such points: each recording,
batch, evaluator or look at a run. A second Ctrl-C ends the process at once,
also while it compiles: a thread waits for it.

Exit codes are those of a shell, 128 and the number of the signal: 130 for
Ctrl-C, 143 for SIGTERM. `begin` and `install` belong to mains, which own their
process. Where neither was called, both signals do what they did before.

Nothing here is slow to import, because a main begins with it.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

NAMES: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
LOOK_S = 0.5  # between two looks for a signal, where nothing else wakes
PATIENCE_S = 3.0  # until a person at a terminal is told how to end it at once

_given = 0  # the signal that came, 0 for none
_mode = ""  # "", "begun" or "installed"
_wake: tuple[int, int] | None = None  # pipe: numbers of signals that came


class Interrupted(KeyboardInterrupt):
  """A signal came, and this is a safe point; `number` is the signal's."""

  def __init__(self, number: int):
    super().__init__(f"stopped by {NAMES.get(number, number)}")
    self.number = number


def begin() -> None:
  """From here on a signal ends the process with one line.

  For the time in which a main imports what it needs: nothing is at stake yet.
  """
  _set("begun", _end_now)


def install() -> None:
  """From here on a signal is noted, and obeyed at the next safe point."""
  _set("installed", _note)


def _set(mode: str, handler) -> None:
  global _mode
  if threading.current_thread() is not threading.main_thread():
    return  # Python allows handlers in the main thread alone
  if mode == "installed" and _mode != mode:
    _start_watch()
  for number in NAMES:
    # What is ignored stays so, as for a shell's background commands.
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, handler)
  if not _mode:
    atexit.register(_end)
  _mode = mode


def _end() -> None:
  """At the very end Python gives signals back their default action.

  All is done by then, so Ctrl-C must not make it look like a failure.
  """
  signal.signal(signal.SIGINT, signal.SIG_IGN)


def installed() -> bool:
  """Whether a main has called `install`."""
  return _mode == "installed"


def given() -> int:
  """The signal that came, 0 for none."""
  return _given


def check() -> None:
  """A safe point: raises Interrupted if a signal came."""
  if _given:
    raise Interrupted(_given)


def wait(seconds: float) -> None:
  """Sleeps; a signal ends it with Interrupted."""
  check()
  if not installed():
    time.sleep(seconds)
    return
  _came.wait(seconds)
  check()


@contextlib.contextmanager
def noted(number: int) -> Iterator[None]:
  """Notes one signal inside, where no main has called `install`.

  For loops that others call. The signal is forgotten at the end.
  """
  global _given
  main = threading.current_thread() is threading.main_thread()
  if installed() or not main:
    yield
    return
  before = signal.signal(number, _note)
  try:
    yield
  finally:
    signal.signal(number, before)
    _given = 0


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
  """Processes that are started inside do not get Ctrl-C; their parent does.

  It blocks the signal, which a child inherits from its first moment. If the
  signal comes to this process meanwhile, another thread takes it, or it waits.
  """
  from multiprocessing import resource_tracker  # slow to import
  resource_tracker.ensure_running()  # as it starts it unblocks the signal
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def code(error: KeyboardInterrupt) -> int:
  """The exit code that an interruption ends a main with."""
  return 128 + getattr(error, "number", signal.SIGINT)


def line(error: KeyboardInterrupt, again: str) -> str:
  """What an interruption ends a main with; `again` says how to go on."""
  number = getattr(error, "number", signal.SIGINT)
  return f"stopped by {NAMES.get(number, number)}; {again}"


# --- how signals arrive ------------------------------------------------------

_came = threading.Event()


def _note(number: int, unused_frame) -> None:
  """Python calls it in the main thread, between two of its instructions."""
  global _given
  _given = _given or number


def _end_now(number: int, unused_frame=None) -> NoReturn:
  os.write(2, f"stopped by {NAMES[number]}\n".encode())
  os._exit(128 + number)


def _start_watch() -> None:
  """A thread that hears of signals even while the main thread is in C."""
  global _wake
  _wake = os.pipe()
  for end in _wake:
    os.set_blocking(end, end == _wake[0])
  signal.set_wakeup_fd(_wake[1], warn_on_full_buffer=False)
  threading.Thread(
      target=_watch, args=(_wake[0],), name="signals", daemon=True
  ).start()
  os.register_at_fork(after_in_child=_leave_parent)


def _watch(pipe: int) -> None:
  presses = 0
  while True:
    for number in os.read(pipe, 64):
      if number not in NAMES:
        continue
      _note(number, None)
      _came.set()
      presses += number == signal.SIGINT
      if presses > 1:
        os.write(2, b"stopped at once by a second Ctrl-C\n")
        os._exit(128 + signal.SIGINT)
      if presses and sys.stderr.isatty():
        threading.Timer(PATIENCE_S, _explain).start()


def _explain() -> None:
  os.write(2, b"Ctrl-C: stops at the next safe point; press it again to stop "
              b"at once\n")


def _leave_parent() -> None:
  """A forked child must not report its signals through the parent's pipe."""
  signal.set_wakeup_fd(-1)
