"""Batch k is a function of (seed, k), whoever reads it."""

import contextlib
import itertools
import os
import signal

import numpy as np
import pytest

from accfm import prepare
from accfm.base import configlib, mesh
from accfm.base.errors import InputError
from accfm.configs import common
from accfm.data import batches, joined, orders, pipeline, samplers
from tests.data import fake_source
from tests.data.trees import same


@pytest.fixture(scope="module")
def written(tmp_path_factory):
  """The directory of a data set of 27 windows."""
  return prepare.run(
      fake_source.get_config(), "x", str(tmp_path_factory.mktemp("data")),
      {"fake": fake_source.Fake()},
  )


def take(split, start, count, local=slice(None), **options):
  split = joined.Joined([split])
  rows = batches.train_batches(
      split, ("acc", "ppg"), samplers.make(split, 8, 5, (1.0,)), start, local,
      **options,
  )
  with contextlib.closing(rows):
    return list(itertools.islice(rows, count))


def test_batches_hold_the_rows_of_their_number(written):
  split = pipeline.open_split(written, "train")
  for k, batch in enumerate(take(split, 0, 5)):
    rows = orders.permuted(len(split), 8, 5, k)
    same(batch, {
        **split.read(rows, ("acc", "ppg")), "row": np.arange(8, dtype=np.int32)
    })


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_a_restart_goes_on_with_the_same_batches(written, prefetch):
  split = pipeline.open_split(written, "train")
  whole = take(split, 0, 7)
  for k, batch in enumerate(take(split, 3, 4, prefetch=prefetch)):
    same(batch, whole[3 + k])


def test_workers_make_the_same_batches(written):
  """Processes of their own, from the middle of an epoch, and what they add."""
  split = pipeline.open_split(written, "train")
  people, whole = split.table["participant"], take(split, 0, 7)
  found = take(
      split, 3, 4, prefetch=1, workers=2,
      extra=lambda rows: {"who": people[rows], "process": os.getpid()},
  )
  processes = [batch.pop("process") for batch in found]
  assert processes[:2] == processes[2:]
  assert len({os.getpid(), *processes}) == 3
  for k, batch in enumerate(found):
    rows = orders.permuted(len(split), 8, 5, 3 + k)
    assert batch.pop("who").tolist() == people[rows].tolist()
    same(batch, whole[3 + k])


def test_a_worker_that_is_killed(written):
  split = joined.Joined([pipeline.open_split(written, "train")])
  rows = batches.train_batches(
      split, ("acc",), samplers.make(split, 8, 5, (1.0,)), 0, prefetch=1,
      workers=1, extra=lambda rows: {"process": os.getpid()},
  )
  with pytest.raises(InputError, match="workers: a process .* was killed"):
    for batch in rows:
      os.kill(batch["process"], signal.SIGKILL)


@pytest.mark.parametrize("fields, match", [
    (dict(prefetch=-1), "prefetch: got -1, want 0 or more"),
    (dict(workers=-1), "workers: got -1, want 0 or more"),
    (dict(workers=2, cache_mb=64), "workers: got 2 with --config.cache_mb=64"),
])
def test_refuses_what_cannot_read_ahead(fields, match):
  with pytest.raises(InputError, match=match):
    batches.check(configlib.update(common.training("tiny"), fields))


def test_local_slices_join_to_the_global_batch(written, monkeypatch):
  split = pipeline.open_split(written, "train")
  whole = take(split, 0, 3)
  monkeypatch.setattr(mesh.jax, "process_count", lambda: 4)
  parts = []
  for process in range(4):
    monkeypatch.setattr(mesh.jax, "process_index", lambda p=process: p)
    parts.append(take(split, 0, 3, mesh.local_rows(8)))
  for k, batch in enumerate(whole):
    same(batch, {
        key: np.concatenate([part[k][key] for part in parts]) for key in batch
    })


def test_pairs_and_what_is_added(written):
  split = joined.Joined([pipeline.open_split(written, "train")])
  draw = samplers.Draw(np.array([4, 0, 9, 2]), np.array([5, 2, 11, 1]))
  batch = batches.make_batch(
      split, ("ppg",), draw, slice(1, 3), lambda rows: {"twice": 2 * rows}
  )
  pair = batch.pop("pair")
  same(pair, split.read([2, 11], ("ppg",)))
  same(batch, {
      **split.read([0, 9], ("ppg",)), "row": np.array([1, 2], np.int32),
      "twice": np.array([0, 18]),
  })
  plain = batches.make_batch(split, ("ppg",), samplers.Draw(draw.rows))
  assert sorted(plain) == ["ppg", "ppg_scale", "row"]


def test_paired_batches_of_people(written):
  split = joined.Joined([pipeline.open_split(written, "train")])
  people = split.table["participant"]
  sampler = samplers.make(split, 4, 5, (1.0,), by_people=True)
  found = batches.train_batches(
      split, ("acc",), sampler, 1, prefetch=2,
      extra=lambda rows: {"who": people[rows]},
  )
  for k, batch in enumerate(itertools.islice(found, 3), start=1):
    draw = sampler(k)
    same(batch.pop("pair"), split.read(draw.pairs, ("acc",)))
    assert batch.pop("who").tolist() == people[draw.pairs].tolist()
    same(batch, {
        **split.read(draw.rows, ("acc",)), "row": np.arange(4, dtype=np.int32)
    })


def test_a_batch_larger_than_the_split(written):
  split = pipeline.open_split(written, "val")
  with pytest.raises(InputError, match="got 8, want at most the 3 rows of "
                                       "split val.*batch_size=3"):
    take(split, 0, 1)
