"""Plots as inline SVG that takes its ink from the page.

Text and axes are drawn in one marker colour that becomes `currentColor`, so
a plot can be read on a light and on a dark page. This module makes a plot;
`encoder_plots`, `probe_plots` and `forest` say what is drawn.
"""

import hashlib
import html
import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colors, figure

from accfm.evals.results.figures import TESTED

INK = "#010203"
BLUE, VIOLET, ORANGE, GREEN, PINK, GREY = (
    "#2f7fd1", "#8a63d2", "#e0852f", "#2f9c82", "#cf4f8b", "#8b93a1"
)
PALETTE = (BLUE, ORANGE, GREEN, PINK, VIOLET, "#a08a2c", "#4aa3b5", GREY)
COLORS = {
    TESTED: BLUE, "envelope": ORANGE, "features": GREEN, "demographics": PINK,
    "untrained": GREY, "mean": GREY, "identity": "#a08a2c",
    "aligned_ridge": "#4aa3b5", "aligned_cca": "#4aa3b5",
    "traced": "#a08a2c", "harmonic": "#4aa3b5",
}
DASHED = (0, (3, 3))
# Of medium lightness throughout, so that it shows on light and dark pages.
SCALE = colors.LinearSegmentedColormap.from_list(
    "accfm", (BLUE, VIOLET, PINK, ORANGE)
)
STYLE: Any = {  # matplotlib's settings by name
    "font.family": "DejaVu Sans", "font.size": 9, "svg.fonttype": "none",
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.linewidth": 0.6,
    "axes.spines.top": False, "axes.spines.right": False,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 3, "ytick.major.size": 3, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": GREY, "grid.alpha": 0.22,
    "grid.linewidth": 0.6, "axes.titlesize": 9.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.titlepad": 9,
    "legend.frameon": False, "legend.fontsize": 8.5, "lines.linewidth": 1.8,
    "savefig.transparent": True, "svg.hashsalt": "accfm",
    "axes.unicode_minus": True,
}


def color(encoder: str) -> str:
  """The colour of what was scored."""
  return COLORS.get(encoder, VIOLET)


def line(encoder: str) -> dict[str, Any]:
  """How a line is drawn: this encoder strongest, the mean dashed."""
  mine = encoder == TESTED
  return dict(
      color=color(encoder), ls=DASHED if encoder == "mean" else "-",
      lw=2.2 if mine else 1.4, zorder=3 if mine else 2,
  )


def svg(
    draw: Callable[[np.ndarray], None], width: float, height: float,
    columns: int = 1, rows: int = 1, alt: str = "", **grid: Any,
) -> str:
  """Draws a figure.

  Args:
    draw: takes axes [rows, columns].
    width, height: in inches; the page stretches it to its own width.
    columns, rows: of panels.
    alt: what the figure shows, for readers who cannot see it. Figures of one
      page that may be equal need different ones.
    **grid: as `matplotlib.figure.Figure.subplots` takes.

  Returns:
    An <svg> element; its ids are its own, so many stand on one page.
  """
  with matplotlib.rc_context(STYLE):
    fig = figure.Figure(figsize=(width, height), layout="constrained")
    draw(fig.subplots(rows, columns, squeeze=False, **grid))
    out = io.StringIO()
    fig.savefig(out, format="svg", dpi=180,
                metadata={"Date": None, "Creator": None})
  text = out.getvalue()
  text = text[text.index("<svg"):].replace(INK, "currentColor")
  text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
  text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.S)
  text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
  # The page sets the width; the view box keeps the shape.
  text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
  text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
  label = f' aria-label="{html.escape(alt)}"' if alt else ""
  return own_ids(text.replace("<svg", f'<svg role="img"{label}', 1))


def own_ids(text: str) -> str:
  """Keeps the ids that something refers to, and makes them unique.

  Many figures stand on one page, and ids are of the whole page.
  """
  used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
  mine = hashlib.sha256(text.encode()).hexdigest()[:8]
  text = re.sub(
      r' id="([^"]*)"',
      lambda m: f' id="{mine}{m[1]}"' if m[1] in used else "", text,
  )
  return re.sub(r'(href="#|url\(#)', rf"\g<1>{mine}", text)


def legend(axes: np.ndarray, columns: int = 5) -> None:
  """One legend above all panels, where no line can run."""
  handles = {}
  for ax in np.ravel(axes):
    for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
      handles.setdefault(name, handle)
  if handles:
    np.ravel(axes)[0].figure.legend(
        handles.values(), handles.keys(), loc="outside upper left",
        ncols=columns, handlelength=1.4, columnspacing=1.6,
    )


def dots(count: int) -> dict[str, Any]:
  """How points are drawn: the more there are, the smaller and fainter."""
  return dict(
      s=9 if count < 1500 else 5, lw=0, rasterized=count > 1000,
      alpha=float(np.clip(60 / count ** 0.6, 0.2, 0.7)),
  )
