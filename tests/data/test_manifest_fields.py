"""Whatever of a manifest is changed alone, another part of it tells."""

import copy
import hashlib

import pytest

from accfm.base.errors import InputError
from accfm.data import manifest, manifest_fields
from tests.data.manifests import make


def test_a_manifest_that_agrees():
  made = manifest_fields.check(make(), "m")
  assert made.windows == {"train": 4, "val": 2, "test": 2}
  assert made.format == 1 and made.contract.signals["acc"].channels == 3
  older = make()
  del older["rows"]
  assert manifest_fields.check(older, "m").rows == {}


OPTIONAL = {"rows", "source_code", "format"}


@pytest.mark.parametrize("key", sorted(set(make()) - OPTIONAL))
def test_no_field_may_be_missing(tmp_path, key):
  facts = make()
  del facts[key]
  manifest.save(tmp_path, facts)
  with pytest.raises(InputError, match=f"got no field '{key}', want one"):
    manifest.load(tmp_path)


@pytest.mark.parametrize("key", sorted(make()))
@pytest.mark.parametrize("value", [None, 5, "x", [5], {"x": [None]}, True])
def test_a_field_of_another_type(tmp_path, key, value):
  """Refused in one line, or a value that the field may have by itself."""
  manifest.save(tmp_path, {**make(), key: value})
  if (key, value) in [
      ("name", "x"), ("source", "x"), ("code_version", "x"),
      ("recordings", {"x": [None]}), ("prepare_config", {"x": [None]}),
  ]:
    assert manifest.load(tmp_path)[key] == value
    return
  with pytest.raises(InputError, match="prepare it again") as error:
    manifest.load(tmp_path)
  assert "\n" not in str(error.value)


def put(path, value):
  """A change that sets the value at a path such as ("rows", "train", 0)."""
  def change(facts):
    *parents, last = path
    for key in parents:
      facts = facts[key]
    facts[last] = value

  return change


def both(*changes):
  def change(facts):
    for one in changes:
      one(facts)

  return change


def hashed(facts):
  facts["split_hash"] = manifest.split_hash(facts["splits"])


RENAMED = put(("splits", "train", 0), "x/9")


@pytest.mark.parametrize("change, match", [
    (RENAMED, "split_hash is '.*', that of its participants is"),
    (both(RENAMED, hashed), "rows.train has rows of 'x/1', who is not in spl"),
    (both(put(("splits", "val", 0), "x/1"), hashed),
     "'x/1' is in train and val, want each participant once"),
    (put(("split_hash",), "f" * 16), "split_hash is 'ffffffffffffffff'"),
    (put(("rows", "train", 0, 1), 3), "rows.train sum to 5, windows says 4"),
    (put(("rows", "train", 0, 1), 0), "want .participant, rows"),
    (put(("rows", "train", 0, 1), True), "want"),
    (put(("rows", "train", 0, 1), 2.5), "want"),
    (put(("rows", "train", 0), ["x/1"]), "want .participant, rows"),
    (put(("rows", "train", 0, 0), "x/2"), "'x/2' stands twice"),
    (put(("rows", "train"), [["x/1", 4]]), "are of 1 people, people says 2"),
    (put(("rows", "more"), []), "rows has splits .*'more'.*, splits has"),
    (put(("windows", "train"), 5), "rows.train sum to 4, windows says 5"),
    (put(("windows", "train"), -4), "rows.train sum to 4"),
    (put(("windows", "more"), 5), "windows has splits"),
    (put(("people", "train"), 5), "are of 2 people, people says 5"),
    (put(("hours",), {}), "hours has splits"),
    (put(("splits", "../x"), []), "got a split '../x', want a plain name"),
    (put(("qc", "kept"), 9), "qc.kept is 9, windows sum to 8"),
    (put(("label_windows", "val", "hr_bpm"), 3), "hr_bpm is 3, windows says 2"),
    (put(("label_windows", "val"), {}), "label_windows.val has"),
    (put(("labels",), ["hr_bpm", "hr_bpm"]), "label_windows"),
    (put(("attributes",), ["a", "a"]), "attributes: a name stands twice"),
    (put(("contract", "signals", "ppg", "normalize"), "none"),
     "contract.signals.ppg.normalize is 'none', prepare_config says 'zscore'"),
    (put(("contract", "rate_hz"), 32.0), "rate_hz is 32.0, prepare_config say"),
    (put(("contract", "window_sec"), 30.0), "window_sec is 30.0, prepare_con"),
    (put(("hop_sec",), 30.0), "hop_sec is 30.0"),
    (put(("contract", "signals", "ecg"), {"channels": 1, "unit": "mV",
                                          "kind": "ecg"}), "quantisation has"),
    (put(("prepare_config", "signals"), 5), "are not those of prepare_config"),
    (put(("contract", "signals", "ppg", "channels"), "4"), "channels: got '4'"),
    (put(("contract", "more"), 1), "got a field 'more'"),
    (put(("more",), 1), "got a field 'more'"),
    (put(("fingerprints",), {"train": ["a", "b"]}), "fingerprints has splits"),
    (put(("fingerprints",), {"train": ["a"], "val": ["c"], "test": ["d"]}),
     "fingerprints.train are 1, splits.train has 2 participants"),
    (put(("prepare_config", "salt"), 5), "prepare_config.salt is no text"),
    (put(("format",), 3), "got 3, want at most 2; a newer accfm wrote it"),
    (put(("format",), "2"), "format: got '2', want 1 to 2"),
    (put(("format",), 2), "checksums.json: no such file"),
])
def test_what_does_not_agree(tmp_path, change, match):
  facts = copy.deepcopy(make())
  change(facts)
  manifest.save(tmp_path, facts)
  with pytest.raises(InputError, match=match) as error:
    manifest.load(tmp_path)
  assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", [
    "", "null", "[]", "[" * 100_000, '{"name": NaN}', '{"a": 1, "a": 2}',
])
def test_what_is_no_manifest(tmp_path, text):
  (tmp_path / "manifest.json").write_text(text)
  with pytest.raises(InputError, match="manifest.json: .*prepare it again"):
    manifest.load(tmp_path)


def test_the_hash_of_splits_is_that_of_older_versions():
  """Which they wrote into their manifests; by hand."""
  text = '{"test": ["x/4"], "train": ["x/1", "x/2"], "val": ["x/3"]}'
  assert manifest.split_hash(
      {"train": ["x/2", "x/1"], "val": ["x/3"], "test": ["x/4"]}
  ) == hashlib.sha256(text.encode()).hexdigest()[:16]
