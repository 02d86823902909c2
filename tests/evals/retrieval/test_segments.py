"""Ranges of people, recordings and minutes against pairwise loops."""

import itertools

import numpy as np

from accfm.evals.retrieval import segments as candidates


def test_thinning_leaves_no_overlap_and_is_greedy():
  participant = np.array(["a"] * 6 + ["b"] * 2 + ["a"])
  session = np.array(["s"] * 8 + ["t"])
  start = np.array([0, 30, 60, 90, 150, 130, 10, 70, 30.0])
  rows = candidates.thin(participant, session, start, 60)
  np.testing.assert_array_equal(rows, [0, 2, 5, 6, 7, 8])
  for i, j in itertools.combinations(rows, 2):
    if (participant[i], session[i]) == (participant[j], session[j]):
      assert abs(start[i] - start[j]) >= 60


def test_ranges_equal_pairwise_rules():
  rng = np.random.default_rng(0)
  n = 60
  table = {
      "participant": rng.choice(["toy/b", "toy/a", "toy/c"], n),
      # The same name for sessions of different people.
      "session": rng.choice(["1", "2"], n),
      # Seconds of an epoch, in steps that adjacent_sec is a multiple of.
      "start_s": 1.7e9 + 0.1 * rng.permutation(40 * n)[:n].round(-1),
  }
  rows = rng.permutation(n)[:50]
  segments = candidates.Segments(table, rows)
  assert sorted(segments.rows) == sorted(rows)
  who, which, when = (
      table[c][segments.rows] for c in ("participant", "session", "start_s")
  )
  np.testing.assert_array_equal(segments.participant, who)
  near = 30.0
  adjacent = segments.adjacent(near)
  borders = 0
  for i, j in itertools.product(range(50), repeat=2):
    inside = lambda ends: ends[i, 0] <= j < ends[i, 1]  # noqa: B023, E731
    person = who[i] == who[j]
    recording = person and which[i] == which[j]
    apart = abs(when[i] - when[j])
    borders += recording and round(apart, 3) == near
    assert inside(segments.person) == person
    assert inside(segments.recording) == recording
    assert inside(adjacent) == (recording and apart < near - 1e-3)
    for mask, want in (
        (segments.everybody(), True), (segments.within_person(), person),
        (segments.but(segments.person), not person),
    ):
      assert mask.allows(np.array([i]), np.array([j]))[0] == want
  assert borders > 1  # starting exactly so far apart is not adjacent
