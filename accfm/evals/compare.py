"""Several encoders on the same people: pooled errors, paired differences.

Works on the `predictions.csv` of evaluations, so folds of a cohort can be
put together: every window is predicted by models that never saw its person.
Two encoders are compared on exactly the windows that both predicted, people
resampled together.
"""

import csv
import dataclasses

import numpy as np

from accfm.base.errors import InputError
from accfm.evals import scores, stats


@dataclasses.dataclass(frozen=True)
class Scored:
  """One encoder's predictions of one task.

  Attributes:
    keys: [N] text, one per window: person, session and start.
    people: [N] ids.
    true, predicted: [N].
  """

  keys: np.ndarray
  people: np.ndarray
  true: np.ndarray
  predicted: np.ndarray

  @property
  def errors(self):
    """[N] absolute errors."""
    return np.abs(self.predicted - self.true)


def load(paths):
  """Predictions of one run, of one or several folds.

  Args:
    paths: `predictions.csv` files.

  Returns:
    {(task, row): Scored}; rows of several files follow one another.

  Raises:
    InputError: a file that `accfm.evaluate` did not write.
  """
  columns = {}
  for number, path in enumerate(paths):
    try:
      with open(path, newline="", encoding="utf-8") as f:
        for line in csv.DictReader(f):
          key = "|".join((
              str(number), line["participant"], line["session"],
              line["start_s"],
          ))
          columns.setdefault((line["task"], line["row"]), []).append((
              key, line["participant"], float(line["true"]),
              float(line["predicted"]),
          ))
    except (OSError, KeyError, TypeError, ValueError) as error:
      raise InputError(
          f"{path}: cannot be read ({type(error).__name__}: {error}), want "
          "the predictions.csv of an evaluation; evaluate again"
      ) from error
  return {
      name: Scored(*(np.array(part) for part in zip(*lines, strict=True)))
      for name, lines in columns.items()
  }


def mae(scored, draws, seed):
  """Mean absolute error with its interval over people: [value, low, high]."""
  crowd = stats.People(scored.people, draws, seed)
  sums = crowd.sums(scores.moments(scored.true, scored.predicted))
  return _plain(crowd.estimate(sums, scores.mae))


def improvement(scored, baseline, draws, seed):
  """1 - MAE / MAE of a baseline, on the windows of both.

  Args:
    scored, baseline: Scored.
    draws, seed: of the bootstrap; people are drawn once for both.

  Returns:
    [value, low, high].

  Raises:
    InputError: they predicted different windows.
  """
  mine, theirs = np.argsort(scored.keys), np.argsort(baseline.keys)
  if not np.array_equal(scored.keys[mine], baseline.keys[theirs]):
    raise InputError(
        f"compare: got {len(mine)} and {len(theirs)} predictions of different "
        "windows, want the same; evaluate both on one data set"
    )
  both = np.stack([scored.errors[mine], baseline.errors[theirs]], 1)
  crowd = stats.People(scored.people[mine], draws, seed)
  return _plain(
      crowd.estimate(crowd.sums(both), lambda s: 1 - stats.ratio(s))
  )


def _plain(estimate):
  return [estimate.value, estimate.low, estimate.high]


def cell(found, digits, percent=False):
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


def table(heads, rows):
  """A Markdown table of text cells."""
  lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
  return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
