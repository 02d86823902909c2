"""Who fits, selects and is tested, and when that is too few."""

import numpy as np

from accfm.evals.probes import roles
from accfm.evals.probes.roles import FIT, SELECT, TEST
from tests.evals import toy


def people_of(data):
  return np.concatenate([
      data.tables[s]["participant"] for s in sorted(data.tables)])


def test_folds_test_everyone_once_with_more_to_fit_on():
  data, _ = toy.make_inputs()
  people = people_of(data)
  dealt = roles.deal(data.tables, "test", 3, 0)
  tested = np.sum([role == TEST for role in dealt], axis=0)
  own = np.isin(people, data.table["participant"])
  np.testing.assert_array_equal(tested, own.astype(int))
  np.testing.assert_array_equal(roles.tested(dealt), own)
  for role in dealt:
    test, fit = people[role == TEST], people[role == FIT]
    assert not set(test) & set(fit)
    assert len(set(fit)) == 20 + 6 + 8 - len(set(test))
    assert not (role == SELECT).any()  # the fitted people select
  number = roles.fold_of(dealt)
  for fold, role in enumerate(dealt):
    np.testing.assert_array_equal(
        people[own][number == fold], people[role == TEST])


def test_the_val_split_is_not_selected_on_itself():
  data, _ = toy.make_inputs()
  people = people_of(data)
  (role,) = roles.deal(data.tables, "val", 0, 0)
  groups = [set(people[role == r]) for r in (FIT, SELECT, TEST)]
  assert [len(g) for g in groups] == [16, 4, 6]
  assert not groups[1] & groups[2]


def test_shortage_counts_the_worst_fold_and_all_that_are_tested():
  people = np.array(list("aabbccdd"))
  known = np.array([1, 1, 1, 0, 1, 1, 1, 0], bool)
  first = np.array([FIT, FIT, FIT, FIT, SELECT, SELECT, TEST, TEST])
  second = np.array([FIT, FIT, TEST, TEST, SELECT, SELECT, -1, -1])
  least = {FIT: (2, 1), SELECT: (2, 1), TEST: (2, 2)}
  assert roles.shortage(people, known, [first, second], least) == ""
  assert roles.shortage(people, known, [first], least) == (
      "1 labelled rows of 1 people to test, want at least 2 of 2")
  least[FIT] = (3, 1)
  assert roles.shortage(people, known, [first, second], least) == (
      "2 labelled rows of 1 people to fit on, want at least 3 of 1")


def test_fitted_people_who_select_are_enough():
  people = np.array(list("aabb"))
  role = np.array([FIT, FIT, TEST, TEST])
  least = {FIT: (2, 1), SELECT: (2, 2), TEST: (2, 1)}
  assert roles.shortage(people, np.ones(4, bool), [role], least) == ""


def test_people_of_each_class():
  people = np.array(list("aabbcc"))
  y = np.array([0, 1, 1, 1, np.nan, 0])
  got = roles.class_people(people, y, 3, np.arange(6) < 5)
  assert got.tolist() == [1, 2, 0]
