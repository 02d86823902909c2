"""Ids of people, and what tells that two of them are one."""

import pytest

from accfm.configs import prepare as prepare_config
from accfm.data import ids


def test_a_cohort_is_called_after_its_source_unless_it_has_a_name():
  for source, want in (
      ("e4", "e4"), ("simulated", "simulated"), ("./watch.py", "watch"),
      ("my.sources.band", "band"),
  ):
    config = prepare_config.get_config("e4").unlock()
    config.source = source
    assert ids.cohort(config) == want == ids.of_source(source)
    config.cohort = "study"
    assert ids.cohort(config) == "study"
  assert prepare_config.get_config("e4,cohort=mine").cohort == "mine"


def test_a_fingerprint_is_short_and_knows_no_order():
  hashes = [f"{k:x}" * 32 for k in (7, 3, 15, 1, 12)]
  want = "1" * 12 + " " + "3" * 12 + " " + "7" * 12 + " " + "c" * 12
  assert ids.fingerprint(hashes) == want == ids.fingerprint(hashes[::-1] * 2)
  assert ids.fingerprint([]) == ""


def summary(windows, **samples):
  return {"windows": windows, "samples": samples}


def test_recordings_without_windows_tell_nobody():
  """Two people may have the same recording of a device on a table."""
  found = ids.fingerprints({"train": ["x/a", "x/b"], "test": ["x/c"]}, [
      ("x/a", "1", summary(2, acc="a" * 32, ppg="b" * 32)),
      ("x/a", "2", summary(1, acc="c" * 32)),
      ("x/b", "1", summary(0, acc="d" * 32)), ("x/c", "1", summary(3)),
  ])
  assert found == {
      "train": [" ".join(s * 12 for s in "abc"), ""], "test": [""]}


def described(name, salt="", prints=None, **splits):
  return {"name": name, "prepare_config": {"salt": salt}, "splits": splits,
          "fingerprints": prints or {}}


@pytest.mark.parametrize("one, other, lines", [
    (described("a", train=["x/1"], val=["x/2"]),
     described("b", train=["x/1"], val=["x/3"]), []),
    (described("a", train=["x/1", "x/4"], val=["x/2"]),
     described("b", train=["x/5"], val=["x/3"], test=["x/4"]),
     ["1 people are in train of a and in test of b, such as x/4"]),
    # Other studies, other people; of the same recordings the same ones.
    (described("a", train=["x/1"], val=["x/2"]),
     described("b", train=["y/3"], val=["y/1"]), []),
    (described("a", train=["x/1"], prints={"train": ["p q"]}),
     described("b", val=["y/7", "y/1"], prints={"val": ["r s", "o q"]}),
     ["1 people are in train of a and in val of b, such as y/1"]),
    # A pseudonym may be somebody else's id.
    (described("a", train=["x/1"]), described("b", salt="s", val=["x/1"]), []),
])
def test_nobody_is_trained_on_and_held_out(one, other, lines):
  for pair in ([one, other], [other, one]):
    found = ids.crossings(pair)
    assert len(found) == len(lines)
    for line, want in zip(found, lines, strict=True):
      assert line.startswith(want)
  assert ids.crossings([one]) == []
