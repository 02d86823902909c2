"""The files beside the shards: they say what to read, and anybody edits them.

A changed file is refused, or changes nothing that matters: who is in which
split, which row is whose, what the numbers mean.
"""

import json
import pathlib
import shutil

import pytest

from accfm.data import pipeline
from tests.fuzz import hostile

# What training and evaluation believe of a manifest.
BELIEVED = (
    "name", "splits", "windows", "rows", "contract", "split_hash", "labels",
    "attributes",
)
SPLIT = "test"


def read_all(folder):
  """All that the mains read of a split, as plain data."""
  split = pipeline.open_split(folder, SPLIT)
  joined = pipeline.open_joined([folder], SPLIT)
  rows = split.read(range(len(split)), list(split.contract.signals))
  table = joined.table
  first, count = split.people
  return {
      "participant": table["participant"].tolist(),
      "start_s": table["start_s"].tolist(),
      "numbers": {name: x.tobytes() for name, x in rows.items()},
      "people": [split.participant(int(row)) for row in first],
      "counts": count.tolist(), "contract": split.contract.to_dict(),
      "manifest": {k: split.manifest.get(k) for k in BELIEVED},
  }


@pytest.fixture
def dataset(simulated, tmp_path):
  """A data set, another beside it whose shards are not its own, its facts."""
  source = next(pathlib.Path(simulated).glob("biosignal_pairs/*/1.0.0"))
  folder = shutil.copytree(source, tmp_path / "data" / "mine" / "1.0.0")
  other = tmp_path / "data" / "other" / "1.0.0"
  shutil.copytree(source, other)
  one, two = (
      next(other.glob(f"*-{s}.array_record*")) for s in (SPLIT, "val")
  )
  for a, b in ((one, other / "x"), (two, one), (other / "x", two)):
    a.rename(b)
  return folder, read_all(folder)


def check_file(fuzz, dataset, name, most):
  folder, want = dataset
  path = folder / name
  valid = path.read_text()

  def read(case):
    found = read_all(folder)
    if most == 1:  # two changes may hide each other
      for key, value in want.items():
        assert found[key] == value, f"{key} differs, and nobody was told"

  def check(judge, case):
    path.write_bytes(case)
    judge.call(case, read, case)

  fuzz(hostile.json_files(json.loads(valid), most), check)


@pytest.mark.parametrize("most", [1, 3])
def test_manifest(fuzz, dataset, most):
  check_file(fuzz, dataset, "manifest.json", most)


@pytest.mark.parametrize("most", [1, 3])
def test_dataset_info(fuzz, dataset, most):
  check_file(fuzz, dataset, "dataset_info.json", most)


@pytest.mark.parametrize("most", [1, 3])
def test_features(fuzz, dataset, most):
  check_file(fuzz, dataset, "features.json", most)
