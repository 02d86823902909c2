"""JSON from outside: plain data within bounds, or one error.

Python's own reader takes a key that stands twice, NaN, numbers beyond every
type of ours, and nesting that ends in a RecursionError. None of them is in a
file that accfm wrote, so they are refused here, before anybody reads a value.
"""

import json
import math
import os
from typing import Any

from accfm.base import textfile
from accfm.base.errors import InputError

MAX_BYTES = 1 << 26  # 64 MiB: the manifest of some 100,000 people
MAX_DEPTH = 64  # of objects and lists within each other
MAX_SHOWN = 60  # characters of the file in a message


class _Refused(ValueError):
  """Something in the text that is JSON, but none of ours."""


def read(
    path: str | os.PathLike, want: str, max_bytes: int = MAX_BYTES,
    finite: bool = True,
) -> Any:
  """The plain data of a JSON file.

  Args:
    path: the file.
    want: for messages: what the file should be, and what to do, such as "the
      manifest of a data set; prepare it again".
    max_bytes: size of the largest file that is read.
    finite: whether NaN and infinite numbers are refused.

  Raises:
    InputError: it cannot be read, is not UTF-8, too large, or as `parse`.
  """
  text = textfile.read_text(path, want, max_bytes)
  return parse(text, f"{os.fspath(path)}", want, finite)


def read_object(
    path: str | os.PathLike, want: str, max_bytes: int = MAX_BYTES,
    finite: bool = True,
) -> dict[str, Any]:
  """As `read`, of a file that holds an object, {...}."""
  return as_object(read(path, want, max_bytes, finite), path, want)


def as_object(
    value: Any, where: str | os.PathLike, want: str
) -> dict[str, Any]:
  """The value if it is an object; else an InputError as those of `read`."""
  if not isinstance(value, dict):
    raise InputError(
        f"{where}: got {_short(repr(value))}, want an object ({{...}}): {want}"
    )
  return value


def parse(text: str, where: str, want: str, finite: bool = True) -> Any:
  """The plain data of JSON text.

  Args:
    text: the text.
    where: what it is from, for messages.
    want: for messages, as `read`.
    finite: whether NaN and infinite numbers are refused.

  Raises:
    InputError: it is not JSON, nested deeper than `MAX_DEPTH`, has a key
      twice in one object, a whole number beyond 64 bits, or, where `finite`,
      a number that is not finite.
  """
  try:
    value = json.loads(
        text, object_pairs_hook=_once, parse_int=_whole,
        parse_float=_finite if finite else float,
        parse_constant=_finite if finite else float,
    )
    _check_depth([value])
    return value
  except (ValueError, RecursionError) as error:
    raise InputError(
        f"{where}: not valid JSON ({_short(str(error), 200)}), want {want}"
    ) from error


def _check_depth(value: Any) -> None:
  """Raises _Refused where objects and lists nest deeper than `MAX_DEPTH`."""
  level = [value]
  for _ in range(MAX_DEPTH + 1):
    level = [
        inner for outer in level
        for inner in (outer.values() if isinstance(outer, dict) else outer)
        if isinstance(inner, (dict, list))
    ]
    if not level:
      return
  raise _Refused(f"nested deeper than {MAX_DEPTH}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """An object; _Refused where a key stands twice."""
  out = dict(pairs)
  if len(out) < len(pairs):
    seen = set()
    twice = next(k for k, _ in pairs if k in seen or seen.add(k))
    raise _Refused(f"key {_short(repr(twice))} stands twice in one object")
  return out


def _whole(text: str) -> int:
  """A whole number of at most 64 bits."""
  value = int(text) if len(text) <= 20 else 1 << 64
  if not -(1 << 63) <= value < 1 << 64:
    raise _Refused(f"number {_short(text)} has more than 64 bits")
  return value


def _finite(text: str) -> float:
  """A number; _Refused if it is NaN or infinite."""
  value = float(text)
  if not math.isfinite(value):
    raise _Refused(f"number {_short(text)} is not finite")
  return value


def _short(text: str, most: int = MAX_SHOWN) -> str:
  """The beginning of a text, on one line."""
  text = " ".join(text.split())
  return text if len(text) <= most else text[: most - 3] + "..."
