"""The files beside the shards: they say what to read, and anybody edits them.

A changed file is refused, or changes nothing that matters: who is in which
split, which row is whose, what the numbers mean.
"""

import hashlib
import json
import pathlib
import shutil

import pytest

from accfm.data import checksums, joined, pipeline
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
  rows = split.read(range(len(split)), list(split.contract.signals))
  table = joined.open_joined([folder], SPLIT).table
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


def match(folder, path):
  """Makes the checksum of a file that of what it holds now."""
  sums = json.loads((folder / checksums.FILE).read_text())
  data = path.read_bytes()
  sums[path.name] = [len(data), hashlib.sha256(data).hexdigest()]
  (folder / checksums.FILE).write_text(json.dumps(sums))


def check_file(fuzz, dataset, name, matching, differ=()):
  """Cases of one file.

  Args:
    fuzz, dataset: the fixtures.
    name: of the file.
    matching: whether its checksum is made to match, so that the parser
      behind it sees what was changed.
    differ: what of `read_all` may differ where the file was believed.
  """
  folder, want = dataset
  path = folder / name
  valid = json.loads(path.read_text())

  def read():
    found = read_all(folder)
    for key, value in want.items():
      assert key in differ or found[key] == value, (
          f"{key} differs, and nobody was told"
      )

  def check(judge, case):
    path.write_bytes(case)
    if matching:
      match(folder, path)
    judge.call(case, read)

  fuzz(hostile.json_files(valid, 2 if matching else 1), check)


@pytest.mark.parametrize("matching", [False, True])
def test_manifest(fuzz, dataset, matching):
  # One that agrees with itself and its checksum may tell of another contract
  # and other names, but not of other rows.
  differ = ("manifest", "contract", "numbers") if matching else ()
  check_file(fuzz, dataset, "manifest.json", matching, differ)


@pytest.mark.parametrize("matching", [False, True])
def test_dataset_info(fuzz, dataset, matching):
  check_file(fuzz, dataset, "dataset_info.json", matching)


@pytest.mark.parametrize("matching", [False, True])
def test_features(fuzz, dataset, matching):
  check_file(fuzz, dataset, "features.json", matching)


def test_checksums_of_a_dataset(fuzz, dataset):
  check_file(fuzz, dataset, checksums.FILE, False)
