"""The TFDS builder: staged segments to `array_record` shards.

Shards are written one by one, in the order of people, sessions and time,
since training reads rows by index. (TFDS's generator-based builders shuffle,
and need TensorFlow for it beyond 1 GB a split.) Arrays are stored as raw
bytes: TFDS's default encoding is several times slower to write and to read,
and would round times to float32.
"""

import contextlib
import dataclasses
import functools
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import writer as tfds_writer
from tensorflow_datasets.proto import tf_example_pb2

from accfm.base import faults, interrupts
from accfm.data import checksums, manifest_fields, staging
from accfm.data import columns as columns_lib
from accfm.data import manifest as manifest_lib
from accfm.signals.contract import Contract

VERSION = "1.0.0"
SHARD_BYTES = 256 << 20  # before compression
DESCRIPTION = (
    "Segments of simultaneous biosignals from wearables, split by participant."
)


@dataclasses.dataclass(frozen=True)
class Piece:
  """Rows of a staged file and what belongs to all of them.

  Attributes:
    file: the staged file.
    start: first row of it.
    stop: the row after the last.
    participant: id under which the shards name the person.
    session: name of the session.
    attributes: facts about the person, name -> number.
  """

  file: str
  start: int
  stop: int
  participant: str
  session: str
  attributes: Mapping[str, float]


Shards = list[list[Piece]]


@dataclasses.dataclass
class PairsConfig(tfds.core.BuilderConfig):
  """One data set.

  Attributes:
    contract: of its segments; always given (TFDS wants a default).
    labels: names of its labels.
    attributes: names of its facts about people.
    shards: split -> shards, each a list of Pieces.
    written: `written(rows)`, called after each shard.
  """

  contract: Any = None
  labels: tuple[str, ...] = ()
  attributes: tuple[str, ...] = ()
  shards: Mapping[str, Shards] = dataclasses.field(
      default_factory=dict, repr=False
  )
  written: Callable[[int], None] = lambda rows: None


class BiosignalPairs(tfds.core.ShardBasedBuilder):
  """Rows of one data set; each data set is a config of its own."""

  VERSION = tfds.core.Version(VERSION)
  code_path = None  # nothing is downloaded, no checksums lie beside the code

  def _info(self):
    config: Any = self.builder_config
    return tfds.core.DatasetInfo(
        builder=self,
        description=DESCRIPTION,
        features=features(config.contract, config.labels, config.attributes),
    )

  def _example_writer(self):
    return Writer(super()._example_writer().file_format)

  def _shard_iterators_per_split(self, dl_manager):
    del dl_manager
    config: Any = self.builder_config
    return {
        split: [
            functools.partial(rows, pieces, config, f"{split}:{number}")
            for number, pieces in enumerate(shards)
        ]
        for split, shards in config.shards.items()
    }


def features(
    contract: Contract, labels: Sequence[str], attributes: Sequence[str]
) -> tfds.features.FeaturesDict:
  """The columns of a row; in the stored bytes "/" joins nested names."""
  f = tfds.features

  def feature(column):
    if isinstance(column, dict):
      return {name: feature(inner) for name, inner in column.items()}
    if column.kind == columns_lib.TEXT:
      return f.Text()
    dtype = np.dtype(column.dtype)
    if column.kind == columns_lib.SCALAR:
      return f.Scalar(dtype)
    return f.Tensor(
        shape=column.shape, dtype=dtype, encoding=f.Encoding.BYTES
    )

  return f.FeaturesDict(feature(columns_lib.nested(
      columns_lib.of_row(contract, labels, attributes)
  )))


class Writer(tfds_writer.ExampleWriter):
  """Writes records whose bytes depend on nothing but the row.

  protobuf writes the columns of a row in an order that changes with each
  process, unless it is asked for the order of their names.
  """

  def write(self, path: Any, examples: Any) -> Any:
    """Writes (key, serialised example) pairs to a shard."""
    example = vars(tf_example_pb2)["Example"]
    return super().write(path, (
        (key, example.FromString(record).SerializeToString(deterministic=True))
        for key, record in examples
    ))


