"""Plain data <-> frozen dataclasses, checked by their annotations.

Plain data is what JSON holds: dictionaries with text keys, lists, text,
numbers, booleans, null. A file of it may come from anybody, so each value is
compared with the annotation of its field before it is believed, and the first
one that is wrong is named by its place: `record.cohorts[0].salt`.
"""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from accfm.base.configlib import nearest
from accfm.base.errors import InputError

_WORDS = {
    str: "text", bool: "true or false", int: "a whole number",
    float: "a number", type(None): "null", tuple: "a list", dict: "an object",
}


def to_plain(value: Any) -> Any:
  """A dataclass (tuple, mapping) of such as plain data."""
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    return {
        field.name: to_plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
    }
  if isinstance(value, Mapping):
    return {key: to_plain(item) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [to_plain(item) for item in value]
  return value


def from_plain(kind: Any, value: Any, where: str) -> Any:
  """The dataclass that `to_plain` described; lists become tuples.

  Args:
    kind: a dataclass, or any annotation made of dataclasses, str, bool, int,
      float, None, `X | Y`, tuple, `tuple[X, ...]`, `tuple[X, Y]`,
      `Mapping[str, X]`, and Any or object for whatever is there.
    value: plain data.
    where: the value's place, for messages.

  Raises:
    InputError: a field is unknown, missing or of another type.
  """
  if type(value) is kind and kind in (str, bool, int, float):
    return value  # most of a large file: ids and counts
  if kind in (Any, object):
    return value
  if dataclasses.is_dataclass(kind):
    return _dataclass(kind, value, where)
  origin, inner = typing.get_origin(kind), typing.get_args(kind)
  if origin in (typing.Union, types.UnionType):
    return _union(inner, value, where)
  if (origin or kind) is tuple:
    if not isinstance(value, (list, tuple)):
      raise wrong(where, value, "a list")
    if inner and inner[-1] is not Ellipsis:
      if len(value) != len(inner):
        raise wrong(where, value, f"a list of {len(inner)}")
      items = inner
    else:
      items = [inner[0] if inner else Any] * len(value)
    return tuple(
        from_plain(item, v, f"{where}[{i}]")
        for i, (item, v) in enumerate(zip(items, value, strict=True))
    )
  if isinstance(origin or kind, type) and issubclass(origin or kind, Mapping):
    _check_object(value, where)
    item = inner[1] if inner else Any
    return {k: from_plain(item, v, f"{where}.{k}") for k, v in value.items()}
  if not _is(kind, value):
    raise wrong(where, value, _WORDS[kind])
  try:
    return float(value) if kind is float else value
  except OverflowError:
    raise wrong(where, value, "a number that a float can hold") from None


def wrong(where: str, value: Any, want: str) -> InputError:
  """The error of a value that is not what was wanted."""
  text = repr(value)
  text = text if len(text) <= 60 else text[:57] + "..."
  return InputError(f"{where}: got {text}, want {want}")


def _dataclass(kind: Any, value: Any, where: str) -> Any:
  """A dataclass of an object with its fields' names."""
  _check_object(value, where)
  fields = {field.name: field for field in dataclasses.fields(kind)}
  for name in value:
    if name not in fields:
      raise InputError(
          f"{where}: got a field {name!r}, want some of {sorted(fields)}"
          f"{nearest(name, fields)}"
      )
  for name, field in fields.items():
    if name not in value and field.default is dataclasses.MISSING and (
        field.default_factory is dataclasses.MISSING
    ):
      raise InputError(f"{where}: got no field {name!r}, want one")
  hints = typing.get_type_hints(kind)
  return kind(**{
      name: from_plain(hints[name], item, f"{where}.{name}")
      for name, item in value.items()
  })


def _union(kinds: tuple, value: Any, where: str) -> Any:
  """The first of several annotations that fits.

  Where one alternative to null is left, its own error is the telling one.
  """
  if value is None and type(None) in kinds:
    return None
  others = [kind for kind in kinds if kind is not type(None)]
  if len(others) == 1:
    return from_plain(others[0], value, where)
  for kind in others:
    if _is(kind, value):
      return from_plain(kind, value, where)
  raise wrong(where, value, " or ".join(_WORDS[kind] for kind in others))


def _is(kind: Any, value: Any) -> bool:
  """Whether a value is of a scalar type; a whole number is a number too."""
  if kind in (int, float) and isinstance(value, bool):
    return False
  return isinstance(value, (int, float) if kind is float else kind)


def _check_object(value: Any, where: str) -> None:
  if not isinstance(value, Mapping) or not all(
      isinstance(key, str) for key in value
  ):
    raise wrong(where, value, "an object (a JSON {...})")
