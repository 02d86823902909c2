"""What is drawn of probes: agreement, ROC, shares of labels, subgroups."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accfm.evals.probes.describe_shares import LabelCurve
from accfm.evals.probes.describe_subgroups import Panel
from accfm.evals.report import encoder_plots, plots
from accfm.evals.results import words
from accfm.evals.stats.agreement import Agreement
from accfm.evals.stats.roc import Curve


def agreement(
    true: np.ndarray, predicted: np.ndarray, found: Agreement, unit: str,
    name: str,
) -> str:
  """Predicted against true, and Bland-Altman, for one label.

  Args:
    true, predicted: [M], the points to draw.
    found: of all points.
    unit, name: text.
  """
  error = predicted - true
  dots = plots.dots(len(true)) | dict(color=plots.BLUE)
  unit = f" ({unit})" if unit else ""

  def draw(axes):
    left, right = axes[0]
    both = np.concatenate([true, predicted])
    pad = 0.04 * np.ptp(both) + 1e-9
    ends = (both.min() - pad, both.max() + pad)
    left.plot(ends, ends, color=plots.INK, lw=0.8, ls=plots.DASHED)
    left.scatter(true, predicted, **dots)
    left.set(xlim=ends, ylim=ends, aspect="equal", title="Predicted v. true",
             xlabel=f"true {name}{unit}", ylabel=f"predicted {name}{unit}")
    left.locator_params(nbins=6)
    right.scatter((true + predicted) / 2, error, **dots)
    for one, text, style in (
        (found.bias, "bias", "-"), (found.upper, "+1.96 SD", plots.DASHED),
        (found.lower, "\u22121.96 SD", plots.DASHED),
    ):
      if one.low is not None:
        right.axhspan(one.low, one.high, color=plots.ORANGE, alpha=0.16, lw=0)
      right.axhline(one.value, color=plots.ORANGE, lw=1.2, ls=style)
      right.annotate(
          f"{text}\n{words.number(one.value, 1)}",
          (1.02, one.value), xycoords=("axes fraction", "data"), ha="left",
          va="center", fontsize=8, annotation_clip=False,
      )
    far = 1.06 * max(np.abs(error).max(), abs(found.upper.value),
                     abs(found.lower.value), 1e-6)
    right.set(ylim=(-far, far), title="Bland\u2013Altman",
              xlabel=f"mean of true and predicted{unit}",
              ylabel=f"predicted \u2212 true{unit}")
    right.locator_params(axis="x", nbins=6)

  return plots.svg(draw, 7.6, 3.4, columns=2,
                   alt=f"Predicted against true {name}, and Bland-Altman")


def _titles(ax: Any, title: str, text: str) -> None:
  """A panel's title and, under it, a second line."""
  ax.set_title(title, pad=20 if text else None)
  ax.annotate(text, (0, 1), (0, 6), xycoords="axes fraction",
              textcoords="offset points", fontsize=8)