def rows(
    pieces: Sequence[Piece], config: PairsConfig, shard: str
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields (key, row) of one shard, in order.

  Args:
    pieces: rows of the shard.
    config: of the data set.
    shard: "split:number", for fault points.
  """
  for piece in pieces:
    interrupts.check()
    staged = staging.load(piece.file)
    unknown = np.full(len(staged["start_s"]), np.nan, np.float32)
    for i in range(piece.start, piece.stop):
      row = {
          name: {
              "values": staged[f"{name}.values"][i],
              "scale": staged[f"{name}.scale"][i],
          }
          for name in config.contract.signals
      }
      row |= {
          "participant": piece.participant,
          "session": piece.session,
          "condition": str(staged["condition"][i]),
          "start_s": staged["start_s"][i],
          "motion_g": staged["motion_g"][i],
      }
      if config.labels:
        row["labels"] = {
            n: staged.get(f"label.{n}", unknown)[i] for n in config.labels
        }
      if config.attributes:
        row["attributes"] = {
            n: piece.attributes.get(n, np.nan) for n in config.attributes
        }
      yield f"{piece.participant}/{piece.session}/{i}", row
  faults.point("in_shard", shard)
  config.written(sum(piece.stop - piece.start for piece in pieces))


def plan_shards(
    pieces: Sequence[Piece], row_bytes: int, shard_bytes: int
) -> Shards:
  """Cuts Pieces, each a whole recording, into shards of about equal size.

  Args:
    pieces: of one split, in order.
    row_bytes: size of a row.
    shard_bytes: largest size of a shard.
  """
  total = sum(piece.stop - piece.start for piece in pieces)
  count = max(1, min(total, -(-total * row_bytes // shard_bytes)))
  ends = [total * (i + 1) // count for i in range(count)]
  shards, current, seen = [], [], 0
  for piece in pieces:
    start = piece.start
    while start < piece.stop:
      stop = min(piece.stop, start + ends[len(shards)] - seen)
      current.append(dataclasses.replace(piece, start=start, stop=stop))
      seen += stop - start
      start = stop
      if seen == ends[len(shards)]:
        shards.append(current)
        current = []
  return shards


def row_bytes(contract: Contract) -> int:
  """Bytes of the samples of a row."""
  return 2 * sum(
      contract.length(name) * spec.channels
      for name, spec in contract.signals.items()
  )


def dataset_dir(data_dir: str, name: str) -> str:
  """The folder of the shards of data set `name`."""
  return os.path.join(manifest_lib.root(data_dir, name), VERSION)


def write(
    by_split: Mapping[str, Sequence[tuple[str, str, Mapping[str, Any]]]],
    contract: Contract, manifest: Mapping[str, Any], work_dir: str,
    data_dir: str, out: Callable[[str], Any] = print,
) -> str:
  """Writes shards and manifest; they appear at `dataset_dir` in one rename.

  Args:
    by_split: {split: [(participant, session, summary of `staging`)]}.
    contract: of the segments.
    manifest: plain data for `manifest.save`; its "name", "labels" and
      "attributes" are used here.
    work_dir: a folder on the same file system; files left there by a command
      that was killed are removed.
    data_dir: root of the prepared data sets.
    out: called with each line of progress.

  Returns:
    The dataset directory.
  """
  shards = {
      split: plan_shards([
          Piece(s["file"], 0, s["windows"], person, session, s["attributes"])
          for person, session, s in entries if s["windows"]
      ], row_bytes(contract), SHARD_BYTES)
      for split, entries in by_split.items()
  }
  count = sum(len(pieces) for pieces in shards.values())
  config = PairsConfig(
      name=manifest["name"],
      contract=contract,
      labels=tuple(manifest["labels"]),
      attributes=tuple(manifest["attributes"]),
      shards=shards,
      written=staging.Progress("write", count, "shards", out).step,
  )
  scratch = os.path.join(work_dir, "shards")
  shutil.rmtree(scratch, ignore_errors=True)
  with _quiet():
    builder = BiosignalPairs(
        data_dir=scratch, config=config, file_format="array_record"
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(try_download_gcs=False)
    )
  written = os.fspath(builder.data_path)
  manifest_lib.save(written, {**manifest, "format": manifest_fields.FORMAT})
  checksums.save(written, [
      name for name in os.listdir(written)
      if name in manifest_lib.DESCRIPTIONS
      or name.startswith(f"{manifest_lib.BUILDER}-")
  ])
  faults.point("before_publish", 0)
  final = dataset_dir(data_dir, config.name)
  os.makedirs(os.path.dirname(final), exist_ok=True)
  shutil.rmtree(final, ignore_errors=True)  # it has no manifest: incomplete
  os.rename(written, final)
  faults.point("after_publish", 0)
  return final


@contextlib.contextmanager
def _quiet():
  """Silences TFDS, which announces downloads and prints the whole plan."""
  level = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(level)
