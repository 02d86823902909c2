"""Fields of a config set by text: `--config.encoder.depth=4`.

The type of the field decides how the text is read, so that a value never
changes its type by a typing error.
"""

import ast
import warnings
from typing import Any

from ml_collections import ConfigDict, FieldReference

from accfm.base import configlib
from accfm.base.errors import InputError

_WANTED = {
    bool: "true or false", int: "a whole number", float: "a number",
    tuple: "values with commas between",
}


def set_text(config: ConfigDict, path: str, text: str) -> None:
  """Sets the field at a dotted path to what a text says.

  Args:
    config: changed in place; it may be locked.
    path: such as "encoder.depth".
    text: read by the type of the field: `true`, `3`, `1e-3`, `a,b`; `none`
      empties a field that may be empty.

  Raises:
    InputError: no such field, a group of fields, or another type.
  """
  old = configlib.field(config, path)
  if isinstance(old, ConfigDict):
    inner = ", ".join(f"{path}.{name}" for name in old)
    raise InputError(
        f"config field {path!r}: got {text!r} for a group of fields, want one "
        f"of {inner}"
    )
  group, name = configlib.owner(config, path)
  kept = dict(group.items(preserve_field_references=True))[name]
  optional = old is None or isinstance(kept, FieldReference)
  group[name] = _read(path, text, group.get_type(name), optional)


def _read(path: str, text: str, kind: type, optional: bool) -> Any:
  if optional and text.lower() in ("none", ""):
    return None
  try:
    if kind is bool:
      return _boolean(text)
    if kind is int:
      return int(text)
    if kind is float:
      return float(text)
    if kind in (tuple, list):
      return kind(_values(text))
    if kind is str:
      return text
    return _literal(text)  # a field without a type, such as None
  except ValueError:
    raise InputError(
        f"config field {path!r}: got {text!r}, want "
        f"{_WANTED.get(kind, kind.__name__)}"
    ) from None


def _boolean(text: str) -> bool:
  if text.lower() in configlib.TRUE:
    return True
  if text.lower() in configlib.FALSE:
    return False
  raise ValueError(text)


def _values(text: str) -> list:
  """`8,16`, `(8, 16)`, `a,b` or `("a", "b")`; "" and `()` hold nothing."""
  try:
    value = _evaluated(text)
    return list(value) if isinstance(value, (tuple, list)) else [value]
  except (ValueError, SyntaxError):
    inner = text.strip()
    if inner[:1] + inner[-1:] in ("()", "[]"):
      inner = inner[1:-1]
    if set(inner) & set("()[]{}\"'"):
      raise ValueError(text) from None
    return [_literal(part.strip()) for part in inner.split(",") if part.strip()]


def _literal(text: str) -> Any:
  """A number, true, false or none as what it is, anything else as text."""
  try:
    return _evaluated(text)
  except (ValueError, SyntaxError):
    return text


def _evaluated(text: str) -> Any:
  """A literal of Python; ValueError or SyntaxError where it is none."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of escapes such as "\d"
      return ast.literal_eval(text)
  except (RecursionError, MemoryError, TypeError) as error:
    raise ValueError(text) from error  # nested too deep; a list as a key
