"""Plots of the report: inline SVG that takes its ink from the page.

Text and axes are drawn in one marker colour that becomes `currentColor`, so
a plot reads on a light and on a dark page alike.
"""

import io
import re

import matplotlib
import numpy as np
from matplotlib import figure

INK = "#010203"
COLORS = {
    "": "#2f7fd1", "ppg": "#7b61c9", "envelope": "#e0852f",
    "features": "#2f9c82", "untrained": "#8b93a1", "mean": "#8b93a1",
}
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none",
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 3, "ytick.major.size": 3, "axes.grid": True,
    "grid.color": "#8b93a1", "grid.alpha": 0.22, "grid.linewidth": 0.6,
    "axes.titlesize": 9.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlepad": 9,
    "legend.frameon": False, "legend.fontsize": 8.5, "lines.linewidth": 1.8,
    "savefig.transparent": True, "svg.hashsalt": "accfm",
}


def color(row):
  """The colour of a row of the tables."""
  return COLORS.get(row, "#7b61c9")


def _svg(draw, width, height, columns=1, rows=1, **grid):
  """Runs `draw(axes [rows, columns])` and returns inline SVG."""
  with matplotlib.rc_context(STYLE):
    fig = figure.Figure(figsize=(width, height), layout="constrained")
    draw(fig.subplots(rows, columns, squeeze=False, **grid))
    out = io.StringIO()
    fig.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
  text = out.getvalue()
  text = text[text.index("<svg"):].replace(INK, "currentColor")
  text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
  # The page sets the width; the view box keeps the shape.
  text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
  text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
  return text.replace("<svg", '<svg role="img"', 1)


def _legend(ax):
  """One legend above all panels, where no line can run."""
  ax.figure.legend(
      *ax.get_legend_handles_labels(), loc="outside upper left", ncols=5,
      handlelength=1.4, columnspacing=1.6,
  )


def retrieval_curves(curves, ways, label, pool):
  """Recall@k against k, one panel for each direction.

  Args:
    curves: row -> {"/direction": recall@r for r = 1..K}.
    ways: [(direction, title)].
    label: row -> text.
    pool: pool size K.
  """

  def draw(axes):
    for ax, (way, title) in zip(axes[0], ways, strict=True):
      for row, by_way in curves.items():
        curve = by_way.get(f"/{way}")
        if curve is None:
          continue
        ax.plot(np.arange(1, len(curve) + 1), curve, color=color(row),
                label=label(row), zorder=3 if row == "" else 2)
      k = np.arange(1, pool + 1)
      ax.plot(k, k / pool, color="#8b93a1", lw=1, ls=(0, (3, 3)),
              label="chance")
      ax.set(xscale="log", xlim=(1, pool), ylim=(0, 1), title=title,
             xlabel="k", ylabel="recall@k")
      ticks = [t for t in (1, 2, 5, 10, 20, 50, 100, 200, 500) if t < pool]
      ax.set_xticks(ticks, [str(t) for t in ticks], minor=False)
      ax.set_xticks([], minor=True)
    _legend(axes[0, 0])

  return _svg(draw, 7.6, 3.1, columns=len(ways), sharey=True)


def agreement(true, predicted, unit, name):
  """Predicted against true, and Bland-Altman, for one label."""
  error = predicted - true
  bias, sd = error.mean(), error.std()
  dots = dict(s=9, alpha=min(0.6, 60 / len(true) ** 0.6), lw=0,
              color=color(""), rasterized=len(true) > 1500)

  def draw(axes):
    left, right = axes[0]
    ends = np.percentile(np.concatenate([true, predicted]), [0.2, 99.8])
    pad = 0.05 * np.ptp(ends) + 1e-9
    ends = (ends[0] - pad, ends[1] + pad)
    left.plot(ends, ends, color=INK, lw=0.8, ls=(0, (3, 3)))
    left.scatter(true, predicted, **dots)
    left.set(xlim=ends, ylim=ends, aspect="equal", title="Predicted v. true",
             xlabel=f"true {name} ({unit})",
             ylabel=f"predicted {name} ({unit})")
    right.scatter((true + predicted) / 2, error, **dots)
    for level, text in (
        (bias, f"bias {bias:+.1f}"), (bias + 1.96 * sd, "+1.96 SD"),
        (bias - 1.96 * sd, "\u22121.96 SD"),
    ):
      right.axhline(level, color=INK, lw=0.8,
                    ls="-" if level == bias else (0, (3, 3)))
      right.annotate(text, (1.02, level), xycoords=("axes fraction", "data"),
                     ha="left", va="center", fontsize=8,
                     annotation_clip=False)
    spread = max(2.6 * sd + abs(bias), 1e-6)
    right.set(xlim=ends, ylim=(-spread, spread), title="Bland\u2013Altman",
              xlabel=f"mean of true and predicted ({unit})",
              ylabel=f"predicted \u2212 true ({unit})")

  return _svg(draw, 7.6, 3.4, columns=2)


def spectra(sizes, label):
  """Singular values of each embedding over the largest: row -> [R]."""

  def draw(axes):
    ax = axes[0, 0]
    for row, s in sizes.items():
      s = s / max(s[0], 1e-12)
      ax.plot(np.arange(1, len(s) + 1), np.maximum(s, 1e-7),
              color=color(row), label=label(row))
    ax.set(yscale="log", xlabel="dimension", ylim=(1e-5, 1.4),
           ylabel="singular value / largest")
    ax.set_xlim(1, None)
    _legend(ax)

  return _svg(draw, 7.6, 2.6)


def pair(query, found, right, rate_hz, names):
  """A query and what it found, first 15 s: three panels of [T, C]."""
  n = min(len(query), round(15 * rate_hz))
  t = np.arange(n) / rate_hz
  panels = [(query, f"query: {names[0]}"), (found, f"found: {names[1]}")]
  if right is not None:
    panels.append((right, f"right answer: {names[1]}"))
  tones = ("#2f7fd1", "#2f9c82", "#e0852f", "#7b61c9")

  def draw(axes):
    for ax, (x, title) in zip(axes[:, 0], panels, strict=True):
      x = x[:n] - x[:n].mean(axis=0)
      x = x / (x.std() + 1e-12)
      for c in range(x.shape[1]):
        ax.plot(t, x[:, c], color=tones[c % 4], lw=0.9, alpha=0.9)
      ax.set_title(title, fontsize=8.5, fontweight="normal", pad=3)
      ax.set(yticks=[], xlim=(0, n / rate_hz))
      ax.spines["left"].set_visible(False)
    axes[-1, 0].set_xlabel("s")

  return _svg(draw, 3.7, 0.35 + 0.85 * len(panels), rows=len(panels),
              sharex=True)
