"""Shards to batches: batch k is a pure function of (seed, k).

Each process reads its own rows of a batch by index, so neither a restart nor
another number of processes changes what a step sees, and the step is all
that a checkpoint has to remember. Records are parsed without TensorFlow and
without TFDS's decoder: raw bytes become arrays by `np.frombuffer`.
"""

import functools
import os

import grain
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from accfm.base.errors import InputError
from accfm.data import manifest as manifest_lib
from accfm.data import record_cache
from accfm.signals import contract as contract_lib

RAW = tfds.decode.DeserializeMethod.RAW_BYTES
READ_ERRORS = (OSError, ValueError, RuntimeError, KeyError, IndexError)


def open_split(dataset_dir, split):
  """Opens one split of a prepared data set; see `Split`."""
  return Split(dataset_dir, split)


def open_joined(dataset_dirs, split):
  """Opens the same split of several data sets as one; see `Joined`."""
  return Joined([Split(folder, split) for folder in dataset_dirs])


class Split:
  """Random access to the rows of one split.

  Attributes:
    manifest: the data set's manifest, plain data.
    contract: its Contract.
    name: the split's name.
    dataset_dir: where it lies.
  """

  def __init__(self, dataset_dir, split):
    self.manifest = manifest_lib.load(dataset_dir)
    self.contract = contract_lib.from_dict(self.manifest["contract"])
    self.name = split
    self.dataset_dir = os.fspath(dataset_dir)
    if split not in self.manifest["splits"]:
      raise InputError(
          f"split: got {split!r}, want one of "
          f"{sorted(self.manifest['splits'])} of {dataset_dir}"
      )
    try:
      builder = tfds.builder_from_directory(self.dataset_dir)
      self._source = builder.as_data_source(split, deserialize_method=RAW)
    except READ_ERRORS as error:
      raise InputError(
          f"{dataset_dir}: cannot be opened ({_one_line(error)}); the data "
          "set is damaged: prepare it again"
      ) from error
    want = self.manifest["windows"][split]
    if len(self._source) != want:
      raise InputError(
          f"{dataset_dir}: split {split} has {len(self._source)} rows, its "
          f"manifest says {want}; the data set is damaged: prepare it again"
      )

  def __len__(self):
    return len(self._source)

  def keep_records(self, max_bytes):
    """Holds records in memory once they are read, so many bytes of them."""
    self._source = record_cache.RecordCache(self._source, max_bytes)

  def read(self, indices, signals):
    """Reads rows by number.

    Args:
      indices: [n] row numbers.
      signals: names of the signals wanted.

    Returns:
      {"acc": int16 [n, T, C], "acc_scale": float32 [n, C], ...}.

    Raises:
      InputError: a record that cannot be read, by row number.
    """
    out = empty_rows(self.contract, len(indices), signals)
    for place, feature in enumerate(self._features(indices)):
      for name in signals:
        try:
          values = _bytes(feature, f"{name}/values", np.int16)
          out[name][place] = values.reshape(out[name].shape[1:])
          out[f"{name}_scale"][place] = _bytes(
              feature, f"{name}/scale", np.float32
          )
        except READ_ERRORS as error:
          raise self._damaged(indices[place], error) from error
    return out

  @functools.cached_property
  def table(self):
    """All columns but the signals, as arrays [N] in row order.

    participant, session and condition are text; start_s is float64 Unix
    seconds; motion_g, labels/<name> and attributes/<name> are float32, NaN
    where unknown.
    """
    texts = ("participant", "session", "condition")
    numbers = ["motion_g"]
    numbers += [f"labels/{n}" for n in self.manifest["labels"]]
    numbers += [f"attributes/{n}" for n in self.manifest["attributes"]]
    columns = {name: [] for name in (*texts, "start_s", *numbers)}
    rows = range(len(self))
    for place, feature in enumerate(self._features(rows)):
      try:
        for name in texts:
          columns[name].append(feature[name].bytes_list.value[0].decode())
        columns["start_s"].append(_bytes(feature, "start_s", np.float64)[0])
        for name in numbers:
          columns[name].append(feature[name].float_list.value[0])
      except READ_ERRORS as error:
        raise self._damaged(place, error) from error
    return {
        name: np.array(
            values,
            None if name in texts
            else np.float64 if name == "start_s" else np.float32,
        )
        for name, values in columns.items()
    }

  @functools.cached_property
  def people(self):
    """(first row [P], rows [P]) of each person, from the manifest alone."""
    counts = self.manifest.get("rows", {}).get(self.name)
    if counts is None:
      raise InputError(
          f"{self.dataset_dir}: its manifest does not say whose rows are "
          "where; an older version wrote it: prepare the data set again"
      )
    rows = np.array([n for _, n in counts])
    return np.cumsum(rows) - rows, rows

  def _features(self, indices, chunk=256):
    """Yields each row's feature map, reading `chunk` records at a time."""
    indices = [int(i) for i in indices]
    for at in range(0, len(indices), chunk):
      part = indices[at:at + chunk]
      try:
        records = self._source.__getitems__(part)
      except READ_ERRORS as error:
        raise self._damaged(part, error) from error
      for index, record in zip(part, records, strict=True):
        try:
          example = tf_example_pb2.Example.FromString(record)
        except Exception as error:  # protobuf's DecodeError has no stable home
          raise self._damaged(index, error) from error
        yield example.features.feature

  def _damaged(self, index, error):
    return InputError(
        f"{self.dataset_dir}: row {index} of split {self.name} cannot be "
        f"read ({_one_line(error)}); the shard is damaged: prepare the data "
        "set again"
    )


