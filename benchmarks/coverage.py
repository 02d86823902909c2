"""How often the 95 % intervals over people hold the truth.

  python -m benchmarks.coverage --out=results/coverage

Cohorts of people are simulated whose true score is known, and each is scored
as an evaluation does. Four intervals are made of the same numbers: the one
that accfm gives, a t interval without its scale, the percentile bootstrap
that accfm gave before, and the bias-corrected bootstrap (BCa, Efron 1987).
The last three cover people alone, not draws of labels.

People have 5 to 20 segments each; one cell has one row a person. Where the
truth has no formula it is the score of one cohort of 40,000 people.

Expected: 4 minutes on one core.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from accfm.evals.stats import agreement, intervals, medians, scores
from accfm.evals.stats import people as stats
from accfm.version import __version__

SIZES = (3, 5, 10, 24, 50, 200)
DRAWS = 400  # of the bootstraps
MANY = 40_000  # people of the cohort that is the truth
USED, PLAIN, PERCENTILE, BCA = "accfm", "t, no scale", "percentile", "BCa"
LOW = 0.92  # coverage that the page points out


@dataclasses.dataclass(frozen=True)
class Cohort:
  """One simulated cohort and its score.

  Attributes:
    people: behind its rows.
    statistic: the score as a function of weights.
    give: makes accfm's Estimate.
  """

  people: stats.People
  statistic: stats.Statistic
  give: Callable[[], stats.Estimate]


@dataclasses.dataclass(frozen=True)
class Cell:
  """One kind of score.

  Attributes:
    make: (generator, people) -> Cohort.
    truth: None for the score of a large cohort.
    costly: whether a cohort of many people takes long.
  """

  make: Callable[[np.random.Generator, int], Cohort]
  truth: float | None = None
  costly: bool = False


def draw_people(rng: np.random.Generator, count: int) -> stats.People:
  """People with 5 to 20 segments each."""
  ids = np.repeat(np.arange(count), rng.integers(5, 21, count))
  return stats.People(ids, DRAWS, int(rng.integers(1 << 30)))


def weighted(
    people: stats.People, statistic: stats.Statistic, within: intervals.Range
) -> Cohort:
  """A Cohort whose Estimate is `people.weighted`."""
  return Cohort(people, statistic,
                lambda: people.weighted(statistic, within))


def mean_of(people: stats.People, x: np.ndarray) -> stats.Statistic:
  """The mean of rows as a function of weights."""
  sums = people.sums(np.stack([x, np.ones(len(x))], 1))
  return scores.of_sums(stats.ratio, sums)


def skewed(rng: np.random.Generator, people: stats.People) -> np.ndarray:
  """[N] errors with mean 1, skewed between people and within."""
  level = rng.gamma(4, 0.25, len(people))
  return level[people.index] * rng.exponential(size=len(people.index))


def mae(rng: np.random.Generator, count: int) -> Cohort:
  """Mean absolute error."""
  people = draw_people(rng, count)
  return weighted(
      people, mean_of(people, skewed(rng, people)), intervals.POSITIVE)


def median_error(rng: np.random.Generator, count: int) -> Cohort:
  """Median absolute error."""
  people = draw_people(rng, count)
  x = skewed(rng, people)
  return Cohort(people, medians.make_median(people.index, x),
                lambda: medians.mean_over_draws(people, [x]))


def limit(rng: np.random.Generator, count: int) -> Cohort:
  """Upper limit of agreement of errors that differ between people."""
  people = draw_people(rng, count)
  n = len(people.index)
  error = rng.normal(size=count)[people.index] + rng.normal(size=n)
  sums = people.sums(np.stack([np.ones(n), error, error ** 2], 1))

  def upper(s):
    mean = s[..., 1] / s[..., 0]
    square = np.maximum(s[..., 2] - s[..., 0] * mean ** 2, 0)
    return mean + 1.96 * np.sqrt(square / (s[..., 0] - 1))

  return Cohort(people, scores.of_sums(upper, sums), lambda: agreement.limits(
      people, np.zeros(n), error).upper)


def recall(
    a: float, b: float, rng: np.random.Generator, count: int
) -> Cohort:
  """recall@1 where people's own recalls are Beta(a, b)."""
  people = draw_people(rng, count)
  found = rng.random(len(people.index)) < rng.beta(a, b, count)[people.index]
  return weighted(people, mean_of(people, found), intervals.SHARE)


