"""What an evaluation found, in plain words: each score beside its best rivals.

Terminal, report and comparisons say the same, because all say what stands
here. `rivals` measures the differences.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from accfm.evals.results import rivals, words
from accfm.evals.results.figures import Figure, Figures

CHOICE = (
    "A rival is the best of its kind on these very people. Choosing the best "
    "favours the rival."
)
RANK = {"best_unlearned": "the best without learning",
        "best_baseline": "the best baseline"}
DIRECTLY = ", predicted directly"


@dataclasses.dataclass(frozen=True)
class Verdict:
  """A score of the encoder under test, and how far it is from its rivals.

  Attributes:
    score: its Figure.
    title: what was scored, e.g. "HR" or "acceleration \u2192 PPG, among 256".
    differences: kind of rival -> the Figure of the paired difference.
    ceiling: the Figure of the checkpoint's other encoder, None without one.
  """

  score: Figure
  title: str
  differences: dict[str, Figure]
  ceiling: Figure | None = None

  @property
  def digits(self) -> int:
    """How many decimals tell scores apart."""
    if self.score.evaluator == "retrieval":
      return 3
    return 1 if (self.score.value or 0) >= 10 else 2

  @property
  def scale(self) -> str:
    """What the score is in."""
    return words.scale(self.score.measure, self.score.unit)


def find_verdicts(
    figures: Figures, pair: Sequence[str], **fields: Any
) -> list[Verdict]:
  """Verdicts on every score that was compared, in the order of the figures.

  Args:
    figures: of an evaluation.
    pair: the two signals of the checkpoint, the second "" or None without
      one.
    **fields: of the figures that are meant, as in `Figures.find`.
  """
  a, b = pair
  ways = {f"{x}2{y}": words.arrow((x, y))
          for x, y in ((a, b), (b, a)) if a and b}
  by_score: dict[Figure, dict[str, Figure]] = {}
  for one in figures.find(**fields):
    if not one.rival or one.value is None:
      continue
    for kind in rivals.KINDS:
      measure = one.measure.removesuffix(rivals.name("", kind))
      if measure != one.measure:
        score = figures.get(one, measure=measure)
        if score is not None and score.value is not None:
          by_score.setdefault(score, {})[kind] = one
  return [
      Verdict(score, _title(score, ways), found, _ceiling(figures, score, b))
      for score, found in by_score.items()
  ]


def _ceiling(figures: Figures, score: Figure, signal: str) -> Figure | None:
  """The same score of the other encoder, where it was probed."""
  return figures.get(score, encoder=signal) if signal else None


def _title(score: Figure, ways: dict[str, str]) -> str:
  if score.evaluator == "retrieval":
    way = ways.get(score.subject, score.subject)
    return f"{way}, {words.among(score.pool or 'all')}"
  title = words.target(
      score.subject, words.scale(score.measure, score.unit), score.share)
  return title + (DIRECTLY if score.evaluator == "direct" else "")


def better_by(
    difference: Figure
) -> tuple[float, float | None, float | None]:
  """By how much the encoder is better, with its interval; below 0: worse."""
  value, low, high = difference.value or 0.0, difference.low, difference.high
  if difference.measure.startswith(rivals.LESS_IS_BETTER):
    return -value, (None if high is None else -high), (
        None if low is None else -low)
  return value, low, high


def outcome(difference: Figure) -> str:
  """"better", "worse" or "same"; "" where there is no interval to tell."""
  _, low, high = better_by(difference)
  if low is None or high is None:
    return ""
  if low > 0:
    return "better"
  return "worse" if high < 0 else "same"


def compare(difference: Figure, digits: int) -> str:
  """`0.9 better (0.3 to 1.6) than motion features`."""
  value, low, high = better_by(difference)
  than, found = words.rival(difference.rival), outcome(difference)
  side = "better"
  if value < 0:
    side, value = "worse", -value
    if low is not None and high is not None:
      low, high = -high, -low
  span = words.interval(low, high, digits)
  text = f"{words.number(value, digits)} {side}"
  if found == "same":
    return f"not told apart from {than} ({text}, {span})"
  return f"{text}{f' ({span})' if span else ''} than {than}"


def rival_score(verdict: Verdict, kind: str) -> float:
  """The score of a rival."""
  return (verdict.score.value or 0.0) - (verdict.differences[kind].value or 0.0)


def say_score(verdict: Verdict) -> str:
  """`7.1 bpm`, `AUC 0.71`."""
  value = words.number(verdict.score.value, verdict.digits)
  if verdict.score.measure == "mae":
    return f"{value} {verdict.score.unit}".rstrip()
  return f"{verdict.scale} {value}"


def say_rivals(verdict: Verdict) -> str:
  """How far the encoder is from its rivals, without the score."""
  found, parts, named = verdict.differences, [], set()
  for kind, rank in RANK.items():
    one = found.get(kind)
    if one is None or one.rival in named:
      continue
    named.add(one.rival)
    parts.append(f"{compare(one, verdict.digits)}, {rank}")
  first = next(iter(found.values()))
  if outcome(first) == "worse":
    parts.append("this encoder shows nothing here")
  elif not outcome(first):
    parts.append("no interval tells whether that is chance")
  return "; ".join(parts)


def say(verdict: Verdict) -> str:
  """`7.1 bpm, 0.9 better (0.3 to 1.6) than motion features, the best ...`."""
  return f"{say_score(verdict)}, {say_rivals(verdict)}{_say_ceiling(verdict)}."


def _say_ceiling(verdict: Verdict) -> str:
  """`; PPG encoder (ceiling): 2.18 bpm`, "" without one."""
  one = verdict.ceiling
  if one is None or one.value is None:
    return ""
  value = words.number(one.value, verdict.digits)
  unit = f" {one.unit}" if one.unit else ""
  return f"; {words.encoder(one.encoder)}: {value}{unit}"


def look(verdict: Verdict) -> str:
  """"good" where it beats every rival, "bad" where the first beats it."""
  sides = [outcome(one) for one in verdict.differences.values()]
  if all(side == "better" for side in sides):
    return "good"
  return "bad" if sides[0] == "worse" else ""


def short(verdict: Verdict) -> str:
  """For a card: the first difference alone."""
  first = next(iter(verdict.differences.values()))
  return compare(first, verdict.digits)


def of_score(
    figures: Figures, score: Figure, pair: Sequence[str] = ("", "")
) -> Verdict | None:
  """The Verdict on a score, None where it was not compared."""
  found = find_verdicts(figures, pair, subject=score.subject)
  return next((v for v in found if v.score == score), None)