def empty_rows(contract, count, signals):
  """Unfilled arrays for `count` rows, as `Split.read` returns them."""
  out = {}
  for name in signals:
    channels = contract.signals[name].channels
    out[name] = np.empty((count, contract.samples, channels), np.int16)
    out[f"{name}_scale"] = np.empty((count, channels), np.float32)
  return out


def _one_line(error):
  return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _bytes(feature, name, dtype):
  return np.frombuffer(feature[name].bytes_list.value[0], dtype)


class Joined:
  """Splits of several data sets under one numbering of rows.

  Attributes:
    parts: the open Splits, in order.
    bounds: [P + 1], the first row of each part, then their number.
    cohorts: name of each part's data set.
    contract: the Contract of all.
  """

  def __init__(self, parts):
    """Raises InputError where contracts differ."""
    self.parts = tuple(parts)
    self.contract = self.parts[0].contract
    self.cohorts = tuple(part.manifest["name"] for part in self.parts)
    self.bounds = np.cumsum([0, *map(len, self.parts)])
    for part in self.parts[1:]:
      contract_lib.check_match(
          part.contract, self.contract, list(self.contract.signals),
          f"data set {part.manifest['name']}",
          f"{self.cohorts[0]}'s",
      )

  def __len__(self):
    return int(self.bounds[-1])

  def cohort(self, rows):
    """[n] int32, the place in `cohorts` of each row."""
    place = np.searchsorted(self.bounds, rows, side="right") - 1
    return place.astype(np.int32)

  def read(self, indices, signals):
    """As `Split.read`."""
    indices = np.asarray(indices)
    if len(self.parts) == 1 or not len(indices):
      return self.parts[0].read(indices, signals)
    place, out = self.cohort(indices), {}
    for number, part in enumerate(self.parts):
      mine = np.flatnonzero(place == number)
      if not len(mine):
        continue
      rows = part.read(indices[mine] - self.bounds[number], signals)
      for name, values in rows.items():
        whole = out.setdefault(
            name, np.empty((len(indices), *values.shape[1:]), values.dtype)
        )
        whole[mine] = values
    return out

  @functools.cached_property
  def table(self):
    """As `Split.table`; columns that a part lacks are unknown (NaN) there."""
    tables = [part.table for part in self.parts]
    names = dict.fromkeys(name for table in tables for name in table)
    return {
        name: np.concatenate([
            t.get(name, np.full(len(part), np.nan, np.float32))
            for part, t in zip(self.parts, tables, strict=True)
        ])
        for name in names
    }


def train_batches(
    split, signals, sampler, start, local=slice(None), prefetch=2, extra=None
):
  """Batches start, start + 1, ... without end.

  Args:
    split: a Joined.
    signals: names of the signals wanted.
    sampler: `sampler(k) -> samplers.Draw` of the global batch.
    start: the first batch's number k.
    local: the slice of the global batch that this process reads.
    prefetch: batches read ahead, by as many threads; 0 reads on demand.
    extra: `extra(rows [n]) -> {name: [n, ...]}` beside the signals.

  Yields:
    As `make_batch`.
  """

  def load(k):
    return make_batch(split, signals, sampler(k), local, extra)

  numbers = grain.MapDataset.range(start, 2**31 - 1).map(load)
  options = grain.ReadOptions(
      num_threads=prefetch, prefetch_buffer_size=prefetch
  )
  return iter(numbers.to_iter_dataset(options))


def make_batch(split, signals, draw, local=slice(None), extra=None):
  """One batch of a Draw.

  Returns:
    As `Split.read`, with "row" int32, each row's place in the global batch;
    "cohort" int32 where the split joins several; "pair", the signals of the
    paired rows, where rows are paired; and what `extra` adds.
  """
  rows = draw.rows[local]
  places = np.arange(len(draw.rows), dtype=np.int32)[local]
  batch = {**split.read(rows, signals), "row": places}
  if len(split.parts) > 1:
    batch["cohort"] = split.cohort(rows)
  if draw.pairs is not None:
    batch["pair"] = split.read(draw.pairs[local], signals)
  return {**batch, **(extra(rows) if extra else {})}
