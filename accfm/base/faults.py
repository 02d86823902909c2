"""Named fault points, at which a test can kill or interrupt a process.

`ACCFM_FAULT=after_step:7` makes the process kill itself (SIGKILL, as an
out-of-memory killer would) when it reaches `point("after_step", 7)`. With
`after_step:7=SIGINT` it gets that signal instead, as by Ctrl-C, and
`=SIGINT,SIGINT` stands for two, after which it waits for its end. Without
the variable a point costs one dictionary look-up.
"""

import os
import re
import signal


def point(name: str, index: int | str) -> None:
  """Sends this process a signal if `$ACCFM_FAULT` names this point."""
  fault = os.environ.get("ACCFM_FAULT")
  if not fault:
    return
  found = re.fullmatch(r"(.*?)(?:=(SIG[A-Z]+(?:,SIG[A-Z]+)*))?", fault, re.S)
  if found and found[1] == f"{name}:{index}":
    numbers = (found[2] or "SIGKILL").split(",")
    for number in numbers:
      signal.raise_signal(signal.Signals[number])
    while len(numbers) > 1:
      signal.pause()
