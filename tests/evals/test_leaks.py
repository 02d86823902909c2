"""The leak guard: who was trained on is not scored."""

import dataclasses
import itertools
import json
import types

import ml_collections
import numpy as np
import pytest

from accfm import prepare
from accfm.base import pseudonyms
from accfm.base.errors import InputError
from accfm.data import ids as idslib
from accfm.data import pipeline
from accfm.evals import leaks
from accfm.steps import record as recordlib
from accfm.steps.record import Cohort, Record
from tests.data import fake_source
from tests.evals import toy


def record_of(*trained, kind="distill", parent=None, **splits):
  """A record that was trained on some participants, each a data set."""
  signals = ("acc", "ppg") if kind == "distill" else ("ppg",)
  cohorts = tuple(
      Cohort("toy", {"train": (one,), **splits}, windows={"train": 3})
      for one in trained
  )
  return Record(
      kind, {}, signals, toy.make_contract(20), cohorts, parent
  )


NOBODY = leaks.Seen()


def check(ids, record, allow_seen=False, **of_people):
  return leaks.check_unseen(
      leaks.People(tuple(ids), **of_people), record, allow_seen)


def test_leak_guard_looks_into_the_teacher_too():
  teacher = record_of("toy/b", kind="mae")
  record = record_of("toy/a", "toy/d", parent=teacher)
  assert check(["toy/c"], record) == NOBODY
  with pytest.raises(InputError, match="the encoder trained on 1 of the 2"):
    check(["toy/c", "toy/a"], record)
  with pytest.raises(InputError, match="its teacher trained on 1"):
    check(["toy/b"], record)
  assert check(["toy/a", "toy/b"], record, True) == leaks.Seen(
      ("toy/a", "toy/b"))
  # Also of a second data set; a teacher from nothing was trained on nobody.
  with pytest.raises(InputError, match="the encoder trained on 1 of the 1"):
    check(["toy/d"], record)
  fresh = dataclasses.replace(record, parent=None)
  assert check(["toy/b"], fresh) == NOBODY


def test_leak_guard_names_what_a_fine_tuned_encoder_started_from():
  record = record_of(
      "toy/a", kind="supervised", parent=record_of(
          "toy/b", parent=record_of("toy/c", kind="mae"))
  )
  with pytest.raises(InputError, match=(
      "the encoder and the encoder that it started from and its teacher "
      "trained on 3 of the 4"
  )):
    check([f"toy/{name}" for name in "abcd"], record)


def test_leak_guard_reads_pseudonyms():
  """A record without ids guards as well; each keeps the salt it was given."""
  teacher = record_of("toy/b", kind="mae", val=("toy/e",))
  record = record_of(
      "toy/a", parent=recordlib.hide_people(teacher, "old"), val=()
  )
  hidden = recordlib.hide_people(record, "new")
  text = json.dumps(recordlib.to_plain(hidden))
  assert not any(f"toy/{name}\"" in text for name in "abe")
  assert hidden.cohorts[0].salt == "new"
  assert hidden.parent.cohorts[0].salt == "old"
  assert hidden.cohorts[0].windows == {"train": 3}
  assert record.cohorts[0].splits["train"] == ("toy/a",)  # not changed
  everybody = [f"toy/{name}" for name in "abcde"]
  assert check(everybody, hidden, True) == leaks.Seen(
      ("toy/a", "toy/b"), ("toy/e",))
  with pytest.raises(InputError, match="the encoder and its teacher trained o"):
    check(everybody, hidden)
  with pytest.raises(InputError, match="its teacher trained on 1 of the 1"):
    check(["toy/b"], hidden)
  assert check(["toy/c", "toy/d"], hidden) == NOBODY


def test_leak_guard_needs_a_record():
  record = dataclasses.replace(record_of(kind="mae"), cohorts=None)
  with pytest.raises(InputError, match="does not say who was trained on"):
    check(["toy/a"], record, True)


# Every way to name people: names of two studies, recordings of the same people
# and of others, salts of the data sets, a salt of the record.

SPLITS = {"train": ("a", "b", "c"), "val": ("d", "e"), "test": ("f", "g")}


def prepared(splits=None, salt="", cohort="study", recordings="old", **fields):
  """An open split, as `prepare` leaves one: its manifest and its people."""
  people = {
      split: sorted(
          (pseudonyms.pseudonym(f"{cohort}/{one}", salt), one) for one in some
      ) for split, some in (splits or SPLITS).items()
  }
  manifest = {
      "name": "data", "source": "e4", "split_hash": "", "windows": {},
      "prepare_config": {
          "salt": salt and pseudonyms.known_salt(salt), "cohort": cohort,
      },
      "splits": {s: [name for name, _ in some] for s, some in people.items()},
      "fingerprints": {
          s: [hashes(one, recordings) for _, one in some]
          for s, some in people.items()
      }, **fields,
  }
  return types.SimpleNamespace(
      manifest=manifest, digest="",
      table={"participant": np.array(
          [name for some in manifest["splits"].values() for name in some]
      )},
  )


