"""The judge catches a parser that does what none may."""

import os
import sys

import pytest

from accfm.base.errors import InputError
from tests.fuzz import hostile, judge


def refuse(text):
  error = InputError("")
  error.args = (text,)  # as it came: an InputError makes itself one line
  raise error


def refuse_as_it_is(text):
  """As an InputError would without the care that it takes of its text."""
  error = InputError()
  error.args = (text,)
  raise error


def read_elsewhere(folder):
  with open("/etc/hostname") as f:
    return f.read()


def follow_a_link(folder):
  os.symlink("/etc/hostname", folder / "link")
  return (folder / "link").read_text()


def run_planted(folder):
  (folder / "RAN").touch()


@pytest.mark.parametrize("parser, kind", [
    (lambda _: {}["x"], "KeyError in test_judge.py"),
    (lambda _: refuse_as_it_is("a\nb"), "not one line"),
    (lambda _: refuse_as_it_is("a\u2028b"), "not one line"),
    (lambda _: refuse_as_it_is("a" * 2000), "not one line"),
    (lambda _: sys.modules.__setitem__(hostile.PLANTED, judge), "code of"),
    (read_elsewhere, "a file outside"),
    (follow_a_link, "a file outside"),
    (run_planted, "code of"),
])
def test_what_none_may(tmp_path, parser, kind):
  folder = tmp_path / "here"
  folder.mkdir()
  one = judge.Judge("x", folder)
  one.call("case", parser, folder)
  assert len(one.faults) == 1 and kind in one.faults[0].kind, one.faults
  assert hostile.PLANTED not in sys.modules


def test_a_value_or_a_line(tmp_path):
  folder = tmp_path / "here"
  folder.mkdir()
  one = judge.Judge("x", folder)
  assert one.call("case", lambda: 3) == 3
  assert one.call("case", refuse, "got x, want y") is None
  assert (one.cases, one.values, one.faults) == (2, 1, [])
