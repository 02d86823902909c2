"""Settings with defaults: some fields of a config, checked against all.

The code that uses a field holds its default and its meaning. A caller may
leave the field out; a field that the code does not know is an error.
"""

import types
from collections.abc import Mapping
from typing import Any

from accfm.base import configlib
from accfm.base.errors import InputError

# Some of the fields that a function knows, as a dict or ConfigDict; or None.
Given = Mapping[str, Any] | None


def merge(
    cfg: Given, defaults: Mapping[str, Any], where: str
) -> types.SimpleNamespace:
  """The fields of `defaults`, overridden by `cfg`.

  Args:
    cfg: mapping (dict, ConfigDict) of some of the fields, or None.
    defaults: dict field -> default.
    where: what the settings belong to, for the message.

  Returns:
    A namespace with every field of `defaults`.

  Raises:
    InputError: `cfg` has a field that `defaults` lacks.
  """
  given = {} if cfg is None else {key: cfg[key] for key in cfg}
  for key in given:
    if key not in defaults:
      raise InputError(
          f"{where}: field {key!r} is unknown, want one of "
          f"{sorted(defaults)}{configlib.nearest(key, defaults)}"
      )
  return types.SimpleNamespace(**{**defaults, **given})