def auc_of_people(
    share: float, rng: np.random.Generator, count: int
) -> Cohort:
  """AUC of one row a person; a share of the people are positive."""
  y = np.arange(count) < max(round(count * share), 1)
  people = stats.People(np.arange(count), DRAWS, int(rng.integers(1 << 30)))
  odds = 1.2 * y + rng.normal(size=count)
  return weighted(
      people, scores.make_auc(people.index, y, odds), intervals.SHARE)


def classes_of_segments(
    share: float, rng: np.random.Generator, count: int
) -> tuple[stats.People, np.ndarray, np.ndarray]:
  """(people, y, odds): people differ in both, and have both classes."""
  people = draw_people(rng, count)
  n, level = len(people.index), rng.beta(4 * share, 4 - 4 * share, count)
  y = rng.random(n) < level[people.index]
  y[:2] = (True, False) if y.all() or not y.any() else y[:2]
  own = 0.6 * rng.normal(size=count)[people.index]
  return people, y, 1.2 * y + own + 0.8 * rng.normal(size=n)


def auc_of_segments(
    share: float, rng: np.random.Generator, count: int
) -> Cohort:
  """AUC of segments."""
  people, y, odds = classes_of_segments(share, rng, count)
  return weighted(
      people, scores.make_auc(people.index, y, odds), intervals.SHARE)


def precision(
    share: float, rng: np.random.Generator, count: int
) -> Cohort:
  """Average precision of segments."""
  people, y, odds = classes_of_segments(share, rng, count)
  return weighted(people, scores.make_average_precision(
      people.index, y, odds), intervals.SHARE)


def correlation(rng: np.random.Generator, count: int) -> Cohort:
  """Pearson's r, 0.6 between people and within."""
  people = draw_people(rng, count)

  def pair(n):
    x = rng.normal(size=n)
    return np.stack([x, 0.6 * x + 0.8 * rng.normal(size=n)])

  y, p = pair(count)[:, people.index] + pair(len(people.index))
  sums = people.sums(scores.moments(y, p))
  return weighted(
      people, scores.of_sums(scores.pearson, sums), intervals.CORRELATION)


def errors_of_two(
    rng: np.random.Generator, count: int
) -> tuple[stats.People, np.ndarray, np.ndarray]:
  """(people, errors of one, of the other): 0.8 and 1 on average; who is hard
  for one is hard for the other."""
  people = draw_people(rng, count)
  hard, n = rng.gamma(4, 0.25, count), len(people.index)

  def own(least):
    level = hard * rng.lognormal(-0.02, 0.2, count)
    return level[people.index] * (
        least + (1 - least) * rng.exponential(size=n))

  return people, 0.8 * own(0.0), own(0.5)


def improvement(rng: np.random.Generator, count: int) -> Cohort:
  """1 - ratio of two errors."""
  people, one, other = errors_of_two(rng, count)
  sums = people.sums(np.stack([one, other], 1))
  return weighted(
      people, scores.of_sums(scores.below, sums), intervals.BELOW_ONE)


def difference(rng: np.random.Generator, count: int) -> Cohort:
  """One error minus another, of the same segments."""
  people, one, other = errors_of_two(rng, count)
  return weighted(people, mean_of(people, one - other), intervals.ANY)


def over_draws(rng: np.random.Generator, count: int) -> Cohort:
  """Mean over 5 draws of labels, each with an error of its own."""
  people, each = draw_people(rng, count), []
  level = rng.gamma(4, 0.25, count)
  for spread in rng.lognormal(-0.5 * 0.25 ** 2, 0.25, 5):
    own = spread * level * rng.lognormal(-0.005, 0.1, count)
    each.append(mean_of(people, own[people.index] * rng.exponential(
        size=len(people.index))))
  return Cohort(
      people, lambda w: np.mean([one(w) for one in each], axis=0),
      lambda: scores.mean_over_draws(people, each, intervals.POSITIVE))


LAST = "mean over 5 draws"  # the only cell that varies by more than people
EQUAL = float(special.ndtr(1.2 / np.sqrt(2)))  # AUC of two normal scores
CELLS = {
    "MAE": Cell(mae, 1.0),
    "median error": Cell(median_error, costly=True),
    "upper limit of agreement": Cell(limit, 1.96 * np.sqrt(2)),
    "recall@1 of 0.8": Cell(functools.partial(recall, 8, 2), 0.8),
    "recall@1 of 0.98": Cell(functools.partial(recall, 4.9, 0.1), 0.98),
    "AUC of people": Cell(functools.partial(auc_of_people, 1 / 2), EQUAL),
    "AUC of people, 1:5": Cell(
        functools.partial(auc_of_people, 1 / 6), EQUAL),
    "AUC of segments": Cell(
        functools.partial(auc_of_segments, 1 / 2), EQUAL, True),
    "AUC of segments, 1:5": Cell(
        functools.partial(auc_of_segments, 1 / 6), EQUAL, True),
    "average precision, 1:5": Cell(
        functools.partial(precision, 1 / 6), None, True),
    "Pearson r": Cell(correlation, 0.6),
    "improvement on a baseline": Cell(improvement, 0.2),
    "paired difference": Cell(difference, -0.2),
    LAST: Cell(over_draws, 1.0),
}


