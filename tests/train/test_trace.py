"""The profiler's trace holds the steps that were asked for."""

import gzip
import json

import pytest

from accfm.base.errors import InputError
from accfm.train import trace
from tests.train import toy_main as toy


def test_a_trace_of_two_steps(tmp_path, capsys):
  config = toy.get_config(profile_steps="5:6", total_steps=14)
  toy.run(tmp_path, config)
  assert f"profile of steps 5 to 6: {tmp_path}/profile" in (
      capsys.readouterr().out
  )
  (path,) = (tmp_path / "profile").rglob("*.trace.json.gz")
  assert len(list(path.parent.glob("*.xplane.pb"))) == 1
  with gzip.open(path, "rt") as f:
    events = json.load(f)["traceEvents"]
  steps = [e for e in events if e.get("name") == "train"]
  assert {int(e["args"]["step_num"]) for e in steps} == {5, 6}
  names = {e.get("name", "") for e in events}
  assert any("PjitFunction(update)" in name for name in names), names


@pytest.mark.parametrize("text", [
    "5", "5:", "a:b", "0:3", "6:5", "5:15", "5-6", "5:6:7", "-1:4", " 5:6",
])
def test_ranges_that_are_none(text):
  with pytest.raises(InputError, match="profile_steps: got .* within 1:14"):
    trace.parse(text, 14)


def test_ranges():
  assert trace.parse("", 14) is None
  assert trace.parse("1:1", 14) == (1, 1)
  assert trace.parse("10:13", 14) == (10, 13)
