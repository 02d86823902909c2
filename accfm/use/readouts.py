"""Files of a model folder's read-outs: probes.json and probes.safetensors.

Each entry of the list in `probes.json` has a `kind`, a line of `KINDS`, which
says what else the entry has and which arrays belong to it. A further kind of
read-out is a further line.
"""

import math
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from accfm.base import jsonfile, values
from accfm.base import plain as plainlib
from accfm.base.errors import InputError
from accfm.use import weights
from accfm.use.probes import Probe

LISTED, ARRAYS = "probes.json", "probes.safetensors"
WANT = "the read-outs of a model folder; export it again, or get it anew"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # a part of columns' names
ALLOWED = "letters, digits and _.-"
MOST = 1000  # read-outs
RIDGE_RULES = {
    "coverage": values.inside(0, 1), "people": values.COUNT,
    "half_width": values.maybe(values.at_least(0)),
}


class Kind(NamedTuple):
  """How read-outs of one kind are stored.

  Attributes:
    arrays: names of its arrays.
    to_plain: `to_plain(probe)`, its numbers by name.
    from_plain: `from_plain(numbers, arrays, dim, where)`, the probe, or an
      InputError.
  """

  arrays: tuple[str, ...]
  to_plain: Callable[[Any], dict[str, Any]]
  from_plain: Callable[[Any, Mapping[str, np.ndarray], int, str], Any]


def _ridge_to_plain(probe: Probe) -> dict[str, Any]:
  width = probe.half_width
  return {
      "bias": probe.bias, "coverage": probe.coverage, "people": probe.people,
      "half_width": width if math.isfinite(width) else None,
  }


def _ridge_from_plain(
    one: dict[str, Any], arrays: Mapping[str, np.ndarray], dim: int, where: str
) -> Probe:
  said: dict[str, Any] = {
      name: plainlib.from_plain(kind, _field(one, name, where),
                                f"{where}.{name}")
      for name, kind in (
          ("name", str), ("unit", str), ("bias", float), ("coverage", float),
          ("people", int), ("half_width", float | None),
      )
  }
  for name, rule in RIDGE_RULES.items():
    if not rule.fits(said[name]):
      raise InputError(
          f"{where}.{name}: got {said[name]}, want {rule.want}: {WANT}")
  for part, array in arrays.items():
    if array.shape != (dim,) or array.dtype.kind != "f":
      raise InputError(
          f"{where}: {part} is {array.dtype} {list(array.shape)}, want floats "
          f"[{dim}]: {WANT}")
  if not (arrays["sd"] > 0).all():
    raise InputError(f"{where}: sd has numbers that are not above 0: {WANT}")
  width = said["half_width"]
  return Probe(
      said["name"], said["unit"], arrays["mean"], arrays["sd"],
      arrays["weight"], said["bias"], math.inf if width is None else width,
      said["coverage"], said["people"])


KINDS = {
    "ridge": Kind(("mean", "sd", "weight"), _ridge_to_plain,
                  _ridge_from_plain),
}


def write(folder: pathlib.Path, probes: Iterable[Probe]) -> None:
  """Writes both files into a folder, or none for no read-outs.

  Raises:
    InputError: a name cannot be written, or stands twice.
  """
  listed, arrays, seen = [], {}, set()
  for probe in probes:
    if not NAME.fullmatch(probe.name) or probe.name in seen:
      raise InputError(
          f"probes: got a read-out {probe.name!r}, want names of {ALLOWED}, "
          "each once")
    seen.add(probe.name)
    kind = KINDS[probe.kind]
    listed.append({"name": probe.name, "kind": probe.kind, "unit": probe.unit,
                   **kind.to_plain(probe)})
    arrays |= {
        f"{probe.name}/{part}": getattr(probe, part) for part in kind.arrays}
  if listed:
    weights.write_json(folder / LISTED, listed)
    weights.save(folder / ARRAYS, arrays)


def read(folder: pathlib.Path, dim: int) -> tuple[Probe, ...]:
  """The read-outs of a folder, () without the files.

  Args:
    folder: of the model.
    dim: D, size of an embedding.

  Raises:
    InputError: a file is damaged, or says something that is no read-out.
  """
  here = [os.path.lexists(folder / name) for name in (LISTED, ARRAYS)]
  if not any(here):
    return ()
  listed = jsonfile.read(folder / LISTED, WANT)
  arrays = weights.load(folder / ARRAYS)
  if not isinstance(listed, list) or len(listed) > MOST:
    raise InputError(f"{folder / LISTED}: want a list of at most {MOST}: "
                     f"{WANT}")
  out = {}
  for place, one in enumerate(listed):
    where = f"{folder / LISTED}[{place}]"
    probe = _one(jsonfile.as_object(one, where, WANT), arrays, dim, where)
    if probe.name in out:
      raise InputError(f"{where}: a second {probe.name!r}: {WANT}")
    out[probe.name] = probe
  if arrays:
    raise InputError(
        f"{folder / ARRAYS}: {min(arrays)} belongs to no read-out: {WANT}")
  return tuple(out.values())


def _one(one, arrays, dim, where):
  """The read-out of an entry, whose arrays are taken out of `arrays`."""
  name, kind = _field(one, "name", where), _field(one, "kind", where)
  if not isinstance(name, str) or not NAME.fullmatch(name):
    raise InputError(
        f"{where}: got name {str(name)[:40]!r}, want {ALLOWED}: {WANT}")
  if not isinstance(kind, str) or kind not in KINDS:
    raise InputError(
        f"{where}: got kind {str(kind)[:40]!r}, want one of {sorted(KINDS)}; "
        "a newer accfm wrote it: upgrade accfm")
  found = {}
  for part in KINDS[kind].arrays:
    array = arrays.pop(f"{name}/{part}", None)
    if array is None:
      raise InputError(f"{where}: {ARRAYS} has no {name}/{part}: {WANT}")
    found[part] = array
  return KINDS[kind].from_plain(one, found, dim, where)


def _field(one, name, where):
  if name not in one:
    raise InputError(f"{where}: got no {name}: {WANT}")
  return one[name]
