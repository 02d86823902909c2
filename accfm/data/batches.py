"""Batches: number k is a pure function of (seed, k).

Each process reads its own rows of a batch by index, so neither a restart nor
another number of processes changes what a step sees, and the step is all
that a checkpoint has to remember.

Batches are read ahead by threads, or by processes of their own.
Threads share Python's lock, which parsing holds for some 40 us of each
record, so one process reads at most 25,000 segments a second however many
cores it has. A host that has to feed more lets `workers` processes read:
worker i makes batches i, i + workers, ... whole, through grain, so which rows
a batch holds depends on neither threads nor workers.
"""

import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading

import grain
import numpy as np
from absl import flags

from accfm.base.errors import InputError
from accfm.data import damage

KILLED = "Worker process was terminated"  # grain's words


def check(config):
  """Raises InputError for fields of a config that cannot be."""
  for name in ("prefetch", "workers"):
    if config[name] < 0:
      raise InputError(
          f"{name}: got {config[name]}, want 0 or more; set --config.{name}"
      )
  if config.workers and config.cache_mb:
    raise InputError(
        f"workers: got {config.workers} with --config.cache_mb="
        f"{config.cache_mb}, want one of the two: each worker would hold its "
        "own copies of the same records; files that fit in memory stay in the "
        "system's page cache"
    )


def train_batches(split, signals, sampler, start, local=slice(None),
                  prefetch=2, workers=0, extra=None):
  """Batches start, start + 1, ... without end.

  Args:
    split: a `pipeline.Joined`.
    signals: names of the signals wanted.
    sampler: `sampler(k) -> samplers.Draw` of the global batch.
    start: the first batch's number k.
    local: the slice of the global batch that this process reads.
    prefetch: batches read ahead, by as many threads; 0 reads on demand. With
      workers, those that each keeps ready.
    workers: processes that read; 0 for threads of this one. Sampler and extra
      must then be fit to be pickled by cloudpickle.
    extra: `extra(rows [n]) -> {name: [n, ...]}` beside the signals.

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
  rows = iter(rows)
  try:
    for batch, damaged in rows:
      for row, text in damaged:  # met by a worker; this process counts
        split.ledger.add(damage.DamagedError(row, text))
      yield batch
  except RuntimeError as error:
    if KILLED not in str(error):
      raise
    raise InputError(
        "workers: a process that reads batches was killed, perhaps for want "
        "of memory; lower --config.workers or --config.prefetch and run the "
        "same command again"
    ) from error
  finally:
    rows.close()


def _load(split, signals, sampler, local, extra, k):
  """(batch k, [(row, text)] of the damaged rows that others should hear of)."""
  batch = make_batch(split, signals, sampler(k), local, extra)
  return batch, split.ledger.news()


def _prepare_parent():
  """What this process does before it starts workers."""
  if not flags.FLAGS.is_parsed():  # not under absl: grain asks for its own
    flags.FLAGS.mark_as_parsed()
  # What workers have ready when all ends is left to multiprocessing's tracker
  # of shared memory, which need not say that it removes it.
  quiet = "ignore:resource_tracker:UserWarning"
  if quiet not in sys.warnoptions:
    sys.warnoptions.append(quiet)


def _begin(unused_number, unused_count):
  """What a worker does first.

  It ends when its parent says so, or is gone without a word. A notice to
  all processes of a job is for the parent, which wants its batches until it
  has saved.
  """
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
  parent = multiprocessing.parent_process().sentinel

  def watch():
    multiprocessing.connection.wait([parent])
    os._exit(1)

  threading.Thread(target=watch, name="parent", daemon=True).start()


def make_batch(split, signals, draw, local=slice(None), extra=None):
  """One batch of a Draw.

  Returns:
    As `Split.read`, with "row" int32, each row's place in the global batch;
    "cohort" int32 where the split joins several; "pair", the signals of the
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
      rows, pairs = split.ledger.mend(draw, local, split.people_of)
  if len(split.parts) > 1:
    batch["cohort"] = split.cohort(rows)
  return {**batch, **(extra(rows) if extra else {})}