def hashes(one, recordings):
  """A fingerprint: of one's "old" recordings, of "new" ones, or of both."""
  parts = [r for r in ("old", "new") if r in recordings]
  return idslib.fingerprint(
      pseudonyms.pseudonym(f"x/{one} {r} {k}", "h").partition("/")[2]
      for r in parts for k in range(2)
  )


def trained_on(split, salt="", parent=None):
  """The record of a run on a data set."""
  data = types.SimpleNamespace(
      signals=("acc", "ppg"), contract=toy.make_contract(20),
      train=types.SimpleNamespace(parts=[split]),
  )
  config = ml_collections.ConfigDict({"pseudonym_salt": salt})
  return recordlib.make("distill", config, data, parent)


def names_of(split, some):
  """Ids of some people of a data set, sorted."""
  config = split.manifest["prepare_config"]
  return tuple(sorted(
      p for p in split.table["participant"] if any(
          p == pseudonyms.pseudonym(f"{config['cohort']}/{one}", salt)
          for one in some for salt in ("", "one", "two")
      )
  ))


@pytest.mark.parametrize("hidden", ["", "record"])
@pytest.mark.parametrize("there,here", list(
    itertools.product(["", "one", "two"], repeat=2)))
def test_people_are_known_or_said_not_to_be(there, here, hidden):
  """The oracle is who they are, which no side of the guard is given."""
  record = trained_on(prepared(salt=there), hidden)
  assert recordlib.from_plain(recordlib.to_plain(record)) == record
  for recordings in ("old", "old new"):  # some of them are the same
    scored = prepared(salt=here, recordings=recordings)
    found = leaks.check_unseen(leaks.people_of(scored), record, True)
    assert found == leaks.Seen(names_of(scored, "abc"), names_of(scored, "de"))
  scored = prepared(salt=here, recordings="new")  # names alone can tell
  found = leaks.check_unseen(leaks.people_of(scored), record, True)
  if there == here:
    assert found == leaks.Seen(names_of(scored, "abc"), names_of(scored, "de"))
  else:
    assert found == leaks.Seen(untold=names_of(scored, "abcdefg"))
    with pytest.raises(InputError, match=(
        "cannot tell whether the encoder trained on 7 of the 7 people.*"
        "prepare both with the same --config.salt"
    )):
      leaks.check_unseen(leaks.people_of(scored), record)
  # The same names in another study are other people, however they are named,
  strangers = prepared(salt=here, cohort="another", recordings="new")
  people = leaks.people_of(strangers)
  assert leaks.check_unseen(people, record) == NOBODY
  # unless they have the same recordings.
  renamed = prepared(salt=here, cohort="another")
  found = leaks.check_unseen(leaks.people_of(renamed), record, True)
  assert found == leaks.Seen(names_of(renamed, "abc"), names_of(renamed, "de"))


@pytest.mark.parametrize("there,here", [
    ("", "one"), ("one", ""), ("one", "two")])
def test_unseen_people_are_let_through_under_any_salt(there, here):
  """Of the same recordings the test split is known to be that."""
  record = trained_on(prepared(salt=there))
  scored = prepared(salt=here)
  some = names_of(scored, "fg")
  people = dataclasses.replace(leaks.people_of(scored), ids=some)
  assert leaks.check_unseen(people, record) == NOBODY


def test_what_prepare_writes_tells_people(tmp_path):
  """A run on plain ids, and its people prepared anew under a salt."""
  def prepare_data(name, **fields):
    folder = prepare.run(
        fake_source.get_config(name=name, **fields), "somewhere",
        str(tmp_path), {"fake": fake_source.Fake()})
    return lambda split: pipeline.open_split(folder, split)

  plain = prepare_data("plain")
  record = trained_on(plain("train"))
  split_of = {
      person.partition("/")[2]: split
      for split, people in plain("train").manifest["splits"].items()
      for person in people
  }

  def check_all(other, name):
    for split in split_of.values():
      found = leaks.check_unseen(leaks.people_of(other(split)), record, True)
      people = other(split).manifest["splits"][split]
      assert found == leaks.Seen(*(
          tuple(p for p in people if split_of[name(p)] == want)
          for want in ("train", "val")
      ))

  salted = {
      pseudonyms.pseudonym(f"fake/{one}", "pepper"): one for one in split_of}
  check_all(prepare_data("salted", salt="pepper"), salted.get)
  # The splits are others too, as the ids are.
  check_all(prepare_data("renamed", cohort="mine", hop_sec=2.0),
            lambda p: p.removeprefix("mine/"))


def test_nothing_in_a_record_says_whose_a_fingerprint_is():
  scored = prepared()
  record = trained_on(scored, "record")
  for split, some in record.cohorts[0].fingerprints.items():
    assert list(some) == sorted(some)
    assert set(some) == set(
        " ".join(scored.manifest["fingerprints"][split]).split())


