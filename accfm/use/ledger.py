"""The ledger of a model folder: whom an encoder and its teacher have seen.

It is the record of a checkpoint (`accfm.steps.record`) without what tells more
than the leak guard asks: ids of people, names of folders, batches left out.
"""

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

from accfm.steps import record as recordlib
from accfm.steps.record import Record

CODE = "family"  # an encoder's field that may name a plug-in's file


def make(record: Record, salt: str = "") -> Record:
  """A record as a model folder may hold it.

  Args:
    record: of a checkpoint.
    salt: of the pseudonyms; "" draws one. It is written beside them.

  Returns:
    The record and its parents' with pseudonyms for ids, without the batches
    that were left out (they list people), without losses, and with the last
    part alone of whatever names a folder.
  """
  return _without_places(
      recordlib.hide_people(record, salt or secrets.token_hex(8)))


def _without_places(record: Record) -> Record:
  parent = record.parent
  return dataclasses.replace(
      record, skipped=(), losses=(), config=_short(record.config),
      parent=None if parent is None else _without_places(parent))


def _short(value: Any, name: str = "") -> Any:
  """Plain data whose paths have their last part alone."""
  if isinstance(value, Mapping):
    return {key: _short(item, key) for key, item in value.items()}
  if isinstance(value, (list, tuple)):
    return type(value)(_short(item, name) for item in value)
  if isinstance(value, str) and "/" in value and name != CODE:
    return value.rstrip("/").rpartition("/")[2]
  return value
