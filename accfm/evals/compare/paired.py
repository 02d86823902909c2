"""Several encoders on the same people: pooled errors, paired differences.

It reads the `predictions.parquet` of evaluations, so the folds of a cohort can
be put together: every segment is predicted by models that never saw its
person. Two encoders are compared on exactly the segments that both predicted,
and people are resampled together.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from accfm.base.errors import InputError
from accfm.evals.files import store
from accfm.evals.stats import bootstrap as stats
from accfm.evals.stats import scores

WANTED = "the predictions.parquet of an evaluation; evaluate again"
Cells = Sequence[float | None]  # [value, low, high]


@dataclasses.dataclass(frozen=True)
class Scored:
  """One encoder's predictions of one task.

  Attributes:
    keys: [N] text, one per segment: person, session and start, or numbers.
    people: [N] ids.
    true, predicted: [N].
    unit: of both; "log_odds" or "class" for classes.
  """

  keys: np.ndarray
  people: np.ndarray
  true: np.ndarray
  predicted: np.ndarray
  unit: str = ""

  @property
  def errors(self) -> np.ndarray:
    """[N] absolute errors."""
    return np.abs(self.predicted - self.true)

  @property
  def measure(self) -> str:
    """How such predictions are judged: "mae", "auc" or "accuracy"."""
    return {"log_odds": "auc", "class": "accuracy"}.get(self.unit, "mae")

  def sorted(self) -> "Scored":
    """The same in the order of keys."""
    order = np.argsort(self.keys)
    return dataclasses.replace(self, **{
        name: getattr(self, name)[order]
        for name in ("keys", "people", "true", "predicted")
    })


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
  parts = {}
  for number, path in enumerate(paths):
    token = store.read_facts(path, WANTED).get("redaction", "")
    for group in store.read(path, _columns, WANTED):
      keys = segment_keys(group, f"{number}|{token}")
      name = np.stack([group[c] for c in ("task", "row", "unit")], 1)
      for key in dict.fromkeys(map(tuple, name.tolist())):
        mine = (name == key).all(1)
        task, row, unit = key
        parts.setdefault((task, row), []).append((unit, keys[mine], *(
            group[c][mine] for c in ("participant", "true", "predicted")
        )))
  return {
      name: Scored(
          *(np.concatenate(x) for x in list(zip(*found, strict=True))[1:]),
          unit=found[0][0],
      )
      for name, found in parts.items()
  }


def _columns(there: Sequence[str]) -> list[str]:
  """All columns; the row keys are those that the file has."""
  keys = [name for name in store.ROW_KEYS if name in there]
  return list(dict.fromkeys(["participant", *keys, *store.PREDICTIONS]))


def segment_keys(group: Mapping[str, np.ndarray], first: str) -> np.ndarray:
  """[N] text that names each segment; `first` goes before it."""
  columns = [group[n].tolist() for n in store.ROW_KEYS if n in group]
  return np.array([
      "|".join((first, *map(str, row))) for row in zip(*columns, strict=True)
  ], str)


def score(scored: Scored, draws: int, seed: int) -> list[float | None]:
  """Its measure with the interval over people: [value, low, high]."""
  crowd = stats.People(scored.people, draws, seed)
  return _plain(crowd.weighted(_statistic(scored, crowd)))


def difference(
    scored: Scored, other: Scored, draws: int, seed: int
) -> list[float | None]:
  """Measure of one minus that of the other, on the segments of both.

  Args:
    scored, other: Scored of one task.
    draws, seed: of the bootstrap; people are drawn once for both.

  Returns:
    [value, low, high].

  Raises:
    InputError: they predicted different segments.
  """
  scored, other = _paired(scored, other)
  crowd = stats.People(scored.people, draws, seed)
  one, two = (_statistic(s, crowd) for s in (scored, other))
  return _plain(crowd.weighted(lambda w: one(w) - two(w)))


def improvement(
    scored: Scored, baseline: Scored, draws: int, seed: int
) -> list[float | None]:
  """1 - MAE / MAE of a baseline; else as `difference`."""
  scored, baseline = _paired(scored, baseline)
  both = np.stack([scored.errors, baseline.errors], 1)
  crowd = stats.People(scored.people, draws, seed)
  return _plain(
      crowd.estimate(crowd.sums(both), lambda s: 1 - stats.ratio(s))
  )


def _paired(one: Scored, other: Scored) -> tuple[Scored, Scored]:
  """Both in one order of segments."""
  one, other = one.sorted(), other.sorted()
  if not np.array_equal(one.keys, other.keys):
    raise InputError(
        f"compare: got {len(one.keys)} and {len(other.keys)} predictions of "
        "different windows, want the same; evaluate both on one data set, "
        "and, with --redact, in one command"
    )
  return one, other


def _statistic(
    scored: Scored, crowd: stats.People
) -> Callable[[np.ndarray], np.ndarray]:
  """`statistic(weights [..., P]) -> measure [...]`."""
  if scored.measure == "auc":
    return scores.make_auc(crowd.index, scored.true, scored.predicted)
  value = scored.errors
  if scored.measure == "accuracy":
    value = scored.true == scored.predicted
  sums = crowd.sums(np.stack([value, np.ones(len(value))], 1))
  return scores.of_sums(stats.ratio, sums)


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


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A Markdown table of text cells."""
  lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
  return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
