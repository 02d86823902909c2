"""A command line read and checked: flags, a config, fields set over it.

Everything is checked here, by name and by type, before a main starts, so that
each mistake is answered by one line that says what was wanted.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Sequence

from ml_collections import ConfigDict

from accfm.base import configfiles, configlib, overrides
from accfm.base.errors import InputError

CONFIG = "config"
PLUGINS = "plugins"
HELP = ("--help", "-help", "-h")


@dataclasses.dataclass(frozen=True)
class Flag:
  """One flag of a main.

  Attributes:
    name: without dashes.
    help: what it is for, in a few words.
    default: text, or False for a switch that is on or off; None where the
      flag must be given.
  """

  name: str
  help: str
  default: str | bool | None = None

  @property
  def is_switch(self) -> bool:
    """Whether it is on or off and takes no text."""
    return isinstance(self.default, bool)


COMMON = (
    Flag(CONFIG, "a config's name, or the path of one of your own"),
    Flag(PLUGINS, "code outside accfm that files may name", ""),
)


@dataclasses.dataclass(frozen=True)
class Parsed:
  """What a command line says.

  Attributes:
    config: with all fields set.
    place: what follows --config, "NAME:ARGUMENT".
    flags: name -> text or bool, of all flags but --config and --plugins.
    plugins: names behind --plugins.
    help: whether --help is among the arguments; then nothing is required.
    rest: arguments for other libraries' flags.
  """

  config: ConfigDict | None
  place: str
  flags: dict[str, str | bool]
  plugins: tuple[str, ...]
  help: bool
  rest: tuple[str, ...]


def parse(arguments: Sequence[str], flags: Iterable[Flag], default: str = "",
          others: Collection[str] = ()) -> Parsed:
  """Reads the arguments of a main.

  Args:
    arguments: without the program's name.
    flags: of the main, besides --config and --plugins.
    default: the config where --config is left out; "" if it must be given.
    others: names of flags that other libraries read.

  Raises:
    InputError: anything wrong with them, a field of the config or its value.
  """
  words = list(arguments)
  place = config_place(words) or default
  if wants_help(words):
    return Parsed(None, place, {}, (), True, ())
  known = {flag.name: flag for flag in (*COMMON, *flags)}
  config = configfiles.load(place) if place else None
  values, rest = {}, []
  while words:
    word = words.pop(0)
    name, text = _split(word)
    if config is not None and _field(name):
      _set(config, name, text, words)
      continue
    flag = known.get(name) or known.get(name.removeprefix("no"))
    if flag is not None:
      values[flag.name] = _value(flag, name, text, words)
    elif name in others:
      rest.append(word)
    elif not _field(name):
      raise InputError(f"flag --{name} is unknown{_nearest(name, known)}")
  values[CONFIG] = place or None
  for flag in known.values():
    if values.setdefault(flag.name, flag.default) is None:
      raise InputError(
          f"--{flag.name} is missing, want --{flag.name}=... ({flag.help})"
      )
  del values[CONFIG]
  named = tuple(n for n in values.pop(PLUGINS).split(",") if n)
  return Parsed(config, place, values, named, False, tuple(rest))


def wants_help(words: Sequence[str]) -> bool:
  """Whether --help is among the arguments."""
  return any(word in HELP for word in words)


def config_place(words: Sequence[str]) -> str:
  """What follows --config, the last one if there are several; else ""."""
  found = ""
  for i, word in enumerate(words):
    match = re.fullmatch(r"--?config(?:=(.*))?", word, re.DOTALL)
    if match:
      following = words[i + 1] if i + 1 < len(words) else ""
      found = following if match[1] is None else match[1]
  return found


def _split(word: str) -> tuple[str, str | None]:
  """(name, text behind "=" or None) of a flag."""
  found = re.fullmatch(r"--?([A-Za-z_][\w.]*)(?:=(.*))?", word, re.DOTALL)
  if not found:
    raise InputError(
        f"command line: got {word!r}, want flags such as --workdir=W"
    )
  return found[1], found[2]


def _value(flag: Flag, name: str, text: str | None, words: list[str]):
  """The value of a flag; a text may be the next word."""
  if flag.is_switch:
    if text is None:
      return name == flag.name
    if name == flag.name and text.lower() in configlib.TRUE:
      return True
    if name == flag.name and text.lower() in configlib.FALSE:
      return False
    raise InputError(
        f"flag --{name}: got {text!r}, want --{flag.name} or --no{flag.name}"
    )
  if name != flag.name:
    raise InputError(f"flag --{name} is unknown; did you mean --{flag.name}?")
  if text is None:
    if not words:
      raise InputError(
          f"--{name}: got nothing, want --{name}=... ({flag.help})"
      )
    text = words.pop(0)
  return text


def _field(name: str) -> str:
  """The path behind `config.` or `noconfig.`; "" for a plain flag."""
  found = re.fullmatch(rf"(?:no)?{CONFIG}\.(.+)", name)
  return found[1] if found else ""


def _set(config: ConfigDict, name: str, text: str | None,
         words: list[str]) -> None:
  """Sets one field; a field that is true or false needs no value."""
  path, negated = _field(name), name.startswith("no")
  switch = isinstance(configlib.field(config, path), bool)
  if negated and (not switch or text is not None):
    raise InputError(
        f"flag --{name}: want --{CONFIG}.{path}=VALUE"
    )
  if text is None and switch:
    text = "false" if negated else "true"
  if text is None:
    if not words:
      raise InputError(
          f"config field {path!r}: got no value, want --{CONFIG}.{path}=VALUE"
      )
    text = words.pop(0)
  overrides.set_text(config, path, text)


def _nearest(name: str, known: Iterable[str]) -> str:
  close = configlib.closest(name, known)
  return f"; did you mean --{close}?" if close else ""
