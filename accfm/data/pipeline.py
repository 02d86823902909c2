"""From shards to rows, by number.

Records are parsed without TensorFlow and without TFDS's decoder:
`np.frombuffer` turns raw bytes into arrays. Each record says whose it is, and
is compared with what the manifest says of its row.
"""

import functools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from tensorflow_datasets.proto import tf_example_pb2

from accfm.base.errors import InputError
from accfm.data import checksums, damage, record_cache
from accfm.data import manifest as manifest_lib
from accfm.data import shards as shards_lib
from accfm.signals import contract as contract_lib
from accfm.signals.contract import Contract

TEXTS = ("participant", "session", "condition")
EXAMPLE: Any = vars(tf_example_pb2)["Example"]  # made when imported
READ_ERRORS = (OSError, ValueError, RuntimeError, KeyError, IndexError)


def open_split(dataset_dir: str | os.PathLike, split: str) -> "Split":
  """Opens one split of a prepared data set; see `Split`."""
  return Split(dataset_dir, split)


class Split:
  """Random access to the rows of one split.

  Attributes:
    manifest: the data set's manifest, plain data.
    contract: its Contract.
    name: of the split.
    dataset_dir: folder of the data set.
  """

  def __init__(
      self, dataset_dir: str | os.PathLike, split: str, replaces: bool = False
  ):
    """Opens a split after checking the data set's files.

    Args:
      dataset_dir: folder of the data set.
      split: name of the split.
      replaces: whether its reader replaces damaged rows; then a shard that is
        not what was written is told, not refused.

    Raises:
      InputError: there is no such split, or a file is damaged.
    """
    self.manifest = manifest_lib.load(dataset_dir)
    self.contract = contract_lib.from_dict(self.manifest["contract"])
    self.name = split
    self.dataset_dir = os.fspath(dataset_dir)
    self._replaces = replaces
    if split not in self.manifest["splits"]:
      raise InputError(
          f"split: got {split!r}, want one of "
          f"{sorted(self.manifest['splits'])} of {dataset_dir}"
      )
    self._shards = shards_lib.find(
        self.dataset_dir, self.manifest, split, replaces
    )
    self._source: Any = self._shards.source

  def __reduce__(self):  # another process opens the files itself
    return _reopen, (
        self.dataset_dir, self.name, self._replaces,
        checksums.known(self.dataset_dir),
    )

  @functools.cached_property
  def digest(self) -> str:
    """The hash of the data set, `manifest.digest`; "" if it has none."""
    return manifest_lib.digest_of(
        self.manifest,
        manifest_lib.load_checksums(self.dataset_dir, self.manifest),
    )

  def __len__(self) -> int:
    return len(self._source)

  def keep_records(self, max_bytes: int) -> None:
    """Keeps records in memory once they are read, up to `max_bytes`."""
    self._source = record_cache.RecordCache(self._source, max_bytes)

  def read(
      self, indices: Sequence[int] | np.ndarray, signals: Sequence[str]
  ) -> dict[str, np.ndarray]:
    """Reads rows by number.

    Args:
      indices: [n] row numbers.
      signals: names of the signals to read.

    Returns:
      {"acc": int16 [n, T, C], "acc_scale": float32 [n, C], ...}.

    Raises:
      DamagedError: a record that cannot be read or holds impossible values;
        names file and row.
    """
    out = empty_rows(self.contract, len(indices), signals)
    for place, (index, feature) in enumerate(self._features(indices)):
      try:
        self._check_owner(index, _whole(feature))
        for name in signals:
          values = _bytes(feature, f"{name}/values", np.int16)
          out[name][place] = values.reshape(out[name].shape[1:])
          out[f"{name}_scale"][place] = _bytes(
              feature, f"{name}/scale", np.float32
          )
      except damage.DamagedError:
        raise
      except READ_ERRORS as error:
        raise self._damaged(index, error) from error
    for name in signals:
      scale = out[f"{name}_scale"]  # [n, C]
      good = (np.isfinite(scale) & (scale > 0)).all(axis=1)
      if not good.all():
        place = int(np.argmin(good))
        raise self._damaged(
            int(indices[place]),
            f"{name}/scale is {scale[place].tolist()}, want finite numbers "
            "above 0",
        )
    return out

  @functools.cached_property
  def table(self) -> dict[str, np.ndarray]:
    """`read_table()`: no row may be damaged."""
    return self.read_table()

  def read_table(
      self, on_damage: Callable[[damage.DamagedError], None] | None = None
  ) -> dict[str, np.ndarray]:
    """All columns but the signals, as arrays [N] in row order.

    participant, session and condition are text; start_s is float64 Unix
    seconds; motion_g, labels/<name> and attributes/<name> are float32, NaN
    where unknown.

    Args:
      on_damage: called with the error of each damaged row, whose columns but
        the participant are then unknown; None to raise the DamagedError.
    """
    names = ["motion_g"]
    names += [f"labels/{n}" for n in self.manifest["labels"]]
    names += [f"attributes/{n}" for n in self.manifest["attributes"]]
    columns: dict[str, list] = {n: [] for n in (*TEXTS, "start_s", *names)}
    for index, feature in self._features(range(len(self))):
      try:
        self._check_owner(index, _whole(feature))
        row = _facts(feature, names)
      except READ_ERRORS as error:
        damaged = error if isinstance(error, damage.DamagedError) else (
            self._damaged(index, error)
        )
        if on_damage is None:
          raise damaged from error
        on_damage(damaged)
        row = dict.fromkeys(columns, np.nan) | dict.fromkeys(TEXTS, "")
        row["participant"] = self.participant(index)
      for name, value in row.items():
        columns[name].append(value)
    kinds: dict[str, Any] = dict.fromkeys(names, np.float32)
    kinds["start_s"] = np.float64
    return {n: np.array(v, kinds.get(n)) for n, v in columns.items()}

  def participant(self, row: int) -> str:
    """The participant of a row, from the manifest alone."""
    place = np.searchsorted(self.people[0], row, side="right") - 1
    return self.manifest["rows"][self.name][place][0]

  @functools.cached_property
  def people(self) -> damage.People:
    """(first row [P], rows [P]) of each person, from the manifest alone."""
    counts = self.manifest.get("rows", {}).get(self.name)
    if counts is None:
      raise InputError(
          f"{self.dataset_dir}: its manifest does not say whose rows are "
          "where; an older version wrote it: prepare the data set again"
      )
    rows = np.array([n for _, n in counts])
    return np.cumsum(rows) - rows, rows

  @functools.cached_property
  def _owners(self) -> list[bytes]:
    """The id of the participant of each row; [] where nothing says it."""
    return [
        person.encode()
        for person, count in self.manifest.get("rows", {}).get(self.name, [])
        for _ in range(count)
    ]

  def _check_owner(self, index: int, feature: Any) -> None:
    """Raises DamagedError unless a record is of its row's participant."""
    got = feature["participant"].bytes_list.value[0]
    if self._owners and got != self._owners[index]:
      raise self._damaged(
          index, f"belongs to {got.decode(errors='replace')[:80]!r}, its "
          f"manifest says {self._owners[index].decode()!r}"
      )

  def _features(
      self, indices: Iterable[int], chunk: int = 256
  ) -> Iterator[tuple[int, Any]]:
    """Yields (row number, its feature map or the error of reading it)."""
    indices = [int(i) for i in indices]
    for at in range(0, len(indices), chunk):
      part = indices[at:at + chunk]
      try:
        records = self._source.__getitems__(part)
      except READ_ERRORS:  # one of them fails: find out which
        records = [self._record(index) for index in part]
      for index, record in zip(part, records, strict=True):
        if not isinstance(record, Exception):
          try:
            example = EXAMPLE.FromString(record)
            record = example.features.feature
          except Exception as error:  # protobuf's error has no stable place
            record = ValueError(str(error))
        yield index, record

  def _record(self, index):
    """The bytes of one row, or the error of reading them."""
    try:
      return self._source.__getitems__([index])[0]
    except READ_ERRORS as error:
      return error

  def _damaged(self, index, what):
    """The DamagedError of a row; `what` is an error or what is wrong."""
    if isinstance(what, Exception):
      what = f"cannot be read ({_one_line(what)})"
    return damage.found(self._shards.of_row(index), self.name, index, what)


