"""Columns as tasks: numbers, two classes, several, none."""

import numpy as np

from accfm.evals.probes import tasks
from accfm.evals.probes.roles import FIT, SELECT, TEST

PEOPLE = np.repeat([f"x/{i}" for i in range(12)], 2)
ROLE = np.repeat([FIT, SELECT, TEST], [12, 4, 8])


def make(column, values, min_class=2):
  return tasks.make_task(
      column, np.asarray(values), PEOPLE, [ROLE], min_class, min_class)


def text(**rows):
  """[24] text: name -> row numbers, "" elsewhere."""
  out = np.array([""] * 24, object)
  for name, where in rows.items():
    out[where] = name
  return out.astype(str)


def test_numbers_and_two_classes():
  hr = make("labels/hr_bpm", np.arange(24, dtype=np.float32))
  assert (hr.name, hr.unit, hr.measure) == ("hr", "bpm", "mae")
  assert hr.classes is None and hr.y.dtype == np.float64
  plain = make("labels/score", np.arange(24) / 3)
  assert (plain.name, plain.measure) == ("score", "mae")
  values = np.where(np.arange(24) % 5 == 0, np.nan, np.arange(24) % 2)
  two = make("attributes/sex", values.astype(np.float32))
  assert (two.name, two.measure, two.classes) == ("sex", "auc", (0.0, 1.0))
  np.testing.assert_array_equal(two.y, values)
  assert make("labels/flag", np.arange(24) % 2 == 1).classes == (0.0, 1.0)
  nothing = make("labels/none_ms", np.full(24, np.nan, np.float32))
  assert nothing.classes is None and not nothing.known.any()


def test_text_has_the_classes_that_are_fitted():
  task = make("condition", text(walk=[0, 2, 12, 16], rest=[1, 4, 17], new=[20]))
  assert task.classes == ("rest", "walk") and task.left_out == {}
  assert task.y[[0, 1, 20]].tolist()[:2] == [1.0, 0.0] and np.isnan(task.y[20])
  assert task.known.sum() == 7


def test_rare_ones_of_several_classes_are_left_out():
  task = make("condition", text(
      a=[0, 2, 16, 18], b=[4, 6, 20, 22], c=[8, 9, 17, 19], d=[10, 1, 23]))
  # c: one person to fit on; d: two to fit on, one to test.
  assert task.classes == ("a", "b")
  assert task.left_out == {
      "c": "1 people of this class to fit on, want at least 2: its rows are "
           "left out",
      "d": "1 people of this class to test, want at least 2: its rows are "
           "left out",
  }
  assert task.known.sum() == 8


def shortage(task, fit=2, test=2, rows=1):
  least = dict.fromkeys((FIT, SELECT, TEST), (rows, 1))
  return tasks.shortage(task, PEOPLE, [ROLE], least, fit, test)


def test_reasons():
  hr = np.arange(24.0)
  assert shortage(make("labels/hr_bpm", hr)) == ""
  assert shortage(make("labels/hr_bpm", hr), rows=5) == (
      "4 labelled rows of 2 people to choose the penalty, want at least 5 of 1"
  )
  hr[16:] = 70.0
  assert shortage(make("labels/hr_bpm", hr)) == (
      "the label is constant (70) to test")
  sex = np.zeros(24)
  sex[[0, 1, 16, 18, 20]] = 1
  assert shortage(make("labels/x", sex)) == (
      "1 people of the rarer class to fit (0: 5, 1: 1), want at least 2")
  assert shortage(make("labels/x", sex), fit=1) == ""
  assert shortage(make("labels/x", sex), fit=1, test=4) == (
      "3 people of the rarer class to test (0: 4, 1: 3), want at least 4")
  assert shortage(make("condition", text(rest=range(24)))) == (
      "the label has 1 class(es) with enough people (rest), want at least two"
  )
  assert "0 labelled rows" in shortage(make("condition", text(a=[20])))


def test_slugs():
  assert tasks.slug("run / uphill") == "run_uphill"
  assert tasks.slug(2.0) == "2" and tasks.slug(2.5) == "2.5"
