"""What is drawn of encoders: recall, spectra, maps, retrieved pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accfm.evals.report import plots
from accfm.evals.results import words
from accfm.evals.stats.people import Estimate

Ways = Sequence[tuple[str, str]]  # (direction, title)


def recall_curves(
    curves: Mapping[str, Mapping[str, np.ndarray]], ways: Ways, among: str
) -> str:
  """Recall@k against k, one panel for each direction.

  Args:
    curves: encoder -> direction -> recall@r for r = 1..K.
    ways: the directions.
    among: what is chosen from, as text.
  """
  pool = max(len(c) for by_way in curves.values() for c in by_way.values())

  def draw(axes):
    for ax, (way, title) in zip(axes[0], ways, strict=True):
      for encoder, by_way in curves.items():
        curve = by_way.get(way)
        if curve is None:
          continue
        ax.plot(np.arange(1, len(curve) + 1), curve,
                label=words.encoder(encoder), **plots.line(encoder))
      k = np.arange(1, pool + 1)
      ax.plot(k, k / pool, color=plots.GREY, lw=1, ls=plots.DASHED,
              label="chance")
      ax.set(xscale="log", xlim=(1, pool), ylim=(0, 1.02), title=title,
             xlabel="k")
      ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000, 3000) if t <= pool]
      ax.set_xticks(ticks, [f"{t:,}" for t in ticks], minor=False)
      ax.set_xticks([], minor=True)
    axes[0, 0].set_ylabel(f"recall@k {among}")
    plots.legend(axes)

  return plots.svg(draw, 7.6, 3.1, columns=len(ways), sharey=True,
                   alt="Recall at k against k, both directions")


def pool_sizes(
    scores: Mapping[str, Mapping[str, list[tuple[int, Estimate]]]],
    ways: Ways,
) -> str:
  """Recall@1 against the size of the pool, one panel for each direction.

  Args:
    scores: encoder -> direction -> [(size, score)].
    ways: the directions.
  """
  sizes = sorted({
      s for by_way in scores.values() for one in by_way.values()
      for s, _ in one
  })

  def draw(axes):
    for ax, (way, title) in zip(axes[0], ways, strict=True):
      for encoder, by_way in scores.items():
        intervals(ax, by_way.get(way, []), words.encoder(encoder),
                  plots.line(encoder))
      ax.plot(sizes, 1 / np.array(sizes), color=plots.GREY, lw=1,
              ls=plots.DASHED, label="chance")
      ax.set(xscale="log", ylim=(0, 1.02), title=title,
             xlabel="windows in the pool")
      ax.set_xticks(sizes, [f"{s:,}" for s in sizes], minor=False)
      ax.set_xticks([], minor=True)
    axes[0, 0].set_ylabel("recall@1")
    plots.legend(axes)

  return plots.svg(draw, 7.6, 3.1, columns=len(ways), sharey=True,
                   alt="Recall at 1 against pool size, both directions")


def lines(
    series: Mapping[str, Sequence[tuple[float, Estimate]]], x: str, y: str,
    log: bool = False,
) -> str:
  """A line for each encoder, with its intervals as a band.

  Args:
    series: encoder -> [(x, score)].
    x, y: what the axes are.
    log: whether the x axis is logarithmic.
  """

  def draw(axes):
    ax = axes[0, 0]
    for encoder, points in series.items():
      intervals(ax, points, words.encoder(encoder), plots.line(encoder))
    ax.set(xlabel=x, ylabel=y, xscale="log" if log else "linear")
    plots.legend(axes)

  return plots.svg(draw, 7.6, 3.1, alt=f"{y} against {x}")


def intervals(
    ax: Any, points: Sequence[tuple[float, Estimate]], name: str,
    style: dict[str, Any],
) -> None:
  """A line through [(x, score)] with its intervals as a band."""
  if not points:
    return
  x = [p[0] for p in points]
  ax.plot(x, [s.value for _, s in points], marker="o", ms=4, label=name,
          **style)
  banded = [(a, s) for a, s in points if s.low is not None]
  if banded:
    ax.fill_between(
        [a for a, _ in banded], [s.low for _, s in banded],
        [s.high for _, s in banded], color=style["color"], alpha=0.16, lw=0,
    )


def spectra(sizes: Mapping[str, np.ndarray]) -> str:
  """Singular values of each embedding over the largest: encoder -> [R]."""

  def draw(axes):
    ax = axes[0, 0]
    for encoder, s in sizes.items():
      s = np.maximum(s / max(s[0], 1e-12), 1e-6)
      ax.plot(np.arange(1, len(s) + 1), s, label=words.encoder(encoder),
              **plots.line(encoder))
    ax.set(yscale="log", xlabel="dimension",
           ylabel="singular value / largest")
    ax.set_xlim(1, None)
    ax.set_ylim(max(ax.get_ylim()[0], 1e-6), 1.4)
    plots.legend(axes)

  return plots.svg(draw, 7.6, 2.6, alt="Singular values of the embeddings")


def embedding_map(
    maps: Mapping[str, np.ndarray], names: Mapping[str, Sequence[str]],
    values: np.ndarray, name: str, named: bool = True,
) -> str:
  """Embeddings in two dimensions, coloured by a label.

  Args:
    maps: title -> [M, 2].
    names: (x, y) axis names of each title: title -> (text, text).
    values: [M] numbers, NaN where unknown, or text for classes.
    name: what the colours are.
    named: whether classes may be named.
  """
  values, classes = np.asarray(values), None
  if values.dtype.kind == "f" and len(np.unique(values)) == 2:
    values = np.array([f"{v:g}" for v in values])
  if values.dtype.kind in "OUS":
    kinds, counts = np.unique(values.astype(str), return_counts=True)
    most = len(plots.PALETTE) - 1
    classes = list(kinds[np.argsort(-counts, kind="stable")][:most])

  def draw(axes):
    for ax, (title, xy) in zip(axes[0], maps.items(), strict=True):
      style = plots.dots(len(xy)) | dict(s=10 if len(xy) < 1500 else 6)
      if classes is None:
        known = np.isfinite(values)
        ax.scatter(*xy[~known].T, color=plots.GREY, **style)
        low, high = np.percentile(values[known], [2, 98]) if (
            known.any()) else (0, 1)
        shown = ax.scatter(
            *xy[known].T, c=values[known], cmap=plots.SCALE, vmin=low,
            vmax=max(high, low + 1e-9), **style,
        )
      else:
        other = ~np.isin(values, classes)
        if other.any():
          ax.scatter(*xy[other].T, color=plots.GREY, label="others", **style)
        for i, kind in enumerate(classes):
          rows = values == kind
          ax.scatter(*xy[rows].T, color=plots.PALETTE[i],
                     label=kind or "not said", **style)
      ax.set(xticks=[], yticks=[], title=title,
             xlabel=names[title][0], ylabel=names[title][1])
      ax.margins(0.04)
    if classes is None:
      bar = ax.figure.colorbar(
          shown, ax=axes[0].tolist(), shrink=0.85, pad=0.015, aspect=28,
          extend="both",
      )
      bar.solids.set(alpha=1, rasterized=True)
      bar.outline.set_visible(False)
      bar.set_label(name)
    elif named:
      plots.legend(axes, 4)

  return plots.svg(draw, 7.6, 3.5 if len(maps) > 1 else 4.2,
                   columns=len(maps), alt=f"Map of embeddings by {name}")


def pair(
    query: np.ndarray, found: np.ndarray, right: np.ndarray | None,
    rates_hz: tuple[float, float], names: tuple[str, str],
) -> str:
  """A query and what it found, the first 15 s.

  Args:
    query, found: [T, C].
    right: [T, C] the right answer where another was found, else None.
    rates_hz: of the query and of the answer.
    names: the signals of the query and of the answer.
  """
  shown = min(15.0, len(query) / rates_hz[0])
  panels = [(query, f"query: {names[0]}", rates_hz[0]),
            (found, f"found: {names[1]}", rates_hz[1])]
  if right is not None:
    panels.append((right, f"right answer: {names[1]}", rates_hz[1]))

  def draw(axes):
    for ax, (x, title, rate_hz) in zip(axes[:, 0], panels, strict=True):
      x = x[:round(shown * rate_hz)]
      t, x = np.arange(len(x)) / rate_hz, x - x.mean(axis=0)
      x = x / (x.std() + 1e-12)
      for c in range(x.shape[1]):
        ax.plot(t, x[:, c], color=plots.PALETTE[(0, 2, 1, 3)[c % 4]], lw=0.9,
                alpha=0.9)
      ax.set_title(title, fontsize=8.5, fontweight="normal", pad=3)
      ax.set(yticks=[], xlim=(0, shown))
      ax.spines["left"].set_visible(False)
    axes[-1, 0].set_xlabel("s")

  return plots.svg(draw, 3.7, 0.35 + 0.85 * len(panels), rows=len(panels),
                   sharex=True, alt="A query and the window that it found")