def _reopen(dataset_dir, split, replaces, read):
  """A Split in another process, which need not read the shards again."""
  checksums.trust(read)
  return Split(dataset_dir, split, replaces)


def empty_rows(
    contract: Contract, count: int, signals: Iterable[str]
) -> dict[str, np.ndarray]:
  """Arrays for `count` rows, as `Split.read` returns them, not yet filled."""
  out = {}
  for name in signals:
    channels = contract.signals[name].channels
    out[name] = np.empty((count, contract.length(name), channels), np.int16)
    out[f"{name}_scale"] = np.empty((count, channels), np.float32)
  return out


def _one_line(error):
  return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _whole(feature):
  """The feature map, or raises the error that stands in its place."""
  if isinstance(feature, Exception):
    raise feature
  return feature


def _facts(feature, names):
  """{column: value} of a row; ValueError for an impossible number."""
  row = {n: feature[n].bytes_list.value[0].decode() for n in TEXTS}
  row["start_s"] = _bytes(feature, "start_s", np.float64)[0]
  row |= {n: feature[n].float_list.value[0] for n in names}
  if not math.isfinite(row["start_s"]):
    raise ValueError(f"start_s is {row['start_s']}")
  for name in names:
    if math.isinf(row[name]):
      raise ValueError(f"{name} is {row[name]}, want a number or NaN")
  return row


def _bytes(feature, name, dtype):
  return np.frombuffer(feature[name].bytes_list.value[0], dtype)
