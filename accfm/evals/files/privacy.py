"""What an evaluation's files call participants: ids, pseudonyms or numbers.

Names are replaced as files are written, so that no score depends on them.
With `pseudonym_salt` a participant has the same pseudonym in all evaluations
of that salt. With `redact` a participant has a number that holds within one
command only, and files hold neither sessions nor times. docs/evaluation.md
says what such files still reveal.
"""

import dataclasses
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from accfm.base import pseudonyms

Columns = Mapping[str, np.ndarray]
Renamed = tuple[Columns, np.ndarray]


def draw_key() -> bytes:
  """A secret from which one command derives its numbers; never written."""
  return secrets.token_bytes(32)


@dataclasses.dataclass(frozen=True)
class Naming:
  """How files name participants and segments.

  Attributes:
    rename: row keys -> (row keys, order), as `__call__`.
    token: with numbers, a text that is equal in two files if one command
      wrote both; else "".
    salt: with pseudonyms, a text that is equal in all files of one salt;
      else "".
  """

  rename: Callable[[Columns], Renamed]
  token: str = ""
  salt: str = ""

  def __call__(self, rows: Columns) -> Renamed:
    """Row keys as they are written.

    Args:
      rows: {"participant": [M]} of participants; of segments also "session"
        and "start_s".

    Returns:
      (rows, order [M]): the keys in the order in which they are written, and
      the place that each had before. Numbered segments have neither session
      nor start, but "window", their number among the participant's. They are
      written in the order of the numbers, because the split's own order
      would reveal times and, as it sorts participants, names.
    """
    return self.rename(rows)

  def predictions(self, predictions: Iterable[Any]) -> list[Any]:
    """The same for a list of `Predictions` of probes."""
    out = []
    for p in predictions:
      rows, order = self(p.rows)
      out.append(dataclasses.replace(
          p, rows=rows, true=p.true[order],
          predicted={r: x[:, order] for r, x in p.predicted.items()},
          fold=p.fold[order],
      ))
    return out


def make_naming(
    config: ConfigDict, key: bytes, tables: Mapping[str, Columns]
) -> Naming:
  """The Naming that a config asks for.

  Args:
    config: `pseudonym_salt`, "" for none, and `redact`, which wins over it.
    key: from `draw_key`; evaluations with one key number participants alike.
    tables: split -> columns [N] of all segments that files may name.
  """
  if config.redact:
    return Naming(_make_numbers(key, tables), _digest(key, "token").hex()[:16])
  salt = config.pseudonym_salt
  if salt:
    return Naming(
        lambda rows: _in_place(_pseudonyms(rows, salt)),
        salt=pseudonyms.known_salt(salt),
    )
  return Naming(_in_place)


def _in_place(rows: Columns) -> Renamed:
  return rows, np.arange(len(rows["participant"]))


def _pseudonyms(rows, salt):
  """Pseudonyms of participants, and of sessions: these may hold names."""
  people, out = rows["participant"], dict(rows)
  out["participant"] = _text(pseudonyms.pseudonym(p, salt) for p in people)
  if "session" in rows:
    out["session"] = _text(
        pseudonyms.session_pseudonym(p, s, salt)
        for p, s in zip(people, rows["session"], strict=True)
    )
  return out


def _make_numbers(key, tables):
  """`rename` to numbers, in an order that only `key` reveals."""
  windows = {
      window for table in tables.values() for window in _windows(table)
  }
  people = sorted({w[0] for w in windows}, key=lambda p: _digest(key, p))
  person = {name: number for number, name in enumerate(people, 1)}
  number, counted = {}, dict.fromkeys(people, 0)
  for window in sorted(windows, key=lambda w: _digest(key, *w)):
    number[window] = counted[window[0]] = counted[window[0]] + 1

  def rename(rows):
    who = np.array([person[p] for p in rows["participant"]], int)
    out, columns = {}, [who]
    if "session" in rows:
      out["window"] = np.array([number[w] for w in _windows(rows)], int)
      columns.insert(0, out["window"])
    order = np.lexsort(columns)
    return {"participant": who.astype(str)[order]} | {
        name: values[order] for name, values in out.items()
    }, order

  return rename


def _windows(rows):
  """(participant, session, start) of each row."""
  return list(zip(
      *(np.asarray(rows[n]).tolist()
        for n in ("participant", "session", "start_s")), strict=True
  ))


def _digest(key, *parts):
  return hmac.new(key, repr(parts).encode(), "sha256").digest()


def _text(values):
  return np.array(list(values), str)


def public(plain: dict[str, Any]) -> dict[str, Any]:
  """A plain config with a digest in the place of its salt."""
  salt = plain.get("pseudonym_salt")
  if not salt:
    return plain
  return {**plain, "pseudonym_salt": pseudonyms.known_salt(salt)}
