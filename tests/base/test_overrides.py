"""A field keeps its type, whatever text sets it."""

import pytest
from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder

from accfm.base import overrides
from accfm.base.errors import InputError


def config():
  return ConfigDict(dict(
      on=False, count=3, rate=0.5, name="x", sizes=(8,), group=dict(deep=1),
      maybe=placeholder(float), band=placeholder(tuple), free=None,
  )).lock()


@pytest.mark.parametrize("path, text, want", [
    ("on", "true", True), ("on", "False", False), ("on", "1", True),
    ("on", "no", False),
    ("count", "7", 7), ("count", "-1", -1), ("count", "1_000", 1000),
    ("rate", "3", 3.0), ("rate", "1e-3", 1e-3), ("rate", "-2", -2.0),
    ("name", "a,b=c", "a,b=c"), ("name", "", ""), ("name", "none", "none"),
    ("sizes", "8,16", (8, 16)), ("sizes", "(8, 16)", (8, 16)),
    ("sizes", "[1]", (1,)), ("sizes", "5", (5,)), ("sizes", "", ()),
    ("sizes", "()", ()), ("sizes", "a,b", ("a", "b")),
    ("sizes", "(a, 2)", ("a", 2)), ("sizes", '("a", 0.5)', ("a", 0.5)),
    ("group.deep", "4", 4),
    ("maybe", "2", 2.0), ("maybe", "none", None), ("maybe", "", None),
    ("band", "0.5,8", (0.5, 8)), ("band", "None", None),
    ("free", "0.5", 0.5), ("free", "abc", "abc"), ("free", "none", None),
])
def test_a_text_is_read_by_the_fields_type(path, text, want):
  got = config()
  overrides.set_text(got, path, text)
  value = got
  for name in path.split("."):
    value = value[name]
  assert value == want and type(value) is type(want)


def test_a_field_that_was_filled_may_be_emptied_again():
  got = config()
  overrides.set_text(got, "maybe", "2")
  overrides.set_text(got, "maybe", "none")
  assert got.maybe is None


@pytest.mark.parametrize("path, text, match", [
    ("on", "maybe", "'on': got 'maybe', want true or false"),
    ("count", "1.5", "'count': got '1.5', want a whole number"),
    ("count", "none", "'count': got 'none', want a whole number"),
    ("rate", "fast", "'rate': got 'fast', want a number"),
    ("rate", "", "'rate': got '', want a number"),
    ("sizes", "(1,", r"'sizes': got '\(1,', want values with commas"),
    ("sizes", "f(1)", "'sizes': got"),
    ("maybe", "x", "'maybe': got 'x', want a number"),
    ("group", "1", "a group of fields, want one of group.deep"),
    ("group.deeep", "1", "did you mean 'group.deep'?"),
    ("nothing", "1", "'nothing' is unknown"),
])
def test_another_type_is_one_line(path, text, match):
  got = config()
  with pytest.raises(InputError, match=match) as error:
    overrides.set_text(got, path, text)
  assert "\n" not in str(error.value) and got == config()
