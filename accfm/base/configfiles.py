"""Finds and loads the configs that a command names.

`--config=NAME[:ARGUMENT]` is one of the package's configs, from any folder.
A value with "/" before the colon, or one that ends in ".py", is the path of a
Python file with a function `get_config`. A name never means a file of the
current folder.
"""

import inspect
import os
import pathlib
import pkgutil
from collections.abc import Callable
from types import ModuleType

from ml_collections import ConfigDict

from accfm.base import configlib, plugins
from accfm.base.errors import InputError

PACKAGE = "accfm.configs"


def names() -> list[str]:
  """Names of the package's configs, sorted."""
  folders = plugins.load_own(PACKAGE).__path__
  return sorted(
      found.name for found in pkgutil.iter_modules(folders)
      if _defines_config(pathlib.Path(folders[0]) / f"{found.name}.py")
  )


def load(text: str) -> ConfigDict:
  """The config of `NAME`, `NAME:ARGUMENT`, `PATH.py` or `PATH.py:ARGUMENT`.

  Raises:
    InputError: there is no such config, or its argument is wrong. What breaks
      inside a config file keeps its own error.
  """
  place, colon, argument = text.partition(":")
  get_config = function(place)
  if colon and not inspect.signature(get_config).parameters:
    raise InputError(
        f"--config: got {text!r}, want {place} alone: its get_config takes no "
        "argument"
    )
  config = get_config(argument) if colon else get_config()
  if not isinstance(config, ConfigDict):
    raise InputError(
        f"--config: {place} gave a {type(config).__name__}, want an "
        "ml_collections.ConfigDict"
    )
  return config


def function(place: str) -> Callable[..., ConfigDict]:
  """`get_config` of a name or path; InputError if there is none."""
  found = getattr(module(place), "get_config", None)
  if found is None:
    raise InputError(
        f"--config: {place} has no function get_config, want one that returns "
        "an ml_collections.ConfigDict"
    )
  return found


def module(place: str) -> ModuleType:
  """The module of a config's name or path; InputError if there is none."""
  if is_path(place):
    if not os.path.isfile(place):
      raise InputError(
          f"--config: no file {place!r}, want the path of a config or one of "
          f"{', '.join(names())}"
          f"{configlib.nearest(pathlib.Path(place).stem, names())}"
      )
    return plugins.load_file(place, "--config")
  if place not in names():
    near = configlib.nearest(place, names())
    if place and os.path.isfile(f"{place}.py"):
      near += f"; a file of this folder is --config=./{place}.py"
    raise InputError(
        f"--config: got {place!r}, want one of {', '.join(names())}{near}"
    )
  return plugins.load_own(f"{PACKAGE}.{place}")


def is_path(place: str) -> bool:
  """Whether the part before the colon is a path and not a name."""
  return "/" in place or os.sep in place or place.endswith(".py")


def _defines_config(path: pathlib.Path) -> bool:
  return path.is_file() and "\ndef get_config(" in path.read_text()
