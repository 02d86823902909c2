"""Somebody else's encoder: its vectors, matched to the windows of splits.

The vectors come from Parquet files or from a function of windows. They are
scored as an encoder of ours is, on the same windows: where one encoder lacks
some, no row is scored on them. Nobody knows here whom it was trained on.
"""

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from accfm.base import interrupts, plugins
from accfm.base.errors import InputError
from accfm.evals.embedding import forward, windows
from accfm.evals.files import foreign
from accfm.evals.inputs import Inputs, Shared
from accfm.evals.opened import Opened
from accfm.evals.results.figures import TESTED
from accfm.evals.stats import scaling
from accfm.signals import feed

BATCH = 256  # windows that a function is given at once
Vectors = dict[str, np.ndarray]  # column or signal -> [N, D]
Embed = Callable[[np.ndarray, float, str], Any]


@dataclasses.dataclass(frozen=True)
class Outside:
  """An encoder by its vectors or its function.

  Attributes:
    name: of its row.
    source: what the command names.
    function: `(windows [n, T, C] float32, rate_hz, unit) -> [n, D]`; None for
      vectors in files.
  """

  name: str
  source: str
  function: Embed | None = None


@dataclasses.dataclass(frozen=True)
class Matched:
  """The vectors of one encoder for the windows of splits.

  Attributes:
    outside: the encoder.
    signals: split -> signal -> {"embedding": [N, D], "projection": [N, P] unit
      rows or None, "prediction": None}; NaN where it has no vector.
    counts: split -> {"windows", "missing", "people_missing", "not_finite"}.
    extra: vectors that belong to no window that is read.
  """

  outside: Outside
  signals: Mapping[str, Mapping[str, Mapping[str, Any]]]
  counts: Mapping[str, Mapping[str, int]]
  extra: int

  def facts(self) -> dict[str, Any]:
    """What `metrics.json` says of it."""
    dimensions = {
        signal: int(kinds["embedding"].shape[1])
        for by_signal in self.signals.values()
        for signal, kinds in by_signal.items()
    }
    return {
        "row": self.outside.name, "source": self.outside.source,
        "dimensions": dimensions, "vectors": self.counts, "extra": self.extra,
    }


def name_all(
    embeddings: str, encoder: str, alone: bool = False, watch: bool = False
) -> tuple[Outside, ...]:
  """The encoders that a command names.

  Args:
    embeddings: paths of Parquet files or folders, with commas between.
    encoder: `module:function`s, with commas between; they are imported.
    alone: whether there is no checkpoint beside them.
    watch: whether the command follows a run.

  Raises:
    InputError: no encoder at all, a run to follow that is not named, a path
      without files, or no such function.
  """
  found, names = [], set()

  def add(name, source, function=None):
    name = re.sub(r"[^\w.-]", "_", name)
    same = sum(one.partition("#")[0] == name for one in names)
    name += f"#{same + 1}" if same else ""
    names.add(name)
    found.append(Outside(name, source, function))

  paths = [embeddings] if os.path.exists(embeddings) else [
      path for path in embeddings.split(",") if path]
  for path in paths:
    foreign.list_files(path)
    add(_row_of(pathlib.Path(path).absolute()), path)
  for name in filter(None, encoder.split(",")):
    plugins.allow([name])
    place, _, attribute = name.partition(":")
    function = plugins.load(name, "--encoder")
    if not attribute or not callable(function):
      raise InputError(
          f"--encoder: got {name!r}, want module:function or "
          "file.py:function, which takes (windows [n, T, C], rate_hz, unit)"
      )
    add(f"{plugins.stem(place)}.{attribute}", name, function)
  if alone and (watch or not found):
    raise InputError(
        "--checkpoint is missing, want --checkpoint=... (a run's workdir or a "
        "step's folder, or several), or --embeddings or --encoder alone")
  return tuple(found)


def _row_of(path: pathlib.Path) -> str:
  """What the row of a file or a folder is called; there is a dot in it."""
  if path.is_file():
    return path.name if "." in path.name else f"{path.name}.parquet"
  parts = path.parts[-2:] if path.name == "embeddings" else (path.name,)
  return ".".join(parts) + ("" if len(parts) > 1 else ".parquet")


def match_all(
    opened: Opened, shared: Shared, say: Callable[[str], None] = print
) -> list[Matched]:
  """The vectors of all encoders of a command, each matched once.

  Arguments and errors as `match`; `shared.outside` are the encoders.
  """
  key = *map(id, opened.splits.values()), str(opened.signals)
  return [
      shared.get((one.name, *key), functools.partial(match, one, opened, say))
      for one in shared.outside
  ]


