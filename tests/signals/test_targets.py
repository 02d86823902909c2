"""Labels to numbers a network learns, and its outputs back to labels."""

import json
import re

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.signals import targets
from accfm.signals.targets import Target

NAN = np.nan


def table():
  return {
      "participant": np.array([f"x/{i}" for i in range(8)]),
      "motion_g": np.ones(8, np.float32),
      "condition": np.array(["", "rest", "walk", "", "rest", "run", "", "sit"]),
      "labels/hr_bpm": np.float32([60, 72, NAN, 90, 55, 81, NAN, 70]),
      "labels/flat": np.full(8, 3, np.float32),
      "attributes/sex": np.float32([0, 1, 1, NAN, 0, 1, 0, 2]),
  }


def from_labels(columns, rows=range(8)):
  return targets.from_labels(columns, table(), list(rows))


# --- numbers -----------------------------------------------------------------


def test_a_number_is_standardised_by_the_rows_of_training():
  rows, values = [0, 2, 3, 4], [60.0, 90.0, 55.0]
  (target,) = from_labels({"labels/hr_bpm": "number"}, rows)
  mean = sum(values) / 3
  sd = np.sqrt(sum((v - mean) ** 2 for v in values) / 3)
  assert (target.column, target.classes) == ("labels/hr_bpm", ())
  assert (target.task, target.outputs) == ("hr_bpm", 1)
  assert target.mean == pytest.approx(mean) and target.sd == pytest.approx(sd)
  labels = table()["labels/hr_bpm"]
  got = target.encode(labels)
  assert got.dtype == np.float32
  for value, label in zip(got, labels, strict=True):
    np.testing.assert_allclose(value, (float(label) - mean) / sd, rtol=1e-6)
  assert np.isnan(got[[2, 6]]).all() and np.isfinite(got).sum() == 6
  np.testing.assert_allclose(target.decode(got[:, None]), labels, rtol=1e-6)


def test_large_numbers_keep_their_digits():
  """Float32 sums of these would be off by more than their SD."""
  labels = (1e5 + np.arange(4000) % 2).astype(np.float32)
  (target,) = targets.from_labels(
      {"labels/x": "number"}, {"labels/x": labels}, np.arange(4000)
  )
  assert target.mean == pytest.approx(1e5 + 0.5, rel=1e-12)
  assert target.sd == pytest.approx(0.5, rel=1e-9)
  np.testing.assert_array_equal(
      target.encode(labels), 2 * (np.arange(4000) % 2) - 1
  )


# --- classes -----------------------------------------------------------------


def test_two_classes():
  (target,) = from_labels({"attributes/sex": "class"}, range(7))
  assert target.classes == (0.0, 1.0)
  assert (target.task, target.outputs) == ("sex", 2)
  got = target.encode(table()["attributes/sex"])
  assert got.dtype == np.float32
  # Unknown, and a class that no row of training has.
  np.testing.assert_array_equal(got, [0, 1, 1, NAN, 0, 1, 0, NAN])
  logits = np.float32([[1, 3], [2, -1]])
  np.testing.assert_allclose(target.decode(logits), [2, -3])


def test_text_classes_in_the_order_of_their_names():
  rows = [0, 1, 2, 4, 5]
  (target,) = from_labels({"condition": "class"}, rows)
  assert target.classes == ("rest", "run", "walk")
  assert all(type(name) is str for name in target.classes)
  assert (target.task, target.outputs) == ("condition", 3)
  np.testing.assert_array_equal(
      target.encode(table()["condition"]), [NAN, 0, 2, NAN, 0, 1, NAN, NAN]
  )
  logits = np.float32([[0, 2, 1], [5, 2, 1], [-3, -2, -1]])
  got = target.decode(logits)
  assert got.dtype == np.float64
  np.testing.assert_array_equal(got, [1, 0, 2])


def test_a_confident_output_decodes_to_the_class_that_was_encoded():
  (target,) = from_labels({"condition": "class"})
  places = target.encode(table()["condition"])
  known = np.isfinite(places)
  logits = np.eye(target.outputs)[places[known].astype(int)]
  np.testing.assert_array_equal(target.decode(logits), places[known])
  names = [target.classes[int(p)] for p in target.decode(logits)]
  assert names == table()["condition"][known].tolist()


# --- plain data --------------------------------------------------------------


def test_targets_survive_json():
  made = from_labels({
      "labels/hr_bpm": "number", "attributes/sex": "class",
      "condition": "class",
  })
  assert [t.column for t in made] == [
      "labels/hr_bpm", "attributes/sex", "condition"
  ]
  again = targets.from_plain(json.loads(json.dumps(targets.to_plain(made))))
  assert again == made and isinstance(again, tuple)
  for one, other in zip(made, again, strict=True):
    values = table()[one.column]
    np.testing.assert_array_equal(one.encode(values), other.encode(values))
  assert targets.from_plain([]) == ()


def test_classes_that_are_no_whole_float32_survive_json():
  values = np.float32([0.1, 0.7, 0.1])
  (target,) = targets.from_labels(
      {"labels/x": "class"}, {"labels/x": values}, [0, 1, 2]
  )
  (again,) = targets.from_plain(
      json.loads(json.dumps(targets.to_plain([target])))
  )
  np.testing.assert_array_equal(again.encode(values), [0, 1, 0])


def test_known_rows():
  np.testing.assert_array_equal(
      targets.known_rows(np.float32([1, NAN, np.inf, 0])),
      [True, False, False, True],
  )
  np.testing.assert_array_equal(
      targets.known_rows(np.array(["", "a", " "])), [False, True, True]
  )


# --- what can be wrong -------------------------------------------------------


@pytest.mark.parametrize("columns, rows, want", [
    ({"labels/hr_bpm": "rank"}, range(8),
     "targets.labels/hr_bpm: got 'rank', want one of ('number', 'class')"),
    ({"labels/x": "number"}, range(8),
     "targets: got 'labels/x', want some of ['attributes/sex', 'condition', "
     "'labels/flat', 'labels/hr_bpm']"),
    ({"labels/flat": "number"}, range(8),
     "targets.labels/flat: got 8 labelled rows with 1 different value(s) to "
     "train on, want at least two values; raise --config.label_fraction or "
     "drop the target"),
    ({"condition": "class"}, [0, 3, 6],
     "targets.condition: got 0 labelled rows with 0 different value(s)"),
    ({"attributes/sex": "class"}, [1, 2, 3],
     "targets.attributes/sex: got 2 labelled rows with 1 different value(s)"),
    ({"condition": "number"}, range(8),
     "targets.condition: got 'number' for text, want 'class'"),
])
def test_what_cannot_be_learnt(columns, rows, want):
  with pytest.raises(InputError, match=re.escape(want)):
    from_labels(columns, rows)


def test_defaults_leave_numbers_as_they_are():
  target = Target("labels/x")
  np.testing.assert_array_equal(target.encode([1.5, NAN]), [1.5, NAN])
  np.testing.assert_array_equal(target.decode(np.array([[1.5]])), [1.5])