def roc(
    panels: Sequence[tuple[str, str, Mapping[str, Curve]]]
) -> str:
  """ROC curves, one panel a task.

  Args:
    panels: [(title, second line, encoder -> curve)].
  """
  columns = 3  # also for one panel, which the page would stretch
  rows = -(-len(panels) // columns)

  def draw(axes):
    for place, (title, text, curves) in enumerate(panels):
      ax = axes.flat[place]
      for encoder, c in curves.items():
        if c.low is not None:
          grid = np.linspace(0, 1, len(c.low))
          ax.fill_between(grid, c.low, c.high, color=plots.color(encoder),
                          alpha=0.18, lw=0)
        ax.plot(c.fpr, c.tpr, label=words.encoder(encoder),
                **plots.line(encoder))
      ax.plot([0, 1], [0, 1], color=plots.GREY, lw=1, ls=plots.DASHED,
              label="chance")
      ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal",
             xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
      if place + columns >= len(panels):  # nothing is below it
        ax.set_xlabel("false positive rate")
      if place % columns == 0:
        ax.set_ylabel("true positive rate")
      _titles(ax, title, text)
    for ax in axes.flat[len(panels):]:
      ax.set_axis_off()
    plots.legend(axes)

  return plots.svg(draw, 2.53 * columns, 0.9 + 2.65 * rows, columns=columns,
                   rows=rows, alt="ROC curves")


def _axis(scale: str) -> str:
  """What an axis of scores is called."""
  if scale == "AUC":
    return scale
  return words.in_brackets("error", scale)


def _gap(panel: Panel) -> str:
  """The worst gap of a panel, as text."""
  gap = panel.gap
  if gap is None or gap.value is None:
    return ""
  return "worst gap " + words.with_interval(gap.value, gap.low, gap.high, 2)


def label_curves(
    panels: Sequence[LabelCurve], names: Mapping[str, str],
    colors: Mapping[str, str] | None = None,
) -> str:
  """Errors by the share of labelled people, one panel a task.

  Args:
    panels: what to draw. A line of one share is a point.
    names: line -> what it is called.
    colors: line -> colour; None where lines are encoders of one evaluation.
  """
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)

  def draw(axes):
    for place, one in enumerate(panels):
      ax = axes.flat[place]
      # Bands of all lines would hide one another: the first line has the
      # band, the others whiskers, side by side.
      step = (one.shares[-1] / one.shares[0]) ** 0.018
      for i, (name, by_share) in enumerate(one.lines.items()):
        points = sorted(by_share.items())
        look = plots.line(name) if colors is None else dict(
            color=colors[name], lw=1.6)
        if i == 0 and len(points) > 1:
          encoder_plots.intervals(ax, points, names[name], look)
          continue
        x = np.array([share for share, _ in points])
        x = x * step ** (i - len(one.lines) / 2)
        y = np.array([s.value for _, s in points])
        ends = np.array([
            (0, 0) if s.low is None or s.high is None else
            (s.value - s.low, s.high - s.value) for _, s in points
        ]).T
        ax.plot(x, y, marker="D" if len(points) == 1 else "o", ms=3.6,
                label=names[name], **look)
        ax.errorbar(x, y, ends, fmt="none", color=look["color"], lw=0.9,
                    alpha=0.7)
      ax.set(xscale="log", title=one.title, ylabel=_axis(one.scale))
      ticks = [f"{100 * s:g} %" + (
          f"\n{one.people[s]}" if s in one.people else "")
          for s in one.shares]
      ax.set_xticks(one.shares, ticks, minor=False)
      ax.set_xticks([], minor=True)
      pad = (one.shares[-1] / one.shares[0]) ** 0.07
      ax.set_xlim(one.shares[0] / pad, one.shares[-1] * pad)
      if place >= len(panels) - columns:
        ax.set_xlabel("labelled people used")
    for ax in axes.flat[len(panels):]:
      ax.set_axis_off()
    plots.legend(axes, 4)

  return plots.svg(draw, 2.53 * columns if columns > 1 else 5, 0.5 + 2.7 * rows,
                   columns=columns, rows=rows,
                   alt="Errors by share of labelled people")


def subgroups(panels: Sequence[Panel]) -> str:
  """Scores in the groups of one attribute, one panel a task.

  Args:
    panels: of one attribute.
  """
  longest = max(len(g.counted) for one in panels for g in one.groups)
  columns = min(3 if longest <= 14 else 2, len(panels))
  rows = -(-len(panels) // columns)
  most = max(len(one.groups) for one in panels)

  def draw(axes):
    for place, one in enumerate(panels):
      ax = axes.flat[place]
      known = [g for g in one.groups if g.score.value is not None]
      y = np.arange(len(known))
      ax.barh(y, [g.score.value for g in known], height=0.55,
              color=plots.BLUE, alpha=0.75)
      for at, g in enumerate(known):
        if g.score.low is not None:
          ax.plot([g.score.low, g.score.high], [at, at], color=plots.INK,
                  lw=1.2)
      if one.whole is not None and one.whole.value is not None:
        ax.axvline(one.whole.value, color=plots.ORANGE, lw=1.4,
                   ls=plots.DASHED)
      ax.set_yticks(y, [textwrap.fill(g.counted, 28) for g in known])
      ax.set(ylim=(most - 0.5, -0.5), xlabel=_axis(one.scale))
      _titles(ax, one.title, _gap(one))
      ax.grid(axis="y", visible=False)
      ax.tick_params(axis="y", length=0)
      ax.set_xlim(0, None)
      ax.locator_params(axis="x", nbins=5)
    for ax in axes.flat[len(panels):]:
      ax.set_axis_off()

  return plots.svg(
      draw, 7.6 if columns > 1 else 5, rows * (0.95 + 0.27 * most),
      columns=columns, rows=rows, alt=f"Scores by {panels[0].attribute}",
  )