def match(
    outside: Outside, opened: Opened, say: Callable[[str], None] = print
) -> Matched:
  """The vectors of an encoder for all windows that an evaluation reads.

  Args:
    outside: the encoder.
    opened: what is read.
    say: prints a line of what does not match.

  Raises:
    InputError: two vectors for one window, vectors of several lengths, none
      of the encoder under test's signal, or none for a split.
  """
  student = opened.signals.student
  if outside.function is None:
    found, extra = _from_files(outside, opened)
  else:
    found, extra = {
        name: ({f"{student}/embedding": _call(outside, split, student)},
               np.ones(len(split), bool))
        for name, split in opened.splits.items()
    }, 0
  signals, counts = {}, {}
  for name, split in opened.splits.items():
    columns, there = found[name]
    whole = np.all([np.isfinite(x).all(axis=1) for x in columns.values()],
                   axis=0)
    people = split.table["participant"]
    counts[name] = {
        "windows": int(whole.sum()), "missing": int((~there).sum()),
        "people_missing": len(set(people) - set(people[there])),
        "not_finite": int((there & ~whole).sum()),
    }
    if not whole.any():
      raise InputError(
          f"{outside.source}: has a whole vector for 0 of the {len(split)} "
          f"windows of split {name} ({_counted(counts[name])}), want some; "
          "participant, session and start_s must be those of the data set, "
          f"start_s within {windows.TOLERANCE_S} s"
      )
    signals[name] = _by_signal(columns, student, opened.signals.teacher)
    if not whole.all():
      say(f"{outside.name}: {int(whole.sum())} of {len(split)} windows of "
          f"{name} have a vector ({_counted(counts[name])})")
  widths = {
      name: {s: k["embedding"].shape[1] for s, k in by_signal.items()}
      for name, by_signal in signals.items()
  }
  if len({str(sorted(w.items())) for w in widths.values()}) > 1:
    raise InputError(
        f"{outside.source}: got vectors of other lengths in other splits "
        f"{widths}, want one length for each signal")
  if extra:
    say(f"{outside.name}: {extra} vectors belong to no window that is read")
  return Matched(outside, signals, counts, extra)


def _counted(counts: Mapping[str, int]) -> str:
  """What of a split does not match, in words."""
  return (
      f"{counts['missing']} windows without one, {counts['people_missing']} "
      f"people without any, {counts['not_finite']} of NaN, Inf or null")


def _by_signal(columns, student, teacher):
  """{signal: {"embedding", "projection", "prediction"}} of some columns.

  Projections are compared with one another, so they count only where both
  signals have one; else embeddings of one length stand for them.
  """
  out = {
      name: {"embedding": columns[f"{name}/embedding"], "projection": None,
             "prediction": None}
      for name in (student, teacher)
      if name and f"{name}/embedding" in columns
  }
  for kind in ("projection", "embedding"):
    both = [columns.get(f"{name}/{kind}") for name in (student, teacher)]
    if all(x is not None for x in both) and len(out) == 2 and (
        both[0].shape == both[1].shape):
      for name, x in zip((student, teacher), both, strict=True):
        out[name]["projection"] = _unit(x)
      break
  return out


def _unit(x: np.ndarray) -> np.ndarray:
  """Rows of length 1; those that have it stay as they are, to the bit."""
  length = np.linalg.norm(x, axis=1)
  known = length[np.isfinite(length)]
  return x if np.allclose(known, 1, atol=1e-3) else (
      scaling.unit_rows(x).astype(np.float32))


def _call(outside: Outside, split: Any, signal: str) -> np.ndarray:
  """[N, D] what a function makes of a split, batch by batch."""
  spec, rate = split.contract.signals[signal], split.contract.rate(signal)
  parts = []
  assert outside.function is not None
  for at in range(0, len(split), BATCH):
    interrupts.check()
    rows = np.arange(at, min(at + BATCH, len(split)))
    batch = split.read(rows, [signal])
    x = np.asarray(
        feed.dequantize(batch[signal], batch[f"{signal}_scale"]), np.float32)
    given = outside.function(x, rate, spec.unit)
    want = parts[0].shape[1] if parts else "D"
    try:
      got = np.asarray(given)
      what = f"{got.dtype} {list(got.shape)}"
    except (TypeError, ValueError) as error:  # such as lists of two lengths
      got = np.empty((0, 0))
      what = f"{type(given).__name__}, which is no array ({error}),"
    fits = got.ndim == 2 and got.size and got.shape == (
        len(rows), want if parts else got.shape[1])
    if not fits or got.dtype.kind not in "fiu":
      raise InputError(
          f"--encoder: {outside.source} gave {what} for windows "
          f"{list(x.shape)}, want numbers [{len(rows)}, {want}]")
    parts.append(got.astype(np.float32))
  return np.concatenate(parts)


