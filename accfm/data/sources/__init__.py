"""One module per kind of recordings: a folder in, Recordings out.

A source has `list_recordings(source_dir, cfg) -> [name]` and
`read_recording(source_dir, name, cfg) -> Recording`, and knows nothing else.
It may also have

- `recording_files(source_dir, name, cfg) -> [path]`, the files that it reads
  for a recording;
- `prepare_config(c, arg)`, which sets what `accfm prepare` should do with its
  recordings (signals, delays, labels, split, hop) in a prepare config; or
  `DEFAULTS`, the fields of its own config alone;
- `recognise(path) -> bool`, whether a file or folder is of its kind.

One outside the package is a plug-in: a module or file with these functions.
"""

import dataclasses
import pathlib
import types
from collections.abc import Mapping
from typing import Any, Protocol

from ml_collections import ConfigDict

from accfm.base import plugins
from accfm.base.errors import InputError
from accfm.data import source_code
from accfm.data.sources import (
  cwa,
  e4,
  embraceplus,
  geneactiv,
  gt3x,
  ieee_spc,
  simulated,
)
from accfm.data.sources.numbers import check_name
from accfm.signals.recording import Recording

FUNCTIONS = ("list_recordings", "read_recording")


class Source(Protocol):
  """What a source can do; a module with these two functions is one."""

  def list_recordings(self, source_dir: Any, cfg: Any) -> list[str]:
    """Names of the recordings in a folder, sorted."""
    ...

  def read_recording(self, source_dir: Any, name: str, cfg: Any) -> Recording:
    """One of them."""
    ...


SOURCES: dict[str, Source] = {
    "simulated": simulated, "e4": e4, "ieee_spc": ieee_spc,
    "embraceplus": embraceplus, "cwa": cwa, "geneactiv": geneactiv,
    "gt3x": gt3x,
}


@dataclasses.dataclass(frozen=True)
class Outside:
  """A source outside the package.

  Only its name is pickled, so that a worker process can import it anew.

  Attributes:
    name: of the plug-in, as the command names it.
  """

  name: str

  def list_recordings(self, source_dir: Any, cfg: Any) -> list[str]:
    """As the plug-in's function; InputError for a name that is no text."""
    names = self._found().list_recordings(source_dir, cfg)
    for name in names:
      check_name(pathlib.Path(name))
    return names

  def read_recording(self, source_dir: Any, name: str, cfg: Any) -> Recording:
    """As the plug-in's function."""
    return self._found().read_recording(source_dir, name, cfg)

  def recording_files(
      self, source_dir: Any, name: str, cfg: Any
  ) -> list[str] | None:
    """As the plug-in's function; None if it has none."""
    says = getattr(self._found(), "recording_files", None)
    return says(source_dir, name, cfg) if says else None

  def module(self) -> Any:
    """The plug-in's module, even if its name goes on after a colon."""
    return self._found(self.name.partition(":")[0])

  def _found(self, name: str = "") -> Any:
    # `load` has let the command's own source pass; a worker starts anew.
    plugins.allow([name or self.name])
    return plugins.load(name or self.name, "source")


def defaults(name: str) -> tuple[ConfigDict, dict[str, float]]:
  """(config of a built-in source, delay of each of its signals in s).

  They are what `prepare_config` of the source sets in a prepare config.
  """
  source: Any = SOURCES[name]
  c = ConfigDict({
      "signals": {
          signal: {"channels": 1, "delay_s": 0.0} for signal in ("acc", "ppg")
      },
      "labels": {}, "hop_sec": 60.0, "name": name,
      "source_cfg": getattr(source, "DEFAULTS", {}),
  })
  if hasattr(source, "prepare_config"):
    source.prepare_config(c, types.SimpleNamespace(
        name="", split="", tiny=True, difficulty="easy", participants=0,
        minutes=0, seed=0))
  return c.source_cfg, {n: s.delay_s for n, s in c.signals.items()}


def digest(source: Source) -> str:
  """A short hash of a source's code: other code, other recordings."""
  return source_code.digest(
      source.module() if isinstance(source, Outside) else source
  )


def load(name: str, sources: Mapping[str, Source] = SOURCES) -> Source:
  """The source of a name.

  Args:
    name: of `sources`, or a plug-in such as "./watch.py" or "my_pkg.watch".
    sources: name -> source.

  Raises:
    InputError: there is no such source, the command has not named the
      plug-in, or the plug-in lacks a function.
  """
  if name in sources:
    return sources[name]
  if not plugins.is_plugin(name):
    raise InputError(
        f"source: got {name!r}, want one of {sorted(sources)}, or a file of "
        "your own such as ./watch.py"
    )
  found = plugins.load(name, "source")
  missing = [f for f in FUNCTIONS if not callable(getattr(found, f, None))]
  if missing:
    raise InputError(
        f"source: got {name!r}, which has no {' and no '.join(missing)}; see "
        "docs/cohort.md"
    )
  return Outside(name)
