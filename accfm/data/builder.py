"""The TFDS builder: staged windows to `array_record` shards.

Shards are written one by one, in the order of people, sessions and time, as
training reads rows by index. (TFDS's generator-based builders shuffle; past
1 GB a split they need TensorFlow for it.) Arrays are stored as raw bytes:
TFDS's default encoding is several times slower to write and to read, and
would round times to float32.
"""

import contextlib
import dataclasses
import functools
import io
import os
import shutil
from collections.abc import Callable

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from accfm.base import faults
from accfm.data import manifest as manifest_lib
from accfm.data import staging
from accfm.signals.contract import Contract

VERSION = "1.0.0"
SHARD_BYTES = 256 << 20  # before compression
DESCRIPTION = (
    "Segments of simultaneous biosignals from wearables, split by participant."
)


@dataclasses.dataclass(frozen=True)
class Piece:
  """Rows `start` to `stop` of a staged file, and how their person is named."""

  file: str
  start: int
  stop: int
  participant: str
  session: str
  attributes: dict


@dataclasses.dataclass
class PairsConfig(tfds.core.BuilderConfig):
  """One data set: its contract, columns and, per split, shards of Pieces."""

  contract: Contract = None
  labels: tuple = ()
  attributes: tuple = ()
  shards: dict = dataclasses.field(default_factory=dict, repr=False)
  written: Callable = lambda windows: None


class BiosignalPairs(tfds.core.ShardBasedBuilder):
  """Rows of one data set; a config per data set."""

  VERSION = tfds.core.Version(VERSION)
  code_path = None  # nothing is downloaded, no checksums lie beside the code

  def _info(self):
    config = self.builder_config
    return tfds.core.DatasetInfo(
        builder=self,
        description=DESCRIPTION,
        features=features(config.contract, config.labels, config.attributes),
    )

  def _shard_iterators_per_split(self, dl_manager):
    del dl_manager
    config = self.builder_config
    return {
        split: [
            functools.partial(rows, pieces, config, f"{split}:{number}")
            for number, pieces in enumerate(shards)
        ]
        for split, shards in config.shards.items()
    }


def features(contract, labels, attributes):
  """The columns of a row; nested names join with "/" in the stored bytes."""
  f = tfds.features

  def array(shape, dtype):
    return f.Tensor(shape=shape, dtype=dtype, encoding=f.Encoding.BYTES)

  columns = {
      name: {
          "values": array((contract.samples, spec.channels), np.int16),
          "scale": array((spec.channels,), np.float32),
      }
      for name, spec in contract.signals.items()
  }
  columns |= {
      "participant": f.Text(),
      "session": f.Text(),
      "condition": f.Text(),
      "start_s": array((), np.float64),
      "motion_g": f.Scalar(np.float32),
  }
  if labels:
    columns["labels"] = {n: f.Scalar(np.float32) for n in labels}
  if attributes:
    columns["attributes"] = {n: f.Scalar(np.float32) for n in attributes}
  return f.FeaturesDict(columns)


def rows(pieces, config, shard):
  """Yields (key, row) of one shard, in order."""
  for piece in pieces:
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


def plan_shards(pieces, row_bytes, shard_bytes):
  """Cuts a list of whole-recording Pieces into shards of even row counts."""
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


def row_bytes(contract):
  """Bytes of one row's samples."""
  return 2 * contract.samples * sum(
      spec.channels for spec in contract.signals.values()
  )


def dataset_dir(data_dir, name):
  """Where the shards of data set `name` go."""
  return os.path.join(manifest_lib.root(data_dir, name), VERSION)


def write(by_split, contract, manifest, work_dir, data_dir, out=print):
  """Writes shards and manifest; they appear at `dataset_dir` in one rename.

  Args:
    by_split: {split: [(participant, session, summary of `staging`)]}.
    contract: the Contract of the windows.
    manifest: plain data for `manifest.save`; its "name", "labels" and
      "attributes" are used here.
    work_dir: a folder on the same file system; what an earlier, killed
      writing left there is removed.
    data_dir: root of the prepared data sets.
    out: called with progress lines.

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
  manifest_lib.save(written, manifest)
  faults.point("before_publish", 0)
  final = dataset_dir(data_dir, config.name)
  os.makedirs(os.path.dirname(final), exist_ok=True)
  shutil.rmtree(final, ignore_errors=True)  # without a manifest: no data set
  os.rename(written, final)
  faults.point("after_publish", 0)
  return final


@contextlib.contextmanager
def _quiet():
  """Keeps TFDS from announcing downloads and printing the whole plan."""
  level = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with contextlib.redirect_stdout(io.StringIO()):
      yield
  finally:
    logging.set_verbosity(level)
