"""Runs inside each command that chaos starts: signals and planted faults.

CHAOS_AT=3:SIGKILL:/checkpoints/4 sends the process that signal at its third
file event (a file opened, renamed, removed, ...) whose text matches the
pattern, in whichever thread. CHAOS_COUNT=FILE counts the events of the
pattern CHAOS_OF and writes their number to FILE at the end. CHAOS_PLANT names
a fault of `chaos_plants` to put into accfm as it is imported.
"""

import atexit
import itertools
import os
import re
import signal
import sys
import threading

EVENTS = ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir",
          "os.truncate", "shutil.rmtree")
SAYS = "chaos: sent "


def send(name):
  """Sends this process a signal, and says so where its lines go."""
  number = getattr(signal, name)
  if number == signal.SIGINT:  # Ctrl-C comes from outside, not from a file
    os.write(1, f"\n{SAYS}{name}\n".encode())
    threading.Thread(target=os.kill, args=(os.getpid(), number)).start()
  else:
    os.kill(os.getpid(), number)


def watch(pattern, found):
  """Calls `found(count)` at each file event that matches."""
  count = itertools.count(1)

  def hook(event, args):
    if event in EVENTS and re.search(pattern, f"{event} {args[0]}"):
      found(next(count))

  sys.addaudithook(hook)


def main():
  at = os.environ.pop("CHAOS_AT", "")  # worker processes do without it
  if at:
    number, name, pattern = at.split(":", 2)
    watch(pattern, lambda n: n == int(number) and send(name))
  path = os.environ.pop("CHAOS_COUNT", "")
  if path:
    last = [0]
    watch(os.environ["CHAOS_OF"], lambda n: last.__setitem__(0, n))

    def tell():
      with open(path, "w") as f:
        f.write(str(last[0]))

    atexit.register(tell)
  if os.environ.get("CHAOS_PLANT"):
    import chaos_plants  # beside this file, on PYTHONPATH
    chaos_plants.plant(os.environ["CHAOS_PLANT"])


main()