def _from_files(outside: Outside, opened: Opened) -> tuple[
    dict[str, tuple[Vectors, np.ndarray]], int]:
  """(split -> (column -> [N, D], [N] whether a line is there), extra lines)."""
  lines = foreign.read(outside.source)
  student, teacher = opened.signals.student, opened.signals.teacher
  if f"{student}/embedding" not in lines.columns:
    raise InputError(
        f"{outside.source}: got columns {sorted(lines.columns)}, want "
        f"{student}/embedding, of the signal under test")
  columns = {
      name: x for name, x in lines.columns.items()
      if name.partition("/")[0] in (student, teacher)
  }
  found, used = {}, np.zeros(len(lines.keys["start_s"]), bool)
  for name, split in opened.splits.items():
    place = windows.find_rows(split.table, lines.keys)
    mine = np.flatnonzero(place >= 0)
    rows, count = np.unique(place[mine], return_counts=True)
    if (count > 1).any():
      row = rows[count > 1][0]
      table = split.table
      raise InputError(
          f"{outside.source}: got {int(count.max())} vectors for one window, "
          f"{table['participant'][row]} in session {table['session'][row]!r} "
          f"at {table['start_s'][row]:.3f} s, and {int((count > 1).sum())} "
          "windows of this kind, want one vector for each window")
    used[mine] = True
    there = np.zeros(len(split), bool)
    there[rows] = True
    found[name] = {}, there
    for column, x in columns.items():
      whole = np.full((len(split), x.shape[1]), np.nan, np.float32)
      whole[place[mine]] = x[mine]
      found[name][0][column] = whole
  return found, int((~used).sum())


def restrict(
    opened: Opened, matched: Sequence[Matched]
) -> tuple[Opened, list[Matched]]:
  """The windows that all encoders have vectors of, and these vectors."""
  splits, rows = {}, {}
  for name, split in opened.splits.items():
    keep = np.ones(len(split), bool)
    for one in matched:
      for kinds in one.signals[name].values():
        for x in kinds.values():
          keep &= True if x is None else np.isfinite(x).all(axis=1)
    if not keep.any():
      raise InputError(
          f"--embeddings, --encoder: no window of split {name} has vectors of "
          "all encoders, want some; evaluate them one by one")
    rows[name] = np.flatnonzero(keep)
    splits[name] = split if keep.all() else windows.Part(split, rows[name])
  return dataclasses.replace(opened, splits=splits), [
      dataclasses.replace(one, signals={
          name: {
              signal: {kind: x if x is None else x[rows[name]]
                       for kind, x in kinds.items()}
              for signal, kinds in by_signal.items()
          } for name, by_signal in one.signals.items()
      }) for one in matched
  ]


def embedded(one: Matched, opened: Opened) -> dict[str, forward.Embedded]:
  """split -> its vectors, as those of a checkpoint's encoders."""
  return {
      name: forward.Embedded(split.table, one.signals[name])
      for name, split in opened.splits.items()
  }


def why_unpaired(one: Matched, opened: Opened) -> str:
  """Why an encoder has no pair of signals to retrieve by, "" if it has."""
  there = one.signals[opened.tested]
  student, teacher = opened.signals.student, opened.signals.teacher
  if there[student]["projection"] is not None:
    return ""
  if teacher not in there:
    return f"{one.outside.name} has vectors of {student} alone"
  lengths = {s: k["embedding"].shape[1] for s, k in there.items()}
  return f"{one.outside.name} has vectors of two lengths, {lengths}"


def add_rows(
    data: Inputs, opened: Opened, matched: Sequence[Matched], beside: bool
) -> tuple[Inputs, dict[str, Any]]:
  """Adds somebody else's encoders to what evaluators are given.

  Args:
    data: of a checkpoint, or of the first of them.
    opened: what is read.
    matched: their vectors.
    beside: whether all of them stand beside a checkpoint; else the first one
      is the encoder under test.

  Returns:
    (`data` with a row for each, facts for `metrics.json`).
  """
  rows = [TESTED if not beside and not place else one.outside.name
          for place, one in enumerate(matched)]
  encoders, pairs, unpaired = {**data.encoders}, {**data.pairs}, {}
  student, teacher = opened.signals.student, opened.signals.teacher
  for row, one in zip(rows, matched, strict=True):
    reason = why_unpaired(one, opened) if teacher else ""
    if reason:
      unpaired[row] = reason
    if row == TESTED:
      continue
    encoders[row] = {
        name: by_signal[student]["embedding"]
        for name, by_signal in one.signals.items()
    }
    if teacher and not reason:
      pairs[row] = {
          signal: one.signals[opened.tested][signal]["projection"]
          for signal in (student, teacher)
      }
  facts: dict[str, Any] = {"outside": [one.facts() for one in matched]}
  if not beside:
    facts |= {"row": matched[0].outside.name,
              "checkpoint": matched[0].outside.source}
  return dataclasses.replace(
      data, encoders=encoders, pairs=pairs, unpaired=unpaired,
      outside=tuple(row for row in rows if row != TESTED),
  ), facts
