"""TFDS's descriptions beside the shards: compared, never believed."""

import os
import pathlib
import shutil

import pytest
import tensorflow_datasets as tfds

from accfm.base.errors import InputError
from accfm.data import infofiles, joined, manifest, pipeline, shards
from tests.data.shards import edit, seal


@pytest.fixture
def copy(written, tmp_path):
  return pathlib.Path(shutil.copytree(written, tmp_path / "1.0.0"))


def refused(folder, match):
  """Every way to open it says the same, in one line."""
  seal(folder)  # whoever changes a file can change its checksum
  for read in (
      shards.check_all, lambda f: pipeline.open_split(f, "train"),
      lambda f: joined.open_joined([f], "train", 0.5),
  ):
    with pytest.raises(InputError, match=match) as error:
      read(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("place", [
    lambda f: f,
    lambda f: f["featuresDict"]["features"]["participant"],
    lambda f: f["featuresDict"]["features"]["acc"]["featuresDict"]["features"][
        "values"],
    lambda f: f.setdefault("elsewhere", [{}])[0],
])
@pytest.mark.parametrize("name", [
    "planted_module.Feature", "os.system", "", 5, {"a": 1}, ["b"],
])
def test_no_class_is_imported_by_a_files_word(
    copy, tmp_path, monkeypatch, place, name
):
  """A module in the current folder leaves a mark when it is imported."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(tmp_path))
  (tmp_path / "planted_module.py").write_text("open('mark', 'w').close()\n")
  edit(copy, lambda f: place(f).update(pythonClassName=name), False,
       "features.json")
  refused(copy, "names the Python class .*, which accfm never writes")
  assert not (tmp_path / "mark").exists()


def columns_of(facts):
  return facts["featuresDict"]["features"]


def tensor_of(facts):
  return columns_of(columns_of(facts)["acc"])["values"]["tensor"]


@pytest.mark.parametrize("change, match", [
    (lambda f: columns_of(f).pop("motion_g"),
     r"column 'motion_g' is absent, the manifest wants float32 \[\]"),
    (lambda f: columns_of(f).update(more=columns_of(f)["motion_g"]),
     r"column 'more' is float32 \[\], the manifest wants absent"),
    (lambda f: tensor_of(f).update(dtype="int32"),
     r"'acc/values' is int32 \[128, 3\], the manifest wants int16 \[128, 3\]"),
    (lambda f: tensor_of(f)["shape"].update(dimensions=["3", "128"]),
     r"is int16 \[3, 128\], the"),
    (lambda f: tensor_of(f).update(encoding="zlib"), "no description"),
    (lambda f: tensor_of(f)["shape"].update(dimensions=["x"]), "no desc"),
    (lambda f: tensor_of(f)["shape"].update(dimensions=5), "no description"),
    (lambda f: f.pop("featuresDict"), "no description of columns"),
    (lambda f: f.update(featuresDict=[]), "no description of columns"),
    (lambda f: f.pop("pythonClassName"), "no description of columns"),
    (lambda f: columns_of(f).update({"a/b": columns_of(f)["motion_g"]}),
     "no description of columns"),
])
def test_other_columns_are_refused(copy, change, match):
  edit(copy, change, False, "features.json")
  refused(copy, match)


@pytest.mark.parametrize("template", [
    "../../other/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    "/etc/passwd", "sub/{SHARD_X_OF_Y}", "{SPLIT}-{SHARD_X_OF_Y}", 5,
])
def test_shards_are_of_the_data_sets_own_folder(copy, template):
  def change(facts):
    facts["splits"][0]["filepathTemplate"] = template

  edit(copy, change, False, "dataset_info.json")
  refused(copy, "filepathTemplate of split 'train' is .*nothing else was open")


@pytest.mark.parametrize("change, match", [
    (lambda f: f.update(name="other"), "name is 'other', want 'biosignal_pai"),
    (lambda f: f.update(fileFormat="tfrecord"), "fileFormat is 'tfrecord'"),
    (lambda f: f.pop("splits"), "no description of shards"),
    (lambda f: f.update(splits={}), "has splits"),
    (lambda f: f.update(splits=[5]), "no description of shards"),
    (lambda f: f["splits"].pop(), "the manifest has"),
    (lambda f: f["splits"].append(f["splits"][0]), "stands twice"),
    (lambda f: f["splits"][0].update(name="../x"), "has splits"),
    (lambda f: f["splits"][0].update(name=["train"]), "no description"),
    (lambda f: f["splits"][0].update(shardLengths=["20"]),
     "has 20 rows by dataset_info.json, its manifest says 21"),
    (lambda f: f["splits"][0].update(shardLengths=["-1", "22"]), "no desc"),
    (lambda f: f["splits"][0].update(shardLengths=[2.5]), "no description"),
    (lambda f: f["splits"][0].update(shardLengths=["9" * 5000]), "no descri"),
    (lambda f: f["splits"][0].update(shardLengths=["20", "1"]),
     "00000-of-00002: has no line in checksums.json"),
])
def test_other_shards_are_refused(copy, change, match):
  edit(copy, change, False, "dataset_info.json")
  seal(copy)
  for read in (shards.check_all, lambda f: pipeline.open_split(f, "train")):
    with pytest.raises(InputError, match=match):
      read(copy)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("text", [
    "", "{", "null", "[]", "5", "[" * 100_000, '{"a": NaN}', "\ud800",
    '{"a":' * 3000 + "1" + "}" * 3000, "\x00\xff",
])
def test_what_is_no_description_is_one_line(copy, file, text):
  (copy / file).write_bytes(text.encode("utf-8", "surrogatepass"))
  refused(copy, file)


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
def test_a_missing_description_is_one_line(copy, file):
  os.remove(copy / file)
  with pytest.raises(InputError, match=f"{file}: cannot be read"):
    pipeline.open_split(copy, "train")


def test_tfds_opens_what_accfm_wrote(written):
  """And the columns that accfm knows are those that TFDS finds."""
  builder = tfds.builder_from_directory(written)
  facts = manifest.load(written)
  assert {s: i.num_examples for s, i in builder.info.splits.items()} == (
      facts["windows"]
  )
  found = infofiles.read_shards(written, facts["windows"])
  for split, files in found.items():
    info = builder.info.splits[split]
    assert [os.path.basename(p) for p in info.filepaths] == list(files)
    assert info.shard_lengths == list(files.values())
