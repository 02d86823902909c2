"""What an evaluation's files call people: ids, pseudonyms or numbers.

Names are exchanged on the way out, so that no score depends on them.
`pseudonym_salt` keeps rows of one person together across evaluations of one
salt; `redact` keeps them together within one command alone, and leaves out
sessions and times. docs/evaluation.md says what is left.
"""

import dataclasses
import hmac
import secrets
from collections.abc import Callable

import numpy as np

from accfm.base import pseudonyms


def draw_key():
  """The secret of one command's numbers; it is written nowhere."""
  return secrets.token_bytes(32)


@dataclasses.dataclass(frozen=True)
class Naming:
  """How files name people and windows.

  Attributes:
    rename: row keys -> (row keys, order), as `__call__`.
    token: of numbers, a text that two files share if one command wrote both.
    salt: of pseudonyms, a text that files of one salt share.
  """

  rename: Callable
  token: str = ""
  salt: str = ""

  def __call__(self, rows):
    """Row keys as they are written.

    Args:
      rows: {"participant": [M], and of windows "session", "start_s"}.

    Returns:
      (rows, order [M]): the keys in the order in which rows are written, and
      the place of each before. Numbered rows have no session and no start
      but "window", the number of the person's window; they are in the order
      of numbers, since a split's own would tell times and, people being
      sorted there, names.
    """
    return self.rename(rows)

  def predictions(self, predictions):
    """The same for a list of `probe.Predictions`."""
    out = []
    for p in predictions:
      rows, order = self(p.rows)
      out.append(dataclasses.replace(
          p, rows=rows, true=p.true[order],
          predicted={r: x[order] for r, x in p.predicted.items()},
      ))
    return out


def make_naming(config, key, tables):
  """The mask of a config.

  Args:
    config: with `pseudonym_salt` ("" for none) and `redact`, which goes
      before it.
    key: of `draw_key`; evaluations of one key number people alike.
    tables: split -> columns [N]: everybody who may come.

  Returns:
    Naming.
  """
  if config.redact:
    return Naming(_make_numbers(key, tables), _digest(key, "token").hex()[:16])
  salt = config.pseudonym_salt
  if salt:
    return Naming(lambda rows: _in_place(_pseudonyms(rows, salt)),
                salt=pseudonyms.known_salt(salt))
  return Naming(_in_place)


def _in_place(rows):
  return rows, np.arange(len(rows["participant"]))


def _pseudonyms(rows, salt):
  """Salted participants and, as it may hold their names, sessions."""
  people, out = rows["participant"], dict(rows)
  out["participant"] = _text(pseudonyms.pseudonym(p, salt) for p in people)
  if "session" in rows:
    out["session"] = _text(
        pseudonyms.session_pseudonym(p, s, salt)
        for p, s in zip(people, rows["session"], strict=True)
    )
  return out


def _make_numbers(key, tables):
  """Numbers in an order that only `key` gives away."""
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


def public(plain):
  """A plain config without its salt, of which a digest is left."""
  salt = plain.get("pseudonym_salt")
  if not salt:
    return plain
  return {**plain, "pseudonym_salt": pseudonyms.known_salt(salt)}
