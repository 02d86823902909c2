"""What a training process reports of its progress.

A process that lives and stands still (a read that never returns, a hung
device) stops all others in a collective, without a message. So each reports
what it is about to do and how long that may take. Process 0's desk
(`cluster`) knows that all do the same things in the same order. When the time
of the last one is over, the desk names it and ends the job with exit code 76.

A batch and a step may take `config.stall_seconds` each, by default 300. The
first steps compile; they, validation and saving may take `LONG` times that.
"""

from collections.abc import Callable

from accfm.base.errors import InputError
from accfm.base.processes import cluster

LONG = 6
FIRST_STEPS = 4  # the loop has read the metrics of the first step by then


def make_progress(stall_seconds: float) -> Callable[..., None]:
  """`progress(doing, step, long=False)`, to be called before each action.

  Args:
    stall_seconds: 0 for no limit.

  Raises:
    InputError: a limit below 0.
  """
  if not 0 <= stall_seconds < float("inf"):
    raise InputError(
        f"stall_seconds: got {stall_seconds}, want 0 (no limit) or more; set "
        "--config.stall_seconds"
    )
  cluster.mark("opening the run", LONG * stall_seconds)
  first: int | None = None

  def progress(doing: str, step: int, long: bool = False) -> None:
    nonlocal first
    first = step if first is None else first
    long = long or step < first + FIRST_STEPS
    cluster.mark(
        f"{doing} step {step}", stall_seconds * (LONG if long else 1)
    )

  return progress
