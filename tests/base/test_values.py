"""Rules of values: each allows what its words say, and names the rest."""

import math

import pytest
from ml_collections import ConfigDict

from accfm.base import values
from accfm.base.errors import InputError

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("rule, good, bad", [
    (values.at_least(1), [1, 1.0, 9e9], [0, 0.99, -1, NAN, INF, "1", None,
                                         True]),
    (values.above(0), [1e-9, 3], [0, -1, NAN, -INF, INF]),
    (values.between(0, 1), [0, 0.5, 1], [-1e-9, 1.1, NAN]),
    (values.from_below(0, 1), [0, 0.999], [1, 1.0, -0.1]),
    (values.above_to(0, 1), [0.001, 1.0], [0, 1.01]),
    (values.inside(0, 1), [0.5], [0, 1, 1.0]),
    (values.one_of("a", "b", "c"), ["a"], ["", "ab", None, 0]),
    (values.maybe(values.above(0)), [None, 1], [0, ""]),
    (values.zero_or(values.above(1)), [0, 0.0, 1.5], [1, -1, NAN, False]),
    (values.each(values.at_least(1)), [(), [1, 2]], [(1, 0), 1, "12", None]),
    (values.several(values.at_least(1)), [[1, 2]], [(), (1, 0)]),
    (values.empty_or(values.NAME), ["", "a"], ["/", None]),
    (values.pair(0), [(0, 8.0), [0.5, 8]], [(8, 0.5), (-1, 2), (1,), (1, 1),
                                            (NAN, 2), (0, INF), 3, (0, "8")]),
    (values.STEP, ["latest", "best", "0", "120"], ["", "last", "-1", "1.5",
                                                   "1" * 40, 3]),
    (values.NAME, ["a", "simulated_easy", "a.b-c", "0", "é" * 50], [
        "", ".", "..", "../x", "a/b", "/a", "a b", "-a", ".a", "a\n", "a" * 300,
        "é" * 51, "a:b", None, 3,
    ]),
])
def test_rules(rule, good, bad):
  for value in good:
    assert rule.fits(value), value
  for value in bad:
    assert not rule.fits(value), value
    with pytest.raises(InputError) as error:
      values.check({"x": {"field": value}}, {"x.field": rule}, where="w.")
    text = str(error.value)
    assert text.startswith("w.x.field: got ") and "\n" not in text
    assert "--config.w.x.field" in text and len(text) < 400


def test_tables_have_patterns_and_the_first_error_is_told():
  table = {"a.*.n": values.SOME, "b": values.one_of("red", "green", "blue")}
  config = ConfigDict({"a": {"x": {"n": 1}, "y": {"n": 0}}, "b": "gren",
                       "else": "anything"})
  with pytest.raises(InputError, match="^a.y.n: got 0, want 1 or more"):
    values.check(config, table)
  config.a.y.n = 1
  with pytest.raises(InputError, match="^b: got 'gren', want one of.*did you "
                     "mean 'green'"):
    values.check(config, table)
  config.b = "green"
  values.check(config, table)
  values.check({}, table)  # fields that a config has not


@pytest.mark.parametrize("value", [
    NAN, INF, -INF, (1.0, NAN), [["x", INF]], (1, {"deep": [NAN]}),
])
def test_no_rule_is_needed_to_refuse_what_is_not_finite(value):
  with pytest.raises(InputError, match="^a.b: got (nan|-?inf), want a finite"):
    values.check({"a": {"b": value}})
  values.check({"a": {"b": (1.0, "nan", None, [2])}})
