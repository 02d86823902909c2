"""Kills a process at a file event: `ACCFM_KILL=3:/checkpoints/4`.

That is the third event (a file opened, renamed, removed, ...) whose text
matches the pattern, in whichever thread. `python -m tests.killer accfm.X ...`
runs a main so; with 0 for the number it lives and ends by saying how many
events there were.
"""

import atexit
import itertools
import os
import re
import runpy
import signal
import sys

EVENTS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
          "os.truncate", "shutil.rmtree")


def install():
  """Waits for the event of `$ACCFM_KILL`, if that is set."""
  number, _, pattern = os.environ.get("ACCFM_KILL", "").partition(":")
  if not number:
    return
  count = itertools.count(1)

  def hook(event, args):
    if event not in EVENTS or not re.search(pattern, f"{event} {args[0]}"):
      return
    if next(count) == int(number):
      os.kill(os.getpid(), signal.SIGKILL)

  sys.addaudithook(hook)
  if number == "0":
    atexit.register(lambda: print("events:", next(count) - 1))


if __name__ == "__main__":
  sys.argv = sys.argv[1:]
  install()
  runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
