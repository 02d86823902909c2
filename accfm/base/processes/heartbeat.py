"""What a training process says of its progress while it trains.

A process that lives and stands still (a read that never returns, a hung
device) stops all others in a collective, silently. So each says what it is
about to do, and how long that may take; process 0's desk (`cluster`) knows
that all do the same in the same order, names whoever is last when its time is
over, and ends the job with exit code 76.

A batch and a step may take `config.stall_seconds` each, by default 300. The
first steps compile, validation and saving are long: `LONG` times that.
"""

from accfm.base.errors import InputError
from accfm.base.processes import cluster

LONG = 6
FIRST_STEPS = 4  # the loop has read the metrics of the first step by then


def make_progress(stall_seconds):
  """`progress(doing, step, long=False)`, to be called before each thing.

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
  first = None

  def progress(doing, step, long=False):
    nonlocal first
    first = step if first is None else first
    long = long or step < first + FIRST_STEPS
    cluster.mark(
        f"{doing} step {step}", stall_seconds * (LONG if long else 1)
    )

  return progress
