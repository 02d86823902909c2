"""What is drawn of probes: agreement, ROC, shares of labels, subgroups."""

import textwrap

import numpy as np

from accfm.evals.report import encoder_plots, markup, plots


def agreement(true, predicted, found, unit, name):
  """Predicted against true, and Bland-Altman, for one label.

  Args:
    true, predicted: [M], the points to draw.
    found: `agreement.Agreement` of all.
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
          f"{text}\n{markup.number(one.value, 1)}",
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


def _titles(ax, title, text):
  """A panel's title and, under it, a second line."""
  ax.set_title(title, pad=20 if text else None)
  ax.annotate(text, (0, 1), (0, 6), xycoords="axes fraction",
              textcoords="offset points", fontsize=8)


def roc(panels, label):
  """ROC curves, one panel a task.

  Args:
    panels: [(title, second line, row -> roc.Curve)].
    label: row -> text.
  """
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)

  def draw(axes):
    for place, (title, text, curves) in enumerate(panels):
      ax = axes.flat[place]
      for row, c in curves.items():
        if c.low is not None:
          grid = np.linspace(0, 1, len(c.low))
          ax.fill_between(grid, c.low, c.high, color=plots.color(row),
                          alpha=0.18, lw=0)
        ax.plot(c.fpr, c.tpr, label=label(row), **plots.line(row))
      ax.plot([0, 1], [0, 1], color=plots.GREY, lw=1, ls=plots.DASHED,
              label="chance")
      ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal",
             xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
      _titles(ax, title, text)
    axes[0, 0].figure.supxlabel("false positive rate", fontsize=9)
    axes[0, 0].figure.supylabel("true positive rate", fontsize=9)
    for ax in axes.flat[len(panels):]:
      ax.set_axis_off()
    plots.legend(axes)

  return plots.svg(draw, 2.53 * columns, 0.6 + 2.65 * rows, columns=columns,
                   rows=rows, alt="ROC curves")


def _measure(unit):
  """What an axis of scores is called."""
  if unit == "AUC":
    return unit
  return f"error ({unit})" if unit else "error"


def _gap(one):
  """The worst gap of `readings.Subgroups`, as text."""
  if one.gap is None:
    return ""
  span = markup.span(one.gap.low, one.gap.high, 2)
  return f"worst gap {markup.number(one.gap.value, 2)}" + (
      f" ({span})" if span else "")


def label_curves(panels, style, label):
  """Errors by the share of labelled people, one panel a task.

  Args:
    panels: `readings.LabelCurve`s. A row of one share is a point.
    style: row -> plot keywords with "color".
    label: row -> text.
  """
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)

  def draw(axes):
    for place, one in enumerate(panels):
      ax = axes.flat[place]
      # Bands of all rows would hide one another: the first row has the band,
      # the others whiskers, side by side.
      step = (one.shares[-1] / one.shares[0]) ** 0.018
      for i, (row, by_share) in enumerate(one.rows.items()):
        points, look = sorted(by_share.items()), style(row)
        if i == 0 and len(points) > 1:
          encoder_plots.intervals(ax, points, label(row), look)
          continue
        x = np.array([share for share, _ in points])
        x = x * step ** (i - len(one.rows) / 2)
        y = np.array([s.value for _, s in points])
        ends = np.array([
            (s.value - s.low, s.high - s.value) if s.low is not None
            else (0, 0) for _, s in points
        ]).T
        ax.plot(x, y, marker="D" if len(points) == 1 else "o", ms=3.6,
                label=label(row), **look)
        ax.errorbar(x, y, ends, fmt="none", color=look["color"], lw=0.9,
                    alpha=0.7)
      ax.set(xscale="log", title=one.title,
             ylabel=_measure(one.unit))
      names = [f"{100 * s:g} %" + (
          f"\n{one.people[s]}" if s in one.people else "")
          for s in one.shares]
      ax.set_xticks(one.shares, names, minor=False)
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


def subgroups(panels, title):
  """Scores in the groups of one attribute, one panel a task.

  Args:
    panels: `readings.Subgroups` of one attribute.
    title: (value, people) -> text of a group.
  """
  longest = max(
      len(title(g[0], g[2])) for one in panels for g in one.groups)
  columns = min(3 if longest <= 14 else 2, len(panels))
  rows = -(-len(panels) // columns)
  most = max(len(one.groups) for one in panels)

  def draw(axes):
    for place, one in enumerate(panels):
      ax = axes.flat[place]
      known = [g for g in one.groups if g[1] is not None]
      y = np.arange(len(known))
      ax.barh(y, [g[1].value for g in known], height=0.55, color=plots.BLUE,
              alpha=0.75)
      for at, (_, s, _, _) in enumerate(known):
        if s.low is not None:
          ax.plot([s.low, s.high], [at, at], color=plots.INK, lw=1.2)
      if one.whole is not None:
        ax.axvline(one.whole.value, color=plots.ORANGE, lw=1.4,
                   ls=plots.DASHED)
      ax.set_yticks(y, [
          textwrap.fill(title(g[0], g[2]), 28) for g in known])
      ax.set(ylim=(most - 0.5, -0.5), xlabel=_measure(one.unit))
      _titles(ax, one.title, _gap(one))
      ax.grid(axis="y", visible=False)
      ax.tick_params(axis="y", length=0)
      ax.set_xlim(0, None)
      ax.locator_params(axis="x", nbins=5)
    for ax in axes.flat[len(panels):]:
      ax.set_axis_off()

  return plots.svg(
      draw, 7.6 if columns > 1 else 5, rows * (0.95 + 0.27 * most),
      columns=columns, rows=rows, alt=f"Scores by {panels[0].name}",
  )
