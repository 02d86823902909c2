"""Several encoders on the same people: pooled errors, paired differences.

It reads the `predictions.parquet` of evaluations, so the folds of a cohort can
be put together: every segment is predicted by models that never saw its
person. Two encoders are compared on exactly the segments that both predicted,
and the interval of their difference is over the same people.

With few labels an encoder has several predictions of a segment, by probes
that were fitted on different draws of people. Its measure is the mean over
the draws, and two encoders are compared draw by draw.
"""

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from accfm.base.errors import InputError
from accfm.evals.files import store
from accfm.evals.probes import measures
from accfm.evals.stats import intervals, scores
from accfm.evals.stats import people as stats

WANTED = "the predictions.parquet of an evaluation; evaluate again"
Cells = Sequence[float | None]  # [value, low, high]


@dataclasses.dataclass(frozen=True)
class Scored:
  """One encoder's predictions of one task.

  Attributes:
    keys: [N] text, one per segment: person, session and start, or numbers.
    people: [N] ids.
    true: [N].
    predicted: [K, N], a line a draw of labelled people; [N] stands for one.
    unit: of both; "log_odds" or "class" for classes.
    fold: [N] rows of one number were predicted by one model in each draw. 0
      for all rows where nothing is said.
  """

  keys: np.ndarray
  people: np.ndarray
  true: np.ndarray
  predicted: np.ndarray
  unit: str = ""
  fold: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, int))

  def __post_init__(self):
    object.__setattr__(self, "predicted", np.atleast_2d(self.predicted))
    if not len(self.fold):
      object.__setattr__(self, "fold", np.zeros(len(self.true), int))

  @property
  def draws(self) -> int:
    """K."""
    return len(self.predicted)

  @property
  def errors(self) -> np.ndarray:
    """[K, N] absolute errors."""
    return np.abs(self.predicted - self.true)

  @property
  def measure(self) -> str:
    """How such predictions are judged: "mae", "auc", "accuracy" or "recall".
    """
    return {
        "log_odds": "auc", "class": "accuracy", "share": "recall",
    }.get(self.unit, "mae")

  def sorted(self) -> "Scored":
    """The same in the order of keys."""
    order = np.argsort(self.keys, kind="stable")
    return dataclasses.replace(
        self, predicted=self.predicted[:, order],
        **{name: getattr(self, name)[order]
           for name in ("keys", "people", "true", "fold")},
    )


def load(
    paths: Iterable[str | os.PathLike]
) -> dict[tuple[str, str], Scored]:
  """Predictions of one run, of one or several folds.

  Args:
    paths: `predictions.parquet` files.

  Returns:
    {(task, encoder): Scored}; rows of several files follow one another.

  Raises:
    InputError: a file that `accfm.evaluate` did not write.
  """
  files: dict[tuple[str, str], list[Scored]] = {}
  for number, path in enumerate(paths):
    token = store.read_facts(path, WANTED).get("redaction", "")
    parts: dict[tuple[str, str], list[dict]] = {}
    for group in store.read(path, _columns, WANTED):
      keys = segment_keys(group, f"{number}|{token}")
      name = np.stack([group[c] for c in ("task", "row", "unit")], 1)
      for key in dict.fromkeys(map(tuple, name.tolist())):
        mine = (name == key).all(1)
        task, row, unit = key
        part = {c: group[c][mine] for c in (
            "participant", "true", "predicted", *store.FITS) if c in group}
        parts.setdefault((task, row), []).append(
            {"unit": unit, "keys": keys[mine], **part})
    for name, found in parts.items():
      files.setdefault(name, []).append(_one_file(path, found))
  return {name: _pool(found) for name, found in files.items()}


def _one_file(path, parts):
  """The Scored of a file, from the parts of its lines."""
  whole = {name: np.concatenate([part[name] for part in parts])
           for name in parts[0] if name != "unit"}
  draw = whole.get("draw", np.zeros(len(whole["true"]), int))
  fold = whole.get("fold", np.zeros(len(whole["true"]), int))
  draws, lines = np.unique(draw, return_counts=True)
  rows = np.argsort(draw, kind="stable")
  if not (draws == np.arange(len(draws))).all() or np.ptp(lines):
    raise InputError(f"{path}: got draws {draws[:9]} of {lines[:9]} lines, "
                     f"want as many of each; want {WANTED}")
  rows = rows.reshape(len(draws), -1)
  first = rows[0]
  if (whole["keys"][rows] != whole["keys"][first]).any():
    raise InputError(f"{path}: got draws of different windows, want {WANTED}")
  return Scored(
      whole["keys"][first], whole["participant"][first], whole["true"][first],
      whole["predicted"][rows], parts[0]["unit"], fold[first],
  )


def _pool(files):
  """Scored of several files as one, with the draws that all have.

  Each file was predicted by other models, so its folds are its own.
  """
  draws, folds, most = min(s.draws for s in files), [], 0
  for s in files:
    folds.append(np.unique(s.fold, return_inverse=True)[1] + most)
    most = folds[-1].max() + 1
  keys, people, true = (
      np.concatenate([getattr(s, name) for s in files])
      for name in ("keys", "people", "true"))
  predicted = np.concatenate([s.predicted[:draws] for s in files], axis=1)
  return Scored(
      keys, people, true, predicted, files[0].unit, np.concatenate(folds))


def _columns(there: Sequence[str]) -> list[str]:
  """All columns; of row keys and fits those that the file has."""
  keys = [name for name in (*store.ROW_KEYS, *store.FITS) if name in there]
  return list(dict.fromkeys(["participant", *keys, *store.PREDICTIONS]))


