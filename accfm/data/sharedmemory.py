"""Room for the batches of worker processes, in the shared memory of a machine.

A worker hands each batch over in shared memory, which on Linux is the file
system at /dev/shm. Containers often give it 64 MB. Where it is full, writing
to it kills a worker with a bus error, so its room is compared before a run
begins.
"""

import os
from collections.abc import Iterable

from accfm.base.errors import InputError
from accfm.signals.contract import Contract

FOLDER = "/dev/shm"
HELD = 3  # batches that the training itself holds at most


def batch_bytes(
    contract: Contract, signals: Iterable[str], rows: int
) -> int:
  """Bytes of a batch: int16 samples and a float32 scale for each channel."""
  return rows * sum(
      contract.signals[name].channels * (2 * contract.length(name) + 4)
      for name in signals
  )


def check(workers: int, prefetch: int, batch_bytes: int) -> None:
  """Raises InputError unless the batches that workers keep ready fit.

  Args:
    workers: processes that read; 0 for none, which need no room.
    prefetch: batches that each keeps ready.
    batch_bytes: of one batch of this process.
  """
  if not workers or not os.path.isdir(FOLDER):
    return
  # Each worker has `prefetch` batches in its queue and makes one more; as
  # many are taken from the queue by a thread that reads ahead in turn.
  count = workers * (2 * max(1, prefetch) + 2) + HELD
  needed = count * batch_bytes
  found = os.statvfs(FOLDER)
  free = found.f_bavail * found.f_frsize
  if not os.access(FOLDER, os.W_OK):
    free = 0
  if free >= needed:
    return
  raise InputError(
      f"workers: got {workers} with --config.prefetch={prefetch}, which keep "
      f"up to {count} batches of {_size(batch_bytes)}, {_size(needed)} in "
      f"all, in {FOLDER}, want that much free there, not {_size(free)}; set "
      "--config.workers=0 (threads need no such room), lower them or "
      f"--config.batch_size, or give {FOLDER} more (docker run "
      f"--shm-size={-(-needed // 2**20) + 1}m)"
  )


def _size(count: int) -> str:
  """Bytes for a message: "64.0 MiB"."""
  return f"{count / 2**20:,.1f} MiB"
