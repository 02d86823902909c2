"""The leak guard: who was trained on is not scored."""

import dataclasses
import json

import pytest

from accfm.base.errors import InputError
from accfm.evals import leaks
from accfm.steps import record as recordlib
from accfm.steps.record import Cohort, Record
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


def test_leak_guard_looks_into_the_teacher_too():
  teacher = record_of("toy/b", kind="mae")
  record = record_of("toy/a", "toy/d", parent=teacher)
  assert leaks.check_unseen(["toy/c"], record, False) == []
  with pytest.raises(InputError, match="the encoder trained on 1 of the 2"):
    leaks.check_unseen(["toy/c", "toy/a"], record, False)
  with pytest.raises(InputError, match="its teacher trained on 1"):
    leaks.check_unseen(["toy/b"], record, False)
  assert leaks.check_unseen(["toy/a", "toy/b"], record, True) == [
      "toy/a", "toy/b"]
  # Also of a second data set; a teacher from nothing was trained on nobody.
  with pytest.raises(InputError, match="the encoder trained on 1 of the 1"):
    leaks.check_unseen(["toy/d"], record, False)
  fresh = dataclasses.replace(record, parent=None)
  assert leaks.check_unseen(["toy/b"], fresh, False) == []


def test_leak_guard_names_what_a_fine_tuned_encoder_started_from():
  record = record_of(
      "toy/a", kind="supervised", parent=record_of(
          "toy/b", parent=record_of("toy/c", kind="mae"))
  )
  with pytest.raises(InputError, match=(
      "the encoder and the encoder that it started from and its teacher "
      "trained on 3 of the 4"
  )):
    leaks.check_unseen([f"toy/{name}" for name in "abcd"], record, False)


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
  assert leaks.check_unseen(everybody, hidden, True) == ["toy/a", "toy/b"]
  with pytest.raises(InputError, match="the encoder and its teacher trained o"):
    leaks.check_unseen(everybody, hidden, False)
  with pytest.raises(InputError, match="its teacher trained on 1 of the 1"):
    leaks.check_unseen(["toy/b"], hidden, False)
  assert leaks.check_unseen(["toy/c", "toy/e"], hidden, False) == []


def test_leak_guard_needs_a_record():
  record = dataclasses.replace(record_of(kind="mae"), cohorts=None)
  with pytest.raises(InputError, match="does not say who was trained on"):
    leaks.check_unseen(["toy/a"], record, True)
