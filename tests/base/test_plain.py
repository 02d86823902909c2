"""Plain data is believed only where it fits the annotations."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from accfm.base import plain
from accfm.base.errors import InputError


@dataclasses.dataclass(frozen=True)
class Inner:
  name: str
  size: float = 1.0


@dataclasses.dataclass(frozen=True)
class Outer:
  inner: Inner
  many: tuple[Inner, ...]
  by_name: Mapping[str, Inner]
  band: tuple | None
  count: int = 3
  on: bool = False
  label: int | str = 0
  free: Mapping[str, Any] = dataclasses.field(default_factory=dict)


GOOD = {
    "inner": {"name": "a", "size": 2},
    "many": [{"name": "b"}], "by_name": {"c": {"name": "c"}},
    "band": [0.5, 8], "label": "x", "free": {"deep": [{"any": None}]},
}


def test_there_and_back():
  made = plain.from_plain(Outer, GOOD, "x")
  assert made == Outer(
      Inner("a", 2.0), (Inner("b"),), {"c": Inner("c")}, (0.5, 8),
      label="x", free={"deep": [{"any": None}]},
  )
  text = json.dumps(plain.to_plain(made))
  assert plain.from_plain(Outer, json.loads(text), "x") == made
  assert isinstance(made.inner.size, float)  # 2 in the text


@pytest.mark.parametrize("change, want", [
    ({"inner": 3}, "x.inner: got 3, want an object (a JSON {...})"),
    ({"inner": {"name": None}}, "x.inner.name: got None, want text"),
    ({"inner": {"nam": "a"}}, "x.inner: got a field 'nam', want some of "
                              "['name', 'size']; did you mean 'name'?"),
    ({"inner": {}}, "x.inner: got no field 'name', want one"),
    ({"inner": {"name": "a", "size": "2"}},
     "x.inner.size: got '2', want a number"),
    ({"many": {"name": "b"}}, "x.many: got {'name': 'b'}, want a list"),
    ({"many": [{"name": "b"}, 1]}, "x.many[1]: got 1, want an object "
                                   "(a JSON {...})"),
    ({"by_name": {"c": {"name": 1}}}, "x.by_name.c.name: got 1, want text"),
    ({"band": 3}, "x.band: got 3, want a list"),
    ({"count": 1.5}, "x.count: got 1.5, want a whole number"),
    ({"count": True}, "x.count: got True, want a whole number"),
    ({"on": 1}, "x.on: got 1, want true or false"),
    ({"label": 1.5}, "x.label: got 1.5, want a whole number or text"),
    ({"free": {3: 1}}, "x.free: got {3: 1}, want an object (a JSON {...})"),
    ({"count": "z" * 100}, f"x.count: got '{'z' * 56}..., want a whole "
                           "number"),
])
def test_what_is_wrong_is_named_by_its_place(change, want):
  with pytest.raises(InputError) as error:
    plain.from_plain(Outer, {**GOOD, **change}, "x")
  assert str(error.value) == want


def test_lists_of_a_certain_length_and_numbers_that_fit():
  pair = tuple[float, str]
  assert plain.from_plain(pair, [1, "a"], "x") == (1.0, "a")
  for value in ([1.0], [1.0, "a", "b"], ["a", 1.0]):
    with pytest.raises(InputError, match="x"):
      plain.from_plain(pair, value, "x")
  with pytest.raises(InputError, match="float can hold"):
    plain.from_plain(float, 10**400, "x")
