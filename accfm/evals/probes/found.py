"""Which targets the figures of an evaluation have, and by what they are judged.

Reports, terminal and comparisons list targets as `find_targets` finds them.
"""

import dataclasses

from accfm.evals.results import words
from accfm.evals.results.figures import Figure, Figures
from accfm.evals.results.verdict import DIRECTLY

FIRST = ("mae", "auc", "accuracy")  # what a target is first judged by


@dataclasses.dataclass(frozen=True)
class Target:
  """One target on one share of the labels, by its first measure.

  Attributes:
    about: the Figure without an encoder and a value.
    scores: encoder -> Figure.
  """

  about: Figure
  scores: dict[str, Figure]

  @property
  def title(self) -> str:
    """What it is called."""
    title = words.target(
        self.about.subject, self.scale, self.about.share)
    return title + (DIRECTLY if self.about.evaluator == "direct" else "")

  @property
  def scale(self) -> str:
    """What its scores are in."""
    return words.scale(self.about.measure, self.about.unit)

  @property
  def known(self) -> bool:
    """Whether an encoder has a score."""
    return any(f.value is not None for f in self.scores.values())


def find_targets(
    figures: Figures, *evaluators: str, share: float | None = None
) -> list[Target]:
  """The targets that were scored, or should have been, in order.

  Args:
    figures: of an evaluation.
    *evaluators: "probe", "direct".
    share: of labels, None for every share.
  """
  found: dict[Figure, dict[str, Figure]] = {}
  for f in figures:
    if f.evaluator in evaluators and f.measure in FIRST and (
        not f.attribute and share in (None, f.share)):
      about = Figure(
          f.split, f.evaluator, subject=f.subject, share=f.share,
          measure=f.measure, unit=f.unit,
      )
      found.setdefault(about, {})[f.encoder] = f
  return [Target(about, scores) for about, scores in found.items()]