def join_draws(one: Scored, other: Scored) -> Scored:
  """The draws of one Scored and those of another, of the same segments.

  Supervised runs of several draws of labelled people become one row so.

  Raises:
    InputError: they predicted different segments.
  """
  one, other = _aligned(one, other)
  return dataclasses.replace(
      one, predicted=np.concatenate([one.predicted, other.predicted]))


def segment_keys(group: Mapping[str, np.ndarray], first: str) -> np.ndarray:
  """[N] text that names each segment; `first` goes before it."""
  columns = [group[n].tolist() for n in store.ROW_KEYS if n in group]
  return np.array([
      "|".join((first, *map(str, row))) for row in zip(*columns, strict=True)
  ], str)


def score(scored: Scored, draws: int, seed: int) -> list[float | None]:
  """Its measure with the interval over people and draws: [value, low, high].
  """
  crowd = stats.People(scored.people, draws, seed)
  return _plain(scores.mean_over_draws(
      crowd, _statistics(scored, crowd), scores.WITHIN[scored.measure]))


def typical(scored: Scored, draws: int, seed: int) -> dict[str, Cells]:
  """What a mean error hides: {measure: [value, low, high]} of numbers.

  The median of the absolute errors and, of heart rates, the share within 5
  bpm; a reader that is mostly right and sometimes far off has a large mean.
  """
  crowd = stats.People(scored.people, draws, seed)
  found = measures.of_number(
      crowd, scored.true, list(scored.predicted), scored.unit, True)
  return {
      one.measure: _plain(one.estimate) for one in found
      if one.measure in ("median_abs_error", "within_5bpm_share")
  }


def difference(
    scored: Scored, other: Scored, draws: int, seed: int
) -> list[float | None]:
  """Measure of one minus that of the other, on the segments of both.

  Args:
    scored, other: Scored of one task.
    draws, seed: as `stats.People`; a person counts for both or for neither.

  Returns:
    [value, low, high], the mean over the draws of labels that both have.

  Raises:
    InputError: they predicted different segments.
  """
  scored, other = _paired(scored, other)
  crowd = stats.People(scored.people, draws, seed)
  within = intervals.ANY
  if scores.WITHIN[scored.measure] == intervals.SHARE:
    within = intervals.DIFFERENCE
  pairs = zip(_statistics(scored, crowd), _statistics(other, crowd),
              strict=True)
  return _plain(scores.mean_over_draws(crowd, [
      lambda w, one=one, two=two: one(w) - two(w) for one, two in pairs
  ], within))


def improvement(
    scored: Scored, baseline: Scored, draws: int, seed: int
) -> list[float | None]:
  """1 - MAE / MAE of a baseline over all draws; else as `difference`."""
  scored, baseline = _paired(scored, baseline)
  crowd = stats.People(scored.people, draws, seed)
  pairs = zip(scored.errors, baseline.errors, strict=True)
  return _plain(scores.sums_over_draws(
      crowd, [crowd.sums(np.stack(both, axis=1)) for both in pairs],
      scores.below, intervals.BELOW_ONE))


def _paired(one: Scored, other: Scored) -> tuple[Scored, Scored]:
  """Both in one order of segments, with the draws of labels that both have."""
  one, other = _aligned(one, other)
  draws = min(one.draws, other.draws)
  return (
      dataclasses.replace(one, predicted=one.predicted[:draws]),
      dataclasses.replace(other, predicted=other.predicted[:draws]),
  )


def _aligned(one: Scored, other: Scored) -> tuple[Scored, Scored]:
  """Both in one order of segments."""
  one, other = one.sorted(), other.sorted()
  if not np.array_equal(one.keys, other.keys):
    raise InputError(
        f"compare: got {len(one.keys)} and {len(other.keys)} predictions of "
        "different windows, want the same; evaluate both on one data set, "
        "and, with --redact, in one command"
    )
  return one, other


def _statistics(scored: Scored, crowd: stats.People) -> list[scores.Statistic]:
  """`statistic(weights [..., P]) -> measure [...]` of each draw of labels."""
  out = []
  for predicted in scored.predicted:
    if scored.measure == "auc":
      out.append(scores.make_auc(
          crowd.index, scored.true, predicted, scored.fold))
      continue
    value = np.abs(predicted - scored.true)
    if scored.measure == "accuracy":
      value = scored.true == predicted
    sums = crowd.sums(np.stack([value, np.ones(len(value))], 1))
    out.append(scores.of_sums(stats.ratio, sums))
  return out


def _plain(estimate: stats.Estimate) -> list[float | None]:
  return [estimate.value, estimate.low, estimate.high]


def cell(found: Cells | None, digits: int, percent: bool = False) -> str:
  """`1.23 [1.10, 1.40]` of [value, low, high]; a dash for None."""
  if found is None:
    return "–"
  value, low, high = (x if x is None else x * (100 if percent else 1)
                      for x in found)
  unit = " %" if percent else ""
  text = f"{value:.{digits}f}{unit}"
  if low is None or high is None:
    return text
  return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def mark_best(
    column: Mapping[str, tuple[float | None, str]], less: bool,
    ceilings: Collection[str] = (),
) -> dict[str, str]:
  """The cells of a column, the best one in bold.

  Args:
    column: line -> (its value, its text).
    less: whether less is better.
    ceilings: lines that are no rivals and are never in bold.
  """
  known = {
      line: value for line, (value, _) in column.items()
      if value is not None and line not in ceilings
  }
  best = None
  if len(known) > 1:  # the best of one says nothing
    best = (min if less else max)(known.values())
  return {
      line: f"**{text}**" if line in known and known[line] == best else text
      for line, (_, text) in column.items()
  }


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A Markdown table of text cells."""
  lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
  return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
