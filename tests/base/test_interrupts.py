"""Ctrl-C and SIGTERM are noted, obeyed at safe points, and end in one line."""

import os
import signal
import subprocess
import sys

import pytest

from accfm.base import interrupts

START = """
import os, signal, sys, threading
from accfm.base import errors, interrupts
interrupts.install()

def end(main):
  errors.run_main(lambda _: main())
"""


def run(code, *command, **env):
  # Where the tests themselves run in a shell's background, Ctrl-C is ignored,
  # and children inherit that.
  if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  return subprocess.run(
      [sys.executable, *(command or ("-c", START + code))],
      capture_output=True, text=True, env={**os.environ, **env}, check=False,
      timeout=120,
  )


@pytest.mark.parametrize("name, code, line", [
    ("SIGINT", 130, "stopped by Ctrl-C; run the same command again to go on"),
    ("SIGTERM", 143, "stopped by SIGTERM; run the same command again to go on"),
])
def test_a_signal_waits_for_a_safe_point(name, code, line):
  done = run(
      "def main():\n"
      f"  signal.raise_signal(signal.{name})\n"
      "  print('work', interrupts.given() > 0)\n"
      "  interrupts.check()\n"
      "  print('never')\n"
      "end(main)\n"
  )
  assert (done.returncode, done.stdout, done.stderr) == (
      code, "work True\n", line + "\n"
  )


def test_a_wait_ends_at_once():
  done = run(
      "class Late(threading.Thread):\n"
      "  def run(self): os.kill(os.getpid(), signal.SIGINT)\n"
      "def main():\n"
      "  Late().start()\n"
      "  interrupts.wait(1e6)\n"
      "end(main)\n"
  )
  assert done.returncode == 130 and done.stderr.count("\n") == 1


def test_a_second_ctrl_c_needs_no_safe_point():
  """The main thread is in C and runs no Python, as while it compiles."""
  done = run(
      "read, write = os.pipe()\n"
      "def main():\n"
      "  signal.raise_signal(signal.SIGINT)\n"
      "  signal.raise_signal(signal.SIGINT)\n"
      "  os.read(read, 1)\n"  # for ever
      "end(main)\n"
  )
  assert (done.returncode, done.stderr) == (
      130, "stopped at once by a second Ctrl-C\n"
  )


def test_sigterm_after_ctrl_c_or_twice_lets_it_finish():
  done = run(
      "def main():\n"
      "  for name in ('SIGINT', 'SIGTERM', 'SIGTERM'):\n"
      "    signal.raise_signal(signal.Signals[name])\n"
      "  print('saved')\n"
      "  interrupts.check()\n"
      "end(main)\n"
  )
  assert (done.returncode, done.stdout) == (130, "saved\n")


def test_not_swallowed_by_code_that_runs_while_collecting_garbage():
  done = run(
      "import gc\n"
      "def swallow(phase, info):\n"
      "  if phase == 'start': signal.raise_signal(signal.SIGINT)\n"
      "def main():\n"
      "  gc.callbacks.append(swallow)\n"
      "  gc.collect()\n"
      "  gc.callbacks.clear()\n"
      "  interrupts.check()\n"
      "end(main)\n"
  )
  assert done.returncode == 130 and done.stderr.startswith("stopped by Ctrl-C")


def test_a_forked_child_does_not_speak_for_its_parent():
  done = run(
      "def main():\n"
      "  child = os.fork()\n"
      "  if not child:\n"
      "    signal.raise_signal(signal.SIGINT)\n"
      "    os._exit(7)\n"
      "  print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
      "  signal.raise_signal(signal.SIGINT)\n"
      "  interrupts.check()\n"
      "end(main)\n"
  )
  assert (done.returncode, done.stdout) == (130, "7\n")
  assert "stopped by Ctrl-C;" in done.stderr


def test_children_do_not_get_ctrl_c():
  done = run(
      "import multiprocessing\n"
      "def mask():\n"
      "  child = multiprocessing.get_context('spawn').Process(\n"
      "      target=signal.pthread_sigmask, args=(0, ()))\n"
      "  child.start()\n"
      "  lines = open(f'/proc/{child.pid}/status').read().splitlines()\n"
      "  child.join()\n"
      "  blocked = next(x for x in lines if x.startswith('SigBlk'))\n"
      "  print(int(blocked.split()[1], 16) >> signal.SIGINT - 1 & 1)\n"
      "with interrupts.kept_from_children():\n"
      "  mask()\n"
      "mask()\n"
  )
  assert done.stdout == "1\n0\n", done.stderr


@pytest.mark.parametrize("program, ours", [
    (["python", "-m", "accfm.evaluate"], True),
    (["python", "-X", "dev", "-m", "accfm", "config"], True),
    (["python", "-m", "other"], False),
    (["python", "other.py"], False),
])
def test_while_a_main_imports_and_nowhere_else(program, ours):
  first = "-m" if "-m" in program else program[1]
  done = run("", "-c", (
      "import signal, sys\n"
      f"sys.orig_argv, sys.argv = {program}, [{first!r}]\n"
      "import accfm\n"
      "signal.raise_signal(signal.SIGINT)\n"
  ))
  assert done.returncode == (130 if ours else -signal.SIGINT)
  assert ("Traceback" in done.stderr) != ours
  assert not ours or done.stderr == "stopped by Ctrl-C\n"


def test_nothing_changes_for_who_uses_accfm_in_a_program():
  before = signal.getsignal(signal.SIGTERM)
  interrupts.check()
  with interrupts.noted(signal.SIGTERM):
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(interrupts.Interrupted):
      interrupts.check()
  interrupts.check()
  assert signal.getsignal(signal.SIGTERM) is before
  assert not interrupts.installed()


def test_what_a_shell_ignores_stays_ignored():
  done = run("", "-c", (
      "import signal\n"
      "signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + START +
      "signal.raise_signal(signal.SIGINT)\n"
      "interrupts.check()\n"
  ))
  assert (done.returncode, done.stderr) == (0, "")


def test_when_all_is_done_ctrl_c_changes_nothing():
  """Also after Python has given signals back their default action."""
  done = run(
      "import os\n"
      "class Late:\n"
      "  def __del__(self, kill=os.kill, me=os.getpid()):\n"
      "    kill(me, 2)\n"
      "late = Late()\n"
  )
  assert (done.returncode, done.stderr) == (0, "")
