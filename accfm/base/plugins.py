"""The one place that imports code by name: plug-ins.

A plug-in is an encoder family, a cohort's source or somebody's encoder that
lies outside this package. Its name is a module or a file, and after a colon
what is wanted of it: `my_package.nets:ConvNet`, `./nets.py:ConvNet`,
`./watch.py`.

Only what a command itself names is imported, by a flag or by a field of its
config. A checkpoint, a model folder or a manifest may say which plug-in it
needs, but never has it imported: without the same name from the command the
file is refused. So nobody's file decides which code runs.
"""

import importlib
import importlib.util
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from accfm.base.errors import InputError

FIELDS = ("family", "source")  # of configs: their values may be plug-ins
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")

# What this process has named: key -> name. Once named, code has a right to
# run here, so this holds as long as the process.
_named: dict[str, str] = {}
_files: dict[str, ModuleType] = {}  # absolute path -> what it became


def is_plugin(name: str) -> bool:
  """Whether a value names a plug-in: a module or file, not a plain word."""
  return isinstance(name, str) and bool(re.search(r"[./:]", name))


def stem(name: str) -> str:
  """What a plug-in is called for short: "watch" of ./watch.py or a.watch."""
  place = name.partition(":")[0]
  if _is_file(place):
    place = pathlib.PurePath(place).stem
  return re.sub(r"\W", "_", place.rpartition(".")[2])


def allow(names: Iterable[str]) -> None:
  """Names plug-ins of this command; nothing is imported yet.

  Raises:
    InputError: a text that is no name of a plug-in.
  """
  for name in names:
    if not is_plugin(name):
      raise InputError(
          f"plug-in: got {name!r}, want module:name or file.py:name, such as "
          "my_package.nets:ConvNet or ./nets.py:ConvNet"
      )
    _named[_key(name)] = name


def allow_fields(config: Mapping[str, Any]) -> None:
  """Names the plug-ins that a command's own config holds in `FIELDS`."""
  for field in config:
    value = config[field]
    if isinstance(value, Mapping) or hasattr(value, "items"):
      allow_fields(value)
    elif field in FIELDS and value and is_plugin(value):
      allow([value])


def load(name: str, what: str) -> Any:
  """The module of a plug-in, or what it holds under the name behind the colon.

  Args:
    name: as a config or a file says it.
    what: what it is, for messages: "encoder family".

  Raises:
    InputError: the command has not named it, there is no such module or
      file, or it lacks the name. Errors of the plug-in's own code stay.
  """
  given = _named.get(_key(name))
  if given is None:
    raise InputError(
        f"{what}: got {name!r}, which is code outside accfm that this command "
        f"has not named; if you trust it, add --plugins={name}"
    )
  place, _, attribute = given.partition(":")
  find = load_file if _is_file(place) else _load_module
  module = find(place, what)
  if not attribute:
    return module
  if not hasattr(module, attribute):
    raise InputError(
        f"{what}: got {name!r}, but {place} has no {attribute!r}; want a name "
        "that it defines"
    )
  return getattr(module, attribute)


def load_file(path: str | os.PathLike, what: str) -> ModuleType:
  """The module that a Python file becomes; each file runs once a process.

  Raises:
    InputError: there is no such file. Errors of its own code stay.
  """
  whole = os.path.realpath(path)
  if whole not in _files:
    if not os.path.isfile(whole):
      raise InputError(f"{what}: no file {os.fspath(path)!r}")
    spec = importlib.util.spec_from_file_location(
        f"accfm_file_{stem(whole)}", whole
    )
    if spec is None or spec.loader is None:
      raise InputError(f"{what}: got {os.fspath(path)!r}, want a .py file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    _files[whole] = module
  return _files[whole]


def load_own(name: str) -> ModuleType:
  """A module of accfm by its dotted name, such as "accfm.prepare"."""
  if not name.startswith("accfm."):
    raise ValueError(f"load_own: got {name!r}, want a module of accfm")
  return importlib.import_module(name)


def _load_module(name: str, what: str) -> ModuleType:
  if not _NAME.fullmatch(name):
    raise InputError(f"{what}: got {name!r}, want the name of a module")
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    missing = error.name or ""
    if not f"{name}.".startswith(f"{missing}."):
      raise  # the plug-in lacks something itself
    raise InputError(
        f"{what}: no module {name!r}; install its package, or name its file "
        f"(./{name.rpartition('.')[2]}.py)"
    ) from None


def _is_file(place: str) -> bool:
  return "/" in place or place.endswith(".py")


def _key(name: str) -> str:
  """Equal for two names of one plug-in: a file counts by its own name.

  So a checkpoint that was trained with `./nets.py:Net` finds the file that
  the command names, wherever it lies now.
  """
  place, _, attribute = name.partition(":")
  if _is_file(place):
    place = pathlib.PurePath(place).name
  return f"{place}:{attribute}"
