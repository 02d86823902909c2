"""Batches: batch k is a pure function of (seed, k).

Each process reads its own rows of a batch by index. So neither a restart nor
another number of processes changes what a step sees, and the step's number is
all that a checkpoint has to keep.

Threads or worker processes read batches ahead. Threads share Python's lock,
which parsing holds for some 40 us of each record, so one process reads at most
25,000 segments a second on any number of cores. A host that needs more uses
`workers` processes: worker i makes the whole batches i, i + workers, ...
through grain. The rows of a batch depend on neither threads nor workers.
"""

import functools
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from accfm.base import interrupts, values
from accfm.base.errors import InputError
from accfm.data import damage, overlaps, sharedmemory
from accfm.data.draw import Draw

RULES = {
    "prefetch": values.COUNT, "workers": values.COUNT,
    "cache_mb": values.COUNT,
}
KILLED = "Worker process was terminated"  # in grain's message


def check(config: ConfigDict) -> None:
  """Raises InputError for fields of a config that are out of range."""
  values.check(config, RULES)
  if config.workers and config.cache_mb:
    raise InputError(
        f"workers: got {config.workers} with --config.cache_mb="
        f"{config.cache_mb}, want one of the two: each worker would hold its "
        "own copies of the same records; files that fit in memory stay in the "
        "system's page cache"
    )


def train_batches(
    split: Any, signals: Sequence[str], sampler: Callable[[int], Draw],
    start: int, local: slice = slice(None), prefetch: int = 2,
    workers: int = 0, extra: Callable[[np.ndarray], dict] | None = None,
) -> Generator[dict[str, Any], None, None]:
  """Batches start, start + 1, ... without end.

  Args:
    split: a `joined.Joined`.
    signals: names of the signals to read.
    sampler: `sampler(k) -> Draw` of the global batch.
    start: number k of the first batch.
    local: the slice of the global batch that this process reads.
    prefetch: batches read ahead, by as many threads; 0 reads on demand. With
      workers, the batches that each keeps ready.
    workers: number of processes that read; 0 for threads of this process.
      With workers, cloudpickle must be able to pickle `sampler` and `extra`.
    extra: `extra(rows [n]) -> {name: [n, ...]}`, added to the signals.

  Yields:
    As `make_batch`.

  Raises:
    InputError: as `make_batch`, or a worker was killed.
  """
  load = functools.partial(_load, split, signals, sampler, local, extra)
  numbers = grain.MapDataset.range(start, 2**31 - 1).map(load)
  if workers:
    _prepare_parent()
    read = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    rows = numbers.to_iter_dataset(read).mp_prefetch(
        grain.MultiprocessingOptions(workers, max(1, prefetch)), _begin
    )
  else:
    rows = numbers.to_iter_dataset(grain.ReadOptions(prefetch, prefetch))
  with interrupts.kept_from_children():
    rows = iter(rows)
  try:
    with interrupts.kept_from_children():
      first = next(rows, None)  # starts the workers
    for batch, damaged in itertools.chain(
        [] if first is None else [first], rows
    ):
      for row, text in damaged:  # found by a worker; this process counts
        split.ledger.add(damage.DamagedError(row, text))
      yield batch
  except RuntimeError as error:
    if KILLED not in str(error):
      raise
    interrupts.check()  # by the signal that this process got, too
    raise InputError(
        "workers: a process that reads batches was killed, perhaps for want "
        f"of memory or of room in {sharedmemory.FOLDER}; lower "
        "--config.workers or --config.prefetch and run the same command again"
    ) from error
  finally:
    rows.close()


def _load(split, signals, sampler, local, extra, k):
  """(batch k, [(row, text)] of the damaged rows to report)."""
  batch = make_batch(split, signals, sampler(k), local, extra)
  return batch, split.ledger.news()


def _prepare_parent():
  """Prepares this process for starting workers."""
  if not flags.FLAGS.is_parsed():  # without absl: grain reads flags of its own
    flags.FLAGS.mark_as_parsed()
  # Batches that workers have ready at the end are removed by multiprocessing's
  # tracker of shared memory, which warns about that.
  quiet = "ignore:resource_tracker:UserWarning"
  if quiet not in sys.warnoptions:
    sys.warnoptions.append(quiet)


def _begin(unused_number, unused_count):
  """The first thing that a worker does.

  A worker ends when its parent tells it to, or dies. It ignores the signals
  that a scheduler sends to all processes of a job: the parent needs batches
  until it has saved.
  """
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  process = multiprocessing.parent_process()
  assert process is not None
  parent = process.sentinel

  def watch():
    multiprocessing.connection.wait([parent])
    os._exit(1)

  threading.Thread(target=watch, name="parent", daemon=True).start()


def make_batch(
    split: Any, signals: Sequence[str], draw: Draw,
    local: slice = slice(None),
    extra: Callable[[np.ndarray], dict] | None = None,
) -> dict[str, Any]:
  """One batch of a Draw.

  Arguments as for `train_batches`.

  Returns:
    As `Split.read`, and "row" int32, the place of each row in the global
    batch; "cohort" int32 where the split joins several data sets; "span"
    where segments overlap, as `overlaps.spans`; "pair", the signals of the
    paired rows, where rows are paired; and what `extra` adds.

  Raises:
    InputError: a row is damaged and may not be replaced; see `damage`.
  """
  places = np.arange(len(draw.rows), dtype=np.int32)[local]
  rows = draw.rows[local]
  pairs = None if draw.pairs is None else draw.pairs[local]
  while True:
    try:
      batch = {**split.read(rows, signals), "row": places}
      if pairs is not None:
        batch["pair"] = split.read(pairs, signals)
      break
    except damage.DamagedError as error:
      split.ledger.add(error)  # raises unless it may be replaced
      rows, pairs = split.ledger.mend(
          draw, local, split.people_of, split.apart_of
      )
  if len(split.parts) > 1:
    batch["cohort"] = split.cohort(rows)
  spans = overlaps.spans(rows, split.parts, split.bounds)
  if spans is not None:
    batch["span"] = spans
  return {**batch, **(extra(rows) if extra else {})}
