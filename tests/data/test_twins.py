"""What two recordings share, beside a comparison of every pair."""

import itertools

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.data import twins
from accfm.signals.recording import Recording, Signal


def recording(**signals):
  return Recording("p", "s", {
      name: Signal(np.asarray(x), 32.0, "au", 0.0)
      for name, x in signals.items()
  })


def noise(seed, n=200, c=2):
  return np.random.default_rng(seed).normal(size=(n, c))


def test_equal_samples_have_one_hash():
  x = noise(0)
  x[3:5] = np.nan
  x[7, 0] = 0.0
  want = twins.sample_hashes(recording(ppg=x))
  minus = x.copy()
  minus[7, 0] = -0.0
  odd = np.where(np.isnan(x), -np.nan, x)
  for same in (
      np.asfortranarray(x), x.astype(np.float32), minus, odd,
      np.repeat(x, 2, axis=0)[::2],
  ):
    assert twins.sample_hashes(recording(ppg=same)) == want
  for i, j in itertools.product((0, 100, 199), (0, 1)):
    other = x.copy()
    other[i, j] += 1e-3
    assert twins.sample_hashes(recording(ppg=other)) != want
  assert twins.sample_hashes(recording(ppg=x.reshape(100, 4))) != want
  assert twins.sample_hashes(recording(ppg=x[:-1])) != want


@pytest.mark.parametrize("x", [
    np.zeros((500, 3)), np.full((500, 3), np.nan), np.zeros((0, 1)),
    noise(0, n=twins.MIN_CHANGES), np.repeat(noise(0, n=10), 50, axis=0),
    np.full((500, 1), np.inf), noise(0) * 1e300,  # no float32 holds these
])
def test_what_is_no_evidence(x):
  assert twins.sample_hashes(recording(acc=x)) == {}
  assert set(twins.sample_hashes(recording(acc=x, ppg=noise(1)))) == {"ppg"}


def summary(name, windows=1, **samples):
  return {"recording": name, "windows": windows, "samples": samples}


def test_pairs_are_those_of_every_pair():
  """Of random recordings: whatever is kept shares nothing."""
  rng = np.random.default_rng(0)
  for _ in range(200):
    summaries = [
        summary(f"r{i}", int(rng.integers(2)),
                a=f"a{rng.integers(5)}", b=f"b{rng.integers(5)}")
        for i in rng.permutation(6)
    ]
    kept = []
    for s in sorted(summaries, key=lambda s: s["recording"]):
      if s["windows"] and not any(
          s["samples"][k] == t["samples"][k] for t in kept for k in "ab"
      ):
        kept.append(s)
    left = {s["recording"] for s in summaries if s["windows"]}
    left -= set(pairs := twins.by_samples(summaries))
    assert left == {s["recording"] for s in kept}
    by_name = {s["recording"]: s["samples"] for s in kept}
    for name, (first, what) in pairs.items():
      signal = what.removeprefix("signal ")
      mine = next(s["samples"] for s in summaries if s["recording"] == name)
      assert by_name[first][signal] == mine[signal] and first < name


def test_equal_files():
  assert twins.by_files({"b": "x", "a": "x", "c": "", "d": "", "e": "y"}) == {
      "b": ("a", "all files")
  }


def test_many_pairs_are_counted():
  pairs = {f"b{i}": (f"a{i}", "all files") for i in range(9)}
  with pytest.raises(InputError, match="'a4' and 'b4' .*; and 4 more; one"):
    twins.settle(pairs, "refuse")
  said = []
  assert twins.settle(pairs, "join", said.append) == set(pairs)
  assert len(said) == 1
  assert twins.settle({}, "refuse", said.append) == set()


def test_overlapping_sessions():
  def session(person, name, start, end, windows=1):
    return {"participant": person, "session": name, "start_s": 1e9 + start,
            "end_s": 1e9 + end, "windows": windows}

  lines = twins.overlaps([
      session("P1", "long", 0, 100), session("P1", "in it", 10, 20),
      session("P1", "at its end", 90, 150), session("P1", "after", 150, 200),
      session("P2", "other", 0, 100), session("P3", "bad", 0, 100, 0),
      session("P3", "good", 0, 100),
  ])
  assert [line.partition(";")[0] for line in lines] == [
      "participant 'P1': sessions 'long' and 'in it' overlap by 10 s",
      "participant 'P1': sessions 'long' and 'at its end' overlap by 10 s",
  ]
  undated = [session("P1", name, -1e9, -1e9 + 50) for name in "ab"]
  assert not twins.overlaps(undated)
