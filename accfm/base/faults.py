"""Named fault points, at which a test can kill a process.

`ACCFM_FAULT=after_step:7` makes the process kill itself (SIGKILL, as an
out-of-memory killer would) when it reaches `point("after_step", 7)`. Without
the variable a point costs one dictionary look-up.
"""

import os
import signal


def point(name: str, index: int | str) -> None:
  """Kills the process here if `$ACCFM_FAULT` is `name:index`."""
  if os.environ.get("ACCFM_FAULT") == f"{name}:{index}":
    os.kill(os.getpid(), signal.SIGKILL)