def bca(
    value: float, left_out: np.ndarray, drawn: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
  """The bias-corrected and accelerated interval of bootstrap draws."""
  if not np.isfinite(left_out).all():
    return None, None
  below = np.mean(drawn < value) + 0.5 * np.mean(drawn == value)
  bias = special.ndtri(np.clip(below, 1 / len(drawn), 1 - 1 / len(drawn)))
  moves = left_out.mean() - left_out
  scale = np.sum(moves ** 2) ** 1.5
  skew = np.sum(moves ** 3) / (6 * scale) if scale > 0 else 0.0
  z = bias + special.ndtri([0.025, 0.975])
  low, high = np.quantile(drawn, special.ndtr(bias + z / (1 - skew * z)))
  return float(low), float(high)


def ends(cohort: Cohort) -> dict[str, tuple]:
  """method -> ends of its interval, None where it gives none."""
  people, n = cohort.people, len(cohort.people)
  drawn = cohort.statistic(people.weights)
  known = drawn[np.isfinite(drawn)]
  out: dict[str, tuple] = dict.fromkeys(
      (USED, PERCENTILE, PLAIN, BCA), (None, None))
  if len(known) >= 0.95 * len(drawn):
    out[PERCENTILE] = tuple(np.quantile(known, [0.025, 0.975]))
  if n < intervals.FEWEST:
    return out
  given = cohort.give()
  value = float(cohort.statistic(np.ones(n)))
  left_out = people.left_out(cohort.statistic)
  out[USED] = (given.low, given.high)
  out[PLAIN] = intervals.interval(
      value, intervals.jackknife(left_out), intervals.ANY, n)
  if len(known) >= 0.95 * len(drawn):
    out[BCA] = bca(value, left_out, known)
  return out


def measure(cell: Cell, size: int, cohorts: int, seed: int) -> dict:
  """method -> what `coverage` says of one cell."""
  rng = np.random.default_rng([seed, size])
  truth, found = cell.truth, {}
  if truth is None:
    one = cell.make(np.random.default_rng(0), MANY)
    truth = float(one.statistic(np.ones(MANY)))
  for _ in range(cohorts):
    for method, pair in ends(cell.make(rng, size)).items():
      found.setdefault(method, []).append(pair)
  return {m: coverage(pairs, truth) for m, pairs in found.items()}


def coverage(pairs: Sequence[tuple], truth: float) -> dict[str, float]:
  """How often intervals hold a truth, by how many there are.

  Returns:
    `given`: the number of intervals; of these `held`, the share that holds
    the truth, its Monte Carlo standard error `se`, `below` and `above`, the
    shares where the truth lies below and above, and the median `width`.
  """
  known = np.array([p for p in pairs if p[0] is not None], float)
  out: dict[str, float] = {"given": len(known), "cohorts": len(pairs)}
  if len(known) < 0.5 * len(pairs):
    return out
  below, above = np.mean(truth < known[:, 0]), np.mean(truth > known[:, 1])
  held = 1 - below - above
  return out | {
      "held": round(float(held), 4), "below": round(float(below), 4),
      "above": round(float(above), 4),
      "se": round(float(np.sqrt(held * (1 - held) / len(known))), 4),
      "width": float(np.median(known[:, 1] - known[:, 0])),
  }


def plan(cell: Cell, size: int, cohorts: int) -> int:
  """How many cohorts of a size are drawn."""
  return cohorts // 4 if cell.costly and size >= 200 else cohorts


def simulate(cohorts: int, seed: int, sizes: Sequence[int]) -> dict:
  """{cell: {people: {method: coverage}}}."""
  return {
      name: {str(size): measure(cell, size, plan(cell, size, cohorts), seed)
             for size in sizes}
      for name, cell in CELLS.items()
  }


def markdown(found: dict, facts: dict) -> str:
  """The page."""
  sizes = list(next(iter(found.values())))

  def cell(one):
    if "held" not in one:
      return "none"
    mark = " \u2020" if one["held"] < LOW else ""
    return (f"{one['held']:.3f}{mark} ({one['below']:.3f}, "
            f"{one['above']:.3f})")

  lines = [
      "# Do 95 % intervals hold the truth?", "",
      "Segments of one person are alike, so what varies is people. accfm "
      "leaves out one person after another (above 256 people one of 100 "
      "groups), takes the variance of the score from it (the jackknife) and "
      "makes a t interval with as many degrees of freedom as people but one. "
      "It does so on a scale on which the score has no ends: the logit for "
      "recall and AUC, Fisher's z for r, the logarithm for errors and their "
      "ratios. A share of exactly 0 or 1 gets the bound that so many people "
      "can show (Clopper and Pearson); with few people that is wider than need "
      "be. Medians read the interval of the share "
      "below them (Woodruff). Under 5 people there is no interval: so few do "
      "not show how people differ. The percentile bootstrap, which accfm gave "
      "before, is too narrow for few people, and mostly on the optimistic "
      "side; the bias-corrected bootstrap (BCa) is hardly better. A mean over "
      "draws of labelled people adds the variance between draws over their "
      "number, with Satterthwaite's degrees of freedom.", "",
      "Each number is the share of simulated cohorts whose interval holds the "
      "truth; in brackets the shares whose truth lies below and above it. "
      f"\u2020 marks less than {LOW}.", "",
  ]
  for method, title in ((USED, "The intervals of accfm"),
                        (PERCENTILE, "The percentile bootstrap")):
    lines += [f"## {title}", "",
              "| score | " + " | ".join(f"{s} people" for s in sizes) + " |",
              "|---" * (1 + len(sizes)) + "|"]
    lines += [
        f"| {name} | " + " | ".join(
            cell(by_size[s][method]) for s in sizes) + " |"
        for name, by_size in found.items()
    ]
    lines.append("")
  lines += [f"## Mean and lowest coverage of all scores but {LAST!r}", "",
            "| interval | " + " | ".join(f"{s} people" for s in sizes) + " |",
            "|---" * (1 + len(sizes)) + "|"]
  for method in (USED, PLAIN, PERCENTILE, BCA):
    row = []
    for s in sizes:
      held = [by[s][method]["held"] for name, by in found.items()
              if name != LAST and "held" in by[s][method]]
      row.append(f"{np.mean(held):.3f}, {min(held):.3f}" if held else "none")
    lines.append(f"| {method} | " + " | ".join(row) + " |")
  lines += ["", *say(found, facts), ""]
  return "\n".join(lines)


def say(found: dict, facts: dict) -> list[str]:
  """Which cells are low, which give fewer intervals, and how it was run."""
  used = {(name, s): one[USED] for name, by in found.items()
          for s, one in by.items()}
  low = [f"{name} at {s} people {one['held']:.3f}"
         for (name, s), one in used.items() if one.get("held", 1) < LOW]
  some = [f"{name} at {s} people in {one['given'] / one['cohorts']:.0%}"
          for (name, s), one in used.items()
          if int(s) >= intervals.FEWEST
          and one["given"] < 0.995 * one["cohorts"]]
  errors = [one["se"] for one in used.values() if "se" in one]
  out = []
  if low:
    out += [f"Below {LOW} in accfm: {'; '.join(low)}.", ""]
  if some:
    out += [
        "No interval is given where one person alone carries a class. "
        f"Given: {'; '.join(some)} of cohorts.", ""]
  return out + [
      f"{facts['cohorts']:,} cohorts a cell (a quarter of it for segments' "
      f"AUC, average precision and medians of 200 people), {DRAWS} draws of a "
      f"bootstrap; the Monte Carlo standard error is {min(errors):.3f} to "
      f"{max(errors):.3f}. accfm {facts['accfm']}. "
      "`benchmarks/coverage.py` says how cohorts are made.",
  ]


def main():
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--out", required=True, help="PATH of .json and .md")
  parser.add_argument("--cohorts", type=int, default=1000, help="of a cell")
  parser.add_argument("--seed", type=int, default=0)
  args = parser.parse_args()
  start = time.perf_counter()
  found = simulate(args.cohorts, args.seed, SIZES)
  facts = {"cohorts": args.cohorts, "seed": args.seed, "accfm": __version__,
           "draws": DRAWS, "seconds": time.perf_counter() - start}
  out = pathlib.Path(args.out)
  out.parent.mkdir(parents=True, exist_ok=True)
  out.with_suffix(".json").write_text(
      json.dumps({"facts": facts, "cells": found}, indent=1) + "\n")
  out.with_suffix(".md").write_text(markdown(found, facts))
  print(markdown(found, facts))


if __name__ == "__main__":
  main()