def test_a_record_of_twenty_thousand_people_stays_small():
  """Each of them with two recordings of two signals."""
  people = [f"person{n:05d}" for n in range(20_000)]
  record = trained_on(prepared(
      {"train": people[2:], "val": people[:1], "test": people[1:2]},
      recordings="old new"))
  assert len(record.cohorts[0].fingerprints["train"]) == 4 * 19_998
  assert len(json.dumps(recordlib.to_plain(record))) < 2_000_000


def test_validation_people_are_no_test_people():
  record = trained_on(prepared())
  other_fold = prepared({"train": "fg", "val": "abc", "test": "de"})
  people = dataclasses.replace(
      leaks.people_of(other_fold), ids=("study/d", "study/e"))
  with pytest.raises(InputError, match=(
      r"2 of the 2 people \(study/d, study/e\) to be scored are validation "
      "people of the encoder"
  )):
    leaks.check_unseen(people, record)
  want = leaks.Seen(validated=("study/d", "study/e"))
  assert leaks.check_unseen(people, record, allow_seen=True) == want
  assert leaks.check_unseen(people, record, allow_validated=True) == want
  # Of a parent too; and whom one trained on, another may have validated on.
  student = trained_on(prepared({"train": "d", "val": "x"}), parent=record)
  assert leaks.check_unseen(people, student, True) == leaks.Seen(
      ("study/d",), ("study/e",))
  with pytest.raises(InputError, match="the encoder trained on 1 of the 2"):
    leaks.check_unseen(people, student, allow_validated=True)


def test_nobody_is_scored_whom_probes_were_fitted_on():
  """Of another data set than theirs, whatever its ids."""
  other = prepared({"train": "a", "val": "d", "test": "f"})
  for salt in ("", "one"):
    fitted = prepared(salt=salt)
    strangers = leaks.people_of(
        prepared({"train": "x", "val": "", "test": "f"}, recordings="new"))
    if salt:
      with pytest.raises(InputError, match="cannot tell whether probes are"):
        leaks.check_fitted(strangers, fitted)
    assert leaks.check_fitted(strangers, fitted, allow_seen=True) == (
        ("study/f", "study/x") if salt else ())
    with pytest.raises(InputError, match="fitted on 2 of the 3 .*study/a"):
      leaks.check_fitted(leaks.people_of(other), fitted, allow_seen=True)


def of_yesterday(record):
  """A record without what tells people under other ids."""
  return dataclasses.replace(record, cohorts=tuple(
      dataclasses.replace(c, known_salt=None, fingerprints={}, source="")
      for c in record.cohorts
  ))


@pytest.mark.parametrize("there,here,told", [
    ("", "", True), ("one", "one", True), ("", "one", False),
    ("one", "", False), ("one", "two", False),
])
def test_a_record_of_yesterday_is_read_as_far_as_it_says(there, here, told):
  record = of_yesterday(trained_on(prepared(salt=there)))
  scored = prepared(salt=here)
  assert leaks.check_unseen(leaks.people_of(scored), record, True) == (
      leaks.Seen(names_of(scored, "abc"), names_of(scored, "de")) if told
      else leaks.Seen(untold=names_of(scored, "abcdefg"))
  )


def test_a_hidden_record_of_yesterday_warns(capsys):
  """It does not say whether people had pseudonyms before: most have none."""
  record = of_yesterday(trained_on(prepared(salt="one"), "record"))
  scored = prepared()
  assert leaks.check_unseen(leaks.people_of(scored), record) == NOBODY
  assert "cannot be verified" in capsys.readouterr().err
  same = prepared(salt="one")
  assert leaks.check_unseen(leaks.people_of(same), record, True).trained == (
      names_of(same, "abc"))
  other = prepared(salt="two")
  assert leaks.check_unseen(leaks.people_of(other), record, True).untold == (
      names_of(other, "abcdefg"))
  assert capsys.readouterr().err == ""


def test_older_data_sets_called_people_of_any_study_by_the_source():
  """`e4/a` of yesterday may be `study/a`; `e4/z` is nobody of the study."""
  old = prepared(cohort="e4", fingerprints={})
  scored = prepared({"train": "", "val": "", "test": "adfz"})
  for record in (trained_on(old), of_yesterday(trained_on(old))):
    with pytest.raises(InputError, match="2 of the 4 .*named people after the"):
      leaks.check_unseen(leaks.people_of(scored), record)
    assert leaks.check_unseen(leaks.people_of(scored), record, True) == (
        leaks.Seen(untold=("study/a", "study/d")))
  # The other way round; and another source's names say nothing.
  record = trained_on(prepared({"train": "a", "val": "b"}))
  found = leaks.check_unseen(leaks.people_of(old), record, True)
  assert found.untold == ("e4/a", "e4/b")
  watch = prepared(cohort="watch", source="watch", fingerprints={})
  assert leaks.check_unseen(leaks.people_of(watch), record) == NOBODY
