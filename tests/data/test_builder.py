"""Shards: rows come back as staged, by TFDS and by parsing the bytes."""

import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from accfm import prepare
from accfm.data import builder, staging
from tests.data import fake_source
from tests.data.fake_source import Fake

LABELS = ("hr_bpm", "sdnn_ms", "rmssd_ms", "spo2")  # nothing knows the last
ATTRIBUTES = ("age_years", "bmi", "target_x")


def write(tmp_path, monkeypatch=None, shard_bytes=None):
  """A data set of three people; returns (directory, entries, contract)."""
  if shard_bytes:
    monkeypatch.setattr(builder, "SHARD_BYTES", shard_bytes)
  config = fake_source.get_config()
  contract = prepare.make_contract(config, "x")
  folder = tmp_path / "staging"
  folder.mkdir(exist_ok=True)
  job = staging.Job(
      read=Fake().read_recording, source_dir="", source_cfg={},
      contract=contract, hop_sec=4.0, labels={"min_coverage": 0.5},
      quality={}, folder=str(folder),
  )
  by_split = {
      split: [
          ("fake/" + name.partition("/")[0], name.partition("/")[2],
           staging.stage(name, job))
          for name in names
      ]
      for split, names in {
          "train": ["P0/one", "P3/one", "P3/two"], "val": ["P1/one"],
          "test": ["P2/one"],
      }.items()
  }
  out = builder.write(
      by_split, contract,
      {"name": "tiny", "labels": LABELS, "attributes": ATTRIBUTES},
      str(folder), str(tmp_path), out=lambda line: None,
  )
  return out, by_split, contract


def expected(by_split, split):
  """Rows in the order they are written, as flat dicts."""
  for person, session, summary in by_split[split]:
    staged = staging.load(summary["file"])
    for i in range(summary["windows"]):
      yield {
          "participant": person,
          "session": session,
          "condition": str(staged["condition"][i]),
          "start_s": staged["start_s"][i],
          "motion_g": staged["motion_g"][i],
          **{f"{s}/{part}": staged[f"{s}.{part}"][i]
             for s in ("acc", "ppg") for part in ("values", "scale")},
          **{f"labels/{n}": staged.get(f"label.{n}", [np.nan] * 9)[i]
             for n in LABELS},
          **{f"attributes/{n}": summary["attributes"].get(n, np.nan)
             for n in ATTRIBUTES},
      }


def flat(row, prefix=""):
  out = {}
  for key, value in row.items():
    if isinstance(value, dict):
      out |= flat(value, f"{prefix}{key}/")
    else:
      out[prefix + key] = (
          value.decode() if isinstance(value, bytes) else value
      )
  return out


def check_rows(got, want):
  want = list(want)
  assert len(got) == len(want)
  for have, row in zip(got, want, strict=True):
    assert set(have) == set(row)
    for key, value in row.items():
      np.testing.assert_array_equal(
          np.float32(have[key]) if np.ndim(value) == 0 and (
              key.startswith(("labels", "attributes", "motion"))
          ) else have[key],
          np.float32(value) if key.startswith("attributes") else value,
          err_msg=key,
      )


@pytest.mark.parametrize("shard_bytes", [None, 2048])
def test_read_by_tfds(tmp_path, monkeypatch, shard_bytes):
  out, by_split, _ = write(tmp_path, monkeypatch, shard_bytes)
  assert out == str(tmp_path / "biosignal_pairs" / "tiny" / "1.0.0")
  shards = [f for f in os.listdir(out) if "train.array_record" in f]
  # 9 rows of 128 samples x 4 channels x 2 bytes.
  assert len(shards) == (5 if shard_bytes else 1)
  reader = tfds.builder_from_directory(out)
  for split in by_split:
    source = reader.as_data_source(split)
    rows = [flat(source[i]) for i in range(len(source))]
    check_rows(rows, expected(by_split, split))


def test_read_by_parsing_the_bytes(tmp_path):
  out, by_split, contract = write(tmp_path)
  source = tfds.builder_from_directory(out).as_data_source(
      "train", deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
  )
  dtypes = {"values": np.int16, "scale": np.float32, "start_s": np.float64}
  rows = []
  for i in range(len(source)):
    row = {}
    for key, feature in tf_example_pb2.Example.FromString(
        source[i]
    ).features.feature.items():
      kind = key.rpartition("/")[2]
      if kind in dtypes:
        value = np.frombuffer(feature.bytes_list.value[0], dtypes[kind])
        if kind == "values":
          value = value.reshape(contract.length(key.split("/")[0]), -1)
        row[key] = value[0] if kind == "start_s" else value
      elif feature.bytes_list.value:
        row[key] = feature.bytes_list.value[0].decode()
      else:
        row[key] = feature.float_list.value[0]
    rows.append(row)
  check_rows(rows, expected(by_split, "train"))


def pieces(counts):
  return [
      builder.Piece(str(i), 0, n, "a/b", "c", {}) for i, n in enumerate(counts)
  ]


@pytest.mark.parametrize("counts", [
    [1], [5, 0, 3], [7] * 9, [100, 1, 1], [1, 1, 100], [2, 3, 5, 7, 11],
])
@pytest.mark.parametrize("size", [10, 33, 60, 1000])
def test_shards_are_even_and_lose_nothing(counts, size):
  shards = builder.plan_shards(pieces(counts), row_bytes=10, shard_bytes=size)
  rows = [
      (piece.file, i)
      for shard in shards for piece in shard
      for i in range(piece.start, piece.stop)
  ]
  assert rows == [
      (str(f), i) for f, n in enumerate(counts) for i in range(n)
  ]
  sizes = [sum(p.stop - p.start for p in shard) for shard in shards]
  assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1
  # As few as hold the bytes, but never more than there are rows.
  assert len(shards) == min(sum(counts), -(-10 * sum(counts) // size))


def test_what_a_killed_writer_left_is_replaced(tmp_path):
  final = tmp_path / "biosignal_pairs" / "tiny" / "1.0.0"
  final.mkdir(parents=True)
  (final / "biosignal_pairs-old.array_record").write_text("half")
  scratch = tmp_path / "staging" / "shards" / "biosignal_pairs" / "tiny"
  left = scratch / "1.0.0.incompleteABCDEF"
  left.mkdir(parents=True)
  (left / "biosignal_pairs-train.array_record").write_text("half")
  out, _, _ = write(tmp_path)
  assert out == str(final)
  assert not [f for f in os.listdir(out) if "old" in f]
  assert "manifest.json" in os.listdir(out)
  assert not left.exists()
