"""The comparison of two commits' ranks, on runs that are known."""

import json

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.retrieval.ranks import Counts
from benchmarks import ranks


def test_ratios_are_taken_within_a_round():
  def run(name, number, seconds, cpu):
    return {"name": name, "round": number, "each": {"a": seconds},
            "cpu": {"a": cpu}, "digests": {"a": "x"}, "lines": 7,
            "peak_mib": 1}

  runs = [run("accfm", 0, 2.0, 3.0), run("before", 0, 1.0, 1.0),
          run("before", 1, 4.0, 2.0), run("accfm", 1, 2.0, 3.0)]
  assert ranks.compare(runs) == {"a": {
      "accfm, s": [2.0, 2.0], "before, s": [1.0, 4.0],
      "accfm / before, s": [2.0, 0.5],
      "accfm, CPU s": [3.0, 3.0], "before, CPU s": [1.0, 2.0],
      "accfm / before, CPU s": [3.0, 1.5],
  }}
  assert ranks.check(runs)["counts"] == "equal in all runs"
  runs[2]["digests"] = {"a": "y"}
  assert ranks.check(runs)["counts"] == "NOT equal in all runs"
  assert list(ranks.compare(runs[::3])["a"]) == ["accfm, s", "accfm, CPU s"]


def test_a_digest_is_of_every_count():
  some = [Counts(np.arange(4), np.arange(4), np.arange(4), np.zeros(4, int))]
  assert ranks.digest(some) != ranks.digest([Counts(*[np.arange(4)] * 4)])
  assert ranks.digest(some) != ranks.digest([Counts(*[np.arange(4)] * 3)])
  assert ranks.digest(some) == ranks.digest([
      Counts(*(x.astype(np.int32) for x in vars(some[0]).values()))])


def test_one_times_every_kind(capsys):
  ranks.one({300: 200})
  found = json.loads(capsys.readouterr().out)
  assert len(found["each"]) == len(found["digests"]) == len(ranks.KINDS)
  assert len(set(found["digests"].values())) == len(ranks.KINDS)
  (counts,) = ranks.make_work("plain", 300, 200)()
  assert 0 < np.median(counts.beaten_by) < 30
  assert found["seconds"] == pytest.approx(sum(found["each"].values()))


def test_an_unknown_commit_is_refused(tmp_path):
  with pytest.raises(InputError, match="--before: got 'no-such-commit'"):
    ranks.take_out("no-such-commit", tmp_path)
