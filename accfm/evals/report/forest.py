"""Forest plots: scores of several encoders, and their paired differences."""

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from accfm.evals.report import plots
from accfm.evals.stats.people import Estimate


def forest(
    title: str, scores: Mapping[str, Estimate],
    differences: Mapping[tuple[str, str], Estimate], axis: str, better: int,
    colors: Mapping[str, str],
) -> str:
  """Scores on the left, paired differences on the right.

  Args:
    title: of the task.
    scores: run -> score.
    differences: (run, run) -> score of the first minus that of the second.
    axis: what the scores are.
    better: -1 where less is better, 1 where more is.
    colors: run -> colour.

  Returns:
    SVG. A difference whose interval leaves out 0 has the colour of the
    better of the two, others are grey and hollow.
  """
  pairs = {f"{a} \u2212 {b}": ((a, b), s) for (a, b), s in differences.items()}
  most = max(len(scores), len(pairs))
  tall = 0.38 if any("\n" in _wrap(n) for n in (*scores, *pairs)) else 0.29

  def draw(axes):
    left, right = axes[0]
    left.figure.get_layout_engine().set(wspace=0.05)
    for at, (run, s) in enumerate(scores.items()):
      _point(left, at, s, colors[run], True)
    _names(left, scores, most)
    left.set_xlabel(axis)
    if not pairs:  # one run has this score; its panel is as wide as others
      right.set_axis_off()
      return
    right.axvline(0, color=plots.INK, lw=0.8, ls=plots.DASHED)
    for at, ((a, b), s) in enumerate(pairs.values()):
      clear = s.low is not None and s.high is not None and (
          s.low > 0 or s.high < 0)
      winner = a if s.value * better > 0 else b
      _point(right, at, s, colors[winner] if clear else plots.GREY, clear)
    _names(right, pairs, most)
    right.set_xlabel(f"difference of {axis}")
    # 0 is always seen, with room on both sides.
    low, high = right.get_xlim()
    pad = 0.06 * (max(high, 0) - min(low, 0))
    right.set_xlim(min(low, -pad), max(high, pad))

  return plots.svg(  # the right panel's names are longer
      draw, 7.6, 0.65 + tall * most, columns=2,
      alt=f"{title}: {axis} of encoders", width_ratios=(1, 1.15),
  )


def _point(
    ax: Any, at: float, s: Estimate, color: str, filled: bool
) -> None:
  if s.low is not None:
    ax.plot([s.low, s.high], [at, at], color=color, lw=1.6,
            solid_capstyle="butt")
  ax.plot([s.value], [at], marker="o", ms=6, color=color, mew=1.4,
          mfc=color if filled else "none", ls="none")


def _wrap(name: str) -> str:
  return textwrap.fill(name, 34, break_long_words=False)


def _names(ax: Any, names: Mapping[str, Any], most: int) -> None:
  ax.set_yticks(np.arange(len(names)), [_wrap(n) for n in names])
  ax.set_ylim(most - 0.4, -0.6)
  ax.tick_params(axis="y", length=0)
  ax.grid(axis="y", visible=False)
  ax.spines["left"].set_visible(False)
  ax.locator_params(axis="x", nbins=5)
