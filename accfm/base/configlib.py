"""Configs: arguments of `NAME:key=value,flag`, and clear errors.

A config is a locked `ml_collections.ConfigDict` of plain values with units
in the names. `get_config(arg)` turns the text behind the colon into typed
values with `parse`; `--config.field=value` overrides a field afterwards.
"""

import contextlib
import contextvars
import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from accfm.base.errors import InputError

TRUE, FALSE = ("1", "true", "yes"), ("0", "false", "no")  # as texts

_noted: contextvars.ContextVar[dict | None] = contextvars.ContextVar(
    "arguments of a config", default=None
)


@contextlib.contextmanager
def noted() -> Iterator[dict[str, Any]]:
  """Gives a dict that holds, afterwards, the arguments a config knows.

  For `--help`: name -> value, as the config's own call of `parse` inside the
  block found them.
  """
  found: dict[str, Any] = {}
  token = _noted.set(found)
  try:
    yield found
  finally:
    _noted.reset(token)


def parse(
    arg: str | None, positional: str | None = None, **defaults: Any
) -> ConfigDict:
  """Parses `"tiny,encoder=vit_s"` against typed defaults.

  Args:
    arg: text behind the colon of `--config=file.py:arg`, or None.
    positional: name of the field that a bare word sets when the word is not
      a boolean field; None if bare words must be boolean fields.
    **defaults: field = default; the default's type is the field's type.

  Returns:
    A ConfigDict with every field of `defaults`.

  Raises:
    InputError: an unknown field, or a value of another type.
  """
  out = dict(defaults)
  for item in filter(None, (arg or "").split(",")):
    name, has_value, text = item.partition("=")
    if not has_value and isinstance(defaults.get(name), bool):
      out[name] = True
    elif not has_value and positional:
      out[positional] = name
    elif has_value and name in defaults:
      out[name] = _typed(name, text, defaults[name])
    else:
      raise InputError(
          f"config argument: got {item!r}, want one of "
          f"{sorted(defaults)}{nearest(name, defaults)}"
      )
  found = _noted.get()
  if found is not None and not found:  # the first call: configs call others
    found.update(out)
  return ConfigDict(out)


def _typed(name, text, default):
  """`text` as the type of `default`."""
  if isinstance(default, bool):
    if text.lower() in TRUE:
      return True
    if text.lower() in FALSE:
      return False
    raise InputError(f"config argument {name}: got {text!r}, want true/false")
  if default is None or isinstance(default, str):
    return text
  try:
    return type(default)(text)
  except ValueError:
    kind = type(default).__name__
    raise InputError(
        f"config argument {name}: got {text!r}, want {kind}"
    ) from None


def closest(name: str, known: Iterable[str]) -> str:
  """The known name that is most like a name, "" if none is near."""
  return next(iter(difflib.get_close_matches(name, list(known), n=1)), "")


def nearest(name: str, known: Iterable[str]) -> str:
  """The end of a message that suggests a known name, "" if none is near."""
  close = closest(name, known)
  return f"; did you mean {close!r}?" if close else ""


def update(config: ConfigDict, overrides: Mapping[str, Any]) -> ConfigDict:
  """Sets dotted fields, e.g. `{"optim.lr": 1e-3}`; unknown ones raise."""
  for path, value in overrides.items():
    field(config, path)
    group, name = owner(config, path)
    group[name] = value
  return config


def owner(config: ConfigDict, path: str) -> tuple[ConfigDict, str]:
  """(the group that holds the field at a dotted path, its name there)."""
  *parents, last = path.split(".")
  for name in parents:
    config = config[name]
  return config, last


def field(config: ConfigDict, path: str) -> Any:
  """The value at a dotted path; InputError names the nearest if unknown."""
  value, done = config, ""
  for name in path.split("."):
    if not hasattr(value, "keys"):
      raise InputError(
          f"config field {path!r}: {done.rstrip('.')!r} is a plain value, "
          f"want no field {name!r} of it"
      )
    if name not in value:
      known = [done + key for key in value.keys()]
      near = closest(done + name, known)
      raise InputError(
          f"config field {path!r} is unknown; "
          + (f"did you mean {near!r}?" if near else
             f"want one of {sorted(known)}")
      )
    value, done = value[name], f"{done}{name}."
  return value


def to_json(config: ConfigDict) -> str:
  """A ConfigDict as plain JSON text with sorted keys."""
  return json.dumps(config.to_dict(), sort_keys=True, indent=1)


def from_json(text: str) -> ConfigDict:
  """The locked ConfigDict that `to_json` wrote."""
  return ConfigDict(json.loads(text)).lock()


def digest(plain: Any) -> str:
  """A short hash of plain JSON data (dict, list, numbers, text)."""
  text = json.dumps(plain, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> list[str]:
  """Lines `field: old -> new` between two plain nested dicts."""
  lines = []
  for key in sorted(set(old) | set(new)):
    a, b = old.get(key, "(absent)"), new.get(key, "(absent)")
    if isinstance(a, dict) and isinstance(b, dict):
      lines += differences(a, b, f"{prefix}{key}.")
    elif a != b:
      lines.append(f"{prefix}{key}: {a!r} -> {b!r}")
  return lines
