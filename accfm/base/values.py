"""Which values the fields of a config may have: tables of rules.

A table is {field: Rule}. It stands beside the code that uses the fields, and
mains check their config against all tables that apply before they read or
write anything. A field of a table that a config has not is no error: configs
of different kinds share one table.
"""

import dataclasses
import fnmatch
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from accfm.base.configlib import nearest
from accfm.base.errors import InputError

LONGEST_NAME = 100  # bytes; names of folders and files are made from it
SEED_BELOW = 2**63
HUGE = 1e300


@dataclasses.dataclass(frozen=True)
class Rule:
  """What a value may be.

  Attributes:
    want: in words, behind "want".
    fits: whether a value is allowed.
    known: the names that are allowed, to suggest one; () for numbers.
  """

  want: str
  fits: Callable[[Any], bool]
  known: tuple[str, ...] = ()


Rules = Mapping[str, Rule]


def at_least(least: float) -> Rule:
  """A number of `least` or more."""
  return Rule(f"{least:g} or more", lambda x: _number(x) and x >= least)


def above(low: float) -> Rule:
  """A number above `low`."""
  return Rule(f"above {low:g}", lambda x: _number(x) and x > low)


def between(low: float, high: float) -> Rule:
  """A number from `low` to `high`, both allowed."""
  return Rule(
      f"{low:g} to {high:g}", lambda x: _number(x) and low <= x <= high
  )


def from_below(low: float, high: float) -> Rule:
  """A number from `low` on, below `high`."""
  return Rule(
      f"at least {low:g} and below {high:g}",
      lambda x: _number(x) and low <= x < high,
  )


def above_to(low: float, high: float) -> Rule:
  """A number above `low`, up to `high`."""
  return Rule(
      f"above {low:g} and up to {high:g}",
      lambda x: _number(x) and low < x <= high,
  )


def inside(low: float, high: float) -> Rule:
  """A number above `low` and below `high`."""
  return Rule(
      f"above {low:g} and below {high:g}",
      lambda x: _number(x) and low < x < high,
  )


def one_of(*known: str) -> Rule:
  """One of some names."""
  words = " or ".join(map(repr, known)) if len(known) < 3 else (
      f"one of {list(known)}"
  )
  return Rule(words, lambda x: x in known, known)


def maybe(rule: Rule) -> Rule:
  """What a rule allows, or None."""
  return Rule(
      f"{rule.want}, or none", lambda x: x is None or rule.fits(x), rule.known
  )


def zero_or(rule: Rule) -> Rule:
  """What a rule allows, or 0."""
  return Rule(f"{rule.want}, or 0", lambda x: _number(x) and (
      x == 0 or rule.fits(x)
  ))


def empty_or(rule: Rule) -> Rule:
  """What a rule allows, or an empty text."""
  return Rule(f"{rule.want}, or nothing", lambda x: x == "" or rule.fits(x))


def each(rule: Rule) -> Rule:
  """Several values, each as a rule allows; or none."""
  return Rule(
      f"each {rule.want}",
      lambda x: _list(x) and all(map(rule.fits, x)), rule.known,
  )


def several(rule: Rule) -> Rule:
  """One value or more, each as a rule allows."""
  some = each(rule)
  return Rule(
      f"one or more, {some.want}", lambda x: some.fits(x) and len(x) > 0
  )


def pair(low: float) -> Rule:
  """(lowest, highest) of numbers, from `low` on."""
  return Rule(
      "two numbers, the lower one first", lambda x: _list(x) and len(x) == 2
      and all(map(_number, x)) and low <= x[0] < x[1],
  )


ANY = Rule("a finite number", lambda x: _number(x))
SHARE = between(0, 1)
COUNT = at_least(0)
SOME = at_least(1)
SEED = from_below(0, SEED_BELOW)
STEP = Rule(
    "'latest', 'best' or the number of a step",
    lambda x: isinstance(x, str) and (
        x in ("latest", "best") or re.fullmatch("[0-9]{1,18}", x) is not None
    ),
)
NAME = Rule(
    "letters, digits, '_', '-', '.', at most "
    f"{LONGEST_NAME} bytes of them, and no '.' at the start",
    lambda x: isinstance(x, str) and len(x.encode()) <= LONGEST_NAME
    and re.fullmatch(r"\w[\w.-]*", x) is not None,
)


def check(config: Mapping[str, Any], *tables: Rules, where: str = "") -> None:
  """Raises InputError for the first field that a config may not have so.

  Args:
    config: a ConfigDict or dict, groups of fields within it.
    *tables: {dotted field: Rule}; "*" in a field stands for any name.
    where: the config's own place, with the dot behind it: "evaluate.".
  """
  for path, value in leaves(config):
    check_finite(value, where + path)
    for rules in tables:
      rule = find(path, rules)
      if rule is not None and not rule.fits(value):
        raise wrong(where + path, value, rule)


def find(path: str, rules: Rules) -> Rule | None:
  """The rule for a dotted field: its own, else that of a pattern."""
  if path in rules:
    return rules[path]
  for pattern, rule in rules.items():
    if "*" in pattern and fnmatch.fnmatchcase(path, pattern):
      return rule
  return None


def check_finite(value: Any, where: str) -> None:
  """Raises InputError for a number that is NaN or infinite, also in a list."""
  inner: Iterable[Any] = ()
  if isinstance(value, Mapping):
    inner = value.values()
  elif _list(value):
    inner = value
  for item in inner:
    check_finite(item, where)
  if isinstance(value, float) and not math.isfinite(value):
    raise InputError(
        f"{where}: got {value}, want a finite number; set --config.{where}"
    )


def wrong(path: str, value: Any, rule: Rule) -> InputError:
  """The error of a field whose value a rule does not allow."""
  text = repr(value)
  text = text if len(text) <= 60 else text[:57] + "..."
  near = nearest(value, rule.known) if isinstance(value, str) else ""
  return InputError(
      f"{path}: got {text}, want {rule.want}{near}; set --config.{path}"
  )


def leaves(
    config: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any]]:
  """(dotted field, value) of every field that is no group of others."""
  for name in config:
    value = config[name]
    if hasattr(value, "keys"):
      yield from leaves(value, f"{prefix}{name}.")
    else:
      yield f"{prefix}{name}", value


def _number(x: Any) -> bool:
  """Whether x is a finite number, and no truth value."""
  return isinstance(x, (int, float)) and not isinstance(x, bool) and (
      math.isfinite(x) if isinstance(x, float) else True
  )


def _list(x: Any) -> bool:
  return isinstance(x, (tuple, list))
