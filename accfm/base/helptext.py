"""What `accfm X --help` and `accfm config` say."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable

from ml_collections import ConfigDict

from accfm.base import configfiles, configlib, fielddocs
from accfm.base.commandline import COMMON, Flag
from accfm.base.errors import InputError

LIST_LEAVES = 400  # a config with more fields than these shows its groups


def of_main(program: str, doc: str, flags: Iterable[Flag], place: str,
            usual: tuple[str, ...]) -> str:
  """The help of a main.

  Args:
    program: how it was started: "accfm distill".
    doc: docstring of its module.
    flags: of the main, besides those that all have.
    place: the config to describe, "NAME:ARGUMENT"; "" for the first usual.
    usual: names of configs that the main takes.
  """
  flags = tuple(flags)
  shown = [f"--{flag.name}={_word(flag)}" for flag in (COMMON[0], *flags)
           if flag.default is None]
  parts = [
      inspect.cleandoc(doc),
      "Usage:\n  " + " ".join([program, *shown, "[--config.FIELD=VALUE ...]"]),
      "Flags:\n" + "\n".join(
          _entry(f"--{flag.name}", _meaning(flag)) for flag in (*COMMON, *flags)
      ),
      "Configs: " + ", ".join(usual or configfiles.names())
      + ". --help beside --config=NAME describes that one.",
  ]
  place = place or next(iter(usual), "")
  if place:
    try:
      parts.append(of_config(place))
    except InputError as error:
      parts.append(f"error: {error}")
  return "\n\n".join(parts) + "\n"


def summary(doc: str | None) -> str:
  """The first line of a module's docstring: what a main or config does."""
  return (doc or "").strip().partition("\n")[0].removeprefix("Main: ")


def of_config(place: str) -> str:
  """A config's arguments, and every field with its value and meaning.

  Args:
    place: "NAME", "NAME:ARGUMENT" or the path of a file.

  Raises:
    InputError: there is no such config.
  """
  name = place.partition(":")[0]
  module = configfiles.module(name)
  get_config = configfiles.function(name)
  with configlib.noted() as arguments:
    config = configfiles.load(place)
  out = [f"Config {place}: {summary(module.__doc__)}"]
  doc = inspect.cleandoc(get_config.__doc__ or "")
  if doc:
    out.append(_indent(" ".join(doc.split())))
  if arguments:
    out.append(f"Arguments (--config={name}:ARGUMENT,ARGUMENT):\n" + "\n".join(
        _entry(f"{key}={value!r}" if not isinstance(value, bool) else key, "")
        for key, value in arguments.items()
    ))
  out.append("Fields (--config.FIELD=VALUE):\n" + "\n".join(
      _entry(f"{path} = {value}", meaning)
      for path, value, meaning in _fields(config, module)
  ))
  return "\n\n".join(out)


def _fields(config: ConfigDict, module):
  """Fields to show: of a very large config the first two levels."""
  found = fielddocs.lines(config, module)
  if len(found) <= LIST_LEAVES:
    return found
  shown = {}
  for path, value, meaning in found:
    if path.count(".") > 1:
      path, value, meaning = ".".join(path.split(".")[:2]), "...", ""
    shown.setdefault(path, (path, value, meaning))
  return list(shown.values())


def _word(flag: Flag) -> str:
  return "NAME[:ARGUMENT]" if flag.name == "config" else flag.name.upper()


def _meaning(flag: Flag) -> str:
  if flag.is_switch:
    return f"{flag.help} (a switch)"
  if flag.default is None:
    return flag.help
  usual = f", by default {flag.default}" if flag.default else ""
  return f"{flag.help} (may be left out{usual})"


def _entry(name: str, meaning: str) -> str:
  """A line for a name and its meaning, wrapped under each other."""
  width = min(100, shutil.get_terminal_size((80, 24)).columns)
  head = f"  {name}"
  if not meaning:
    return head
  gap = "  " if len(head) < 36 else "\n" + " " * 36
  body = textwrap.wrap(meaning, width - 36) or [""]
  first = f"{head:<34}{gap}{body[0]}" if gap == "  " else head + gap + body[0]
  return "\n".join([first, *(" " * 36 + line for line in body[1:])])


def _indent(text: str) -> str:
  return textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="  ")
