"""Names of the leaves of nested dicts, dataclasses and lists."""

from collections.abc import Sequence
from typing import Any


def names(path: Sequence[Any]) -> tuple[str, ...]:
  """("encoder", "mlp_in", "kernel"): a key path of jax.tree_util as text."""
  return tuple(str(_name(key)) for key in path)


def _name(key: Any) -> Any:
  for kind in ("key", "name", "idx"):
    if hasattr(key, kind):
      return getattr(key, kind)
  return key
